"""vLLM in siked's own process, for a Python that can import both: no server, no second interpreter.

Prompts are rendered by siked and handed over as tokens, and every request has the seed and the settings that the server
would be sent. vLLM's process group is one for a whole process, so there is one model at a time.
"""

from __future__ import annotations

import atexit
import gc
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from siked_core import Completion, ModelError, PluginError, Request, Sampling
from siked_plugins.generators.vllm.kept import Between

VARIABLES = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}
"""What vLLM reads while it is imported and made: no processes beside this one, no log on the standard output."""
_OF_SERVERS = {"disable_uvicorn_access_log", "log_error_stack"}
_ENDED: dict[str | None, Literal["stop", "length"]] = {"stop": "stop", "length": "length"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be loaded. What equals it is it."""

    model: str
    weights: str
    """Which weights, as samples are known by them."""
    flags: dict[str, Any]
    adapter: Path | None
    adapter_name: str
    between: Between = field(compare=False)


class Engine:
    """A model in vLLM, in this process. Made by `take`, ended by `end`."""

    def __init__(self, wanted: Wanted, variables: Mapping[str, str]) -> None:
        """
        Raises:
            PluginError: vLLM cannot be imported.
            ModelError: it does not know a flag, or cannot load the model.
        """
        self.wanted, self._asleep, self._told = wanted, False, False
        self._lora: Any = None
        with _set({**VARIABLES, **variables}):
            self._llm: Any = _load(wanted)
        if wanted.adapter is not None:
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest(wanted.adapter_name, 1, str(wanted.adapter.absolute()))

    @property
    def longest(self) -> int:
        """Tokens of prompt and answer together, at most."""
        return int(self._llm.llm_engine.model_config.max_model_len)

    def write(
        self,
        requests: Sequence[Request],
        prompts: Sequence[list[int]],
        sampling: Sampling,
        *,
        shortest: Callable[[Request], int],
        logprobs: bool,
        extra: Mapping[str, Any],
    ) -> Iterator[tuple[int, Completion]]:
        """Yield (index of the request, completion), as they end.

        Args:
            prompts: their token ids.
            shortest: how long a request's prompt would be with a short question.
            extra: further fields of vLLM's `SamplingParams`.

        Raises:
            ModelError: vLLM fails, or no prompt fits. What was answered is yielded before.
        """
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        engine, longest = self._llm.llm_engine, self.longest
        long = [place for place, prompt in enumerate(prompts) if len(prompt) >= longest]
        if long:
            self._tell(requests[long[0]], len(prompts[long[0]]), len(long) == len(requests), shortest)
        for place in long:
            yield place, Completion("", "refused", 0, 0)
        waiting: set[str] = set()
        try:
            for place in sorted(set(range(len(requests))) - set(long)):
                settings = SamplingParams(
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    seed=requests[place].seed & 0x7FFFFFFF,  # as the server is sent it
                    max_tokens=min(sampling.max_tokens, longest - len(prompts[place])),
                    stop=list(sampling.stop) or None,
                    logprobs=0 if logprobs else None,
                    output_kind=RequestOutputKind.FINAL_ONLY,
                    **extra,
                )
                engine.add_request(str(place), {"prompt_token_ids": prompts[place]}, settings, lora_request=self._lora)
                waiting.add(str(place))
            while engine.has_unfinished_requests():
                for output in engine.step():
                    if output.finished:
                        waiting.discard(output.request_id)
                        yield int(output.request_id), _read(output)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"vLLM failed while '{self.wanted.model}' was asked: {_short(error)}\n"
                "What was answered is kept, and the same command goes on from there."
            ) from error
        finally:
            if waiting:  # whoever takes them was interrupted, or wants no more
                with suppress(Exception):
                    engine.abort_request(list(waiting))

    def rest(self) -> None:
        """Give the memory of weights and cache back, but for what main memory holds."""
        if not self._asleep:
            self._llm.sleep(level=1)
            self._asleep = True

    def wake(self) -> None:
        if self._asleep:
            self._llm.wake_up()
            self._asleep = False

    def end(self) -> None:
        """Free everything."""
        with suppress(Exception):
            self._llm.llm_engine.engine_core.shutdown()
        self._llm = self._lora = None
        _clean_up()

    def _tell(self, request: Request, tokens: int, all_of_them: bool, shortest: Callable[[Request], int]) -> None:
        said = (
            f"the prompt of problem '{request.problem.id}' has {tokens} tokens, and the maximum context length is "
            f"{self.longest}"
        )
        if all_of_them and shortest(request) >= self.longest:
            raise ModelError(f"The model '{self.wanted.model}' has no room for any prompt: {said}.")
        if not self._told:
            self._told = True
            warnings.warn(
                f"The model '{self.wanted.model}' cannot read a request, which is recorded as refused: {said}.",
                stacklevel=5,
            )


def _load(wanted: Wanted) -> Any:
    try:
        from vllm import LLM
        from vllm.engine.arg_utils import EngineArgs
    except Exception as error:
        raise PluginError(
            f"vLLM is installed in this Python, but cannot be imported beside siked ({_short(error)}). Their "
            "versions do not agree; the option engine: server has vLLM in an environment of its own."
        ) from error
    flags = {name: value for name, value in wanted.flags.items() if value is not None and name not in _OF_SERVERS}
    unknown = sorted(flags.keys() - EngineArgs.__dataclass_fields__.keys())
    if unknown:
        raise ModelError(f"vLLM's engine has no '{unknown[0]}' (engine_args): only its server may know that flag.")
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            return LLM(wanted.model, use_tqdm_on_load=False, **flags)
    except Exception as error:
        _clean_up()
        raise ModelError(f"vLLM cannot load '{wanted.model}' in this process: {_short(error)}") from error


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """Environment variables, for a while: servers that are started later are to have their own."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _read(output: Any) -> Completion:
    """A finished request's completion.

    Raises:
        ModelError: vLLM broke it off.
    """
    [one] = output.outputs
    if one.finish_reason in ("abort", "error"):
        raise ModelError(f"vLLM broke off a request (finish_reason '{one.finish_reason}').")
    return Completion(
        one.text.encode("utf-8", "replace").decode(),
        _ENDED.get(one.finish_reason, "stop"),
        len(output.prompt_token_ids),
        len(one.token_ids),
        one.cumulative_logprob,
    )


def _clean_up() -> None:
    """End what vLLM's process groups hold, and give back what torch keeps."""
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    gc.collect()
    cleanup_dist_env_and_memory()


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


# One at a time

_in_use: list[Engine] = []
_idle: list[Engine] = []


def take(wanted: Wanted, variables: Mapping[str, str], say: Callable[[str], None]) -> Engine:
    """What was set aside, where it is what is wanted; else a new one, before which that is ended.

    Raises:
        PluginError: vLLM cannot be imported.
        ModelError: another is in use; or the model cannot be loaded.
    """
    if _in_use:
        raise ModelError(
            f"vLLM has '{_in_use[0].wanted.model}' in this process, and takes one model at a time there. Leave the "
            f"option engine of the generator for '{wanted.model}' at server."
        )
    if _idle and _idle[0].wanted == wanted:
        engine = _idle.pop()
        engine.wake()
    else:
        end()
        say(f"Loading '{wanted.model}' into vLLM, in this process")
        engine = Engine(wanted, variables)
    _in_use.append(engine)
    return engine


def set_aside(engine: Engine) -> None:
    _in_use.remove(engine)
    _idle.append(engine)


def give_back(engine: Engine) -> None:
    """End one that is in use."""
    _in_use.remove(engine)
    engine.end()


def make_room() -> None:
    """Have one that was set aside give back what its option `between` says."""
    for engine in list(_idle):
        if engine.wanted.between == "sleep" and engine.wanted.flags.get("enable_sleep_mode"):
            engine.rest()
        elif engine.wanted.between == "stop":
            end()


def end() -> None:
    """End one that was set aside."""
    while _idle:
        _idle.pop().end()


atexit.register(end)
