"""Progress as plain lines: for logs, pipes and terminals that cannot move the cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from siked_core import figures
from siked_core.reporting import Progress
from siked_core.spending import Spent
from siked_core.visible import visible

PERIOD_S = 5.0


class PlainReporter:
    """A line when a stage starts, one when it ends, and at most one every `period` seconds between. Each but the first
    says what the run has spent."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic, period: float = PERIOD_S) -> None:
        self._stream = stream
        self._clock = clock
        self._period = period
        self._spending: tuple[Spent, str, float] | None = None

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
        started = self._clock()
        self._say(f"{name}: {figures.count(total)} {unit}", name)
        progress = _PlainProgress(name, total, unit, self._say_with_spending, self._clock, self._period)
        try:
            yield progress
        except BaseException:
            self._say(f"{name}: stopped after {figures.count(progress.done)} of {figures.count(total)} {unit}", name)
            raise
        summary = f": {progress.summary}" if progress.summary else ""
        self._say_with_spending(f"{name}: done in {figures.duration(self._clock() - started)}{summary}", name)

    def note(self, text: str) -> None:
        self._say(text)

    def warn(self, text: str) -> None:
        self._say(f"Warning: {text}")

    def spent(self, spent: Spent, currency: str) -> None:
        self._spending = (spent, currency, self._clock())

    def _say_with_spending(self, line: str, stage: str | None = None) -> None:
        if self._spending is not None:
            spent, currency, told = self._spending
            line += f" | spent {figures.spent(spent + Spent(seconds=self._clock() - told), currency)}"
        self._say(line, stage)

    def _say(self, line: str, stage: str | None = None) -> None:
        """Write a line; `stage` is the one that it is about, where it is about one."""
        print(visible(line), file=self._stream, flush=True)


class _PlainProgress:
    def __init__(
        self,
        name: str,
        total: int,
        unit: str,
        say: Callable[[str, str], None],
        clock: Callable[[], float],
        period: float,
    ) -> None:
        self.done = 0
        self.summary = ""
        self._name, self._total, self._unit = name, total, unit
        self._say, self._clock, self._period = say, clock, period
        self._text = ""
        self._spoke = clock()
        self._first: tuple[float, int] | None = None

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        now = self._clock()
        if self._first is None:  # what an earlier process had done arrives at once and is no measure of speed
            self._first = (now, self.done)
        if now - self._spoke >= self._period:
            self._spoke = now
            self._say(self._line(now), self._name)

    def describe(self, text: str) -> None:
        self._text = text

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def finish(self, summary: str) -> None:
        self.summary = summary

    def _line(self, now: float) -> str:
        parts = [f"{figures.count(self.done)} of {figures.count(self._total)} {self._unit}"]
        began, before = self._first or (now, self.done)
        if now > began and self.done > before:
            speed = (self.done - before) / (now - began)
            left = max(0, self._total - self.done) / speed
            parts += [figures.rate(speed), f"{figures.countdown(left)} left"]
        if self._text:
            parts.append(self._text)
        return f"{self._name}: {', '.join(parts)}"
