"""Measuring how varied a round's samples are, from the pool that they are in.

Rationales are told apart by their hashes, without their texts. For 3-grams, the texts of a bounded part are read: those
of the lowest hashes, which is the same part whenever it is asked for, and as good as drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from siked_core.diversity import WORDS, Distinct, Diversity, distinct_ngrams, entropy
from siked_core.finished import Finished
from siked_core.records import Status
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.attempts import attempts_of
from siked_core.stages.evidence import NO_TAG

TEXTS = WORDS // 5
"""Rationales of a strategy that are read at the most: hardly one has fewer than five words."""


def diversity(run: Run, round: int, pool: PoolSummary, choices: Mapping[str, int]) -> Diversity:
    """How varied the student of a round is, and the samples that were drawn for it.

    Args:
        pool: the round's.
        choices: how often its student names each strategy on validation, or none.
    """
    named = entropy({name: count for name, count in choices.items() if name != NO_TAG})
    asked = sum(choices.values())
    if round == 0:
        return Diversity(named, questions=asked)
    paths, distinct = _of_samples(run, f"round-{round}")
    solved = pool.problems_solved / pool.problems if pool.problems else None
    return Diversity(named, solved, paths, distinct, asked, pool.problems)


def _of_samples(run: Run, pool: str) -> tuple[float | None, dict[str, Distinct]]:
    import polars as pl

    finished = Finished(run, f"diversity {pool}", pools=[pool])
    if (kept := finished.outcome()) is not None:
        return kept["paths"], {name: Distinct(**one) for name, one in kept["distinct"].items()}
    with run.verifiers() as verifiers:
        table = attempts_of(run, pool, verifiers).filter(pl.col("rationale_hash").is_not_null())
    right = table.filter(pl.col("status") == Status.CORRECT.value)
    cells = right.group_by("problem_id").agg(paths=pl.struct("strategy", "rationale_hash").n_unique())
    mean = cells.get_column("paths").mean()
    paths = float(mean) if isinstance(mean, int | float) else None
    lowest = {
        name: table.filter(pl.col("strategy") == name).get_column("rationale_hash").unique().sort().head(TEXTS)
        for name in run.recipe.strategy_names
    }
    wanted = pl.concat(list(lowest.values())).unique().implode()
    texts = dict(
        run.verdicts(pool)
        .scan(["rationale_hash", "rationale"])
        .filter(pl.col("rationale_hash").is_in(wanted))
        .collect(engine="streaming")
        .unique("rationale_hash")
        .select("rationale_hash", "rationale")
        .iter_rows()
    )
    found = {name: distinct_ngrams(texts[one] for one in hashes if one in texts) for name, hashes in lowest.items()}
    distinct = {name: one for name, one in found.items() if one is not None}
    finished.keep({"paths": paths, "distinct": {name: asdict(one) for name, one in distinct.items()}})
    return paths, distinct
