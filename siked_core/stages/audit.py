"""Two judges on the same samples: where they differ, and what that touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from siked_core.pool import read_parquet, write_parquet
from siked_core.recipe_choice import PluginChoice
from siked_core.run import Run
from siked_core.stages.verify import verdicts_of, verify


@dataclass(frozen=True, slots=True)
class Flip:
    """A sample on which the judges differ."""

    key: str
    problem_id: str
    strategy: str
    before: str
    """The status that the run's own judge gave."""
    after: str
    answer: str
    why: str
    mixtures: tuple[str, ...]
    """The mixtures that the sample went into: what the difference may have taught."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What a second judge says of a pool."""

    pool: str
    samples: int
    confusion: Mapping[str, Mapping[str, int]]
    """Status by the run's judge -> status by the other one -> samples."""
    flips: tuple[Flip, ...]
    """The samples whose status differs."""
    precision: float | None
    """Of what the other judge accepts, the share that the run's judge accepts; None where it accepts nothing."""
    coverage: float | None
    """Of what the run's judge accepts, the share that the other one accepts; None where it accepts nothing."""
    table: str
    """A Parquet file with every sample and both verdicts."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def audit(
    run: Run,
    pool: str,
    verifiers: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
    *,
    allow_unsafe_exec: bool = False,
) -> Audit:
    """Judge a pool by other verifiers as well, and compare. The run's own verdicts and recipe stay as they are.

    Args:
        verifiers: strategy to the verifier that judges it the second time; the others keep theirs.
        options: of those verifiers.
        allow_unsafe_exec: the second time, programs may run even where they cannot be caged.
    """
    import polars as pl

    second = {strategy: PluginChoice(name=name, options=dict(options or {})) for strategy, name in verifiers.items()}
    choices = {**run.recipe.verifiers, **second}
    changes = {"verifiers": choices, "allow_unsafe_exec": allow_unsafe_exec or run.recipe.allow_unsafe_exec}
    other = replace(run, recipe=run.recipe.model_copy(update=changes))
    verify(run, pool)
    verify(other, pool)
    names = ["key", "status", "answer", "why"]
    both = verdicts_of(run, pool).join(verdicts_of(other, pool).select(names), on="key", suffix="_other")
    entered = _mixtures(run)
    flips = [
        Flip(
            row["key"],
            row["problem_id"],
            row["strategy"] or "",
            row["status"],
            row["status_other"],
            row["answer_other"] or row["answer"],
            row["why_other"] or row["why"],
            tuple(name for name, keys in entered.items() if row["key"] in keys),
        )
        for row in both.filter(pl.col("status") != pl.col("status_other")).iter_rows(named=True)
    ]
    confusion: dict[str, dict[str, int]] = {}
    for before, after, count in (
        both.group_by("status", "status_other").len().sort("status", "status_other").iter_rows()
    ):
        confusion.setdefault(before, {})[after] = count
    agreed = confusion.get("correct", {}).get("correct", 0)
    accepted = sum(row.get("correct", 0) for row in confusion.values())
    right = sum(confusion.get("correct", {}).values())
    path = run.path / "audits" / f"{pool}.parquet"
    write_parquet(both, path)
    return Audit(
        pool=pool,
        samples=both.height,
        confusion=confusion,
        flips=tuple(flips),
        precision=agreed / accepted if accepted else None,
        coverage=agreed / right if right else None,
        table=str(path),
    )


def _mixtures(run: Run) -> dict[str, set[str]]:
    return {
        path.stem: set(read_parquet(path).get_column("key"))
        for path in sorted((run.path / "mixtures").glob("*.parquet"))
    }
