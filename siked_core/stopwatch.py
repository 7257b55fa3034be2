"""A reporter that also takes the time: how long a stage gets ready, and how long each of its units then takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from siked_core.reporting import Progress, Reporter
from siked_core.spending import Spent


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one stage."""

    ready_s: float = 0.0
    """Until the first report, and from the last one to the end: loading, starting, saving."""
    first: int = 0
    """Units, samples or steps, of the first report: they were there, or bear the start."""
    laps: Sequence[tuple[float, int]] = ()
    """Seconds and units of each report after it."""

    @property
    def units(self) -> int:
        """Those that were timed."""
        return sum(units for _, units in self.laps)

    @property
    def fixed_s(self) -> float:
        """Seconds that do not grow with the units."""
        return self.ready_s if self.units else 0.0

    @property
    def work(self) -> Sequence[tuple[float, int]]:
        """The laps; where all units came in the first report, the whole stage is one lap."""
        if self.units or not self.first:
            return self.laps
        return ((self.ready_s + sum(seconds for seconds, _ in self.laps), self.first),)


class Stopwatch:
    """Passes everything on, and remembers when."""

    def __init__(self, inner: Reporter, clock: Callable[[], float] = time.perf_counter) -> None:
        self.timings: dict[str, Timing] = {}
        """By stage."""
        self._inner, self._clock = inner, clock

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
        began = self._clock()
        with self._inner.stage(name, total, unit) as inner:
            progress = _Timed(inner, self._clock)
            yield progress
        if progress.reports:
            times = [when for when, _ in progress.reports]
            laps = [
                (when - before, units) for before, (when, units) in zip(times[:-1], progress.reports[1:], strict=True)
            ]
            ready = times[0] - began + self._clock() - times[-1]
            self.timings[name] = Timing(ready, progress.reports[0][1], laps)

    def note(self, text: str) -> None:
        self._inner.note(text)

    def warn(self, text: str) -> None:
        self._inner.warn(text)

    def spent(self, spent: Spent, currency: str) -> None:
        self._inner.spent(spent, currency)


class _Timed:
    def __init__(self, inner: Progress, clock: Callable[[], float]) -> None:
        self.reports: list[tuple[float, int]] = []
        """When, and how many units."""
        self._inner, self._clock = inner, clock

    def advance(self, amount: int = 1) -> None:
        self.reports.append((self._clock(), amount))
        self._inner.advance(amount)

    def describe(self, text: str) -> None:
        self._inner.describe(text)

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        self._inner.measure(step, values)

    def finish(self, summary: str) -> None:
        self._inner.finish(summary)
