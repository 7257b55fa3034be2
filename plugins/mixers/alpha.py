"""A given share of the teacher's rows: P_train = α_t P_llm + (1 − α_t) P_self (SIKeD, arXiv 2410.18574, section 3).

In SIKeD α_t is not a setting but what `adaptive` comes to: it falls as the student solves more. Here it is set, to a
number, to one number per round, or to a schedule from one share to another, so that what the share itself does can be
told from which rows it is made of. No such schedule is published; the default, a half, has no source either.

`by: rows` takes the most rows that have the share, to the nearest row: all of the source that is too scarce, and so
many of the other as the share allows, drawn by a hash of their keys and the recipe's seed. `by: weights` leaves none
out: every row is kept, and weighs so much that the teacher's rows together have the share α_t of all weight. Where one
source has no rows there is nothing to share, and all of the other's are taken.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from siked_core import MixContext, MixingPolicy, Options, hookimpl
from siked_plugins.mixers.drawing import drawn

if TYPE_CHECKING:
    import polars as pl

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class AlphaOptions(Options):
    alpha: Share | tuple[Share, ...] = Field(
        0.5, description="the teacher's share; or that of each round, of which the last holds from then on"
    )
    to: Share | None = Field(None, description="where a schedule ends that begins in round 1 with alpha")
    rounds: int | None = Field(None, ge=2, description="the round in which it ends")
    shape: Literal["linear", "cosine"] = Field("linear", description="how it goes from alpha to `to`")
    by: Literal["rows", "weights"] = Field("rows", description="leave rows out, or weigh all of them")

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if self.alpha == ():
            raise ValueError("alpha is a share, or one for each round; it is empty")
        if (self.to is None) != (self.rounds is None):
            raise ValueError("a schedule has both an end (to) and the round in which it ends (rounds)")
        if self.to is not None and isinstance(self.alpha, tuple):
            raise ValueError("alpha is either one share for each round, or the beginning of a schedule (to, rounds)")
        return self

    def share(self, round: int) -> float:
        """α_t in a round (1, 2, ...)."""
        if isinstance(self.alpha, tuple):
            return self.alpha[min(round, len(self.alpha)) - 1]
        if self.to is None or self.rounds is None:
            return self.alpha
        gone = min(1.0, (round - 1) / (self.rounds - 1))
        left = 1 - gone if self.shape == "linear" else (1 + math.cos(math.pi * gone)) / 2
        return self.to + (self.alpha - self.to) * left


class Alpha(MixingPolicy):
    """A fixed or scheduled share of the teacher's rows, the rest the student's."""

    name = "alpha"
    options_type: ClassVar[type[Options]] = AlphaOptions

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The student's rows, then the teacher's, each in their order."""
        import polars as pl

        student = candidates.filter(pl.col("source") == "student")
        teacher = candidates.filter(pl.col("source") == "teacher")
        if student.is_empty() or teacher.is_empty():
            return candidates
        alpha: float = self.options.share(context.round)
        shares = ((student, 1 - alpha), (teacher, alpha))
        if self.options.by == "weights":
            weighed = [rows.with_columns(weight=candidates.height * share / rows.height) for rows, share in shares]
            return pl.concat(rows for rows, (_, share) in zip(weighed, shares, strict=True) if share)
        most = min(rows.height / share for rows, share in shares if share)
        return pl.concat(drawn(rows, round(most * share), context.seed, context.round) for rows, share in shares)


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Alpha]
