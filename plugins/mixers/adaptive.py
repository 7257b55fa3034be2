"""Adaptive mixing, SIKeD's own policy (arXiv 2410.18574, section 3; the default).

D_mix,s = D_self,s ∪ {teacher rows of strategy s whose question the student does not solve under s}. The teacher's
share is therefore not a setting: it falls as the student solves more. In the warm-up there are only teacher rows,
and all of them are chosen.

One departure, off by default: with `per: problem` the teacher helps only with problems that the student solves under
no strategy at all. Per strategy, a strategy that fails on a problem is taught again for that very problem, so each
tag stays about as frequent as it was; per problem, what the student is trained to choose is what worked for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, hookimpl

if TYPE_CHECKING:
    import polars as pl


class AdaptiveOptions(Options):
    per: Literal["strategy", "problem"] = Field(
        "strategy",
        description="the teacher's row is used where the student has none for that problem and strategy (published), "
        "or none for that problem",
    )


class Adaptive(MixingPolicy):
    """The student's own rows, and the teacher's where the student has none for that problem and strategy (SIKeD)."""

    name = "adaptive"
    options_type: ClassVar[type[Options]] = AdaptiveOptions

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The student's rows, then the teacher's that are still needed, each in their order."""
        import polars as pl

        student = candidates.filter(pl.col("source") == "student")
        teacher = candidates.filter(pl.col("source") == "teacher")
        place = ["problem_id", "strategy"] if self.options.per == "strategy" else ["problem_id"]
        needed = teacher.join(student, on=place, how="anti", maintain_order="left")
        return pl.concat([student, needed])


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Adaptive]
