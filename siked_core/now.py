"""A stage while it works: how far it is, how fast, and how long it may still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class StageNow:
    """What is known of a stage at this moment."""

    name: str
    total: int
    """0 where it is not known."""
    unit: str
    done: int = 0
    text: str = ""
    seconds: float = 0.0
    """Since it began."""
    rate: float | None = None
    """Units a second."""

    @property
    def left(self) -> float | None:
        """Seconds that it may still take; None where that cannot be told."""
        if not self.rate or not self.total:
            return None
        return max(0, self.total - self.done) / self.rate

    @property
    def share(self) -> float:
        """Of it that is done, between 0 and 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "total": self.total,
            "unit": self.unit,
            "done": self.done,
            "text": self.text,
            "seconds": round(self.seconds, 1),
            "rate": self.rate,
            "left": self.left,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], later: float = 0.0) -> StageNow:
        """What was written so many seconds ago. Its pace is taken to have gone on."""
        names = ("name", "total", "unit", "done", "text", "seconds", "rate")
        one = cls(**{name: content[name] for name in names})
        one.seconds += later
        return one


class StageClock:
    """Takes the time of a stage that is under way."""

    def __init__(self, name: str, total: int, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = StageNow(name, total, unit)
        self._began = clock()
        self._first: tuple[float, int] | None = None
        self._last = self._began

    @property
    def done(self) -> int:
        return self._stage.done

    def advance(self, amount: int) -> None:
        self._stage.done += amount
        self._last = self._clock()
        if self._first is None:  # what an earlier process had done arrives at once and is no measure of speed
            self._first = (self._last, self._stage.done)

    def describe(self, text: str) -> None:
        self._stage.text = text

    def now(self) -> StageNow:
        """How it stands."""
        stage = self._stage
        rate = None
        if self._first is not None:
            began, before = self._first
            if self._last > began and stage.done > before:
                rate = (stage.done - before) / (self._last - began)
        return StageNow(stage.name, stage.total, stage.unit, stage.done, stage.text, self._clock() - self._began, rate)
