"""The asks of one call under way: what is sent when, what becomes of it, and when to stop. Runs in an event loop.

A request that the server refuses is recorded as refused only when something else is answered that was sent after it:
before that, the recipe may be what is wrong. Where nothing else is left to send, the same request with a short question
is.
"""

from __future__ import annotations

import asyncio
import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from siked_core import Completion, Sampling
from siked_plugins.generators.openai.asks import Ask, Writer
from siked_plugins.generators.openai.failures import Failure, Words
from siked_plugins.generators.openai.options import OpenAIOptions
from siked_plugins.generators.openai.pace import Pace, backoff
from siked_plugins.generators.openai.replies import Reader

GRACE_S = 3.0
"""So long an interruption waits for what is under way, which is paid for whether it is awaited or not."""
HELD = 8
"""So many refusals without an answer in between, and it is asked whether the recipe is what is refused."""

Answered = tuple[Ask, list[Completion]]


@dataclass(frozen=True, slots=True)
class Server:
    """A server, and what is known of it from call to call."""

    options: OpenAIOptions
    client: Any
    writer: Writer
    words: Words
    reader: Reader
    pace: Pace
    refused: list[str]
    """Of every request that was recorded as refused: which, and why."""
    gone: Callable[[], str]
    """Why it will never answer again, where that can be known; else empty."""


@dataclass(order=True, slots=True)
class Pending:
    """An ask that has no answer yet."""

    ready_at: float
    order: int
    ask: Ask = field(compare=False)
    failures: int = field(default=0, compare=False)
    first_sent: float = field(default=0.0, compare=False)
    sent_at: float = field(default=0.0, compare=False)
    why: str = field(default="", compare=False)
    """Why it was refused or failed."""

    @property
    def is_probe(self) -> bool:
        return not self.ask.places


class Arrivals:
    """Answers on their way from the event loop. One is taken out only when it was used: an interruption can come at any
    moment, and what is being handed over then is handed over again."""

    def __init__(self) -> None:
        self._answers: deque[Answered | None] = deque()
        self._fresh = threading.Event()

    def put(self, answered: Answered | None) -> None:
        """Add one; None: it was the last."""
        self._answers.append(answered)
        self._fresh.set()

    def __iter__(self) -> Iterator[Answered]:
        while True:
            while self._answers:
                first = self._answers[0]
                if first is None:
                    return
                yield first
                self._answers.popleft()
            self._fresh.wait()
            self._fresh.clear()


