"""Plain distillation: D_mix,s = D_llm,s in every round (the baseline of SIKeD, arXiv 2410.18574, section 3).

No departure from the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core import MixContext, MixingPolicy, hookimpl

if TYPE_CHECKING:
    import polars as pl


class TeacherOnly(MixingPolicy):
    """The teacher's rows, in every round: plain distillation."""

    name = "teacher_only"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The teacher's rows, in their order."""
        import polars as pl

        return candidates.filter(pl.col("source") == "teacher")


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [TeacherOnly]
