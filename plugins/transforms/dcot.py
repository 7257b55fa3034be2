"""DCoT: divergent chains of thought (Puerto et al. 2024, arXiv 2407.03181).

Several different correct chains of one problem are one target, one after another, and then the final answer; k, how
many, is at most the number of correct chains. A student that writes several chains may mend in a later one what went
wrong in an earlier.

    [Answer 1]
    Jo has 5 + 4 = 9 pens.
    [Answer 2]
    5 and 4 make 9.
    [Final answer]
    The answer is 9.

The strategy's own parser finds the one answer that is stated, the last line's: a chain's own statement of it is taken
out. So only strategies whose rationales end by stating the answer can have several chains (`cot`, by default), and what
the parser cannot read back with the same answer is left as it was.

Departures: the student is not told how many chains to write, as its prompt is the same for all; it writes as many as
its training rows had. A row's order of chains is drawn once a round, not once an epoch. Chains of a problem are those
that the mixing policy chose (`mixing.keep` must be more than 1), the teacher's and the student's together. A rationale
that has several chains already, because a student that learnt so wrote it, is not taken apart: only its final answer
was verified. It is kept as it is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from siked_core import MixtureRow, Options, Rationale, Strategy, Transform, TransformContext, hookimpl

FINAL = "[Final answer]"
_CHAIN = re.compile(r"^\[Answer \d+\]$", re.MULTILINE)


class DcotOptions(Options):
    chains: int | None = Field(None, ge=2, description="k: at most so many chains in one target; null: all there are")
    strategies: tuple[str, ...] = Field(("cot",), description="those whose rationales are merged")


class DivergentChains(Transform):
    """DCoT: several different correct chains of a problem in one target, then the answer."""

    name = "dcot"
    options_type = DcotOptions

    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        """One row for several of the same problem and strategy, where the first of them stood. It weighs as much as
        they do on average."""
        groups: dict[tuple[str, str], list[MixtureRow]] = {}
        for row in rows:
            if row.strategy in self.options.strategies and not has_chains(row.rationale):
                groups.setdefault((row.problem.id, row.strategy), []).append(row)
        merged: dict[str, MixtureRow] = {}
        gone: set[str] = set()
        for (problem, strategy), group in groups.items():
            chosen = random.Random(f"{context.seed} {problem} {strategy}").sample(group, len(group))
            chosen = _different(chosen)[: self.options.chains]
            text = _written(context.strategies[strategy], chosen)
            if text is not None:
                weight = sum(row.weight for row in group) / len(group)
                keys = [row.key for row in chosen]
                first = next(row for row in group if row.key in keys)
                others = tuple(key for key in keys if key != first.key)
                merged[first.key] = replace(first, rationale=text, weight=weight, merged=others)
                gone |= {row.key for row in group if row is not first}
        return [merged.get(row.key, row) for row in rows if row.key not in gone]


def has_chains(text: str) -> bool:
    """Whether a rationale is of several chains."""
    return _CHAIN.search(text) is not None


def _different(rows: Sequence[MixtureRow]) -> list[MixtureRow]:
    """Each text once, white space apart."""
    by_text: dict[str, MixtureRow] = {}
    for row in rows:
        by_text.setdefault(" ".join(row.rationale.split()), row)
    return list(by_text.values())


def _written(strategy: Strategy, rows: Sequence[MixtureRow]) -> str | None:
    """The chains in one text; None where there are not several, or where it would be read otherwise."""
    chains, statements = [], []
    for row in rows:
        *steps, statement = row.rationale.rstrip().split("\n")
        if steps:
            chains.append("\n".join(steps))
            statements.append(statement)
    if len(chains) < 2:
        return None
    numbered = [f"[Answer {number}]\n{chain}" for number, chain in enumerate(chains, 1)]
    text = "\n".join([*numbered, FINAL, statements[0]])
    meant, read = strategy.parse(rows[0].rationale), strategy.parse(text)
    if not (isinstance(read, Rationale) and isinstance(meant, Rationale)):
        return None
    return text if read.text == text and read.answer_source == meant.answer_source else None


@hookimpl
def siked_transforms() -> list[type[Transform]]:
    return [DivergentChains]
