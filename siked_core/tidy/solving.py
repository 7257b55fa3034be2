"""The solvability map: which problem is solved under which strategy, by the teacher and by each round's student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from siked_core.errors import SikedError
from siked_core.records import Status
from siked_core.results import results_of
from siked_core.run import Run
from siked_core.stages.evidence import NO_TAG
from siked_core.stages.prepare import problems
from siked_core.tidy.drawn import of_training
from siked_core.tidy.scored import in_order, round_of, scorecards

if TYPE_CHECKING:
    import polars as pl

SOLVABILITY: dict[str, str] = {
    "questions": "training: the samples that mixtures are made of; validation: what a student is scored on",
    "who": '"teacher", or the student; of training, "round-1" is the pool that was drawn in round 1',
    "round": "0 for the teacher",
    "problem_id": "the problem",
    "family": "of the problem; empty where the data set has no such thing",
    "strategy": "under which it was tried",
    "samples": "so many times; 1 on validation, greedily",
    "correct": "of these",
    "pass_rate": "correct of samples",
}
SOLVED: dict[str, str] = {
    "questions": "training or validation",
    "who": '"teacher", or the student',
    "round": "0 for the teacher",
    "family": "of the problems; empty where the data set has no such thing",
    "strategy": "under which they were tried",
    "problems": "that were tried",
    "solved": "those with at least one right sample",
    "share": "solved of problems",
    "pass_rate": "mean over the problems of correct samples of all",
}


def solvability(run: Run, attempts: pl.DataFrame) -> pl.DataFrame:
    """Every problem under every strategy that it was tried under. Columns: `SOLVABILITY`.

    On validation each strategy's forced answer counts, where strategies were forced; otherwise the answer that the
    student gave, under the strategy of that answer.

    Args:
        attempts: the run's (`siked_core.tidy.attempts`).
    """
    import polars as pl

    names = pl.col("problem_id", "family", "strategy").cast(pl.String)
    training = (
        of_training(attempts)
        .filter(pl.col("strategy").cast(pl.String) != NO_TAG)
        .group_by(pl.col("pool").cast(pl.String).alias("who"), pl.col("round").cast(pl.Int64), names)
        .agg(samples=pl.len().cast(pl.Int64), correct=(pl.col("status") == Status.CORRECT.value).sum().cast(pl.Int64))
        .with_columns(questions=pl.lit("training"))
    )
    schema = {name: training.schema[name] for name in SOLVABILITY if name != "pass_rate"}
    table = pl.concat([training.select(*schema), pl.DataFrame(_validation(run), schema=schema)])
    return _in_order(table.with_columns(pass_rate=pl.col("correct") / pl.col("samples")), "problem_id")


def solved(solvability: pl.DataFrame) -> pl.DataFrame:
    """The same by family of problems. Columns: `SOLVED`."""
    import polars as pl

    counted = solvability.group_by("questions", "who", "round", "family", "strategy").agg(
        problems=pl.len().cast(pl.Int64),
        solved=(pl.col("correct") > 0).sum().cast(pl.Int64),
        pass_rate=pl.col("pass_rate").mean(),
    )
    return _in_order(counted.with_columns(share=pl.col("solved") / pl.col("problems")), "family").select(*SOLVED)


def _in_order(table: pl.DataFrame, *rest: str) -> pl.DataFrame:
    import polars as pl

    order = {name: place for place, name in enumerate(sorted(table.get_column("who").unique(), key=in_order))}
    place = pl.col("who").replace_strict(order, return_dtype=pl.Int64) if order else pl.lit(0)
    return table.with_columns(_place=place).sort("questions", "_place", *rest, "strategy").drop("_place")


def _validation(run: Run) -> list[dict[str, Any]]:
    rows = []
    for card in scorecards(run):
        number = round_of(card.student)
        if card.split != "validation" or card.dataset != run.recipe.dataset.name or number is None:
            continue
        try:
            families = {one.id: one.family for one in problems(run, card.split, card.dataset)}
            results = results_of(run, card.student, card.dataset, card.split)
        except SikedError:  # `siked run check` tells of it; the scorecard is drawn all the same
            continue
        for one in results:
            tried = one.forced or ({one.strategy: one.right} if one.strategy else {})
            rows += [
                {
                    "questions": "validation",
                    "who": card.student,
                    "round": number,
                    "problem_id": one.problem_id,
                    "family": families.get(one.problem_id, ""),
                    "strategy": strategy,
                    "samples": 1,
                    "correct": int(right),
                }
                for strategy, right in tried.items()
            ]
    return rows
