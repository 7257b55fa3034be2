"""The shortest verified rationales of each problem and strategy: what is learnt is also what is cheap to write.

Samples that a strategy needed many tokens for often wander. Of a student's and a teacher's verified rows of one problem
and strategy the `keep` with the fewest tokens are taken, whoever wrote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, hookimpl

if TYPE_CHECKING:
    import polars as pl

SIKED_CONTRACT = "1.0"


class ShortFirstOptions(Options):
    keep: int = Field(1, ge=1, description="rows of each problem and strategy")


class ShortFirst(MixingPolicy):
    """Of each problem and strategy the verified rows with the fewest tokens, whoever wrote them."""

    name = "short-first"
    options_type: ClassVar[type[Options]] = ShortFirstOptions

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The chosen rows in the candidates' order; of equally short ones the one with the smaller key."""
        import polars as pl

        place = pl.struct("completion_tokens", "key").rank("ordinal").over("problem_id", "strategy")
        return candidates.filter(place <= self.options.keep)


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [ShortFirst]
