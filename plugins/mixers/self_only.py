"""Self-training: D_mix,s = D_self,s ("self-only" in SIKeD, arXiv 2410.18574, section 3).

The warm-up comes before the student has written anything. There, as in the paper, it learns from the teacher's rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core import MixContext, MixingPolicy, hookimpl

if TYPE_CHECKING:
    import polars as pl


class SelfOnly(MixingPolicy):
    """The student's own correct rows; the teacher's in the warm-up only."""

    name = "self_only"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The rows of the student, or in round 0 those of the teacher, in their order."""
        import polars as pl

        return candidates.filter(pl.col("source") == ("teacher" if context.round == 0 else "student"))


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [SelfOnly]
