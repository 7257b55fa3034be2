"""Models through vLLM: siked starts its server in an environment of its own, asks it on this machine, and ends it.

What is sent, and what becomes of busy servers, refusals and interruptions, is the generator `openai`'s
(`docs/generators.md`). A conversation goes to the chat endpoint, where the model's own template renders it. A prompt
whose answer's first words are given, and every prompt of a model without a chat template, is rendered by siked as in
training, and sent as tokens. The model's own sampling defaults (`generation_config.json`) are switched off, so that
the recipe's settings are all that holds. A server outlives the stage that it was started for, and is given the next
student's weights (`kept.py`). Where one Python has both, vLLM works in siked's process instead (`inside.py`).
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

from siked_core import (
    Companion,
    Completion,
    Generator,
    Message,
    ModelError,
    Options,
    Prompt,
    Request,
    Sampling,
    hookimpl,
)
from siked_core.models import SIDE_FILE, encode, fingerprint, fit_to_template, hub_commit, load_tokenizer, render
from siked_plugins.generators.openai import CHUNK_PER_REQUEST, OpenAIGenerator
from siked_plugins.generators.openai.asks import shortened
from siked_plugins.generators.openai.clients import library
from siked_plugins.generators.vllm import adapter, environment, inside, kept
from siked_plugins.generators.vllm.options import ON_CPU, VllmOptions, as_arguments
from siked_plugins.generators.vllm.server import URL, Server

CPU_CACHE_GIB = 4
"""Of main memory, for keys and values, where there is no GPU and nothing else is asked for. vLLM would take 92 % of it,
and does not start where less is free."""

PROBE, PROBE_TOKENS = "Ann has 3 pens and buys 4 more. How many pens does she have? Show how you know.", 48
"""What a server is asked to be told by: see `kept.py`."""
LORA_FLAGS, LORA_SWITCH = ("enable_lora", "max_lora_rank"), "VLLM_ALLOW_RUNTIME_LORA_UPDATING"


class VllmGenerator(Generator):
    """Any model that vLLM runs, on GPUs of this machine, through a server that siked starts and ends."""

    name = "vllm"
    options_type: ClassVar[type[Options]] = VllmOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._kept: kept.Kept | None = None
        self._inside: inside.Engine | None = None
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
        if self.options.engine == "server":
            library()
        _ = self._environment
        if self.options.adapter is not None:
            adapter.rank_of(self.options.adapter)

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
        parts = [self._weights, self._dtype, options.quantization or "", f"vllm {self._environment.version}"]
        if options.adapter is not None:
            parts.append(adapter.name_of(options.adapter))
        return ":".join([*parts, json.dumps(more, sort_keys=True)])

    @property
    def chunk_size(self) -> int:
        return int(self.options.concurrency) * CHUNK_PER_REQUEST

    def rendered(self, prompt: Prompt) -> str:
        """As the server's own template renders it, which is the model's, unless `engine_args` names another."""
        return render(self._tokenizer, prompt, **self._settings(prompt)) + prompt.prefix

    def _settings(self, prompt: Prompt) -> dict[str, Any]:
        """What the chat template is told besides."""
        chat = self._endpoint(prompt) == "chat" and self._tokenizer.chat_template
        return self._extra("chat").get("chat_template_kwargs", {}) if chat else {}

    def open(self) -> None:
        """Take over a server that an earlier stage set aside, or start one, and wait until it answers.

        Raises:
            PluginError: there is no environment with vLLM, or no client.
            ModelError: the server does not come up, or does not take the adapter.
        """
        if self._kept is not None or self._inside is not None:
            return
        if self.options.engine == "inside":
            self._open_inside()
            return
        library()
        say, wanted = self.say or _say, self._wanted()
        found = kept.take(wanted, say)
        if found is None:
            inside.make_room()
            server = Server(self._model, say)
            server.start(
                [*self._environment.command(self._model), *as_arguments(self._flags())],
                self._variables(),
                f"{self._environment.distribution} {self._environment.version}",
                self.options.startup_timeout,
                self.options.logprobs,
            )
            found = kept.Kept(server, wanted)
        self._kept = found
        if self.options.adapter is not None:
            found.load(adapter.name_of(self.options.adapter), self.options.adapter)

    def _open_inside(self) -> None:
        kept.make_room()
        options: VllmOptions = self.options
        name = adapter.name_of(options.adapter) if options.adapter else ""
        wanted = inside.Wanted(self._model, self._weights, self._flags(), options.adapter, name, options.between)
        self._inside = inside.take(wanted, self._variables(), self.say or _say)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Ask for all of them, and yield the answers as they come.

        Raises:
            ModelError: the server does not come up, ends, or cannot answer. What it has answered is yielded before.
        """
        self.open()
        if self._inside is not None:
            yield from self._inside.write(
                requests,
                [self._tokens(request.prompt) for request in requests],
                sampling,
                shortest=lambda request: len(self._tokens(shortened(request.prompt))),
                logprobs=self.options.logprobs,
                extra={name: value for name, value in self.options.extra.items() if name != "chat_template_kwargs"},
            )
            return
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
                assert self._kept is not None
                ended = self._kept.server.gone()
                if not ended:
                    raise
                failure = self._kept.server.failed(f"{ended}, while it was asked")
                raise ModelError(
                    f"{failure}\nWhat was answered is kept, and the same command goes on from there."
                ) from None

    def set_aside(self) -> None:
        """End the connections, and keep the server for another generator until `make_room` or `release`."""
        self._hang_up()
        found, self._kept = self._kept, None
        if found is not None:
            kept.set_aside(found)
        engine, self._inside = self._inside, None
        if engine is not None:
            inside.set_aside(engine)

    @classmethod
    def make_room(cls) -> None:
        kept.make_room()
        inside.make_room()

    @classmethod
    def release(cls) -> None:
        kept.end()
        inside.end()

    def close(self) -> None:
        """End the connections and the server, and wait until nothing of it is left."""
        self._hang_up()
        found, self._kept = self._kept, None
        if found is not None:
            found.server.stop()
        engine, self._inside = self._inside, None
        if engine is not None:
            inside.give_back(engine)

    def _hang_up(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    @cached_property
    def _environment(self) -> environment.Environment:
        return environment.here() if self.options.engine == "inside" else environment.find(self.options.python)

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
    def _weights(self) -> str:
        return f"{self.options.model}@{self._commit}" if self._commit else fingerprint(self.options.model)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._model, self._commit or None)

    @property
    def _dtype(self) -> str:
        chosen = str(self.options.dtype)
        return "float32" if chosen == "auto" and self._environment.on_cpu else chosen

    def _wanted(self) -> kept.Wanted:
        options: VllmOptions = self.options
        folder = None if self._commit else Path(self._model)
        variables = {
            name: value
            for name, value in self._variables().items()
            if (name.startswith("VLLM_") and name != LORA_SWITCH) or name.endswith("_VISIBLE_DEVICES")
        }
        flags = {name: _content(value) for name, value in self._flags().items() if name not in LORA_FLAGS}
        model = self._weights if folder is None else _but_weights(folder)
        started = [self._environment.command(""), model, flags, variables, options.trust_remote_code]
        # What is computed from the weights as they are loaded, or read by code of its own, is not loaded anew.
        plain = not (options.quantization or options.trust_remote_code or options.data_parallel > 1)
        plain = plain and "load_format" not in options.flags
        plain = plain and folder is not None and _can_change(folder, self._environment.on_cpu)
        probe = self._probe() if plain else ()
        return kept.Wanted(
            shape=json.dumps(started, sort_keys=True, default=str),
            weights=self._weights,
            folder=folder if len(probe) > 1 else None,
            probe=probe,
            dtype=self._dtype,
            lora_rank=adapter.rank_of(options.adapter) if options.adapter else 0,
            between=options.between,
        )

    def _probe(self) -> tuple[int, ...]:
        """What a server is asked to be told by; nothing where siked cannot read the model's tokenizer."""
        try:
            return tuple(encode(self._tokenizer, Prompt((Message("user", PROBE),)))[:PROBE_TOKENS])
        except ModelError:
            return ()

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
            "log_error_stack": False,
        }
        if options.adapter is not None:
            ours |= {"enable_lora": True, "max_lora_rank": adapter.rank_of(options.adapter)}
        if options.between == "sleep" and not self._environment.on_cpu:
            ours["enable_sleep_mode"] = True
        if self._environment.on_cpu:
            ours |= ON_CPU
        return ours | options.flags

    def _variables(self) -> dict[str, str]:
        variables = self._environment.variables(os.environ)
        if self._environment.on_cpu and self.options.gpu_memory_utilization is None:
            variables.setdefault("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB))
        # Loading weights and falling asleep are among its development endpoints, adapters have a switch of their own.
        # Its folder is what keeps others from them (`server.py`).
        switches = {"VLLM_SERVER_DEV_MODE": "1"}
        if self.options.adapter is not None:
            switches[LORA_SWITCH] = "True"
        return variables | switches

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

    def _tokens(self, prompt: Prompt) -> list[int]:
        return encode(self._tokenizer, prompt, **self._settings(prompt))

    def _extra(self, endpoint: str) -> dict[str, Any]:
        """Further fields of a request's body. A chat template that knows of no thinking leaves that setting aside."""
        extra: dict[str, Any] = dict(self.options.extra)
        if endpoint == "chat" and not self.options.thinking:
            extra["chat_template_kwargs"] = {"enable_thinking": False, **extra.get("chat_template_kwargs", {})}
        return extra

    def _client(self, endpoint: str) -> OpenAIGenerator:
        assert self._kept is not None
        server = self._kept.server
        if endpoint not in self._clients:
            options = {
                "model": self._model,
                "base_url": URL,
                "endpoint": endpoint,
                "prefill": "continue_final_message" if endpoint == "chat" else "none",
                "extra": self._extra(endpoint),
                "logprobs": self.options.logprobs,
                "concurrency": self.options.concurrency,
                "timeout": self.options.timeout,
            }
            self._clients[endpoint] = OpenAIGenerator(
                options,
                key=server.key,
                gone=server.gone,
                tokenizer=self._tokenizer if endpoint == "completions" else None,
                socket=server.socket,
                called=adapter.name_of(self.options.adapter) if self.options.adapter else server.model,
            )
        return self._clients[endpoint]


def _but_weights(folder: Path) -> dict[str, str]:
    """What a model folder's files hold that a server reads once, when it starts."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix in (".json", ".jinja", ".model", ".txt", ".py")]
    return {
        file.name: hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
        for file in files
        if file.name != SIDE_FILE and not file.name.endswith(".index.json")
    }


def _can_change(folder: Path, on_cpu: bool) -> bool:
    """Whether a server of this model can be given other weights while it runs, as far as its configuration tells.

    vLLM 0.32 packs the output layer's weights on CPUs, and where they are the input embedding's too (tied), it goes on
    with the old ones as it loads new ones: the body of one student with the head of another.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # What a configuration leaves out is as its architecture has it, which is not known here.
    return "quantization_config" not in config and not (on_cpu and config.get("tie_word_embeddings", True))


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
