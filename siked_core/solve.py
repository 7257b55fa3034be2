"""Asking a trained student: the strategy it chooses, its rationale, and the answer that this leads to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core.contracts import Attempt, Generator, Request, Strategy, Verifier, Wish
from siked_core.equal_answers import groups
from siked_core.errors import ModelError, RecipeError, unknown
from siked_core.format import StudentFormat
from siked_core.keys import digest, seed_of
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.permission import permitted
from siked_core.reasoning import ReasoningRecipe, read
from siked_core.recipe_choice import PluginChoice
from siked_core.records import Completion, Problem, Sampling, Status, Unreadable, Verdict
from siked_core.registry import Registry
from siked_core.selection import Always, open_selector


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
        self._reasoning = ReasoningRecipe.model_validate(side["reasoning"]) if side.get("reasoning") else None
        self._verifiers: dict[str, Verifier] = {}

    def read(self, question: str, text: str, forced: str | None = None) -> Solution:
        """What a completion comes to.

        Args:
            forced: the strategy that the student was told to use; the completion then has no tag.
        """
        used, rest = (forced, text) if forced else self.format.split(text)
        if used is None:
            return Solution(question, None, text, Verdict(Status.UNREADABLE, why="it names none of its strategies"))
        found = read(self.strategies[used], rest, self._reasoning)
        if isinstance(found, Unreadable):
            return Solution(question, used, rest, Verdict(Status.UNREADABLE, why=found.why))
        return Solution(question, used, rest, self._verifier(used).answers([found])[0])

    def is_right(self, solution: Solution, gold: str) -> bool:
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


def solve(
    folder: Path,
    questions: Sequence[str],
    registry: Registry,
    *,
    strategy: str | None = None,
    selector: PluginChoice | None = None,
    samples: int | None = None,
    max_tokens: int | None = None,
    allow_unsafe_exec: bool = False,
) -> list[Solution]:
    """Answer questions with the student at `folder` (its own folder, or a run's).

    Args:
        strategy: force this one, whatever the selector.
        selector: chooses the answer; None is the one of the recipe that the student was trained by. What it learnt on
            the validation split is known where the student lies in its run.
        samples: the selector's option of this name.
        allow_unsafe_exec: run the student's programs even where they cannot be caged.

    Raises:
        ModelError: there is no student.
        RecipeError: the student was not trained on that strategy, or the selector does not take such options.
        PluginError: there is no such selector.
    """
    folder = find_student(folder)
    side = read_side_file(folder)
    with closing(Reader(side, registry, allow_unsafe_exec)) as reader:
        if strategy is not None and strategy not in reader.strategies:
            raise RecipeError(unknown("strategy of this student", strategy, reader.strategies))
        chosen = selector or PluginChoice.model_validate(side.get("selector", "self"))
        if samples is not None:
            chosen = PluginChoice(name=chosen.name, options={**chosen.options, "samples": samples})
        chooser, plan = (
            (Always(strategy), [Wish(strategy)])
            if strategy
            else open_selector(chosen, list(reader.strategies), registry)
        )
        options = {"model": str(folder), **side["generator"]["options"]}
        generator: Generator = registry.create("generator", side["generator"]["name"], options)
        with closing(generator):
            written = _written(generator, reader, questions, plan, max_tokens or side["max_tokens"])
        learnt = _learnt(folder, chooser.name)
        found = []
        for number, question in enumerate(questions):
            mine = [written[number, wish] for wish in plan]
            solutions = [reader.read(question, one.text, wish.strategy) for wish, one in zip(plan, mine, strict=True)]
            attempts = [
                Attempt(wish, solution.strategy, solution.verdict, group, one.logprob, one.completion_tokens)
                for wish, solution, group, one in zip(plan, solutions, reader.groups(solutions), mine, strict=True)
            ]
            found.append(solutions[chooser.select(attempts, learnt)])
        return found


def _written(
    generator: Generator, reader: Reader, questions: Sequence[str], plan: Sequence[Wish], max_tokens: int
) -> dict[tuple[int, Wish], Completion]:
    """What the student writes to each question (by its place) for each wish: one batch for each way of sampling."""
    found = {}
    ways = dict.fromkeys((wish.temperature, wish.top_p) for wish in plan)
    for temperature, top_p in ways:
        asked = [
            (number, wish)
            for wish in plan
            if (wish.temperature, wish.top_p) == (temperature, top_p)
            for number in range(len(questions))
        ]
        requests = []
        for number, wish in asked:
            problem = Problem(str(number), questions[number], "")
            forced = reader.strategies[wish.strategy] if wish.strategy else None
            question = forced.student_question(problem) if forced else problem.question
            seed = seed_of(digest([problem.question, wish.strategy, wish.draw]))
            requests.append(Request(problem, forced, reader.format.prompt(question, wish.strategy), wish.draw, seed))
        for place, completion in generator.generate(requests, Sampling(temperature, top_p, max_tokens)):
            found[asked[place]] = completion
    return found


def _learnt(folder: Path, selector: str) -> dict[str, float]:
    """What a selector learnt for this student on validation, if it lies in its run and was evaluated with it there."""
    for path in sorted((folder.parent.parent / "scorecards").glob(f"{folder.name}.*-validation.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        if card.get("selector") == selector and card.get("learnt"):
            return dict(card["learnt"])
    return {}
