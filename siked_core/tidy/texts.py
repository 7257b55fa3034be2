"""Single samples with their texts: what was asked, what was written, how it was judged, what it was used for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core.run import Run
from siked_core.stages.generate import split_of
from siked_core.stages.prepare import problems
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.mixed import each_mixture

if TYPE_CHECKING:
    import polars as pl


def samples(run: Run, attempts: pl.DataFrame, limit: int | None = None) -> pl.DataFrame:
    """Single samples, in the order in which they were asked for. Columns: `COLUMNS["samples"]`.

    Args:
        attempts: the run's (`siked_core.tidy.attempts`).
        limit: so many at the most. Keys are hashes, so those with the lowest are a random draw of all, and the same
            one each time.

    Raises:
        RunError: a shard or a mixture is damaged.
    """
    import polars as pl

    table = attempts.with_row_index("place")
    if limit is not None and table.height > limit:
        table = table.sort("key").head(limit).sort("place")
    table = table.with_columns(pl.col("pool", "family", "strategy", "requested", "source", "status").cast(pl.String))
    parts = [_with_texts(run, str(pool), part) for (pool,), part in table.group_by("pool", maintain_order=True)]
    if not parts:
        counts = dict.fromkeys(("round", "draw", "prompt_tokens", "completion_tokens"), pl.Int32)
        other = {**counts, "logprob": pl.Float64, "mixtures": pl.List(pl.String)}
        return pl.DataFrame(schema={name: other.get(name, pl.String) for name in COLUMNS["samples"]})
    found = pl.concat(parts)
    return (
        found.join(_mixtures(run), on="key", how="left", maintain_order="left")
        .with_columns(pl.col("mixtures").fill_null(pl.lit([], dtype=pl.List(pl.String))))
        .select(*COLUMNS["samples"])
    )


def _with_texts(run: Run, pool: str, part: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    keys = part.get_column("key").implode()
    texts = (
        run.pool(pool)
        .scan(["key", "text", "finish_reason"])
        .filter(pl.col("key").is_in(keys))
        .collect(engine="streaming")
        .unique("key", keep="last")
    )
    known_by = ["key", "status", "rationale_hash"]
    words = (
        run.verdicts(pool)
        .scan([*known_by, "answer", "why", "rationale"])
        .filter(pl.col("key").is_in(keys))
        .collect(engine="streaming")
        .unique(known_by, keep="last")
    )
    dataset, split = split_of(run, pool)
    asked = pl.DataFrame(
        [(one.id, one.question, one.answer) for one in problems(run, split, dataset)],
        schema={"problem_id": pl.String, "question": pl.String, "gold": pl.String},
        orient="row",
    )
    return (
        part.join(texts, on="key", how="left", maintain_order="left")
        .join(words, on=known_by, how="left", nulls_equal=True, maintain_order="left")
        .join(asked, on="problem_id", how="left", maintain_order="left")
    )


def _mixtures(run: Run) -> pl.DataFrame:
    """key -> the mixtures that a sample is in, also where a transform made one row of several samples."""
    import polars as pl

    parts = [pl.DataFrame(schema={"key": pl.String, "mixture": pl.String})]
    for table in each_mixture(run):
        mixture = pl.col("student").alias("mixture")
        parts.append(table.select("key", mixture))
        if "merged" in table.columns:
            merged = table.select(pl.col("merged").alias("key"), mixture).explode("key").drop_nulls("key")
            parts.append(merged.select("key", "mixture"))
    return pl.concat(parts).unique(maintain_order=True).group_by("key", maintain_order=True).agg(mixtures="mixture")
