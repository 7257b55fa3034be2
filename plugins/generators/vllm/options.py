"""The options of the `vllm` generator, and the flags that its server gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from siked_core import Options
from siked_plugins.generators.openai.options import OpenAIOptions, credential_in

SET_ELSEWHERE = {
    "model": "by the option model",
    "tensor_parallel_size": "by the option tensor_parallel",
    "data_parallel_size": "by the option data_parallel",
    "dtype": "by the option of that name",
    "max_model_len": "by the option of that name",
    "gpu_memory_utilization": "by the option of that name",
    "quantization": "by the option of that name",
    "revision": "by the option of that name",
    "trust_remote_code": "by the option of that name",
    "served_model_name": "by siked",
    "generation_config": "by siked: how completions are drawn is the recipe's matter",
    "override_generation_config": "by siked: how completions are drawn is the recipe's matter",
    "enable_prefix_caching": "by siked: on",
    "enable_sleep_mode": "by the option between",
    "enable_lora": "by the option adapter",
    "lora_modules": "by the option adapter",
    "max_lora_rank": "by the option adapter",
    "log_error_stack": "by siked: off",
    "host": "by siked, which talks HTTP on a Unix socket",
    "port": "by siked, which talks HTTP on a Unix socket",
    "grpc_port": "by siked, which talks HTTP on a Unix socket",
    "uds": "by siked: one that only you can reach",
    "api_key": "by siked: a random one for every start",
    "root_path": "by siked",
    "ssl_keyfile": "by siked, which talks HTTP on a Unix socket",
    "ssl_certfile": "by siked, which talks HTTP on a Unix socket",
    "headless": "by siked",
    "config": "by siked: give the flags themselves",
}
ON_CPU = {
    "enforce_eager": True,  # compiling takes longer than what one samples on a CPU
    "enable_chunked_prefill": False,  # which ends seeded requests there: a CPU's generator has no offset
    "max_num_seqs": 256,  # as many as are asked at once by default; a server's own default is half of that
}
"""Flags of vLLM's CPU build. They depend on no option: generators that differ in `concurrency` share a server."""
HARMLESS = {
    "api_server_count",
    "async_scheduling",
    "block_size",
    "disable_custom_all_reduce",
    "disable_log_requests",
    "disable_log_stats",
    "distributed_executor_backend",
    "download_dir",
    "enable_chunked_prefill",
    "enforce_eager",
    "kv_cache_memory_bytes",
    "max_log_len",
    "max_num_batched_tokens",
    "max_num_seqs",
    "max_parallel_loading_workers",
    "pipeline_parallel_size",
    "swap_space",
    "uvicorn_log_level",
}
"""Flags that change how fast it is, or what it needs, and not what is written. Of others nothing is assumed."""
TAKEN_INSIDE = {
    "allowed_token_ids",
    "bad_words",
    "chat_template_kwargs",
    "frequency_penalty",
    "ignore_eos",
    "min_p",
    "min_tokens",
    "presence_penalty",
    "repetition_penalty",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    "stop_token_ids",
    "top_k",
}
"""Of a request's further fields, those that mean the same to vLLM's engine as to its server."""
_FLAG = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_Plain = str | int | float | bool | None


