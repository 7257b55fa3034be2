"""Asking a trained student: the strategy it chooses, its rationale, and the answer that this leads to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
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


class Reader:
    """Reads and judges what a student writes, as its side file says. Closed by its owner."""

    def __init__(self, side: Mapping[str, Any], registry: Registry, allow_unsafe_exec: bool = False) -> None:
        """
        Args:
            side: the content of its side file.
            allow_unsafe_exec: run its programs even where they cannot be caged. What the side file says of that
                counts for nothing: it may come from anywhere.
        """
        self._side, self._registry, self._unsafe = side, registry, allow_unsafe_exec
        self.strategies: dict[str, Strategy] = {
            entry["name"]: registry.create("strategy", entry["name"], entry["options"]) for entry in side["strategies"]
        }
        self.format = StudentFormat.build(tuple(self.strategies), side["tag"], "")
        self._verifiers: dict[str, Verifier] = {}

    def read(self, question: str, text: str, forced: str | None = None) -> Solution:
        """What a completion comes to.

        Args:
            forced: the strategy that the student was told to use; the completion then has no tag.
        """
        used, rest = (forced, text) if forced else self.format.split(text)
        if used is None:
            return Solution(question, None, text, Verdict(Status.UNREADABLE, why="it names none of its strategies"))
        read: Rationale | Unreadable = self.strategies[used].parse(rest)
        if isinstance(read, Unreadable):
            return Solution(question, used, rest, Verdict(Status.UNREADABLE, why=read.why))
        return Solution(question, used, rest, self._verifier(used).answers([read])[0])

    def is_right(self, solution: Solution, gold: str) -> bool:
        """Whether its answer is the gold one, as the strategy's verifier compares them."""
        if solution.strategy is None or solution.verdict.status is not Status.ANSWERED:
            return False
        found = self._verifier(solution.strategy).compare(solution.verdict.answer, gold)
        return found.status is Status.CORRECT

    def close(self) -> None:
        """End what the verifiers have started."""
        while self._verifiers:
            self._verifiers.popitem()[1].close()

    def _verifier(self, strategy: str) -> Verifier:
        if strategy not in self._verifiers:
            name, options = self._side["verifiers"][strategy]
            options = permitted(self._registry, name, options, unsafe=self._unsafe)
            self._verifiers[strategy] = self._registry.create("verifier", name, options)
        return self._verifiers[strategy]


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
        allow_unsafe_exec: run the student's programs even where they cannot be caged.

    Raises:
        ModelError: there is no student.
        RecipeError: the student was not trained on that strategy.
    """
    folder = find_student(folder)
    side = read_side_file(folder)
    with closing(Reader(side, registry, allow_unsafe_exec)) as reader:
        if strategy is not None and strategy not in reader.strategies:
            raise RecipeError(unknown("strategy of this student", strategy, reader.strategies))
        forced = reader.strategies[strategy] if strategy else None
        requests = []
        for number, question in enumerate(questions):
            problem = Problem(str(number), question, "")
            asked = forced.student_question(problem) if forced else question
            prompt = reader.format.prompt(asked, strategy)
            requests.append(Request(problem, forced, prompt, 0, seed_of(digest(question))))
        options = {"model": str(folder), **side["generator"]["options"]}
        generator: Generator = registry.create("generator", side["generator"]["name"], options)
        texts = [""] * len(questions)
        with closing(generator):
            sampling = Sampling(max_tokens=max_tokens or side["max_tokens"])
            for place, completion in generator.generate(requests, sampling):
                texts[place] = completion.text
        return [reader.read(question, text, strategy) for question, text in zip(questions, texts, strict=True)]
