"""Single samples with their texts: what was asked, what was written, how it was judged, what it was used for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core.pool import read_parquet
from siked_core.run import Run
from siked_core.stages.generate import split_of
from siked_core.stages.prepare import problems
from siked_core.tidy.scored import in_order

if TYPE_CHECKING:
    import polars as pl

SAMPLES: dict[str, str] = {
    "key": "the sample's key, as `siked why` takes it",
    "pool": '"teacher", "round-1", ..., "evaluations/STUDENT/DATASET-SPLIT"',
    "problem_id": "the problem",
    "family": "of the problem; empty where the data set has no such thing",
    "question": "the problem's",
    "gold": "the gold answer; empty where none is known",
    "requested": "the strategy that was asked for; null where the student chose",
    "strategy": 'the strategy that was used; "(no tag)" where no known tag was written',
    "source": "teacher or student",
    "round": "0 for the teacher; otherwise the round that the sample was drawn in",
    "draw": "0, 1, 2, ... among the samples of one prompt",
    "text": "as it was written, without the prompt",
    "rationale": "as the strategy reads it; null where it cannot",
    "status": "the verdict (siked_core.Status); null while there is none",
    "answer": "the answer that was found: what a program printed, what equations solve to, or what a text states",
    "why": "the verifier's one line",
    "finish_reason": "stop, length (cut off at its limit of tokens) or refused",
    "prompt_tokens": "tokens of the prompt",
    "completion_tokens": "tokens of the completion",
    "mixtures": "the mixtures that it is in",
}


def samples(run: Run, attempts: pl.DataFrame, limit: int | None = None) -> pl.DataFrame:
    """Single samples, in the order in which they were asked for. Columns: `SAMPLES`.

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
        other = {**counts, "mixtures": pl.List(pl.String)}
        return pl.DataFrame(schema={name: other.get(name, pl.String) for name in SAMPLES})
    found = pl.concat(parts)
    return (
        found.join(_mixtures(run), on="key", how="left", maintain_order="left")
        .with_columns(pl.col("mixtures").fill_null(pl.lit([], dtype=pl.List(pl.String))))
        .select(*SAMPLES)
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
    for path in sorted((run.path / "mixtures").glob("*.parquet"), key=lambda path: in_order(path.stem)):
        table = read_parquet(path).with_columns(mixture=pl.lit(path.stem))
        parts.append(table.select("key", "mixture"))
        if "merged" in table.columns:
            merged = table.select(pl.col("merged").alias("key"), "mixture").explode("key").drop_nulls("key")
            parts.append(merged.select("key", "mixture"))
    return pl.concat(parts).unique(maintain_order=True).group_by("key", maintain_order=True).agg(mixtures="mixture")