class Work:
    """The asks of one call, in the event loop."""

    def __init__(self, server: Server, asks: list[Ask], sampling: Sampling, arrived: Arrivals) -> None:
        self._server, self._sampling, self._arrived = server, sampling, arrived
        self._pace, self._options, self._words = server.pace, server.options, server.words
        self._waiting = [Pending(0.0, order, ask) for order, ask in enumerate(asks)]
        self._order = len(asks)
        self._flying: dict[asyncio.Task[Any], Pending] = {}
        self._held: list[Pending] = []
        self._lost: list[Pending] = []
        self._halt: str | None = None
        self._stopping = asyncio.Event()
        self._deadline = float("inf")
        self.over = threading.Event()
        """Nothing is under way any more."""

    def interrupt(self) -> None:
        """Send nothing more, and wait but a little for what is under way."""
        self._deadline = time.monotonic() + GRACE_S
        self._stopping.set()

    async def run(self) -> None:
        """Put every answer into the queue as it comes, and None at the end.

        Raises:
            ModelError: something could not be answered.
        """
        try:
            await self._run()
        finally:
            self.over.set()
            self._arrived.put(None)
        if self._halt is not None:
            raise self._words.stopped(self._halt)

    async def _run(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not self._finished():
                pause = self._send()
                if self._finished():
                    break
                watched = {*self._flying, *(() if stopping.done() else (stopping,))}
                if watched:
                    done, _ = await asyncio.wait(watched, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                else:
                    done = set()
                    await asyncio.sleep(pause or 0)
                for task in done - {stopping}:
                    self._settle(task, self._flying.pop(task))
                self._probe_if_needed()
        finally:
            stopping.cancel()
            for task in self._flying:
                task.cancel()
            await asyncio.gather(stopping, *self._flying, return_exceptions=True)
        if self._halt is None and self._lost:
            first = self._lost[0]
            others = f" (and {len(self._lost) - 1} more)" if len(self._lost) > 1 else ""
            self._halt = (
                f"the request for problem '{first.ask.problem}'{others} failed in {first.failures} attempts, while "
                f"others were answered: {first.why}. The generator's option skip_failing records such requests as "
                "refused"
            )

    def _finished(self) -> bool:
        if self._stopping.is_set():
            return not self._flying or time.monotonic() >= self._deadline
        if self._halt is not None:
            return not self._flying
        return not (self._waiting or self._flying or self._held)

    def _send(self) -> float | None:
        """Send what may be sent now, and tell how long to wait at most until something else may be."""
        if self._stopping.is_set():
            return max(0.0, self._deadline - time.monotonic())
        while self._halt is None and self._waiting and len(self._flying) < self._pace.limit:
            now = time.monotonic()
            ready = max(self._waiting[0].ready_at, self._pace.resume_at)
            if ready > now:
                return ready - now
            pending = heapq.heappop(self._waiting)
            pending.sent_at = now
            pending.first_sent = pending.first_sent or now
            self._flying[asyncio.create_task(self._attempt(pending.ask))] = pending
        return None

    async def _attempt(self, ask: Ask) -> list[Completion]:
        import httpx2

        # The client's own timeouts are for single reads; this one is for all of it.
        async with asyncio.timeout(self._options.timeout):
            reply = await self._server.client.post(
                self._server.writer.path,
                cast_to=httpx2.Response,
                body=ask.body,
                options={"headers": {"Idempotency-Key": ask.id}},  # gateways that know it answer a retry from memory
            )
        return self._server.reader.read(ask, reply.content)

    def _settle(self, task: asyncio.Task[list[Completion]], pending: Pending) -> None:
        error = task.exception()
        if error is None:
            self._answered(pending, task.result())
            return
        if not isinstance(error, Exception):
            raise error
        failure = self._words.failure(error)
        gone = self._server.gone() if failure.kind == "fault" else ""
        if gone:
            failure = Failure("fatal", f"the server {gone}")
        pending.why = failure.why
        if failure.kind == "fatal":
            self._stop(failure.why)
        elif failure.kind == "busy":
            self._pace.busy(pending.sent_at, failure.wait)
            self._wait_or_give_up(pending, failure)
        elif failure.kind == "fault":
            self._pace.strained(pending.sent_at)
            self._again_or_give_up(pending)
        elif pending.is_probe:
            self._stop(f"the server refuses every request. {self._held[0].why}" if self._held else failure.why)
        else:
            self._held.append(pending)

    def _answered(self, pending: Pending, completions: list[Completion]) -> None:
        self._pace.answered()
        if not pending.is_probe:
            self._arrived.put((pending.ask, completions))
            if len(completions) < len(pending.ask.places):
                self._server.writer.at_once = 1
                for ask in self._server.writer.one_by_one(pending.ask, len(completions), self._sampling):
                    self._queue(ask)
        for held in [one for one in self._held if one.sent_at <= pending.sent_at]:
            self._held.remove(held)
            self._refuse(held)

    def _refuse(self, pending: Pending) -> None:
        none = Completion("", "refused", 0, 0)
        self._server.refused.append(f"problem '{pending.ask.problem}': {pending.why}")
        self._arrived.put((pending.ask, [none] * len(pending.ask.places)))

    def _wait_or_give_up(self, pending: Pending, failure: Failure) -> None:
        patience = self._options.patience
        if failure.wait is not None and failure.wait > patience:
            self._stop(
                f"it asks to wait {failure.wait:,.0f} seconds, and the option patience is {patience:g}. {failure.why}"
            )
        elif self._pace.busy_for > patience:
            self._stop(f"it has turned away every request for {patience:g} seconds. {failure.why}")
        else:
            heapq.heappush(self._waiting, pending)

    def _again_or_give_up(self, pending: Pending) -> None:
        pending.failures += 1
        if pending.failures <= self._options.retries:
            pending.ready_at = time.monotonic() + backoff(pending.failures)
            heapq.heappush(self._waiting, pending)
        elif self._options.skip_failing and not pending.is_probe:
            self._held.append(pending)
        elif self._pace.answered_at > pending.first_sent and not pending.is_probe:
            self._lost.append(pending)
        else:
            self._stop(f"{pending.failures} attempts failed, and nothing else was answered: {pending.why}")

    def _probe_if_needed(self) -> None:
        probing = any(one.is_probe for one in (*self._waiting, *self._flying.values()))
        idle = not (self._waiting or self._flying)
        if self._held and not probing and self._halt is None and (idle or len(self._held) >= HELD):
            self._queue(
                self._server.writer.probe(self._held[0].ask, self._sampling), ready_at=-1.0
            )  # before all others

    def _queue(self, ask: Ask, ready_at: float = 0.0) -> None:
        self._order += 1
        heapq.heappush(self._waiting, Pending(ready_at, self._order, ask))

    def _stop(self, why: str) -> None:
        if self._halt is None:
            self._halt = why
