"""What is sent: requests of one prompt together, as the body of one HTTP request."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from siked_core import Message, ModelError, Prompt, Request, Sampling
from siked_core.models import encode, fingerprint, load_tokenizer, render
from siked_plugins.generators.openai.options import OpenAIOptions

SHORT_QUESTION = "What is 1 + 1?"


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request."""

    id: str
    """A hash of the body and of the seeds; the same in every run, and unlike those of the asks beside it."""
    places: tuple[int, ...]
    """Which of the requests it is for, one place for each sample; none for a probe."""
    requests: tuple[Request, ...]
    body: dict[str, Any]
    max_tokens: int
    prompt_bytes: int

    @property
    def wanted(self) -> int:
        return int(self.body.get("n", 1))

    @property
    def problem(self) -> str:
        return self.requests[0].problem.id


class Writer:
    """Writes asks."""

    def __init__(self, options: OpenAIOptions, tokenizer: Any = None, called: str | None = None) -> None:
        """
        Args:
            tokenizer: instead of the one that the options name.
            called: the model's name at the server, where it is another than the option `model`.
        """
        self._options, self._given, self._called = options, tokenizer, called or options.model
        self.at_once = options.n
        """Samples in one ask; 1 from when a server turns out to give no more."""

    @property
    def path(self) -> str:
        return "/chat/completions" if self._options.endpoint == "chat" else "/completions"

    @cached_property
    def fingerprint(self) -> str:
        """All that can change what is written, as a short text. Where the server is, is not part of it."""
        options = self._options
        parts = [_known_as(options.model), options.revision, options.endpoint]
        if options.endpoint == "completions":
            parts += [_known_as(options.tokenizer or options.model), options.prompt_as]
        if options.prefill != "none":
            parts.append(options.prefill)
        if options.extra or options.omit:
            parts.append(json.dumps([options.extra, sorted(options.omit)], sort_keys=True))
        return ":".join(parts)

    def rendered(self, prompt: Prompt) -> str | None:
        """The very text that the model reads, where siked renders it."""
        if self._options.endpoint != "completions":
            return None
        return render(self._tokenizer, prompt) + prompt.prefix

    @cached_property
    def _tokenizer(self) -> Any:
        return self._given or load_tokenizer(self._options.tokenizer or self._options.model)

    def asks(self, requests: Sequence[Request], sampling: Sampling) -> list[Ask]:
        """The requests as asks, in order: those of one prompt together, as many at a time as the server gives.

        Raises:
            ModelError: the endpoint cannot do what is asked.
        """
        alike: dict[Prompt, list[int]] = {}
        for place, request in enumerate(requests):
            alike.setdefault(request.prompt, []).append(place)
        asks, seen = [], Counter[str]()
        for places in alike.values():
            for start in range(0, len(places), self.at_once):
                some = places[start : start + self.at_once]
                ask = self._ask(some, [requests[place] for place in some], sampling)
                seen[ask.id] += 1
                asks.append(ask if seen[ask.id] == 1 else replace(ask, id=f"{ask.id}-{seen[ask.id]}"))
        return asks

    def one_by_one(self, ask: Ask, answered: int, sampling: Sampling) -> list[Ask]:
        """What an ask wanted and did not get, as asks for one sample each."""
        rest = list(zip(ask.places, ask.requests, strict=True))[answered:]
        return [self._ask([place], [request], sampling) for place, request in rest]

    def probe(self, ask: Ask, sampling: Sampling) -> Ask:
        """The same ask with a short question in the place of its own."""
        request = replace(ask.requests[0], prompt=shortened(ask.requests[0].prompt))
        return replace(self._ask([], [request] * len(ask.requests), sampling), id=f"probe-{ask.id}")

    def _ask(self, places: Sequence[int], requests: Sequence[Request], sampling: Sampling) -> Ask:
        options, prompt = self._options, requests[0].prompt
        body: dict[str, Any] = {"model": self._called, **self._asked(prompt)}
        body[options.max_tokens_name] = sampling.max_tokens
        body["temperature"] = sampling.temperature
        if sampling.top_p < 1:
            body["top_p"] = sampling.top_p
        body["seed"] = requests[0].seed & 0x7FFFFFFF
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if len(requests) > 1:
            body["n"] = len(requests)
        if options.logprobs:
            body["logprobs"] = True if options.endpoint == "chat" else 0
        body = {name: value for name, value in body.items() if name not in options.omit} | options.extra
        text = json.dumps([body, [request.seed for request in requests]], sort_keys=True, ensure_ascii=False)
        identity = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        size = sum(len(message.content.encode("utf-8", "replace")) for message in prompt.messages)
        return Ask(identity, tuple(places), tuple(requests), body, sampling.max_tokens, size + len(prompt.prefix))

    def _asked(self, prompt: Prompt) -> dict[str, Any]:
        """The prompt, as the endpoint takes it."""
        options = self._options
        if options.endpoint == "completions":
            if options.prompt_as == "tokens":
                return {"prompt": encode(self._tokenizer, prompt)}
            text = render(self._tokenizer, prompt) + prompt.prefix
            return {"prompt": text.removeprefix(self._tokenizer.bos_token or "")}  # the server puts its own before it
        messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
        if not prompt.prefix:
            return {"messages": messages}
        if options.prefill == "none":
            raise ModelError(
                f"The server of '{options.model}' cannot be made to begin its answer with '{prompt.prefix.strip()}' "
                "through the endpoint 'chat'. Set the generator's option endpoint to 'completions' (siked then renders "
                "the prompt), or prefill to what the server knows: continue_final_message (vLLM), last_message "
                "(llama.cpp)."
            )
        messages.append({"role": "assistant", "content": prompt.prefix})
        if options.prefill == "last_message":
            return {"messages": messages}
        return {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}


def shortened(prompt: Prompt) -> Prompt:
    """The same prompt with a short question in the place of its own."""
    last = Message(prompt.messages[-1].role, SHORT_QUESTION)
    return replace(prompt, messages=(*prompt.messages[:-1], last))


def _known_as(model: str) -> str:
    """A folder of this machine is known by its files, whatever is served from it by its name."""
    return fingerprint(model) if Path(model).is_dir() else model
