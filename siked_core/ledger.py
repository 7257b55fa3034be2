"""The samples of a run as a table for mixing policies: no texts, one row a sample.

Ten million rows fit into little memory: what repeats (problem, strategy, requested, source, status) is a categorical
column, which compares with plain text as a column of texts does.
"""

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

PLACE = ("problem_id", "strategy", "source")
"""What a mixture takes a fixed number of distinct rationales of."""


def few() -> pl.Categorical:
    """The type of a column with fewer than 256 different texts: a byte a row."""
    import polars as pl

    return pl.Categorical(pl.Categories("siked", physical=pl.UInt8))


def ledger(judged: pl.DataFrame) -> pl.DataFrame:
    """The ledger of samples with their verdicts, one each: pass rates added. Columns: `COLUMNS`."""
    import polars as pl

    group = ["problem_id", "strategy", "source", "round"]
    right = pl.col("status") == Status.CORRECT.value
    return judged.with_columns(pass_rate=right.mean().over(group)).select(*COLUMNS)


def ranked(attempts: pl.DataFrame, round: int) -> pl.DataFrame:
    """The samples that may be trained on in a round, each with its place among its (problem, strategy, source).

    Correct ones only; the teacher's, and those that the student drew in this very round; by draw. Added columns:
    `copies`, how many identical rationales there are; `first`, the key of the first of them, which stands for all;
    `rank`, 0 for the first distinct rationale and its copies, 1 for the next.
    """
    rows = _trainable(attempts, round)
    found = _distinct(rows)
    found = found.with_columns(first=rows.get_column("key")[found.get_column("row")]).drop("row")
    same = ["cell", "rationale_hash"]
    return (
        rows.with_columns(cell=_cell()).join(found, on=same, nulls_equal=True).drop("cell").sort(*PLACE, "draw", "key")
    )


def candidates(attempts: pl.DataFrame, round: int, keep: int) -> pl.DataFrame:
    """The rows that a mixing policy chooses from in a round.

    Those that may be trained on (`ranked`): identical rationales of one (problem, strategy, source) collapse to the
    first, whose column `copies` counts them; then the first `keep` of each are kept.
    """
    import polars as pl

    rows = _trainable(attempts, round)
    kept = _distinct(rows).filter(pl.col("rank") < keep)
    return rows[kept.get_column("row")].with_columns(kept.get_column("copies")).sort(*PLACE, "draw", "key")


def _trainable(attempts: pl.DataFrame, round: int) -> pl.DataFrame:
    import polars as pl

    of_this_round = (pl.col("source") == "teacher") | (pl.col("round") == round)
    return attempts.filter((pl.col("status") == Status.CORRECT.value) & of_this_round)


def _distinct(rows: pl.DataFrame) -> pl.DataFrame:
    """The distinct rationales of each (problem, strategy, source), by draw: `row`, where the first of those that are
    identical stands; `copies`, how many they are; `rank`, from 0; `cell` and `rationale_hash`, by which they are
    known. Numbers only: millions of rows are sorted here."""
    import polars as pl

    return (
        rows.select("draw", "key", "rationale_hash", cell=_cell())
        .with_row_index("row")
        .sort("cell", "draw", "key")
        .group_by("cell", "rationale_hash", maintain_order=True)
        .agg(pl.col("row").first(), copies=pl.len())
        .with_columns(rank=pl.col("row").cum_count().over("cell").cast(pl.Int32) - 1)
    )


def _cell() -> pl.Expr:
    """A number for each (problem, strategy, source)."""
    import polars as pl

    problem = pl.col("problem_id").cast(pl.Categorical).to_physical().cast(pl.UInt64)
    strategy, source = (
        pl.col(name).cast(few()).to_physical().cast(pl.UInt64).fill_null(255) for name in ("strategy", "source")
    )
    return (problem * 256 + strategy) * 256 + source
