"""Rationales that the student wrote when it was told the answer, beside those of another policy: STaR.

STaR (arXiv 2203.14465) trains a model on the rationales by which it answers rightly; what it fails on it is asked again
with the right answer as a hint, and the rationale that it then writes is trained on too, as an answer to the question
without the hint. Each round trains the original model: `training.start: restart`. The asking is the rollout's
(`rollout.rationalise`); this policy takes what came of it. The preset `star` sets all three.

The rest of the mixture is another policy's choice (`mixing`), by default the student's own rows alone, as in STaR. That
policy sees nothing of the hinted rows. With `instead`, the teacher's rows of a question go where the student has a
hinted rationale for it, so that the student rather learns from its own words.

Departures: there is a teacher, who taught the student before the first round; any strategies and policies; several
rationales a question, where `mixing.keep` and the samples allow it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, PluginChoice, hookimpl

if TYPE_CHECKING:
    import polars as pl


class StarOptions(Options):
    mixing: PluginChoice = Field(PluginChoice(name="self_only"), description="the policy that chooses the other rows")
    instead: bool = Field(
        False, description="leave out the teacher's rows of questions for which the student has a hinted rationale"
    )


class Star(MixingPolicy):
    """Another policy's rows, and what the student wrote with the answer told where it had failed (STaR)."""

    name = "star"
    options_type: ClassVar[type[Options]] = StarOptions

    @property
    def builds_on(self) -> PluginChoice:
        choice: PluginChoice = self.options.mixing
        return choice

    @property
    def hinted(self) -> bool:
        return True

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The other policy's rows, then the hinted ones by question."""
        import polars as pl

        told = candidates.filter(pl.col("hinted") & (pl.col("source") == "student"))
        others = context.inner(candidates.join(told, on="key", how="anti", maintain_order="left"))
        if self.options.instead:
            taught = others.filter(pl.col("source") == "teacher").join(told, on="problem_id", how="semi")
            others = others.join(taught, on="key", how="anti", maintain_order="left")
        if "weight" in others.columns:
            told = told.with_columns(weight=pl.lit(1.0))
        return pl.concat([others, told.select(set(others.columns) & set(told.columns))], how="diagonal")


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Star]
