"""Further samples where they are needed: drawn one by one for what is not solved yet, or not known well enough.

The published method draws as many samples of every problem. A cell is a problem under one strategy that is asked for,
or a problem alone where the student chooses; a cell that is solved needs no more. Its samples are numbered on, so
topping up finds by key what is there, and a run that was interrupted goes on where it was.

What uniform sampling would have given is told from the same draws: a cell that was not drawn from again was solved, and
stays so under more draws, while its further draws would have taken as many tokens as its others did on average.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from siked_core.asking import asking
from siked_core.contracts import Generator
from siked_core.finished import Finished
from siked_core.pool import read_parquet
from siked_core.recipe_spending import TopUpRecipe
from siked_core.records import Problem, Sampling, Source, Status
from siked_core.run import Run
from siked_core.scorecard import PoolSummary, Score, TopUpSummary
from siked_core.stages.generate import Cell, Wanted, draw, key_of
from siked_core.stages.prepare import first_problem
from siked_core.stages.verify import verdicts_of, verify

if TYPE_CHECKING:
    import polars as pl

Draws = tuple[list[bool], list[int]]
"""Of a cell's samples, in the order of their draws: whether each is right, and its tokens."""


def fill(
    run: Run,
    pool: str,
    wants: Callable[[Sequence[Problem]], list[Wanted]],
    *,
    of: Callable[[], Sequence[Problem]],
    stage: str,
    generator: Generator,
    sampling: Sampling,
    source: Source,
    round: int,
    top_up: TopUpRecipe | None = None,
    only: Callable[[], Callable[[Wanted], bool]] | None = None,
    reads: Sequence[str] = (),
) -> PoolSummary:
    """Draw what a pool lacks, verify it, and top it up by the rule, if there is one. The generator is set aside.

    Args:
        wants: the samples that are wanted of some training problems.
        of: the problems that the pool is of.
        only: which of these samples are drawn at all; None: all.
        reads: other pools that decide this.

    Raises:
        CapReached: the next chunk might take the run past one of its caps.
    """
    with asking(run, generator):
        keys = [key_of(run, item, sampling, generator) for item in wants([first_problem(run, "train")])]
        finished = Finished(run, stage, pools=[pool, *reads], given=keys)
        if (outcome := finished.outcome()) is not None:
            return PoolSummary.from_dict(outcome)
        asked = wants(of())
        if only is not None:
            asked = list(filter(only(), asked))
        first = len(asked)
        while True:
            draw(run, pool, asked, stage=stage, generator=generator, sampling=sampling, source=source, round=round)
            if top_up is None:
                break
            verify(run, pool)
            table = verdicts_of(run, pool)
            further = _further(asked, _draws(table), top_up)
            if not further:
                break
            asked += further
    summary = verify(run, pool)
    if top_up is not None:
        mine = verdicts_of(run, pool).join(read_parquet(run.wanted(pool)), on="key", how="semi")  # no imported ones
        found = compare(list(_draws(mine).values()), len(asked) - first)
        run.reporter.note(told(found))
        summary = replace(summary, top_up=found)
    if not summary.set_aside:  # what a verifier failed on is tried again
        finished.keep(asdict(summary))
    return summary


def needs_more(correct: int, draws: int, rule: TopUpRecipe) -> bool:
    """Whether a cell with so many right of so many draws is drawn from again."""
    if rule.until is not None and draws >= rule.until:
        return False
    if rule.interval is None:
        return correct == 0
    low, high = Score(correct, draws).interval
    return high - low > rule.interval


def compare(cells: Sequence[Draws], further: int) -> TopUpSummary:
    """What was got for the tokens, and what as many tokens would have got with equally many draws of every cell.

    Args:
        further: samples that were drawn beyond the first ones.
    """
    tokens = sum(sum(taken) for _, taken in cells)
    firsts = [right.index(True) + 1 if any(right) else None for right, _ in cells]
    solved = sum(first is not None for first in firsts)
    # With how many draws of each cell is it known what would be solved? A cell without a right draw limits it.
    known = min((len(right) for (right, _), first in zip(cells, firsts, strict=True) if first is None), default=None)
    most = max((len(right) for right, _ in cells), default=0)
    last = most if known is None else known

    def uniform(draws: int) -> tuple[int, float]:
        return (
            sum(first is not None and first <= draws for first in firsts),
            sum(sum(taken[:draws]) + max(0, draws - len(taken)) * sum(taken) / len(taken) for _, taken in cells),
        )

    draws, got, took = 0.0, 0.0, 0.0
    for number in range(1, last + 1):
        more_got, more_took = uniform(number)
        # The last step is a part of one: a share of the cells gets one draw more, so that the tokens are the same.
        share = min(1.0, (tokens - took) / (more_took - took)) if more_took > took else 1.0
        draws, got, took = number - 1 + share, got + share * (more_got - got), took + share * (more_took - took)
        if share < 1:
            break
    return TopUpSummary(further, len(cells), solved, tokens, draws, got, round(took))


def told(found: TopUpSummary) -> str:
    """One line."""
    return (
        f"Topped up by {found.further:,} samples: {found.solved:,} of {found.cells:,} solved, "
        f"{found.per_thousand:.2f} per thousand tokens; uniform sampling with {found.uniform_tokens:,} of its "
        f"{found.tokens:,} tokens: {found.uniform_solved:,.1f} solved, {found.uniform_per_thousand:.2f} per thousand."
    )


def _further(asked: Sequence[Wanted], draws: Mapping[Cell, Draws], rule: TopUpRecipe) -> list[Wanted]:
    """The next sample of every cell that needs one. Draws are counted by what was asked: some may have no verdict."""
    last = {item.cell: item for item in asked}
    return [
        replace(item, draw=item.draw + 1)
        for cell, item in last.items()
        if needs_more(sum(draws.get(cell, ([], []))[0]), item.draw + 1, rule)
    ]


def _draws(table: pl.DataFrame) -> dict[Cell, Draws]:
    found: dict[Cell, Draws] = {}
    columns = ("problem_id", "requested", "status", "prompt_tokens", "completion_tokens")
    for problem, requested, status, inside, out in table.sort("draw", maintain_order=True).select(columns).iter_rows():
        right, tokens = found.setdefault((problem, requested), ([], []))
        right.append(status == Status.CORRECT.value)
        tokens.append(inside + out)
    return found
