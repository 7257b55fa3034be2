"""The samples of a run as a table for mixing policies: no texts, one row a sample.

Ten million rows fit into little memory: what repeats (problem, strategy, requested, source, status) is a categorical
column, which compares with plain text as a column of texts does.
"""

from __future__ import annotations

import sys
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

DRAWS = ROUNDS = 2**16
"""So many draws, and rounds, are told apart by one number with their cell."""


def few() -> pl.Categorical:
    """The type of a column with fewer than 256 different texts: a byte a row."""
    import polars as pl

    return pl.Categorical(pl.Categories("siked", physical=pl.UInt8))


def ledger(judged: pl.DataFrame) -> pl.DataFrame:
    """The ledger of samples with their verdicts, one each: pass rates added. Columns: `COLUMNS`."""
    import polars as pl

    right = pl.col("status") == Status.CORRECT.value
    group = _cell() * ROUNDS + pl.col("round").cast(pl.UInt64)
    return judged.with_columns(pass_rate=right.mean().over(group)).select(*COLUMNS)


def ranked(attempts: pl.DataFrame, round: int, earlier: bool = False) -> pl.DataFrame:
    """The samples that may be trained on in a round, each with its place among its (problem, strategy, source).

    Correct ones only; the teacher's, and those that the student drew in this very round; by draw. Added columns:
    `copies`, how many identical rationales there are; `first`, the key of the first of them, which stands for all;
    `rank`, 0 for the first distinct rationale and its copies, 1 for the next.

    Args:
        earlier: those too that the student drew in earlier rounds, after this round's.
    """
    found = _distinct(attempts, round, sys.maxsize, earlier)
    first = attempts.get_column("key")[found.get_column("first")]
    rows = attempts[found.get_column("row")].with_columns(found.select("copies", "rank"), first=first)
    return rows.sort(*PLACE, "draw", "key")


def candidates(attempts: pl.DataFrame, round: int, keep: int | None, earlier: bool = False) -> pl.DataFrame:
    """The rows that a mixing policy chooses from in a round.

    Those that may be trained on (`ranked`): identical rationales of one (problem, strategy, source) collapse to the
    first, whose column `copies` counts them; then the first `keep` of each are kept (None: all). `hinted` is false:
    these samples are taken to be of a model that was not told the answer.
    """
    import polars as pl

    found = _distinct(attempts, round, sys.maxsize if keep is None else keep, earlier).filter(
        pl.col("row") == pl.col("first")
    )
    rows = attempts[found.get_column("row")].with_columns(found.get_column("copies"), hinted=pl.lit(False))
    return rows.sort(*PLACE, "draw", "key")


def _distinct(attempts: pl.DataFrame, round: int, keep: int, earlier: bool = False) -> pl.DataFrame:
    """The first `keep` distinct rationales of each (problem, strategy, source) that may be trained on, and all that
    repeat them: `row`, where a sample stands in `attempts`; `first`, where the first one with its rationale does;
    `copies`, how many there are of it; `rank`, from 0.

    Numbers only, and no hash tables: millions of rows are looked through.
    """
    import polars as pl

    in_time = pl.col("round") <= round if earlier else pl.col("round") == round
    allowed = (pl.col("source") == "teacher") | in_time
    order = _cell() * DRAWS + pl.col("draw").clip(upper_bound=DRAWS - 1).cast(pl.UInt64)
    left = (
        attempts.lazy()
        .with_row_index("row")
        .filter((pl.col("status") == Status.CORRECT.value) & allowed)
        .select("row", "rationale_hash", order=order)
        .sort("order")
        .collect()
    )
    left = left.with_columns(cell=pl.col("order") // DRAWS)
    if left.select((pl.col("order") == pl.col("order").shift()).any()).item() or earlier:
        by = ["cell", "round", "draw", "key"]
        left = left.with_columns(attempts.select(by[1:])[left.get_column("row")]).sort(
            by, descending=[False, True, False, False]
        )
    left = left.select("row", "rationale_hash", "cell")
    found = []
    for rank in range(keep):  # what is now the first of its cell, and its copies, are taken away
        begins = pl.col("cell").ne_missing(pl.col("cell").shift()) | (pl.int_range(pl.len()) == 0)
        start = pl.when(begins).then(pl.int_range(pl.len(), dtype=pl.UInt32)).forward_fill().set_sorted()
        left = left.with_columns(start=start)
        same = pl.col("rationale_hash").eq_missing(pl.col("rationale_hash").gather("start"))
        taken = left.with_columns(first=pl.col("row").gather("start")).filter(same)
        found.append(taken.select("row", "first", copies=pl.len().over("start"), rank=pl.lit(rank, pl.Int32)))
        left = left.filter(~same)
        if left.is_empty():
            break
    return pl.concat(found)


def _cell() -> pl.Expr:
    """A number below 2^48 for each (problem, strategy, source)."""
    import polars as pl

    problem = pl.col("problem_id").cast(pl.Categorical).to_physical().cast(pl.UInt64)
    strategy, source = (
        pl.col(name).cast(few()).to_physical().cast(pl.UInt64).fill_null(255) for name in ("strategy", "source")
    )
    return (problem * 256 + strategy) * 256 + source
