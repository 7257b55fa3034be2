"""The pocket world: word problems with exact answers, drawn by (seed, split, index).

A question's own text decides its split, so a question can never be in two splits, whatever the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Literal

from siked_core import Problem, WorkedSolution
from siked_plugins.pocket.families_known import known
from siked_plugins.pocket.families_large import bill, long_sum, percent, rate, time
from siked_plugins.pocket.families_parts import better_buy, compare, gap, shares
from siked_plugins.pocket.families_short import apart, offer, short
from siked_plugins.pocket.families_unknown import pair, unknown
from siked_plugins.pocket.sketch import Difficulty, Draw, Sketch

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

FAMILIES: dict[str, Callable[[Draw], Sketch]] = {
    family.__name__: family
    for family in (
        short, apart, offer, known,
        long_sum, bill, percent, rate, time,
        unknown, pair,
        gap, better_buy, shares, compare,
    )
}  # fmt: skip


def split_of(question: str) -> Split:
    """The one split that a question can be in: 60 % train, 20 % validation, 20 % test."""
    tenth = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8], "big") % 10
    return "train" if tenth < 6 else "validation" if tenth < 8 else "test"


def draw_problem(seed: int, split: Split, index: int, family: str, difficulty: Difficulty) -> Problem:
    """The problem at an index; drawn again until its question falls into the split."""
    for attempt in count():
        sketch = FAMILIES[family](Draw(f"{seed}/{split}/{index}/{family}/{difficulty}/{attempt}", difficulty))
        if split_of(sketch.question) == split:
            break
    answer = sketch.steps[-1].value
    solution = WorkedSolution(sketch.steps, answer, sketch.equations)
    return Problem(f"pocket-{seed}-{split}-{index}", sketch.question, answer, family, solution)


def problems(
    seed: int, split: Split, families: Sequence[str] = tuple(FAMILIES), difficulty: Difficulty = Difficulty.MEDIUM
) -> Iterator[Problem]:
    """Distinct problems of a split, without end, the families in turn."""
    seen: set[str] = set()
    for index in count():
        problem = draw_problem(seed, split, index, families[index % len(families)], difficulty)
        if problem.question not in seen:
            seen.add(problem.question)
            yield problem


def sample(seed: int, split: Split, size: int, difficulty: Difficulty = Difficulty.MEDIUM) -> list[Problem]:
    """The first problems of a split, of every family."""
    return list(islice(problems(seed, split, difficulty=difficulty), size))
