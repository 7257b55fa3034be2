"""Which samples of a run's teacher pool were brought in from files, and who wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from siked_core.pool import read_parquet
from siked_core.run import Run
from siked_core.stages.prepare import problems

if TYPE_CHECKING:
    import polars as pl

POOL = "teacher"
"""The pool that files are brought into."""
COLUMNS = ("key", "problem_id", "strategy", "teacher", "file", "where")


def imports_file(run: Run) -> Path:
    return run.path / "imports" / f"{POOL}.parquet"


def imported(run: Run) -> pl.DataFrame:
    """Every sample that was ever brought in: its key, problem and strategy, who wrote it (empty where the file does
    not say), and the file and place that it came from. Columns: `COLUMNS`, all texts."""
    import polars as pl

    path = imports_file(run)
    return read_parquet(path) if path.exists() else pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String))


def with_imported(run: Run, pool: str, wanted: pl.DataFrame) -> pl.DataFrame:
    """The wanted keys of a pool, and behind them those of imported samples that fit the present recipe: of its
    training problems, under its strategies."""
    import polars as pl

    if pool != POOL or not imports_file(run).exists():
        return wanted
    known = [problem.id for problem in problems(run, "train")]
    fitting = imported(run).filter(
        pl.col("problem_id").is_in(known) & pl.col("strategy").is_in(list(run.recipe.strategy_names))
    )
    return pl.concat([wanted, fitting.select("key")]).unique(maintain_order=True)
