"""What became of each question that a student was scored on: a line of JSON each, beside its scorecard.

A scorecard counts these lines; who compares two students problem by problem reads them, and no sample.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.run import Run


@dataclass(frozen=True, slots=True)
class Result:
    """One question."""

    problem_id: str
    right: bool
    """Whether the answer that the selector chose is the gold one."""
    strategy: str | None
    """The strategy of that answer; None where the student named none."""
    answer: str
    """Empty where there is none."""
    status: str
    own: bool
    """Whether the student's own choice, greedy, is right."""
    forced: Mapping[str, bool] = field(default_factory=dict)
    """Strategy -> whether its answer is right when it is forced; those that were asked for."""


def scorecard_file(run: Run, student: str, dataset: str, split: str) -> Path:
    return run.path / "scorecards" / f"{student}.{dataset}-{split}.json"


def results_file(run: Run, student: str, dataset: str, split: str) -> Path:
    return run.path / "scorecards" / f"{student}.{dataset}-{split}.jsonl"


def write_results(path: Path, results: Sequence[Result]) -> None:
    write_text(path, "".join(f"{json.dumps(asdict(one), ensure_ascii=False)}\n" for one in results))


def results_of(run: Run, student: str, dataset: str, split: str) -> list[Result]:
    """What a student's scorecard counts, in the order of the problems.

    Raises:
        RunError: it has not been scored there, or the file is damaged.
    """
    path = results_file(run, student, dataset, split)
    try:
        return [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise RunError(
            f"{student} of {run.path} has not been scored on {dataset} {split}: "
            f"siked evaluate {run.name} --student {student} --dataset {dataset} --split {split}"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise RunError(
            f"Cannot read {path}: {' '.join(str(error).split())}. Remove it; `siked evaluate` writes it again."
        ) from None
