"""Adaptive mixing, SIKeD's own policy (arXiv 2410.18574, section 3; the default).

D_mix,s = D_self,s ∪ {teacher rows of strategy s whose question the student does not solve under s}. The teacher's
share is therefore not a setting: it falls as the student solves more. In the warm-up there are only teacher rows,
and all of them are chosen. No departure from the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core import MixContext, MixingPolicy, hookimpl

if TYPE_CHECKING:
    import polars as pl


class Adaptive(MixingPolicy):
    """The student's own rows, and the teacher's where the student has none for that problem and strategy (SIKeD)."""

    name = "adaptive"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The student's rows, then the teacher's that are still needed, each in their order."""
        import polars as pl

        student = candidates.filter(pl.col("source") == "student")
        teacher = candidates.filter(pl.col("source") == "teacher")
        needed = teacher.join(student, on=["problem_id", "strategy"], how="anti", maintain_order="left")
        return pl.concat([student, needed])


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Adaptive]
