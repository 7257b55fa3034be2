"""The solvability map: which problem is solved under which strategy, by the teacher and by each round's student."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from siked_core.errors import SikedError
from siked_core.records import Status
from siked_core.run import Run
from siked_core.stages.evidence import NO_TAG
from siked_core.tidy.answered import answered
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.drawn import of_training
from siked_core.tidy.scored import in_order, round_of, scorecards

if TYPE_CHECKING:
    import polars as pl


def solvability(run: Run, attempts: pl.DataFrame) -> pl.DataFrame:
    """Every problem under every strategy that it was tried under. Columns: `COLUMNS["solvability"]`.

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
    schema = {name: training.schema[name] for name in COLUMNS["solvability"] if name != "pass_rate"}
    table = pl.concat([training.select(*schema), pl.DataFrame(_validation(run), schema=schema)])
    return _in_order(table.with_columns(pass_rate=pl.col("correct") / pl.col("samples")), "problem_id").select(
        *COLUMNS["solvability"]
    )


def solved(solvability: pl.DataFrame) -> pl.DataFrame:
    """The same by family of problems. Columns: `COLUMNS["solved"]`."""
    import polars as pl

    counted = solvability.group_by("questions", "who", "round", "family", "strategy").agg(
        problems=pl.len().cast(pl.Int64),
        solved=(pl.col("correct") > 0).sum().cast(pl.Int64),
        pass_rate=pl.col("pass_rate").mean(),
    )
    return _in_order(counted.with_columns(share=pl.col("solved") / pl.col("problems")), "family").select(
        *COLUMNS["solved"]
    )


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
            results = answered(run, card)
        except SikedError:  # `siked run check` tells of it; the scorecard is drawn all the same
            continue
        for one, problem in results:
            tried = one.forced or ({one.strategy: one.right} if one.strategy else {})
            rows += [
                {
                    "questions": "validation",
                    "who": card.student,
                    "round": number,
                    "problem_id": one.problem_id,
                    "family": problem.family if problem else "",
                    "strategy": strategy,
                    "samples": 1,
                    "correct": int(right),
                }
                for strategy, right in tried.items()
            ]
    return rows
