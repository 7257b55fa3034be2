"""What KPOD computed for a training, in that training's folder: `rationales.parquet` and `schedule.json`.

Written once, whole, the table last; a training that is resumed reads it, and so does whoever wants to look at it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from siked_core import RunError, TrainingRow

TABLE, SUMMARY = "rationales.parquet", "schedule.json"
SCHEMA = {
    "mark": pl.String,  # of problem, strategy and text
    "key": pl.String,  # of the sample
    "problem_id": pl.String,
    "strategy": pl.String,
    "start": pl.Int32,  # tokens before the first of a step
    "step": pl.List(pl.Int32),  # of each token
    "weight": pl.List(pl.Float32),  # of each token
    "difficulty": pl.List(pl.Float64),  # of each step (nats)
    "cluster": pl.Int32,  # of the question
    "given": pl.List(pl.Int32),  # leading steps that are given, in each epoch
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One rationale's weights and schedule."""

    start: int
    step: tuple[int, ...]
    weight: tuple[float, ...]
    given: tuple[int, ...]


def mark_of(row: TrainingRow) -> str:
    """What a row is found by."""
    problem = row.problem.id if row.problem is not None else ""
    said = "\x00".join((problem, row.strategy, row.target))
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def write(folder: Path, table: Sequence[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Keep what was computed.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / SUMMARY, lambda path: path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8"))
        _replace(folder / TABLE, lambda path: framed(table).write_parquet(path))
    except OSError as error:
        raise RunError(
            f"Cannot write {folder}: {error.strerror or error}. Make room or permit writing, and run the same command "
            "again."
        ) from None


def framed(table: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(list(table), schema=SCHEMA)


def read(folder: Path | None) -> dict[str, Planned]:
    """What is there, by mark; nothing where it cannot be read, as it is then computed again."""
    if folder is None or not (folder / TABLE).exists():
        return {}
    try:
        return planned(pl.read_parquet(folder / TABLE))
    except (OSError, pl.exceptions.PolarsError):
        return {}


def planned(table: pl.DataFrame) -> dict[str, Planned]:
    """The rows of a table by their marks."""
    return {
        row["mark"]: Planned(row["start"], tuple(row["step"]), tuple(row["weight"]), tuple(row["given"]))
        for row in table.iter_rows(named=True)
    }


def _replace(path: Path, fill: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fill(temporary)
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(path)
