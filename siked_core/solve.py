"""What a trained student wrote, read and judged: its strategy, its rationale, and the answer that this leads to.

`siked_core.solver` asks it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from siked_core.contracts import Strategy, Verifier
from siked_core.equal_answers import groups
from siked_core.errors import ModelError
from siked_core.format import StudentFormat
from siked_core.models import SIDE_FILE
from siked_core.permission import permitted
from siked_core.reasoning import ReasoningRecipe, read
from siked_core.records import Rationale, Status, Unreadable, Verdict
from siked_core.registry import Registry


@dataclass(frozen=True, slots=True)
class Try:
    """One of several attempts that an answer was chosen from."""

    told: str | None
    """The strategy that it was told to use; None where it was left to choose."""
    strategy: str | None
    text: str
    verdict: Verdict
    agrees: bool | None
    """Whether its answer is the one that was given; None where it has none."""


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
    attempts: tuple[Try, ...] = ()
    """All that the selector chose among, this one too, in the order of its plan; none where there was but this one."""

    @property
    def answer(self) -> str | None:
        """What the rationale comes to, its program executed and its equations solved; None where there is no answer."""
        return self.verdict.answer if self.verdict.status is Status.ANSWERED else None

    @property
    def disagreeing(self) -> tuple[str, ...]:
        """The strategies of the attempts that came to another answer, each once."""
        return tuple(dict.fromkeys(one.strategy or "(no tag)" for one in self.attempts if one.agrees is False))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


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
        self._reasoning = ReasoningRecipe.model_validate(side["reasoning"]) if side.get("reasoning") else None
        self._verifiers: dict[str, Verifier] = {}

    def read(self, question: str, text: str, forced: str | None = None) -> Solution:
        """What a completion comes to.

        Args:
            forced: the strategy that the student was told to use; the completion then has no tag.
        """
        return self.read_all([(question, text, forced)])[0]

    def read_all(self, written: Sequence[tuple[str, str, str | None]]) -> list[Solution]:
        """The same of many completions (question, text, forced): each strategy's are judged together."""
        solutions: list[Solution] = []
        readable: dict[str, list[tuple[int, Rationale]]] = {}
        for place, (question, text, forced) in enumerate(written):
            used, rest = (forced, text) if forced else self.format.split(text)
            if used is None:
                verdict = Verdict(Status.UNREADABLE, why="it names none of its strategies")
                solutions.append(Solution(question, None, text, verdict))
                continue
            found = read(self.strategies[used], rest, self._reasoning)
            why = found.why if isinstance(found, Unreadable) else ""
            solutions.append(Solution(question, used, rest, Verdict(Status.UNREADABLE, why=why)))
            if not isinstance(found, Unreadable):
                readable.setdefault(used, []).append((place, found))
        for strategy, rationales in readable.items():
            verdicts = self._verifier(strategy).answers([rationale for _, rationale in rationales])
            for (place, _), verdict in zip(rationales, verdicts, strict=True):
                solutions[place] = replace(solutions[place], verdict=verdict)
        return solutions

    def is_right(self, solution: Solution | Try, gold: str) -> bool:
        """Whether its answer is the gold one, as the strategy's verifier compares them."""
        if solution.strategy is None or solution.verdict.status is not Status.ANSWERED:
            return False
        found = self._verifier(solution.strategy).compare(solution.verdict.answer, gold)
        return found.status is Status.CORRECT

    def groups(self, solutions: Sequence[Solution]) -> list[int | None]:
        """A number for each solution of one question, the same for equal answers; None where there is none."""
        used = {one.strategy: self._verifier(one.strategy) for one in solutions if one.strategy is not None}
        return groups(solutions[0].question, [(one.strategy, one.verdict) for one in solutions], used)

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
