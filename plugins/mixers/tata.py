"""Per question the strategy that the student itself does best with, after TATA (Xu et al. 2025, arXiv 2502.12022).

TATA chooses, question by question, which of two kinds of solution (chain of thought, or reasoning with a tool) a model
is fine-tuned on, by how well that very model does with each. Here the question's strategy is the one with the
student's highest pass rate: the share of correct ones among its samples of this round for that question and strategy.
Of strategies that are equally good all are taken, or, with `ties: first`, the first in the recipe's order. For a
question that the student solves under no strategy its aptitude is not known: all of the teacher's rows are taken.

Departures: any number of strategies; the pass rate on the question itself, in every round anew, rather than a
measurement of the base model beforehand; and the rows are the student's own unless `rows` is `teacher` (as in TATA,
whose solutions others wrote) or `both`. Where the teacher has no row of a strategy that is chosen, the student's stay.

A pass rate compares strategies fairly where all were tried equally often: `rollout.mode` forced or both. Where
the student chooses freely, a strategy that it tried once and got right beats one that was right nine times in ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, hookimpl

if TYPE_CHECKING:
    import polars as pl


class TataOptions(Options):
    ties: Literal["all", "first"] = Field(
        "all", description="of strategies that are equally good, take all, or the first in the recipe's order"
    )
    rows: Literal["student", "teacher", "both"] = Field("student", description="whose rows of that strategy are taken")


class Tata(MixingPolicy):
    """Per question the strategy with the student's own best pass rate; the teacher's where it has none (TATA)."""

    name = "tata"
    options_type: ClassVar[type[Options]] = TataOptions

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The rows of each question's best strategies, then the teacher's of questions without one."""
        import polars as pl

        student = candidates.filter(pl.col("source") == "student")
        teacher = candidates.filter(pl.col("source") == "teacher")
        best = student.filter(pl.col("pass_rate") == pl.col("pass_rate").max().over("problem_id"))
        if self.options.ties == "first":
            places = {name: place for place, name in enumerate(context.strategies)}
            place = pl.col("strategy").cast(pl.String).replace_strict(places, return_dtype=pl.Int32)
            best = best.filter(place == place.min().over("problem_id"))
        cell = ["problem_id", "strategy"]
        taught = teacher.join(best, on=cell, how="semi", maintain_order="left")
        if self.options.rows == "teacher":
            best = best.join(taught, on=cell, how="anti", maintain_order="left")
        unsolved = teacher.join(student, on="problem_id", how="anti", maintain_order="left")
        return pl.concat([best, *([] if self.options.rows == "student" else [taught]), unsolved])


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Tata]
