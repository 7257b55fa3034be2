"""Asks a server, many requests at once, and gives the answers as they come.

An event loop in a thread of its own does the waiting, so that it works in notebooks too, and so that a request can be
broken off at any moment: at its deadline (a server that drips bytes resets every other timeout) and at an interruption.

Whatever ends the work early, no answer that has arrived is lost: nothing more is sent, what is under way is awaited (at
an interruption for a short time only), all that has arrived is handed over, and then the error is raised.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from siked_core import Sampling
from siked_plugins.generators.openai.asks import Ask, Writer
from siked_plugins.generators.openai.failures import Words
from siked_plugins.generators.openai.options import OpenAIOptions
from siked_plugins.generators.openai.pace import Pace
from siked_plugins.generators.openai.replies import Reader
from siked_plugins.generators.openai.work import Answered, Arrivals, Server, Work

END_S = 5.0
"""So long breaking off what is under way may take."""


class Live:
    """A server that is asked request by request. It is open until `close`."""

    def __init__(
        self, options: OpenAIOptions, client: Any, key: str, writer: Writer, gone: Callable[[], str] = lambda: ""
    ) -> None:
        words = Words(options, key)
        self.reader = Reader(options, words)
        self.refused: list[str] = []
        """Of every request that was recorded as refused: which, and why."""
        pace = Pace(options.concurrency)
        self._server = Server(options, client, writer, words, self.reader, pace, self.refused, gone)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="siked-openai", daemon=True)
        self._thread.start()

    def answers(self, asks: list[Ask], sampling: Sampling) -> Iterator[Answered]:
        """Each ask's completions, as they come: for all of its places, or for the first of them and the rest later.

        Raises:
            ModelError: an ask cannot be answered. What can be is given before.
        """
        arrived = Arrivals()
        work = Work(self._server, asks, sampling, arrived)
        ended: Future[None] = asyncio.run_coroutine_threadsafe(work.run(), self._loop)
        try:
            yield from arrived
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(work.interrupt)
            yield from arrived
            raise
        finally:
            if not work.over.is_set():  # whoever takes the answers was interrupted, or wants no more
                ended.cancel()
                work.over.wait(END_S)
        ended.result()

    def close(self) -> None:
        """End the connections and the thread."""
        if self._loop.is_closed():
            return
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._server.client.close(), self._loop).result(END_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_S)
        if not self._thread.is_alive():
            self._loop.close()