class VllmOptions(Options):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    model: str = Field(min_length=1, description="a model folder or a hub name")
    engine: Literal["server", "inside"] = Field(
        "server",
        description="server: vLLM has an environment and processes of its own; inside: vLLM works in siked's own "
        "process, which takes a Python that can import both, and has one model at a time",
    )
    python: Path | None = Field(
        None,
        description="Python of an environment that has vLLM; none: SIKED_VLLM_PYTHON, or the environment that `siked "
        "doctor --make vllm` makes, or this one",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of the weights; auto: float32 on a CPU, vLLM's own choice on a GPU (never float32)"
    )
    revision: str | None = Field(None, description="of a hub model: a branch, tag or commit; none: its newest")
    quantization: str | None = Field(None, description="as vLLM calls it, e.g. fp8; none: what the model's config says")
    trust_remote_code: bool = Field(False, description="run code that comes with the model, in the server")
    max_model_len: int | None = Field(None, ge=1, description="tokens of prompt and answer together; none: the model's")
    tensor_parallel: int = Field(1, ge=1, description="GPUs that hold the model together")
    data_parallel: int = Field(1, ge=1, description="copies of the model, each on its own GPUs")
    gpu_memory_utilization: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of each GPU's memory, or of the main memory where there is none; none: vLLM's own",
    )
    adapter: Path | None = Field(
        None, description="folder of a LoRA adapter (PEFT's) that is put on the model, in a server that runs too"
    )
    between: Literal["stop", "sleep", "keep"] = Field(
        "stop",
        description="what becomes of the server between two stages that ask it, where something else needs the machine "
        "(training, another model): stop ends it; sleep has it give back the GPU's memory of weights and cache, and "
        "stay (on a CPU as keep); keep leaves it as it is. A server that is there is taken over by the next stage, and "
        "given its student's weights",
    )
    engine_args: dict[str, _Plain | list[_Plain] | dict[str, Any]] = Field(
        default_factory=dict, description="further flags of `vllm serve`, e.g. {max_num_seqs: 64}; never a secret"
    )
    endpoint: Literal["auto", "chat", "completions"] = Field(
        "auto",
        description="chat: the server renders conversations; completions: siked does; auto: chat, but completions "
        "where the answer's first words are given or the model has no chat template",
    )
    thinking: bool = Field(
        False,
        description="let a model that can (Qwen3, say) think before it answers, at the chat endpoint; what it thinks "
        "is then part of what it writes, and of max_tokens",
    )
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="further fields of a request's body, e.g. {top_k: 20}",
    )
    logprobs: bool = Field(True, description="ask for log-probabilities, and keep their sum")
    concurrency: int = Field(256, ge=1, le=1024, description="requests at once, at most")
    timeout: float = Field(600, gt=0, description="seconds that one request may take, from first byte to last")
    startup_timeout: float = Field(
        1800, gt=0, description="seconds until the server must answer; loading is part of it, downloading too"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for given in self.engine_args:
            name = given.removeprefix("--").replace("-", "_")
            if not _FLAG.fullmatch(name):
                raise ValueError(f"engine_args takes names of vLLM's flags, such as max_num_seqs; '{given}' is none")
            if name in SET_ELSEWHERE:
                raise ValueError(f"engine_args must not have '{given}', which is set {SET_ELSEWHERE[name]}")
        place = credential_in("engine_args", self.engine_args)
        if place:
            raise ValueError(
                f"'{place}' looks like a credential; a recipe is stored and shared. The server has siked's own "
                "environment: set HF_TOKEN there"
            )
        if self.adapter is not None and self.data_parallel > 1:
            raise ValueError("adapter goes with one copy of the model only: data_parallel must be 1")
        if self.engine == "inside":
            self._fits_inside()
        OpenAIOptions(model=self.model, base_url="http://127.0.0.1/v1", extra=self.extra)  # checks extra
        return self

    def _fits_inside(self) -> None:
        if self.python is not None:
            raise ValueError("engine: inside is this Python's own vLLM: it goes without the option python")
        if self.data_parallel > 1:
            raise ValueError("engine: inside goes with one copy of the model only: data_parallel must be 1")
        if self.endpoint == "chat":
            raise ValueError("engine: inside has no chat endpoint: siked renders the prompts (endpoint: auto)")
        unknown = sorted(self.extra.keys() - TAKEN_INSIDE)
        if unknown:
            raise ValueError(f"engine: inside takes no '{unknown[0]}' in extra, only {', '.join(sorted(TAKEN_INSIDE))}")

    @property
    def flags(self) -> dict[str, Any]:
        """`engine_args` by the names that vLLM's own code gives them."""
        return {name.removeprefix("--").replace("-", "_"): value for name, value in self.engine_args.items()}

    @property
    def decisive_flags(self) -> dict[str, Any]:
        """Those of them that may change what is written."""
        return {name: value for name, value in self.flags.items() if name not in HARMLESS}


def as_arguments(flags: dict[str, Any]) -> list[str]:
    """Flags as vLLM reads them: `{a_b: 1, c: true, d: false, e: {x: 1}}` is `--a-b 1 --c --no-d --e '{"x": 1}'`.

    None leaves a flag out.
    """
    arguments: list[str] = []
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            arguments.append(flag)
        elif value is False:
            arguments.append(f"--no-{flag.removeprefix('--')}")
        elif isinstance(value, dict):
            arguments += [flag, json.dumps(value)]
        elif isinstance(value, list):
            arguments += [flag, *map(str, value)]
        elif value is not None:
            arguments += [flag, str(value)]
    return arguments
