"""A run at a glance: a few figures that stand above everything else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from siked_core.report.figure import percent
from siked_core.report.gathered import Gathered


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure."""

    name: str
    value: str
    small: str = ""


def lead(runs: Sequence[Gathered]) -> str:
    """What the page is about, in a sentence or two."""
    if len(runs) > 1:
        return "Two runs side by side: what they have in common, where they differ, and every figure of both."
    recipe, found = runs[0].run.recipe, runs[0]
    student = recipe.student.model if isinstance(recipe.student.model, str) else recipe.student.model.name
    about = (
        f"The student {student} learns {recipe.dataset.name} from the teacher {recipe.teacher.generator.name} under "
        f"{', '.join(recipe.strategy_names)}, mixed by {recipe.mixing.policy.name}."
    )
    if found.finished:
        return f"{about} Stopped: {found.finished['stopped']}."
    return f"{about} The run is not finished: this is what there is so far."


def tiles(found: Gathered) -> list[Tile]:
    """What is known of: accuracy, the teacher's share, samples, time and cost."""
    return list(_tiles(found))


def _tiles(found: Gathered) -> Iterator[Tile]:
    import polars as pl

    own = found.accuracies.filter(pl.col("dataset") == found.dataset)
    rounds = own.filter((pl.col("split") == "validation") & pl.col("round").is_not_null())
    if found.finished:
        yield Tile("Chosen round", str(found.finished["chosen_round"]), f"of {len(found.finished['rounds'])} trained")
    elif rounds.height:
        yield Tile("Rounds scored", str(rounds.height), "not finished")
    chosen = rounds.filter(pl.col("chosen")) if found.finished else rounds.sort("accuracy").tail(1)
    if chosen.height:
        row = chosen.row(0, named=True)
        yield Tile("Validation accuracy", percent(row["accuracy"]), _interval(row))
    tested = own.filter((pl.col("split") == "test") & pl.col("chosen"))
    if tested.height:
        row = tested.row(0, named=True)
        yield Tile("Test accuracy", percent(row["accuracy"]), _interval(row))
    mixed = found.rounds.filter(pl.col("alpha").is_not_null())
    if mixed.height:
        row = mixed.row(-1, named=True)
        yield Tile("Teacher’s share α", f"{row['alpha']:.2f}", f"of round {row['round']}’s mixture")
    right = sum(found.yields.get_column("correct"))
    judged = sum(found.yields.get_column("samples"))
    if judged:
        yield Tile("Training samples", f"{judged:,}", f"{percent(right / judged)} correct")
    seconds, cost = sum(found.stages.get_column("seconds")), sum(found.stages.get_column("cost"))
    if seconds:
        yield Tile("Work", _duration(seconds), f"{cost:,.2f} {found.run.recipe.prices.currency}" if cost else "free")


def _interval(row: dict[str, float]) -> str:
    low, high = f"{100 * row['low']:.1f}", f"{100 * row['high']:.1f}"
    return f"95 % {low} to {high}, of {row['total']:,}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
