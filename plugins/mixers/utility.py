"""Utility: each problem is trained on under the strategies at which *this* student is good (ours).

SIKeD's policies fill in the teacher's rationale wherever a strategy fails, so every strategy stays about as frequent as
it was; TATA goes by the pass rate on the very problem, which a handful of samples hardly tells. Here a strategy's
utility for a problem is the student's expected pass rate on questions that are asked alike, with its deviation
(`pass_rates.py`), from its samples of this round. A problem's best strategy is chosen, and with a `margin` those that
are not credibly worse. Under a chosen strategy the student's own rationale is taken where it has a right one, and the
teacher's where it has none, so that what a row teaches to choose never depends on whether one sample happened to
succeed. Where neither has one, the best of what there is is taken.

`floor` keeps a strategy from dying out: it gets at least that share of the problems, those for which it is least worse
than the best. `difficulty` weighs a row by 1 + difficulty x (1 - expected pass rate).

Pass rates compare strategies fairly where all were tried equally often (`rollout.mode` forced or both). Where the
student chooses freely, a strategy's pass rate is that on the questions that it was chosen for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, hookimpl
from siked_plugins.mixers.pass_rates import pass_rates

if TYPE_CHECKING:
    import polars as pl

_CELL = ["problem_id", "strategy"]


class UtilityOptions(Options):
    margin: float = Field(
        0.0, ge=0, description="deviations by which a strategy may be worse than a problem's best and be chosen too"
    )
    floor: float = Field(
        0.02, ge=0, lt=1, description="share of the problems that each strategy is chosen for at least"
    )
    difficulty: float = Field(0.0, ge=0, description="how much more a row weighs, the less often the student is right")


class Utility(MixingPolicy):
    """The strategies at which this student is good, by its pass rates on questions that are asked alike."""

    name = "utility"
    options_type: ClassVar[type[Options]] = UtilityOptions

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The student's rows under the chosen strategies, the teacher's, then the best of problems without either."""
        import polars as pl

        rows = candidates.with_columns(pl.col("problem_id", "strategy", "source").cast(pl.String))
        expected = self.expected(rows, context)
        wanted = self._chosen(expected, context)
        student = rows.filter(pl.col("source") == "student")
        teacher = rows.filter(pl.col("source") == "teacher")
        own = student.join(wanted, on=_CELL, how="semi", maintain_order="left")
        taught = teacher.join(wanted, on=_CELL, how="semi", maintain_order="left")
        taught = taught.join(own, on=_CELL, how="anti", maintain_order="left")
        found = pl.concat([own, taught])
        rest = pl.concat([student, teacher]).join(found, on="problem_id", how="anti", maintain_order="left")
        rest = rest.join(expected, on=_CELL, how="left", maintain_order="left")
        rest = rest.filter(pl.col("mean") == pl.col("mean").max().over("problem_id")).select(rows.columns)
        return self._weighed(pl.concat([found, rest]), expected)

    def expected(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The utility of every strategy for every problem of the candidates, and of those that the student was asked.

        Columns: problem_id, strategy, mean and deviation (of the pass rate).
        """
        import polars as pl

        mine = (pl.col("source") == "student") & (pl.col("round") == context.round) & pl.col("strategy").is_not_null()
        asked = context.attempts.filter(mine).with_columns(pl.col(_CELL).cast(pl.String))
        rates = asked.group_by(_CELL).agg(right=(pl.col("status") == "correct").mean()).sort(_CELL)
        ids = pl.concat([candidates.get_column("problem_id"), rates.get_column("problem_id")]).unique().sort()
        asked_alike = pl.DataFrame({"problem_id": ids}).with_row_index("place")
        questions = asked_alike.join(context.questions(), on="problem_id", how="left", maintain_order="left")
        texts = questions.get_column("question").fill_null("").to_list()
        tables = []
        for strategy in context.strategies:
            tried = rates.filter(pl.col("strategy") == strategy).join(
                asked_alike, on="problem_id", maintain_order="left"
            )
            found = pass_rates(texts, tried.get_column("place"), tried.get_column("right"), context.seed)
            columns = {
                "strategy": pl.lit(strategy),
                "mean": pl.Series(found.mean),
                "deviation": pl.Series(found.deviation),
            }
            tables.append(asked_alike.select("problem_id").with_columns(**columns))
        return pl.concat(tables)

    def _chosen(self, expected: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The strategies that are wanted for each problem. Columns: problem_id, strategy."""
        import polars as pl

        best = expected.sort("mean", descending=True, maintain_order=True).unique("problem_id", maintain_order=True)
        best = best.select("problem_id", best="mean", spread="deviation")
        behind = expected.join(best, on="problem_id", maintain_order="left").with_columns(
            behind=pl.col("best") - pl.col("mean"), spread=(pl.col("deviation") ** 2 + pl.col("spread") ** 2).sqrt()
        )
        near = behind.filter(pl.col("behind") <= self.options.margin * pl.col("spread")).select(_CELL)
        least = math.ceil(self.options.floor * best.height)
        floors = [
            behind.filter(pl.col("strategy") == strategy).sort("behind", "problem_id").head(least).select(_CELL)
            for strategy in context.strategies
        ]
        return pl.concat([near, *floors]).unique(maintain_order=True)

    def _weighed(self, chosen: pl.DataFrame, expected: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        if not self.options.difficulty:
            return chosen
        hard = chosen.join(expected, on=_CELL, how="left", maintain_order="left")
        weight = 1 + self.options.difficulty * (1 - pl.col("mean").clip(0, 1))
        return hard.with_columns(weight=weight / weight.mean()).drop("mean", "deviation")


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Utility]
