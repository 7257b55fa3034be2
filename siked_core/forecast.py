"""From a few problems to all of them: totals with 95 % prediction intervals, by a bootstrap over the problems.

A replicate draws as many problems as were seen, with replacement (what another pilot might have seen), and from those
the problems that were not seen (what the others may turn out to be). How far problems differ is itself known from few
of them only, so a replicate's distance from what is expected is scaled as a normal variable is to become Student's t.
What was seen is known. One replicate serves every quantity, so that sums of them have the right interval. Which
problems are seen is random by the hash of their ids.

What a pilot cannot tell at all, because it is one run at one time, is a factor (`unlike`): how much faster or slower,
wordier or terser the run will be. Its spread was measured on runs that were quoted before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

REPLICATES = 2000
SEED = 0
MEASURED = 7
"""Runs that the spreads of `unlike` were measured on: see "How far off it was" in docs/cost.md."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A figure that is expected, the interval that it lies in with 95 %, and the replicates that say so."""

    expected: float
    draws: Any
    """(REPLICATES,) array."""

    @property
    def low(self) -> float:
        return float(_quantile(self.draws, 0.025))

    @property
    def high(self) -> float:
        return float(_quantile(self.draws, 0.975))

    def __add__(self, other: Forecast) -> Forecast:
        return Forecast(self.expected + other.expected, self.draws + other.draws)

    def __mul__(self, factor: float | Forecast) -> Forecast:
        if isinstance(factor, Forecast):
            return Forecast(self.expected * factor.expected, self.draws * factor.draws)
        return Forecast(self.expected * factor, self.draws * factor)

    def __sub__(self, known: float) -> Forecast:
        return Forecast(self.expected - known, self.draws - known)

    def as_dict(self) -> dict[str, float]:
        return {"expected": self.expected, "low": self.low, "high": self.high}


def exactly(number: float) -> Forecast:
    """A figure that is known."""
    import numpy as np

    return Forecast(float(number), np.full(REPLICATES, float(number)))


def each(laps: Sequence[tuple[float, int]], seed: int = SEED) -> Forecast:
    """Seconds of a unit, from laps of (seconds, units): what the next ones may take if they are like these."""
    import numpy as np

    if not sum(units for _, units in laps):
        return exactly(0)
    times, units = np.asarray(laps, dtype=float).T
    picked = np.random.default_rng(seed).integers(len(laps), size=(REPLICATES, len(laps)))
    sums = units[picked].sum(axis=1)
    rates = times[picked].sum(axis=1) / np.maximum(sums, 1)
    mean = times.sum() / units.sum()
    return Forecast(float(mean), np.where(sums > 0, rates, mean))


def unlike(spread: float, seed: int = SEED) -> Forecast:
    """A factor that nothing is known of but how much it varied from run to run: 1 is expected.

    Args:
        spread: root mean square, over `MEASURED` runs, of the logarithm of what was taken over what was quoted. The
            draws' logarithm is Student's t, with one degree of freedom less than that, times this.
    """
    import numpy as np

    return Forecast(1.0, np.exp(spread * np.random.default_rng(seed).standard_t(MEASURED - 1, size=REPLICATES)))


def at_most(one: Forecast, limit: Forecast) -> Forecast:
    """A figure that a limit holds down."""
    import numpy as np

    return Forecast(min(one.expected, limit.expected), np.minimum(one.draws, limit.draws))


def up_to(least: Forecast, most: Forecast) -> Forecast:
    """A figure that may turn out to be either: the higher one is expected, the interval holds both."""
    import numpy as np

    half = REPLICATES // 2
    return Forecast(most.expected, np.concatenate([least.draws[:half], most.draws[half:]]))


def total(forecasts: Sequence[Forecast]) -> Forecast:
    return sum(forecasts[1:], forecasts[0]) if forecasts else exactly(0)


class Resampled:
    """The problems that a pilot has seen, and those that it stands for."""

    def __init__(self, seen: int, others: int, seed: int = SEED) -> None:
        """
        Args:
            seen: problems of the pilot, 1 or more.
            others: problems that it has not seen.
        """
        import numpy as np

        rng = np.random.default_rng(seed)
        self._seen, self._others = seen, others
        pilots = rng.multinomial(seen, np.full(seen, 1 / seen), size=REPLICATES)  # (REPLICATES, seen)
        self._weights = rng.multinomial(others, pilots / seen)  # (REPLICATES, seen)
        # n / (n - 1) for a variance that was taken about the mean of n, and (n - 1) / chi-square for one so estimated.
        self._wider = np.sqrt(seen / rng.chisquare(seen - 1, size=REPLICATES)) if seen > 1 else np.ones(REPLICATES)

    def over_all(self, values: Sequence[float]) -> Forecast:
        """The sum over the problems that were seen and the others.

        Args:
            values: one for each problem that was seen, 0 or more.
        """
        import numpy as np

        array = np.asarray(values, dtype=float)
        others = self._others * array.mean()
        drawn = others + (self._weights @ array - others) * self._wider
        return Forecast(float(array.sum() + others), array.sum() + np.maximum(drawn, 0.0))

    def over_others(self, values: Sequence[float]) -> Forecast:
        """The same without those that were seen."""
        return self.over_all(values) - float(sum(values))


def _quantile(draws: Any, share: float) -> float:
    import numpy as np

    return float(np.quantile(draws, share))
