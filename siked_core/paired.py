"""Two students on the same problems: the difference of their accuracies, its interval, and a test.

The interval is the adjusted Wald interval for matched pairs ("Wald+2": half a pair added to each of the four counts;
Agresti and Min 2005, Statistics in Medicine 24, 729-740); the p-value is that of McNemar's exact test (McNemar 1947):
of the problems that only one of them solves, each is as likely to be either's. Where hardly a handful of problems
tell the two apart, the interval is a little too narrow: of 40 problems with some three such, it held the truth in 91 %.

The second interval is the percentile bootstrap over problems (Efron 1979): a replicate draws as many problems, with
replacement. For the difference it is enough to draw the counts, which are then multinomial. Where each side is several
runs of one recipe, seeds are drawn too, each side's own, so that the interval holds what another seed would have given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

_Z = NormalDist().inv_cdf(0.975)
REPLICATES, _AT_ONCE = 10_000, 500


@dataclass(frozen=True, slots=True)
class Paired:
    """How two students did on the same problems."""

    both: int
    """Problems that both solve."""
    only_a: int
    only_b: int
    neither: int

    @classmethod
    def of(cls, a: Sequence[bool], b: Sequence[bool]) -> Paired:
        """From whether A and B solve each problem, in one order."""
        pairs = list(zip(a, b, strict=True))
        return cls(*(pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Paired:
        return cls(content["both"], content["only_a"], content["only_b"], content["neither"])

    @property
    def total(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def difference(self) -> float:
        """B's accuracy minus A's, between -1 and 1; 0 where there are no problems."""
        return (self.only_b - self.only_a) / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, of the difference."""
        n = self.total + 2
        middle = (self.only_b - self.only_a) / n
        margin = _Z * math.sqrt((self.only_a + self.only_b + 1) - (self.only_b - self.only_a) ** 2 / n) / n
        return (max(-1.0, middle - margin), min(1.0, middle + margin))

    def bootstrap(self, seed: int = 0) -> tuple[float, float]:
        """95 %, of the difference, by drawing problems anew. The same for the same counts and seed."""
        import numpy as np

        if not self.total:
            return (-1.0, 1.0)
        shares = np.array([self.only_a, self.only_b, self.both + self.neither]) / self.total
        drawn = np.random.default_rng(seed).multinomial(self.total, shares, size=REPLICATES)  # (REPLICATES, 3)
        return _middle((drawn[:, 1] - drawn[:, 0]) / self.total)

    @property
    def p_value(self) -> float:
        """Two-sided; 1 where they solve the same problems."""
        apart = self.only_a + self.only_b
        fewer = min(self.only_a, self.only_b)
        tail = sum(math.comb(apart, count) for count in range(fewer + 1))
        return min(1.0, float(2 * tail / 2**apart))

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval
        bootstrap_low, bootstrap_high = self.bootstrap()
        return {
            "problems": self.total,
            "both": self.both,
            "only_a": self.only_a,
            "only_b": self.only_b,
            "neither": self.neither,
            "difference": self.difference,
            "low": low,
            "high": high,
            "bootstrap_low": bootstrap_low,
            "bootstrap_high": bootstrap_high,
            "p_value": self.p_value,
        }


@dataclass(frozen=True, slots=True)
class Gain:
    """A round beside the best one before it, on the validation questions."""

    against: int
    """That round."""
    paired: Paired
    """It is A, the later round B."""

    def verdict(self, level: float) -> Literal["better", "worse", "undecided"]:
        """What the difference is evidence for, at this level of significance."""
        if self.paired.p_value > level:
            return "undecided"
        return "better" if self.paired.difference > 0 else "worse"

    def as_dict(self) -> dict[str, Any]:
        return {"against": self.against, **self.paired.as_dict()}


@dataclass(frozen=True, slots=True)
class PairedSeeds:
    """How two recipes did on the same problems, each with several seeds."""

    a: tuple[tuple[bool, ...], ...]
    """For each of A's seeds, whether each problem is solved: (seeds, problems)."""
    b: tuple[tuple[bool, ...], ...]

    @property
    def problems(self) -> int:
        return len(self.a[0])

    @property
    def accuracies(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of each of A's and of B's seeds."""
        one, other = (tuple(sum(seed) / self.problems for seed in side) for side in (self.a, self.b))
        return one, other

    @property
    def difference(self) -> float:
        """B's mean accuracy minus A's."""
        one, other = self.accuracies
        return math.fsum(other) / len(other) - math.fsum(one) / len(one)

    def bootstrap(self, seed: int = 0) -> tuple[float, float]:
        """95 %, of the difference, by drawing problems and each side's seeds anew. With one seed on each side, it tells
        of other problems only."""
        import numpy as np

        rng = np.random.default_rng(seed)
        equal = np.full(self.problems, 1 / self.problems)
        sides = [np.array(side, dtype=float).T / self.problems for side in (self.a, self.b)]  # (problems, seeds)
        differences = []
        for _ in range(REPLICATES // _AT_ONCE):
            counts = rng.multinomial(self.problems, equal, size=_AT_ONCE)  # (_AT_ONCE, problems)
            means = []
            for side in sides:
                picked = rng.integers(side.shape[1], size=(_AT_ONCE, side.shape[1]))
                means.append(np.take_along_axis(counts @ side, picked, axis=1).mean(axis=1))
            differences.append(means[1] - means[0])
        return _middle(np.concatenate(differences))

    def as_dict(self) -> dict[str, Any]:
        low, high = self.bootstrap()
        one, other = self.accuracies
        return {
            "problems": self.problems,
            "accuracies": {"a": list(one), "b": list(other)},
            "difference": self.difference,
            "bootstrap_low": low,
            "bootstrap_high": high,
        }


def _middle(replicates: Any) -> tuple[float, float]:
    """The middle 95 % of them."""
    import numpy as np

    low, high = np.quantile(replicates, (0.025, 0.975))
    return float(low), float(high)
