"""Rows weighed by how rare their strategy is: a supervised analogue of Ada-GRPO (ARM, arXiv 2505.20258, section 3.2).

A student that is trained on its own samples uses more and more of the strategy that it uses already. Ada-GRPO answers
such a collapse by scaling the reward of a sample by G / F: G samples of a question, F of them in its format. There are
no rewards here and no gradient through samples, only rows and their weights. So this is not Ada-GRPO but what is left
of it in supervised fine-tuning: within a group, a row weighs G / F, scaled so that the group's mean weight is 1.
Every strategy that occurs in a group thereby has the same total weight there, and no group gains or loses.

`group: round` counts over the whole mixture; `problem` over the rows of one question, as Ada-GRPO does, which changes
something only where a strategy may have several rows there (`mixing.keep` above 1). `count: copies` counts the samples
that a row stands for: for `mixing.weights: copies`, by which it then weighs so many times as much. Ada-GRPO lets its
scaling fade as training goes on; `fade` is the round from which on all weights are 1, and until then the scaling's
distance from 1 falls by a cosine. Which rows there are is another mixing's choice: `mixing`, by default `adaptive`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, PluginChoice, hookimpl

if TYPE_CHECKING:
    import polars as pl


class RarityOptions(Options):
    mixing: PluginChoice = Field(PluginChoice(name="adaptive"), description="the mixing whose rows are weighed")
    group: Literal["round", "problem"] = Field(
        "round", description="where strategies are counted: in the whole mixture, or among one question's rows"
    )
    count: Literal["rows", "copies"] = Field(
        "rows", description="what is counted: rows, or the samples that they stand for (for mixing.weights copies)"
    )
    fade: int | None = Field(None, ge=2, description="the round from which on all rows weigh the same; none: never")

    def strength(self, round: int) -> float:
        """How much of the scaling is left in a round (1, 2, ...), from 1 to 0."""
        if self.fade is None:
            return 1.0
        return (1 + math.cos(math.pi * min(1.0, (round - 1) / (self.fade - 1)))) / 2


class Rarity(MixingPolicy):
    """Another mixing's rows, weighed by how rare their strategy is, against collapse (after ARM's Ada-GRPO)."""

    name = "rarity"
    options_type: ClassVar[type[Options]] = RarityOptions

    @property
    def builds_on(self) -> PluginChoice:
        mixing: PluginChoice = self.options.mixing
        return mixing

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The inner mixing's rows in their order; a weight that it gave is scaled."""
        import polars as pl

        rows = context.inner(candidates)
        number = pl.len() if self.options.count == "rows" else pl.col("copies").sum()
        of_strategy = number.over([*self._group, "strategy"])
        share = self._in_group(number) / (of_strategy * self._in_group(pl.col("strategy").n_unique()))
        given = pl.col("weight") if "weight" in rows.columns else 1.0
        return rows.with_columns(weight=given * (1 + self.options.strength(context.round) * (share - 1)))

    @property
    def _group(self) -> list[str]:
        return [] if self.options.group == "round" else ["problem_id"]

    def _in_group(self, number: pl.Expr) -> pl.Expr:
        return number.over(self._group) if self._group else number


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Rarity]
