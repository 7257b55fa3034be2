"""The table of what became of each question that a student was scored on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core.records import Problem
from siked_core.results import Result, results_of
from siked_core.run import Run
from siked_core.scorecard import Scorecard
from siked_core.stages.evidence import NO_TAG
from siked_core.stages.prepare import problems
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.scored import round_of, scorecards

if TYPE_CHECKING:
    import polars as pl


def questions(run: Run) -> pl.DataFrame:
    """Each question that a student was scored on. Columns: `COLUMNS["questions"]`.

    Raises:
        RunError: a scorecard, or what it counts, is damaged.
    """
    import polars as pl

    rows = [
        {
            "student": card.student,
            "round": round_of(card.student),
            "dataset": card.dataset,
            "split": card.split,
            "problem_id": one.problem_id,
            "family": problem.family if problem else "",
            "question": problem.question if problem else None,
            "gold": problem.answer if problem else None,
            "strategy": one.strategy or NO_TAG,
            "answer": one.answer,
            "status": one.status,
            "right": one.right,
            "own": one.own,
            "forced": [{"strategy": name, "right": right} for name, right in one.forced.items()],
        }
        for card in scorecards(run)
        for one, problem in answered(run, card)
    ]
    forced = pl.List(pl.Struct({"strategy": pl.String, "right": pl.Boolean}))
    other = {"round": pl.Int64, "right": pl.Boolean, "own": pl.Boolean, "forced": forced}
    return pl.DataFrame(rows, schema={name: other.get(name, pl.String) for name in COLUMNS["questions"]})


def answered(run: Run, card: Scorecard) -> list[tuple[Result, Problem | None]]:
    """What a scorecard counts, each with its problem; None where the data set has it no more.

    Raises:
        RunError: it is damaged.
    """
    known = {problem.id: problem for problem in problems(run, card.split, card.dataset)}
    return [(one, known.get(one.problem_id)) for one in results_of(run, card.student, card.dataset, card.split)]
