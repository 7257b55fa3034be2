"""Tables of what students were trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from siked_core.pool import read_parquet
from siked_core.run import Run
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.scored import in_order, round_of

if TYPE_CHECKING:
    import polars as pl


def mixtures(run: Run) -> pl.DataFrame:
    """The rows that each student is trained on. Columns: `COLUMNS["mixtures"]`.

    Raises:
        RunError: a mixture is damaged.
    """
    import polars as pl

    other = {"round": pl.Int32, "weight": pl.Float64}
    empty = pl.DataFrame(schema={name: other.get(name, pl.String) for name in COLUMNS["mixtures"]})
    parts = [table.select(*COLUMNS["mixtures"]) for table in each_mixture(run)]
    return pl.concat(parts) if parts else empty


def composition(run: Run) -> pl.DataFrame:
    """How many of them are by which strategy and from whom. Columns: `COLUMNS["composition"]`.

    Mixtures are read one after another, and of none but this is kept.

    Raises:
        RunError: a mixture is damaged.
    """
    import polars as pl

    numbers = {"round": pl.Int64, "rows": pl.Int64, "weight": pl.Float64, "share": pl.Float64}
    parts = [pl.DataFrame(schema={name: numbers.get(name, pl.String) for name in COLUMNS["composition"]})]
    for table in each_mixture(run):
        counted = (
            table.group_by("student", "strategy", "source")
            .agg(rows=pl.len().cast(pl.Int64), weight=pl.col("weight").sum().cast(pl.Float64))
            .sort("strategy", "source")
            .with_columns(
                round=pl.col("student").map_elements(round_of, return_dtype=pl.Int64),
                share=pl.col("rows") / pl.col("rows").sum(),
            )
        )
        parts.append(counted.select(*COLUMNS["composition"]))
    return pl.concat(parts)


def each_mixture(run: Run) -> Iterator[pl.DataFrame]:
    """What is in each mixture's file, with the name of the student that is trained on it; rounds first."""
    import polars as pl

    for path in sorted((run.path / "mixtures").glob("*.parquet"), key=lambda path: in_order(path.stem)):
        yield read_parquet(path).with_columns(student=pl.lit(path.stem))
