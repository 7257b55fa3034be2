"""Mixing of everything: D_mix,s = D_self,s ∪ D_llm,s ("all" in SIKeD, arXiv 2410.18574, section 3).

No departure from the paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core import MixContext, MixingPolicy, hookimpl

if TYPE_CHECKING:
    import polars as pl


class All(MixingPolicy):
    """Every correct row, the student's and the teacher's."""

    name = "all"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """All candidates, in their order."""
        return candidates


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [All]
