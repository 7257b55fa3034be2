"""How many requests are under way at once, and when none is to be sent: what a server can take is learnt from it.

Additive increase, multiplicative decrease, as in TCP (Chiu and Jain 1989), with a slow start: the limit doubles until
the server is first found busy, then halves whenever it is, and grows by one for every round of answers in between.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

START = 4
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row (from 1): doubling, with jitter of up to a half."""
    whole = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 30))
    return whole * random.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait: from `Retry-After` (seconds, or an HTTP date) or `retry-after-ms`; None
    where it does not, or says nothing that makes sense."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            continue
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    try:
        when = parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


class Pace:
    """The limit of requests at once, and until when to wait."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._limit = float(min(START, most))
        self._slow_start = True
        self._lowered_at = -math.inf
        self._in_a_row = 0
        self._busy_since: float | None = None
        self.resume_at = -math.inf
        """No request is to be sent before."""
        self.answered_at = -math.inf
        """When the server last answered a request."""

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def busy_for(self) -> float:
        """Seconds for which the server has turned away whatever it was sent."""
        return 0.0 if self._busy_since is None else self._clock() - self._busy_since

    def answered(self) -> None:
        """A request was answered."""
        self._limit = min(self._most, self._limit + (1.0 if self._slow_start else 1.0 / self._limit))
        self._in_a_row, self._busy_since, self.answered_at = 0, None, self._clock()

    def strained(self, sent_at: float) -> None:
        """A request that was sent then was turned away, lost or timed out: be gentler. Those that were sent together
        tell the same thing and count once."""
        if sent_at > self._lowered_at:
            self._limit = max(1.0, self._limit / 2)
            self._slow_start, self._lowered_at = False, self._clock()

    def busy(self, sent_at: float, wait: float | None) -> None:
        """A request that was sent then was turned away because the server is busy: send nothing for a while.

        Args:
            wait: the seconds that the server asks for; None where it does not say.
        """
        now = self._clock()
        if sent_at > self._lowered_at:
            self._in_a_row += 1
        if self._busy_since is None:
            self._busy_since = now
        self.strained(sent_at)
        pause = backoff(max(1, self._in_a_row)) if wait is None else wait * random.uniform(1.0, 1.1)
        self.resume_at = max(self.resume_at, now + pause)
