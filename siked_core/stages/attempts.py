"""Every sample of a pool with its verdict, and without its texts: what the ledger is made of.

A run may hold ten million samples. Of what they wrote only the stand-ins are read (`siked_core.stand_ins`), names that
repeat are kept once (Polars categories), and samples are matched with verdicts by 64-bit hashes of what both are known
by, so that no joined table ever holds a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from siked_core.contracts import Verifier
from siked_core.imported import with_imported
from siked_core.ledger import few
from siked_core.run import Run
from siked_core.stages.evidence import asked_of, judge, present_judges, whole, with_evidence_on
from siked_core.stages.generate import split_of, used_strategy, wanted_of
from siked_core.stages.prepare import problems

if TYPE_CHECKING:
    import polars as pl


def attempts_of(
    run: Run, pool: str, verifiers: Mapping[str, Verifier], asked: pl.DataFrame | None = None
) -> pl.DataFrame:
    """The samples of a pool that the present recipe asks for, in its order, each with the present judges' verdict.

    Columns: those of `siked_core.ledger.COLUMNS`, without the pass rate; `status` is null where there is no verdict.

    Args:
        asked: what the pool's problems asked (`asked_of`), from a caller that has several pools of them.

    Raises:
        RunError: the pool has not been filled, or a shard is damaged.
    """
    import polars as pl

    wanted = with_imported(run, pool, wanted_of(run, pool)).select(sample=pl.col("key").hash())
    if asked is None:
        dataset, split = split_of(run, pool)
        asked = asked_of(problems(run, split, dataset))
    samples = _samples(run, pool, verifiers, asked)
    if not samples.get_column("sample").equals(wanted.get_column("sample")):
        latest = samples.select("sample").with_row_index("place").unique("sample", keep="last")
        places = wanted.join(latest, on="sample", how="inner", maintain_order="left").get_column("place")
        samples = samples[places]
    known_by, samples = samples.select("verdict").rechunk(), samples.drop("sample", "verdict")
    verdicts = _verdicts(run, pool)
    found = known_by.join(verdicts, on="verdict", how="left", maintain_order="left")
    if found.height > samples.height:  # there is more than one verdict on the same
        latest = verdicts.unique("verdict", keep="last")
        found = known_by.join(latest, on="verdict", how="left", maintain_order="left")
    return samples.with_columns(found.drop("verdict"))


def _samples(run: Run, pool: str, verifiers: Mapping[str, Verifier], asked: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    kept = [
        "key",
        "problem_id",
        "requested",
        "source",
        "round",
        "draw",
        "prompt_tokens",
        "completion_tokens",
        "logprob",
    ]
    column, strategy = used_strategy(run.format)
    scanned = run.pool(pool).scan([*kept, "text_hash", column]).with_columns(strategy=strategy).drop(column)
    judges = present_judges(run, verifiers)
    return (
        with_evidence_on(asked, scanned, whole(verifiers))
        .select(
            *kept,
            "strategy",
            sample=pl.col("key").hash(),
            verdict=pl.concat_str("key", judge(judges), "evidence", separator=" ").hash(),
        )
        .with_columns(pl.col("problem_id").cast(pl.Categorical), pl.col("strategy", "requested", "source").cast(few()))
        .collect(engine="streaming")
    )


def _verdicts(run: Run, pool: str) -> pl.DataFrame:
    """One row a verdict: what it is known by, as a hash, and what it says."""
    import polars as pl

    return (
        run.verdicts(pool)
        .scan(["key", "judge", "evidence", "status", "rationale_hash"])
        .filter(pl.col("evidence").is_not_null())
        .select("status", "rationale_hash", verdict=pl.concat_str("key", "judge", "evidence", separator=" ").hash())
        .with_columns(pl.col("status").cast(few()))
        .collect(engine="streaming")
        .rechunk()
    )
