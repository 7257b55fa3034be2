"""Plain distillation: D_mix,s = D_llm,s in every round (the baseline of SIKeD, arXiv 2410.18574, section 3).

No departure from the paper.
"""

from __future__ import annotations

import polars as pl

from siked_core import MixContext, MixingPolicy, hookimpl


class TeacherOnly(MixingPolicy):
    """The teacher's rows, in every round: plain distillation."""

    name = "teacher_only"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The teacher's rows, in their order."""
        return candidates.filter(pl.col("source") == "teacher")


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [TeacherOnly]
