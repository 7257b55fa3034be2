"""Any server with an OpenAI-compatible API, through the official client: vLLM, TGI, llama.cpp, Ollama, hosted models.

`docs/generators.md` says how to point it at each of them, and what becomes of refusals, busy servers and interruptions.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from siked_core import Completion, Generator, Options, Prompt, Request, Sampling, hookimpl
from siked_plugins.generators.openai.asks import Writer
from siked_plugins.generators.openai.clients import library, live_client
from siked_plugins.generators.openai.options import OpenAIOptions

if TYPE_CHECKING:
    from siked_plugins.generators.openai.batches import Batches
    from siked_plugins.generators.openai.live import Live

CHUNK_PER_REQUEST = 8
"""Chunks are so many times as large as requests at once: at the end of each, the server is idle for a moment."""


class OpenAIGenerator(Generator):
    """Any OpenAI-compatible server, local or hosted: vLLM, TGI, llama.cpp, Ollama, provider APIs and their batches."""

    name = "openai"
    options_type: ClassVar[type[Options]] = OpenAIOptions

    def __init__(
        self,
        options: Any = None,
        *,
        key: str | None = None,
        gone: Callable[[], str] = lambda: "",
        tokenizer: Any = None,
        socket: Path | None = None,
        called: str | None = None,
    ) -> None:
        """
        Args:
            key: instead of the one in the environment, and so with what follows: for whoever runs the server.
            gone: why the server will never answer again, where that can be known; else empty.
            tokenizer: instead of the one that the options name.
            socket: a Unix socket at which it listens, instead of at the host and port of `base_url`.
            called: the model's name at the server, where it is another than the option `model`.
        """
        super().__init__(options)
        self._key, self._gone, self._socket = key, gone, socket
        self._writer = Writer(self.options, tokenizer, called)
        self._server: Live | Batches | None = None
        self._told: set[str] = set()

    @property
    def fingerprint(self) -> str:
        return self._writer.fingerprint

    @property
    def chunk_size(self) -> int:
        options: OpenAIOptions = self.options
        return options.batch_size if options.batch else options.concurrency * options.n * CHUNK_PER_REQUEST

    def rendered(self, prompt: Prompt) -> str | None:
        return self._writer.rendered(prompt)

    def check_machine(self) -> None:
        if importlib.util.find_spec("openai") is None:
            library()  # says how to have it
        if self._key is None:
            self.options.key()

    def open(self) -> None:
        """Find the client and the key. Nothing is sent.

        Raises:
            PluginError: the client is not installed.
            ModelError: there is no key.
        """
        if self._server is None:
            from siked_plugins.generators.openai.batches import Batches
            from siked_plugins.generators.openai.live import Live

            library()
            key = self._key or self.options.key()
            if self.options.batch:
                self._server = Batches(self.options, key, self._writer)
            else:
                self._server = Live(
                    self.options, live_client(self.options, key, self._socket), key, self._writer, self._gone
                )

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Ask for all of them, and yield the answers as they come.

        Raises:
            ModelError: the server cannot be asked, or does not answer. What it has answered is yielded before.
        """
        asks = self._writer.asks(requests, sampling)
        self.open()
        assert self._server is not None
        try:
            for ask, completions in self._server.answers(asks, sampling):
                yield from zip(ask.places, completions, strict=False)
        finally:
            self._tell(self._server)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _tell(self, server: Live | Batches) -> None:
        """What whoever pays should know, once."""
        if server.refused:
            self._warn("refused", f"would not answer a request, which is recorded as refused: {server.refused[0]}")
        if server.reader.estimated:
            self._warn("counts", "sends no counts of tokens, or impossible ones; they are estimated on the high side")
        if self._writer.at_once < self.options.n:
            self._warn("n", f"gives fewer samples than the {self.options.n} of the option n; they are asked for singly")

    def _warn(self, what: str, said: str) -> None:
        if what not in self._told:
            self._told.add(what)
            warnings.warn(f"The server of '{self.options.model}' {said}.", stacklevel=4)


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [OpenAIGenerator]
