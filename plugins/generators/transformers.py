"""Any causal language model that `transformers` can load, from a folder or the hub.

It departs from `model.generate` in four ways, for speed and for reproducibility. The prompts of a batch are
encoded once each, whatever the number of samples. Rows that have ended are dropped from the batch. Keys and values are
put into places that are there (`room.py`). And every row draws from a stream of its own, seeded by its request, by
inverting the distribution function at one uniform number a token (`drawing.py`): a sample does not depend on what else
happens to be in its batch (but for rounding).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, Literal

from pydantic import Field

from siked_core import Completion, Generator, Options, Prompt, Request, Sampling, hookimpl
from siked_core.errors import ModelError
from siked_core.models import Encoder, choose_device, choose_dtype, fingerprint, load_tokenizer, load_weights, render
from siked_plugins.generators.continuous import write_continuously
from siked_plugins.generators.drawing import draw
from siked_plugins.generators.room import keep, spread, without

BATCHES = 4
"""Of a chunk, which is put in order of length as a whole."""


class TransformersOptions(Options):
    model: str = Field(description="a model folder or a hub name")
    batch_size: int = Field(128, ge=1, description="sequences that are written at once")
    continuous: bool = Field(
        False,
        description="use transformers' continuous batching, which fills places that fall free; for GPUs (ten times "
        "slower on a CPU), and without batch_size, which it chooses itself",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of the weights; auto: float32 on a CPU, the model's own on a GPU"
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    device_map: str | None = Field(
        None, description="spreads the weights over several GPUs, as transformers does: auto, balanced, sequential"
    )
    chat_template: str | None = Field(None, description="replaces the tokenizer's chat template (Jinja text)")
    thinking: bool = Field(
        False,
        description="let a model that can (Qwen3, say) think before it answers; what it thinks is then part of what it "
        "writes, and of max_tokens",
    )


class TransformersGenerator(Generator):
    """Any local or hub causal language model, through Hugging Face transformers."""

    name = "transformers"
    batch_sensitive = True
    options_type = TransformersOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._loaded: tuple[Any, Any] | None = None
        self._tokenizer: Any = None
        self._fingerprint = ""
        self._batch_size = int(self.options.batch_size)

    @property
    def fingerprint(self) -> str:
        if not self._fingerprint:
            parts = [fingerprint(self.options.model), self.options.dtype, self.options.chat_template or ""]
            parts += [name for name in ("thinking", "continuous") if getattr(self.options, name)]
            self._fingerprint = ":".join(parts)
        return self._fingerprint

    @property
    def chunk_size(self) -> int:
        return int(self.options.batch_size) * BATCHES

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """Longest first: neighbours are of like length, so there is little padding; what does not fit shows early."""
        if self.options.continuous:
            return [list(range(len(requests)))]
        order = self._longest_first([self._encode(request.prompt) for request in requests], requests)
        return [order[start : start + self._batch_size] for start in range(0, len(order), self._batch_size)]

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Raises ModelError where the device lacks memory even for one sequence at a time."""
        import torch

        model, tokenizer = self._load()
        prompts = [self._encode(request.prompt) for request in requests]
        if self.options.continuous:
            yield from _continuously(model, tokenizer, prompts, requests[0].seed, sampling)
            return
        waiting = self._longest_first(prompts, requests)
        while waiting:
            batch = waiting[: self._batch_size]
            rows = [(prompts[i], requests[i].seed) for i in batch]
            done = set()
            try:
                for place, completion in _write(model, tokenizer, rows, sampling):
                    done.add(batch[place])
                    yield batch[place], completion
            except torch.OutOfMemoryError as error:  # fewer at once, from now on; a sample has a stream of its own
                self._halve(len(batch), error)
            waiting = [i for i in waiting if i not in done]

    @cached_property
    def _encode(self) -> Encoder:
        return Encoder(self._load_tokenizer(), **self._settings)

    @staticmethod
    def _longest_first(prompts: Sequence[list[int]], requests: Sequence[Request]) -> list[int]:
        return sorted(range(len(requests)), key=lambda i: (-len(prompts[i]), prompts[i], requests[i].draw))

    def rendered(self, prompt: Prompt) -> str | None:
        return render(self._load_tokenizer(), prompt, **self._settings) + prompt.prefix

    @property
    def _settings(self) -> dict[str, bool]:
        """What a chat template is told besides. One that knows of no thinking leaves it aside."""
        return {"enable_thinking": self.options.thinking}

    def open(self) -> None:
        self._load()

    def close(self) -> None:
        self._loaded = None

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            device = choose_device(self.options.device)
            dtype = choose_dtype(self.options.dtype, device, self.options.model)
            model = load_weights(self.options.model, dtype, self.options.device_map)
            self._loaded = (model if self.options.device_map else model.to(device), self._load_tokenizer())
        return self._loaded

    def _halve(self, size: int, error: Exception) -> None:
        import torch

        if size == 1:
            raise ModelError(
                f"The device lacks memory for one sequence of '{self.options.model}' at a time. Use a smaller model, a "
                "narrower dtype, fewer tokens (max_tokens), or device_map=auto with several GPUs."
            ) from error
        self._batch_size = size // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        warnings.warn(
            f"The device ran out of memory with {size} sequences at once; going on with {self._batch_size} "
            "(the generator's option batch_size).",
            stacklevel=2,
        )

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.options.model)
            if self.options.chat_template:
                self._tokenizer.chat_template = self.options.chat_template
        return self._tokenizer


