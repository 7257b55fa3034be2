"""Two recipes side by side, each with several seeds: their chosen students on the test questions that all were asked.

The interval is a bootstrap over the questions and over each side's seeds (`siked_core.paired.PairedSeeds`). With two or
three seeds it can only be rough: a handful of seeds says little of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from siked_core.comparison import answers_by_question, chosen_student
from siked_core.errors import RunError
from siked_core.paired import PairedSeeds
from siked_core.run import Run


@dataclass(frozen=True, slots=True)
class SeedsScore:
    """On one test split."""

    dataset: str
    paired: PairedSeeds

    def as_dict(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "split": "test", **self.paired.as_dict()}


@dataclass(frozen=True, slots=True)
class SeedsComparison:
    a: tuple[str, ...]
    """Runs: their directories."""
    b: tuple[str, ...]
    scores: tuple[SeedsScore, ...]
    notes: tuple[str, ...]
    """What could not be compared, and why."""

    def as_dict(self) -> dict[str, Any]:
        scores = [one.as_dict() for one in self.scores]
        return {"runs": {"a": list(self.a), "b": list(self.b)}, "scores": scores, "notes": list(self.notes)}


def compare_seeds(a: Sequence[Run], b: Sequence[Run]) -> SeedsComparison:
    """Set several runs beside several others.

    Raises:
        RunError: one of them is not finished.
    """
    both = (*a, *b)
    for run in both:
        if chosen_student(run) is None:
            raise RunError(f"The run {run.path} is not finished, so it has chosen no student to compare.")
    names = [run.recipe.dataset.name for run in both] + [one.name for run in both for one in run.recipe.evaluate]
    scores, notes = [], []
    for dataset in dict.fromkeys(names):
        try:
            answers = [answers_by_question(run, (str(chosen_student(run)), dataset, "test")) for run in both]
        except RunError as error:
            notes.append(f"{dataset} test: {error}")
            continue
        shared = [one for one in answers[0] if all(one in others for others in answers)]
        if not shared:
            notes.append(f"The runs were asked different {dataset} test questions.")
            continue
        rows = tuple(tuple(one[question] for question in shared) for one in answers)
        scores.append(SeedsScore(dataset, PairedSeeds(rows[: len(a)], rows[len(a) :])))
    return SeedsComparison(
        tuple(str(run.path) for run in a), tuple(str(run.path) for run in b), tuple(scores), tuple(notes)
    )
