"""The in-rationale progressive schedule: how many leading steps of each rationale are given at each stage.

KPOD (arXiv 2405.16064): a stage is an epoch. At first only the last step of every rationale is learnt, what comes
before is given; at the end all of it is. Which rationales grow at a stage is chosen under a budget of difficulty,
D(t) = u t^(p+1) / (p+1) + C0 with u = (B - C0)(p+1) / T^(p+1), so that D(0) = C0 and D(T) = B, the difficulty of all
steps. The set S of those that grow maximises  -(dD - dH(S)) + beta sum_k sqrt(|C_k & S|)  under dH(S) <= dD, by a lazy
greedy on marginal gains: a gain only falls as S grows, so an old one is an upper bound.

What the paper leaves open, as far as we know it, and what is done here:
- dD is D(t) less the present difficulty, so that what one stage leaves over serves the next.
- A rationale that is chosen grows by ceil(steps still given / stages left) steps, so that all are whole at T.
- The start may be harder than C0 already (short rationales); then nothing grows until the budget allows it.
- T is rounded up to a whole epoch, and the last epoch has whole rationales in any case: one epoch has no schedule.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """D(t)."""

    total: float
    """B: the difficulty of all steps of all rationales."""
    start: float
    """C0."""
    power: float
    """p."""
    stages: float
    """T: from here on all is learnt."""

    def at(self, stage: float) -> float:
        """D(t); `total` from T on."""
        if stage >= self.stages:
            return self.total
        rate = (self.total - self.start) * (self.power + 1) / math.pow(self.stages, self.power + 1)
        return rate * math.pow(stage, self.power + 1) / (self.power + 1) + self.start


@dataclass(frozen=True, slots=True)
class Schedule:
    """How it goes, epoch by epoch (E of them)."""

    given: tuple[tuple[int, ...], ...]
    """(E, N): c_i(t), the leading steps of rationale i that are given in epoch t."""
    budget: tuple[float, ...]
    """(E,): D(t)."""
    difficulty: tuple[float, ...]
    """(E,): H(t), the sum over rationales of the difficulty of what is learnt."""


def progressive(
    difficulties: Sequence[Sequence[float]],
    clusters: Sequence[int],
    epochs: int,
    *,
    start_share: float = 0.3,
    power: float = 0.5,
    share_of_epochs: float = 0.5,
    beta: float = 12.0,
) -> Schedule:
    """Work the whole schedule out.

    Args:
        difficulties: of each rationale's steps, none negative; (N, steps of the rationale, 1 or more).
        clusters: of each rationale's question; (N,).
        epochs: of the training.
        start_share: C0 / B.
        share_of_epochs: T / epochs.
    """
    total = sum(map(sum, difficulties))
    budget = Budget(total, start_share * total, power, share_of_epochs * epochs)
    whole_at = min(math.ceil(budget.stages), epochs - 1)
    given = [len(steps) - 1 for steps in difficulties] if whole_at > 0 else [0] * len(difficulties)
    rows, learnt = [tuple(given)], [_learnt(difficulties, given)]
    for stage in range(1, epochs):
        if stage >= whole_at:
            given = [0] * len(given)
        else:
            left = whole_at - stage + 1
            growth = [math.ceil(steps / left) for steps in given]
            costs = [sum(difficulties[i][given[i] - growth[i] : given[i]]) for i in range(len(given))]
            free = [i for i in range(len(given)) if growth[i]]
            for i in lazy_greedy(free, costs, clusters, budget.at(stage) - learnt[-1], beta):
                given[i] -= growth[i]
        rows.append(tuple(given))
        learnt.append(_learnt(difficulties, given))
    return Schedule(tuple(rows), tuple(budget.at(stage) for stage in range(epochs)), tuple(learnt))


def lazy_greedy(
    free: Sequence[int], costs: Sequence[float], clusters: Sequence[int], room: float, beta: float
) -> list[int]:
    """Choose, one after another, what adds most to the value and still fits; the first of equals.

    Args:
        free: the places to choose among.
        costs: dH of each place.
        clusters: of each place.
        room: dD.
    """
    counts: dict[int, int] = {}
    heap = [(-_gain(costs[i], 0, beta), i, 0) for i in free]
    heapq.heapify(heap)
    chosen = []
    while heap:
        _, i, known = heapq.heappop(heap)
        if costs[i] > room:
            continue  # the room only shrinks
        members = counts.get(clusters[i], 0)
        if known < members:
            heapq.heappush(heap, (-_gain(costs[i], members, beta), i, members))
            continue
        chosen.append(i)
        room -= costs[i]
        counts[clusters[i]] = members + 1
    return chosen


def _gain(cost: float, members: int, beta: float) -> float:
    """What a rationale adds to the value whose cluster has so many members in S: cost + beta (sqrt(n+1) - sqrt(n))."""
    return cost + beta / (math.sqrt(members + 1) + math.sqrt(members))


def _learnt(difficulties: Sequence[Sequence[float]], given: Sequence[int]) -> float:
    return sum(sum(steps[first:]) for steps, first in zip(difficulties, given, strict=True))