def _continuously(
    model: Any, tokenizer: Any, prompts: list[list[int]], seed: int, sampling: Sampling
) -> Iterator[tuple[int, Completion]]:
    ends = _end_tokens(model, tokenizer)
    limits = _limits(model, prompts, sampling)
    for row, tokens, logprob in write_continuously(model, prompts, limits, ends, sampling, seed):
        said = tokenizer.decode([token for token in tokens if token not in ends], skip_special_tokens=True)
        text = _cut(said, sampling.stop)
        ended = tokens[-1] in ends or text != said
        yield row, Completion(text, "stop" if ended else "length", len(prompts[row]), len(tokens), logprob)


def _limits(model: Any, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[int]:
    """New tokens of each row, at most: what its context has room for."""
    window = getattr(model.config, "max_position_embeddings", None)
    if window is None:
        return [sampling.max_tokens] * len(prompts)
    return [max(1, min(sampling.max_tokens, window - len(prompt))) for prompt in prompts]


def _write(
    model: Any, tokenizer: Any, rows: list[tuple[list[int], int]], sampling: Sampling
) -> Iterator[tuple[int, Completion]]:
    """Write one batch; yield (row, completion) as rows end.

    Args:
        rows: prompt ids and seed; rows of one prompt stand together.
    """
    import numpy as np
    import torch
    from transformers import DynamicCache

    device = model.device
    prompts = [list(ids) for ids, _ in groupby(ids for ids, _ in rows)]
    copies = [len(list(group)) for _, group in groupby(ids for ids, _ in rows)]
    longest = max(len(prompt) for prompt in prompts)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    ends = _end_tokens(model, tokenizer)
    limits = _limits(model, [prompt for prompt, _ in rows], sampling)
    limit = max(limits)

    ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)  # (P, L)
    seen = torch.tensor(
        [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device
    )  # (P, L)
    uniforms = None
    if sampling.temperature > 0:
        streams = [np.random.Generator(np.random.Philox(seed)).random(limit, np.float32) for _, seed in rows]
        uniforms = torch.from_numpy(np.stack(streams)).to(device)  # (B, limit)

    alive = list(range(len(rows)))
    written: list[list[int]] = [[] for _ in rows]
    logprobs = [0.0] * len(rows)
    with torch.inference_mode():
        cache = DynamicCache(config=model.config)
        positions = (seen.cumsum(1) - 1).clamp(min=0)
        out = model(input_ids=ids, attention_mask=seen, position_ids=positions, past_key_values=cache, logits_to_keep=1)
        own = torch.repeat_interleave(torch.arange(len(prompts), device=device), torch.tensor(copies, device=device))
        spread(cache, own)
        logits = out.logits[:, -1][own].float()  # (B, V)
        seen = seen[own]  # (B, L)
        lengths = seen.sum(1)  # (B,)
        for step in range(limit):
            chosen, chosen_logprob = draw(logits, sampling, None if uniforms is None else uniforms[:, step])
            tokens, values = chosen.tolist(), chosen_logprob.tolist()
            over: list[int] = []
            for place, row in enumerate(alive):
                logprobs[row] += values[place]
                ended = tokens[place] in ends
                if not ended:
                    written[row].append(tokens[place])
                stopped = not ended and sampling.stop and _stopped(tokenizer, written[row], sampling.stop)
                if ended or stopped or step == limits[row] - 1:
                    finish: Literal["stop", "length"] = "stop" if ended or stopped else "length"
                    text = _cut(tokenizer.decode(written[row], skip_special_tokens=True), sampling.stop)
                    count = len(written[row]) + int(ended)
                    yield row, Completion(text, finish, len(rows[row][0]), count, logprobs[row])
                    over.append(place)
            if len(over) == len(alive):
                return
            if over:
                kept = without(over, len(alive))
                alive = [alive[place] for place in kept]
                keep(cache, kept, device)
                index = torch.tensor(kept, device=device)
                chosen, seen, lengths = chosen[index], seen[index], lengths[index]
                uniforms = None if uniforms is None else uniforms[index]
            seen = torch.cat([seen, seen.new_ones((len(alive), 1))], dim=1)
            out = model(
                input_ids=chosen[:, None],
                attention_mask=seen,
                position_ids=lengths[:, None],
                past_key_values=cache,
                logits_to_keep=1,
            )
            lengths = lengths + 1
            logits = out.logits[:, -1].float()


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    found = set(ends) if isinstance(ends, list) else {ends}
    return {token for token in found | {tokenizer.eos_token_id} if token is not None}


def _stopped(tokenizer: Any, tokens: list[int], stop: tuple[str, ...]) -> bool:
    tail = tokenizer.decode(tokens[-24:], skip_special_tokens=True)
    return any(text in tail for text in stop)


def _cut(text: str, stop: tuple[str, ...]) -> str:
    places = [place for place in (text.find(end) for end in stop) if place >= 0]
    return text[: min(places)] if places else text


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [TransformersGenerator]
