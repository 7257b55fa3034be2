"""All correct rows that differ, whatever their strategy: RFT and ReST-EM.

RFT (rejection-sampling fine-tuning, Yuan et al. 2023, arXiv 2308.01825) trains the original model once, on the
teacher's rows and all distinct correct samples of a fine-tuned student: this policy with `stopping.rounds: 1` and
`training.start: restart`. ReST-EM (Singh et al. 2023, arXiv 2312.06585) repeats that on the student's own samples
alone: `teacher: false`, `training.start: restart`, any number of rounds. Both have one way of solving; with one
strategy in the recipe they are the strongest baseline that SIKeD was not compared with.

Departures: rationales differ if their texts do (RFT compares their lists of equations), and a student's rationale that
the teacher wrote as well, under the same strategy, is taken once.

`mixing.keep` comes first: a policy sees at most so many rationales per question, strategy and source. `mixing.keep:
null` offers all, which both papers start from; the presets `rft` and `rest-em` set it. `per_problem` is the papers' cap
on what one question may contribute, so that easy questions do not fill the mixture: it counts the student's rows of a
question under all strategies, this round's first, in the order of their draws. With `rounds: all` the student's
rows of earlier rounds are taken too; ReST-EM samples anew in every round and does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, hookimpl

if TYPE_CHECKING:
    import polars as pl


class RftOptions(Options):
    teacher: bool = Field(True, description="take the teacher's rows too (RFT); ReST-EM does not")
    per_problem: int | None = Field(None, ge=1, description="at most so many of the student's rows per question")
    rounds: Literal["this", "all"] = Field("this", description="the student's rows of this round, or of all so far")


class Rft(MixingPolicy):
    """All distinct correct rows of the student, and the teacher's, without any logic of strategies (RFT, ReST-EM)."""

    name = "rft"
    options_type: ClassVar[type[Options]] = RftOptions

    @property
    def earlier_rounds(self) -> bool:
        return bool(self.options.rounds == "all")

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The student's rows by question and draw, then the teacher's in their order."""
        import polars as pl

        teacher = candidates.filter(pl.col("source") == "teacher")
        student = candidates.filter(pl.col("source") == "student")
        if context.round == 0:
            return teacher
        if self.options.teacher:
            same = ["problem_id", "strategy", "rationale_hash"]
            student = student.join(teacher, on=same, how="anti", maintain_order="left")
        if self.options.per_problem is not None:
            student = student.sort("round", "draw", "key", descending=[True, False, False])
            student = student.filter(pl.int_range(pl.len()).over("problem_id") < self.options.per_problem)
        return pl.concat([student, teacher]) if self.options.teacher else student


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Rft]
