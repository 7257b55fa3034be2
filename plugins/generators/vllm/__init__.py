"""Models through vLLM: siked starts its server in an environment of its own, asks it on this machine, and ends it.

What is sent, and what becomes of busy servers, refusals and interruptions, is the generator `openai`'s
(`docs/generators.md`). A conversation goes to the chat endpoint, where the model's own template renders it. A prompt
whose answer's first words are given, and every prompt of a model without a chat template, is rendered by siked as in
training, and sent as tokens. The model's own sampling defaults (`generation_config.json`) are switched off, so that
the recipe's settings are all that holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from siked_core import Companion, Completion, Generator, ModelError, Options, Prompt, Request, Sampling, hookimpl
from siked_core.models import fingerprint, fit_to_template, hub_commit, load_tokenizer, render
from siked_plugins.generators.openai import CHUNK_PER_REQUEST, OpenAIGenerator
from siked_plugins.generators.openai.clients import library
from siked_plugins.generators.vllm import environment
from siked_plugins.generators.vllm.options import VllmOptions, as_arguments
from siked_plugins.generators.vllm.server import Server

CPU_CACHE_GIB = 4
"""Of main memory, for keys and values, where there is no GPU and nothing else is asked for. vLLM would take 92 % of it,
and does not start where less is free."""


class VllmGenerator(Generator):
    """Any model that vLLM runs, on GPUs of this machine, through a server that siked starts and ends."""

    name = "vllm"
    options_type: ClassVar[type[Options]] = VllmOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._server: Server | None = None
        self._clients: dict[str, OpenAIGenerator] = {}

    @classmethod
    def companion(cls) -> Companion:
        what = "an environment with vLLM"
        try:
            return Companion(what, str(environment.find()), "")
        except Exception as error:
            return Companion(what, "", str(error))

    @classmethod
    def make_companion(cls, say: Any) -> None:
        environment.make(say)

    def check_machine(self) -> None:
        library()
        environment.find(self.options.python)

    @cached_property
    def fingerprint(self) -> str:
        """Weights, precision, vLLM's version, and whatever else may change what is written; not where and how fast."""
        options: VllmOptions = self.options
        more = {
            "max_model_len": options.max_model_len,
            "endpoint": options.endpoint,
            "extra": self._extra("chat"),
            "flags": {name: _content(value) for name, value in options.decisive_flags.items()},
        }
        weights = f"{options.model}@{self._commit}" if self._commit else fingerprint(options.model)
        parts = [weights, self._dtype, options.quantization or "", f"vllm {self._environment.version}"]
        return ":".join([*parts, json.dumps(more, sort_keys=True)])

    @property
    def chunk_size(self) -> int:
        return int(self.options.concurrency) * CHUNK_PER_REQUEST

    def rendered(self, prompt: Prompt) -> str:
        """As the server's own template renders it, which is the model's, unless `engine_args` names another."""
        chat = self._endpoint(prompt) == "chat" and self._tokenizer.chat_template
        settings = self._extra("chat").get("chat_template_kwargs", {}) if chat else {}
        return render(self._tokenizer, prompt, **settings) + prompt.prefix

    def open(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            PluginError: there is no environment with vLLM, or no client.
            ModelError: the server does not come up.
        """
        if self._server is not None:
            return
        library()
        server = Server(self._model, _say)
        server.start(
            [*self._environment.command(self._model), *as_arguments(self._flags())],
            self._variables(),
            f"{self._environment.distribution} {self._environment.version}",
            self.options.startup_timeout,
            self.options.logprobs,
        )
        self._server = server

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Ask for all of them, and yield the answers as they come.

        Raises:
            ModelError: the server does not come up, ends, or cannot answer. What it has answered is yielded before.
        """
        self.open()
        places: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(self._endpoint(request.prompt), []).append(place)
        for endpoint, some in places.items():
            wanted = [self._fitted(requests[place], endpoint) for place in some]
            answers = self._client(endpoint).generate(wanted, sampling)
            try:
                for place, completion in answers:
                    yield some[place], completion
            except ModelError:
                assert self._server is not None
                ended = self._server.gone()
                if not ended:
                    raise
                failure = self._server.failed(f"{ended}, while it was asked")
                raise ModelError(
                    f"{failure}\nWhat was answered is kept, and the same command goes on from there."
                ) from None

    def close(self) -> None:
        """End the connections and the server, and wait until nothing of it is left."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self._server is not None:
            self._server.stop()
            self._server = None

    @cached_property
    def _environment(self) -> environment.Environment:
        return environment.find(self.options.python)

    @cached_property
    def _model(self) -> str:
        """The model as the server is given it: a folder by its full path."""
        name: str = self.options.model
        return str(Path(name).absolute()) if Path(name).is_dir() else name

    @cached_property
    def _commit(self) -> str:
        """The commit of a hub model, which the server is given, so that it is the one that samples are known by."""
        return "" if Path(self.options.model).is_dir() else hub_commit(self.options.model, self.options.revision)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._model, self._commit or None)

    @property
    def _dtype(self) -> str:
        chosen = str(self.options.dtype)
        return "float32" if chosen == "auto" and self._environment.on_cpu else chosen

    def _flags(self) -> dict[str, Any]:
        options: VllmOptions = self.options
        ours = {
            "dtype": self._dtype,
            "revision": self._commit or None,
            "quantization": options.quantization,
            "trust_remote_code": options.trust_remote_code or None,
            "max_model_len": options.max_model_len,
            "tensor_parallel_size": options.tensor_parallel if options.tensor_parallel > 1 else None,
            "data_parallel_size": options.data_parallel if options.data_parallel > 1 else None,
            "gpu_memory_utilization": options.gpu_memory_utilization,
            "generation_config": "vllm",
            "enable_prefix_caching": True,
            "disable_uvicorn_access_log": True,
        }
        if self._environment.on_cpu:
            ours["enforce_eager"] = True  # compiling takes longer than what one samples on a CPU
        return ours | options.flags

    def _variables(self) -> dict[str, str]:
        variables = self._environment.variables(os.environ)
        if self._environment.on_cpu and self.options.gpu_memory_utilization is None:
            variables.setdefault("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB))
        return variables

    def _endpoint(self, prompt: Prompt) -> Literal["chat", "completions"]:
        if self.options.endpoint != "auto":
            chosen: Literal["chat", "completions"] = self.options.endpoint
            return chosen
        return "completions" if prompt.prefix or not self._tokenizer.chat_template else "chat"

    def _fitted(self, request: Request, endpoint: str) -> Request:
        """The request as the model's template can render it, where the template is known: as `transformers` does."""
        if endpoint != "chat" or self.options.endpoint != "auto":
            return request
        return replace(request, prompt=fit_to_template(self._tokenizer, request.prompt))

    def _extra(self, endpoint: str) -> dict[str, Any]:
        """Further fields of a request's body. A chat template that knows of no thinking leaves that setting aside."""
        extra: dict[str, Any] = dict(self.options.extra)
        if endpoint == "chat" and not self.options.thinking:
            extra["chat_template_kwargs"] = {"enable_thinking": False, **extra.get("chat_template_kwargs", {})}
        return extra

    def _client(self, endpoint: str) -> OpenAIGenerator:
        assert self._server is not None
        if endpoint not in self._clients:
            options = {
                "model": self._model,
                "base_url": self._server.url,
                "endpoint": endpoint,
                "prefill": "continue_final_message" if endpoint == "chat" else "none",
                "extra": self._extra(endpoint),
                "logprobs": self.options.logprobs,
                "concurrency": self.options.concurrency,
                "timeout": self.options.timeout,
            }
            tokenizer = self._tokenizer if endpoint == "completions" else None
            self._clients[endpoint] = OpenAIGenerator(
                options, key=self._server.key, gone=self._server.gone, tokenizer=tokenizer
            )
        return self._clients[endpoint]


def _content(value: Any) -> Any:
    """A flag's value; of one that names a file, what the file holds."""
    if isinstance(value, str) and len(value) < 1024 and Path(value).is_file():
        return hashlib.blake2b(Path(value).read_bytes(), digest_size=16).hexdigest()
    return value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [VllmGenerator]
