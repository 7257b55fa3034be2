"""The samples of a run as a table for mixing policies: no texts, one row a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core.records import Status

if TYPE_CHECKING:
    import polars as pl

COLUMNS: dict[str, str] = {
    "key": "the sample's key",
    "problem_id": "the problem",
    "strategy": "the strategy that was used; null where no known tag was written",
    "requested": "the strategy that was asked for; null where the student chose",
    "source": "teacher or student",
    "round": "0 for the teacher; otherwise the round that the sample was drawn in",
    "draw": "0, 1, 2, ... among the samples of one prompt",
    "status": "the verdict (siked_core.Status)",
    "rationale_hash": "equal for equal rationales; null where the text could not be read",
    "prompt_tokens": "tokens of the prompt",
    "completion_tokens": "tokens of the completion",
    "logprob": "sum of the completion's token log-probabilities (nats); null where not known",
    "pass_rate": "share of correct samples among those of the same problem, strategy, source and round",
}


def ledger(judged: pl.DataFrame) -> pl.DataFrame:
    """The ledger of samples with their verdicts, one each: pass rates added, texts left out. Columns: `COLUMNS`."""
    import polars as pl

    group = ["problem_id", "strategy", "source", "round"]
    return judged.with_columns(
        rationale_hash=pl.col("rationale").hash(seed=0),
        pass_rate=(pl.col("status") == Status.CORRECT.value).mean().over(group),
    ).select(*COLUMNS)


def ranked(attempts: pl.DataFrame, round: int) -> pl.DataFrame:
    """The samples that may be trained on in a round, each with its place among its (problem, strategy, source).

    Correct ones only; the teacher's, and those that the student drew in this very round; by draw. Added columns:
    `copies`, how many identical rationales there are; `first`, the key of the first of them, which stands for all;
    `rank`, 0 for the first distinct rationale, 1 for the next (of those that stand for others; not of their copies).
    """
    import polars as pl

    place = ["problem_id", "strategy", "source"]
    same = [*place, "rationale_hash"]
    return (
        attempts.filter(
            (pl.col("status") == Status.CORRECT.value) & ((pl.col("source") == "teacher") | (pl.col("round") == round))
        )
        .sort([*place, "draw", "key"])
        .with_columns(copies=pl.len().over(same), first=pl.col("key").first().over(same))
        .with_columns(rank=(pl.col("key") == pl.col("first")).cast(pl.Int32).cum_sum().over(place) - 1)
    )


def candidates(attempts: pl.DataFrame, round: int, keep: int) -> pl.DataFrame:
    """The rows that a mixing policy chooses from in a round.

    Those that may be trained on (`ranked`): identical rationales of one (problem, strategy, source) collapse to the
    first, whose column `copies` counts them; then the first `keep` of each are kept.
    """
    import polars as pl

    return (
        ranked(attempts, round)
        .filter((pl.col("key") == pl.col("first")) & (pl.col("rank") < keep))
        .drop("first", "rank")
    )
