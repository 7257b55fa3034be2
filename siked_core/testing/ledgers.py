"""Tables of judged samples to test mixing policies with, of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from siked_core.ledger import few, ledger
from siked_core.records import Status

if TYPE_CHECKING:
    import polars as pl


ODD = 2_654_435_761
"""Multiplying by it scatters numbers over 32 bits."""


def toy_attempts(
    problems: int,
    strategies: Sequence[str],
    *,
    rounds: int = 1,
    draws: int = 2,
    right: float = 0.6,
    seed: int = 0,
) -> pl.DataFrame:
    """Every sample of a run that there was not, as a mixing policy sees it (`MixContext.attempts`).

    The teacher was asked for every problem under every strategy, the student in every round too: half of its samples
    chose their strategy freely, and some of these named none.

    Args:
        draws: samples of each problem, strategy, source and round.
        right: share of correct ones.
    """
    import polars as pl

    def texts(name: str, values: Sequence[str]) -> pl.DataFrame:
        return pl.DataFrame({name: values}, schema={name: pl.String})

    who = pl.DataFrame(
        {"source": ["teacher"] + ["student"] * rounds, "round": list(range(rounds + 1))},
        schema={"source": pl.String, "round": pl.Int32},
    )
    rows = (
        texts("problem_id", [f"p{number}" for number in range(problems)])
        .join(texts("strategy", strategies), how="cross")
        .join(who, how="cross")
        .join(pl.DataFrame({"draw": range(draws)}, schema={"draw": pl.Int32}), how="cross")
        .with_row_index("number")
    )
    luck = (pl.col("number").cast(pl.UInt64) * ODD + seed * 40_503 + 97) % 2**32  # each number once
    student = pl.col("source") == "student"
    free = student & (luck // 7 % 2 == 0)
    nameless = free & (luck // 11 % 10 == 0)
    correct = (luck % 10_000 < right * 10_000) & ~nameless
    rows = rows.with_columns(
        key=pl.format("{}", luck).str.zfill(32),
        requested=pl.when(free).then(None).otherwise(pl.col("strategy")),
        strategy=pl.when(nameless).then(None).otherwise(pl.col("strategy")),
        status=pl.when(correct).then(pl.lit(Status.CORRECT.value)).otherwise(pl.lit(Status.WRONG.value)),
        rationale_hash=pl.when(nameless).then(None).otherwise(luck // 13 % 1_000_003),
        prompt_tokens=pl.lit(30, pl.Int32),
        completion_tokens=(luck // 17 % 50 + 5).cast(pl.Int32),
        logprob=pl.when(student).then(-(luck // 19 % 1000).cast(pl.Float64) / 100 - 0.01),
    )
    categories = pl.col("strategy", "requested", "source", "status").cast(few())
    return ledger(rows.with_columns(pl.col("problem_id").cast(pl.Categorical), categories))


def toy_questions(attempts: pl.DataFrame) -> pl.DataFrame:
    """A question for each problem of such a table (`MixContext.questions`), some of them asked alike."""
    import polars as pl

    ids = attempts.select(pl.col("problem_id").cast(pl.String)).unique().sort("problem_id")
    number = pl.col("problem_id").str.slice(1).cast(pl.Int64)
    asked = (
        pl.when(number % 2 == 0)
        .then(pl.format("Ann has {} pens and buys {} more. How many pens does she have?", number, number + 2))
        .otherwise(pl.format("A box holds {} nails. How many nails do {} boxes hold?", number, number + 3))
    )
    return ids.with_columns(question=asked)
