"""General text of the pocket world, from which the base student learns to read, copy, calculate and write code.

Stories and reading them back, arithmetic of many sizes, Python and equations taken down from dictation, comparisons,
number words, lists of sub-questions. What it never holds is a word problem with its solution: a document that asks
a question contains no arithmetic, and a document that contains arithmetic asks none and tells no story. Nor does it
hold any question of the world's splits: it has none of their questions' forms with numbers in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from siked_plugins.pocket.corpus_arithmetic import (
    arithmetic,
    chain,
    combined,
    comparison,
    counting,
    named,
    simplify,
    table,
)
from siked_plugins.pocket.corpus_dictation import dictation, equation, event, program, undo
from siked_plugins.pocket.corpus_reading import known, noted, plan, prose, reading, recall, repeated, story
from siked_plugins.pocket.sketch import Difficulty, Draw

KINDS: dict[Callable[[Draw], str], int] = {
    arithmetic: 24,
    table: 3,
    chain: 10,
    combined: 8,
    named: 8,
    simplify: 3,
    comparison: 6,
    counting: 4,
    story: 2,
    reading: 18,
    noted: 12,
    dictation: 12,
    event: 8,
    undo: 5,
    equation: 8,
    program: 5,
    plan: 4,
    prose: 3,
    repeated: 8,
    recall: 18,
    known: 6,
}
"""What the corpus is made of, by documents."""


def documents(seed: int, start: int = 0) -> Iterator[str]:
    """The corpus: its documents without end, from the `start`-th on; each depends on (seed, index) only."""
    kinds, weights = list(KINDS), list(KINDS.values())
    index = start
    while True:
        draw = Draw(f"corpus/{seed}/{index}", Difficulty.MEDIUM)
        draw.difficulty = draw.pick([Difficulty.MEDIUM, Difficulty.HARD])
        yield draw.random.choices(kinds, weights)[0](draw)
        index += 1
