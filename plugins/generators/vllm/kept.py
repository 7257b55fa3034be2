"""Servers that outlive the stage they were started for, and are given another student's weights.

Starting vLLM takes from half a minute to minutes, loading weights into a server that runs a second or less. So a stage
that is done sets its server aside, and the next one that needs a server for a model of the same shape takes it over:
the new weights are loaded in place (vLLM's own `reload_weights`, which its users who train with it rely on), what was
kept of prompts is dropped, and what the server then makes of a probe is compared with what the weights in the folder
make of it here. A server that does not stand that is ended, and a fresh one started.

They end with this process, whatever ends it (`siked_core.warden`).
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

from siked_core import ModelError
from siked_plugins.generators.vllm.server import Server

ASK_S = 600.0
"""So long loading weights, and falling asleep, may take."""
LARGEST_COMPUTED = 8 << 30
"""Bytes of weights up to which a probe's right values are computed here: a forward pass on the CPU."""
CLOSE = {"float32": 1e-3, "narrow": 0.1}
"""Nats per token by which a probe may differ, on average, from what is computed here; by the weights' precision."""
_WEIGHTS = (".safetensors", ".bin")

Between = Literal["stop", "sleep", "keep"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a server is to serve."""

    shape: str
    """All that a server is started with but weights and adapters: what fits into it has the same."""
    weights: str
    """Which weights, as samples are known by them."""
    folder: Path | None
    """The model's folder, where its weights can be loaded into a server that has others; else None."""
    probe: tuple[int, ...]
    """Token ids, two or more; none are needed where there is no folder."""
    dtype: str
    lora_rank: int
    """0 where no adapter is wanted."""
    between: Between


@dataclass
class Kept:
    """A server, and what is in it."""

    server: Server
    wanted: Wanted
    adapters: dict[str, Path] = field(default_factory=dict)
    """By their names at the server."""
    asleep: Literal[0, 1, 2] = 0
    """How deep: 1 has its weights in main memory, 2 has none."""
    probed: list[float] | None = None
    """What it made of the probe before it was set aside."""

    def fits(self, wanted: Wanted) -> bool:
        """Whether it can come to serve that."""
        mine = self.wanted
        if mine.shape != wanted.shape or wanted.lora_rank > mine.lora_rank or self.server.gone():
            return False
        return mine.weights == wanted.weights or None not in (mine.folder, wanted.folder)

    def become(self, wanted: Wanted) -> None:
        """Serve that.

        Raises:
            ModelError: it cannot, or it is not certain that it does.
        """
        if self.asleep:
            self._do("/wake_up?tags=weights")
        if self.asleep == 2 or self.wanted.weights != wanted.weights:
            for name in list(self.adapters):
                self.unload(name)
            self._reload(wanted)
        elif self.asleep:
            self._do("/wake_up?tags=kv_cache")
        self.asleep = 0
        self.wanted = replace(wanted, lora_rank=self.wanted.lora_rank)

    def load(self, name: str, folder: Path) -> None:
        """Have an adapter under a name; of others it lets go.

        Raises:
            ModelError: the server does not take it.
        """
        if name in self.adapters:
            return
        for other in list(self.adapters):
            self.unload(other)
        body = {"lora_name": name, "lora_path": str(folder.absolute())}
        self._do("/v1/load_lora_adapter", body, f"does not take the adapter {folder}")
        self.adapters[name] = folder

    def unload(self, name: str) -> None:
        self._do("/v1/unload_lora_adapter", {"lora_name": name})
        del self.adapters[name]

    def rest(self) -> None:
        """Something else needs the machine: give back what its option says."""
        if self.wanted.between == "sleep" and not self.asleep:
            level: Literal[1, 2] = 2 if self.wanted.folder else 1
            self._do(f"/sleep?{urlencode({'level': level})}")
            self.asleep = level

    def probe(self) -> list[float]:
        """The log-probabilities of the probe's tokens but the first, by the model without an adapter."""
        tokens = list(self.wanted.probe)
        body = {"model": self.server.model, "prompt": tokens, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        try:
            [choice] = json.loads(self._do("/v1/completions", body))["choices"]
            return [float(found[str(token)]["logprob"]) for token, found in
                    zip(tokens[1:], choice["prompt_logprobs"][1:], strict=True)]  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"The vLLM server of '{self.server.model}' does not answer a probe ({error}).") from None

    def _reload(self, wanted: Wanted) -> None:
        assert wanted.folder is not None
        # `probed` is of the weights that it last answered with: those of `self.wanted`.
        before = self.probed if self.probed is not None else self.probe()
        weights = {"method": "reload_weights", "kwargs": {"weights_path": str(wanted.folder)}}
        self._do("/collective_rpc", weights)
        if self.asleep:
            self._do("/wake_up?tags=kv_cache")
        if json.loads(self._do("/reset_prefix_cache")).get("success") is not True:
            raise ModelError("The vLLM server did not drop what it keeps of prompts.")
        self.probed = None
        now = self.probe()
        close = CLOSE.get(wanted.dtype, CLOSE["narrow"])
        if self.wanted.weights == wanted.weights:
            right = _apart(now, before) <= close
        else:
            expected = computed(wanted)
            right = now != before and (expected is None or _apart(now, expected) <= close)
        if not right:
            raise ModelError(f"The vLLM server does not answer as {wanted.folder} does after loading its weights.")

    def _do(self, path: str, body: object = None, what: str = "") -> str:
        status, said = self.server.ask("POST", path, body, ASK_S)
        if status != 200:
            told = f"{what or f'does not do {path}'} (HTTP {status}: {' '.join(said.split())[:300]})"
            raise ModelError(f"The vLLM server of '{self.server.model}' {told}.")
        return said


def computed(wanted: Wanted) -> list[float] | None:
    """What `Kept.probe` gives with the right weights: computed here; None for models that are too large for that."""
    from siked_core.models import load_weights

    assert wanted.folder is not None
    if sum(file.stat().st_size for file in wanted.folder.iterdir() if file.suffix in _WEIGHTS) > LARGEST_COMPUTED:
        return None
    import torch

    model = load_weights(str(wanted.folder), torch.float32 if wanted.dtype == "float32" else torch.bfloat16)
    tokens = torch.tensor([wanted.probe])  # (1, T)
    with torch.inference_mode():
        logprobs = torch.log_softmax(model(tokens).logits[0, :-1].float(), dim=-1)  # (T - 1, V)
    found: list[float] = logprobs.gather(1, tokens[0, 1:, None])[:, 0].tolist()
    return found


def _apart(one: list[float], other: list[float]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


# Those that were set aside

_idle: list[Kept] = []


def set_aside(kept: Kept) -> None:
    """Keep a server for whoever comes next, until `end` or the end of this process."""
    try:
        kept.probed = kept.probe() if kept.wanted.folder else None
    except BaseException as error:
        kept.server.stop(forget=True)
        if not isinstance(error, ModelError):
            raise
        return
    _idle.append(kept)


def take(wanted: Wanted, say: Callable[[str], None]) -> Kept | None:
    """A server that was set aside and now serves what is wanted; None where there is none. Those that a fresh one might
    lack the memory of are ended then."""
    for kept in [kept for kept in _idle if kept.fits(wanted)]:
        _idle.remove(kept)
        try:
            kept.become(wanted)
        except ModelError as error:
            say(f"A fresh vLLM server is started: {' '.join(str(error).split())[:300]}")
            kept.server.stop(forget=True)
        except BaseException:
            kept.server.stop(forget=True)
            raise
        else:
            return kept
    for kept in [kept for kept in _idle if kept.wanted.between != "keep" or kept.server.gone()]:
        _discard(kept)
    return None


def make_room() -> None:
    """Have those that were set aside give back what their option `between` says."""
    for kept in list(_idle):
        if kept.wanted.between == "stop":
            _discard(kept)
        else:
            try:
                kept.rest()
            except ModelError:
                _discard(kept)


def end() -> None:
    """End them all."""
    for kept in list(_idle):
        _discard(kept)


def _discard(kept: Kept) -> None:
    kept.server.stop(forget=True)
    _idle.remove(kept)


atexit.register(end)
