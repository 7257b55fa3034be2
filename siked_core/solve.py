"""Asking a trained student: the strategy it chooses, its rationale, and the answer that this leads to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core.contracts import Generator, Request, Strategy, Verifier
from siked_core.errors import ModelError, RecipeError, unknown
from siked_core.format import StudentFormat
from siked_core.keys import digest, seed_of
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.permission import permitted
from siked_core.records import Problem, Rationale, Sampling, Status, Unreadable, Verdict
from siked_core.registry import Registry


@dataclass(frozen=True, slots=True)
class Solution:
    """One answer of a student."""

    question: str
    strategy: str | None
    """The strategy that it chose, or was told to use; None where it named none."""
    text: str
    """What it wrote after the strategy's tag."""
    verdict: Verdict
    """`ANSWERED` with the answer, or why there is none."""


def find_student(path: Path) -> Path:
    """A student's folder from itself, or from the run that it belongs to (the round that the run chose).

    Raises:
        ModelError: there is none.
    """
    if (path / SIDE_FILE).exists():
        return path
    report = path / "report.json"
    if report.exists():
        chosen = json.loads(report.read_text(encoding="utf-8"))["chosen_round"]
        return path / "students" / f"round-{chosen}"
    students = sorted((path / "students").glob("round-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    if students:
        return students[-1]  # the run is not finished: its latest student
    raise ModelError(f"There is no trained student at {path}: give a run, or a student's folder (with {SIDE_FILE}).")


def solve(
    folder: Path,
    questions: Sequence[str],
    registry: Registry,
    *,
    strategy: str | None = None,
    max_tokens: int | None = None,
    allow_unsafe_exec: bool = False,
) -> list[Solution]:
    """Answer questions, greedily, with the student at `folder` (its own folder, or a run's).

    Args:
        strategy: force this one; None lets the student choose.
        allow_unsafe_exec: run the student's programs even where they cannot be caged. What its folder says of that
            counts for nothing: it may come from anywhere.

    Raises:
        ModelError: there is no student.
        RecipeError: the student was not trained on that strategy.
    """
    folder = find_student(folder)
    side = read_side_file(folder)
    strategies: dict[str, Strategy] = {
        entry["name"]: registry.create("strategy", entry["name"], entry["options"]) for entry in side["strategies"]
    }
    if strategy is not None and strategy not in strategies:
        raise RecipeError(unknown("strategy of this student", strategy, strategies))
    format = StudentFormat.build(tuple(strategies), side["tag"], "")
    generator: Generator = registry.create(
        "generator", side["generator"]["name"], {"model": str(folder), **side["generator"]["options"]}
    )
    forced = strategies[strategy] if strategy else None
    requests = []
    for number, question in enumerate(questions):
        problem = Problem(str(number), question, "")
        asked = forced.student_question(problem) if forced else question
        requests.append(Request(problem, forced, format.prompt(asked, strategy), 0, seed_of(digest(question))))
    texts = [""] * len(questions)
    try:
        for place, completion in generator.generate(requests, Sampling(max_tokens=max_tokens or side["max_tokens"])):
            texts[place] = completion.text
    finally:
        generator.close()
    return _judge(questions, texts, strategy, strategies, format, side, registry, allow_unsafe_exec)


def _judge(
    questions: Sequence[str],
    texts: Sequence[str],
    forced: str | None,
    strategies: dict[str, Strategy],
    format: StudentFormat,
    side: dict[str, Any],
    registry: Registry,
    allow_unsafe_exec: bool,
) -> list[Solution]:
    solutions: list[Solution] = []
    verifiers: dict[str, Verifier] = {}
    try:
        for question, text in zip(questions, texts, strict=True):
            used, rest = (forced, text) if forced else format.split(text)
            if used is None:
                verdict = Verdict(Status.UNREADABLE, why="it names none of its strategies")
                solutions.append(Solution(question, None, text, verdict))
                continue
            read: Rationale | Unreadable = strategies[used].parse(rest)
            if isinstance(read, Unreadable):
                verdict = Verdict(Status.UNREADABLE, why=read.why)
            else:
                if used not in verifiers:
                    name, options = side["verifiers"][used]
                    options = permitted(registry, name, options, unsafe=allow_unsafe_exec)
                    verifiers[used] = registry.create("verifier", name, options)
                verdict = verifiers[used].answers([read])[0]
            solutions.append(Solution(question, used, rest, verdict))
    finally:
        for verifier in verifiers.values():
            verifier.close()
    return solutions
