"""All figures of a run, by section of its story."""

from __future__ import annotations

from dataclasses import dataclass

from siked_core.report.figure import Figure
from siked_core.report.figures_drawn import drawn
from siked_core.report.figures_scored import scored
from siked_core.report.figures_solved import solvable
from siked_core.report.figures_spent import spent
from siked_core.report.gathered import Gathered


@dataclass(frozen=True)
class Section:
    """A part of the story."""

    name: str
    short: str
    """For the page's navigation."""
    title: str
    figures: tuple[Figure, ...]


def sections(found: Gathered) -> list[Section]:
    """What the run has something for."""
    parts = [
        Section("accuracy", "Accuracy", "How accurate the student became, and how it chose", tuple(scored(found))),
        Section("solvability", "Solvability", "Who solves what, and how", tuple(solvable(found))),
        Section("data", "Data", "What was drawn, judged and trained on", tuple(drawn(found))),
        Section("spending", "Time and cost", "What it took", tuple(spent(found))),
    ]
    return [part for part in parts if part.figures]
