"""Asking a trained student: loaded once, for as many questions as there are.

How a question is asked may change from one to the next: the student chooses its strategy or is told one, and a
selector may ask it several times and choose among the answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from siked_core.contracts import Attempt, Generator, Request, Selector, Wish
from siked_core.errors import ModelError, RecipeError, RunError, unknown
from siked_core.keys import digest, seed_of
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.publish import fetched, is_hub_name
from siked_core.recipe_choice import PluginChoice
from siked_core.records import Completion, Problem, Sampling
from siked_core.registry import Registry
from siked_core.run import locate
from siked_core.selection import Always, open_selector
from siked_core.solve import Reader, Solution, Try, find_student

VOTE = "vote"
"""The selector that chooses among several samples of one strategy."""
TOP_P = 0.95
"""Of an attempt that is drawn at a temperature where its selector wanted it greedy."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are put to a student."""

    strategy: str | None = None
    """The one that it is told to use; None leaves it to the selector."""
    selector: PluginChoice | None = None
    """None: the one of the recipe that it was trained by."""
    samples: int | None = None
    """The selector's option of this name. With a strategy: so many attempts with it, put to a vote."""
    temperature: float | None = None
    """Of every attempt; 0 is greedy. None: as the selector has it."""

    def as_dict(self) -> dict[str, object]:
        """What was asked for; nothing where it was not."""
        given: dict[str, object] = {
            "strategy": self.strategy,
            "selector": None if self.selector is None else self.selector.model_dump(),
            "samples": self.samples,
            "temperature": self.temperature,
        }
        return {name: value for name, value in given.items() if value is not None}


class Solver:
    """A trained student, ready to be asked. Closed by its owner, or by a `with`.

    with Solver("runs/pocket-001") as solver:
        for solution in solver.solve(["Ann has 3 pens and buys 4 more. How many pens has Ann?"]):
            print(solution.strategy, solution.answer)
    """

    def __init__(
        self,
        student: str | Path,
        *,
        runs: Path = Path("runs"),
        registry: Registry | None = None,
        allow_unsafe_exec: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Find it; its weights are loaded when they are first needed.

        Args:
            student: a run (its name under `runs`, or its directory), a student's folder, or a name on the Hugging Face
                hub (OWNER/NAME), from where it is fetched unless it is in the local cache.
            registry: the plugins; by default all that are installed.
            allow_unsafe_exec: run the student's programs even where they cannot be caged.
            say: told what takes long.

        Raises:
            RunError, ModelError: there is no such student.
            PluginError: a strategy or verifier that it was trained with is not installed.
        """
        self.folder = folder_of(student, runs, say)
        self._side = read_side_file(self.folder)
        self._registry = registry or Registry.discover()
        self._reader = Reader(self._side, self._registry, allow_unsafe_exec)
        self._say = say
        self._generator: Generator | None = None

    @property
    def strategies(self) -> tuple[str, ...]:
        """Those that it was trained on."""
        return tuple(self._reader.strategies)

    @property
    def selectors(self) -> tuple[str, ...]:
        """Those that are installed."""
        return tuple(self._registry.names("selector"))

    @property
    def fingerprint(self) -> str:
        """What its weights are."""
        return str(self._side.get("fingerprint", ""))

    @property
    def chunk_size(self) -> int:
        """How many completions are best asked for at once."""
        return self._opened().chunk_size

    def plan(self, asking: Asking) -> tuple[Selector, list[Wish]]:
        """Who chooses the answer, and the attempts that it wants. Loads nothing.

        Raises:
            RecipeError: the student was not trained on that strategy, or the selector does not take such options.
            PluginError: there is no such selector.
        """
        strategy, names = asking.strategy, list(self.strategies)
        if strategy is not None and strategy not in names:
            raise RecipeError(unknown("strategy of this student", strategy, names))
        chosen = asking.selector or PluginChoice.model_validate(self._side.get("selector", "self"))
        if strategy is not None and asking.samples in (None, 1):
            selector: Selector = Always(strategy)
            plan = [Wish(strategy)]
        else:
            if strategy is not None:
                chosen, names = PluginChoice(name=VOTE, options={"mode": "forced"}), [strategy]
            if asking.samples is not None:
                self._check_takes_samples(chosen.name)
                chosen = PluginChoice(name=chosen.name, options={**chosen.options, "samples": asking.samples})
            selector, plan = open_selector(chosen, names, self._registry)
        if asking.temperature is not None:
            if asking.temperature == 0 and any(wish.draw for wish in plan):
                raise RecipeError(
                    "Several samples at temperature 0 are all alike: raise --temperature, or ask for one."
                )
            plan = [_at(wish, asking.temperature) for wish in plan]
        return selector, plan

    def solve(
        self,
        questions: Sequence[str],
        *,
        strategy: str | None = None,
        selector: str | PluginChoice | None = None,
        samples: int | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> list[Solution]:
        """Answer questions, as many at once as there are.

        Args:
            strategy: force this one.
            selector: chooses the answer: a plugin's name, with options as a `PluginChoice`; None is the one of the
                recipe that the student was trained by. What it learnt on the validation split is known where the
                student lies in its run.
            samples: the selector's option of this name; with a strategy, so many attempts with it and a vote.
            temperature: of every attempt; 0 is greedy.
            max_tokens: new tokens of an attempt, at most; None: as in its evaluation.

        Raises:
            RecipeError, PluginError: as `plan`.
        """
        choice = PluginChoice.model_validate(selector) if isinstance(selector, str) else selector
        return self.ask(questions, Asking(strategy, choice, samples, temperature), max_tokens)

    def ask(self, questions: Sequence[str], asking: Asking, max_tokens: int | None = None) -> list[Solution]:
        """As `solve`."""
        chooser, plan = self.plan(asking)
        written = self._written(questions, plan, max_tokens or self._side["max_tokens"])
        places = [(number, wish) for number in range(len(questions)) for wish in plan]
        read = self._reader.read_all(
            [(questions[number], written[number, wish].text, wish.strategy) for number, wish in places]
        )
        learnt = _learnt(self.folder, chooser.name)
        found = []
        for number in range(len(questions)):
            solutions = read[number * len(plan) : (number + 1) * len(plan)]
            mine = [written[number, wish] for wish in plan]
            groups = self._reader.groups(solutions)
            attempts = [
                Attempt(wish, solution.strategy, solution.verdict, group, one.logprob, one.completion_tokens)
                for wish, solution, group, one in zip(plan, solutions, groups, mine, strict=True)
            ]
            place = chooser.select(attempts, learnt)
            tries = tuple(
                Try(
                    wish.strategy,
                    one.strategy,
                    one.text,
                    one.verdict,
                    None if group is None else group == groups[place],
                )
                for wish, one, group in zip(plan, solutions, groups, strict=True)
            )
            found.append(replace(solutions[place], attempts=tries if len(tries) > 1 else ()))
        return found

    def are_right(self, answers: Sequence[tuple[Solution | Try, str]]) -> list[bool]:
        """Whether each answer is the gold one beside it, as its strategy's verifier compares them."""
        return [self._reader.is_right(one, gold) for one, gold in answers]

    def open(self) -> None:
        """Load the weights."""
        self._opened().open()

    def interrupt(self) -> None:
        """End what was judging: after an interruption it may still hold an answer to the question before."""
        self._reader.close()

    def close(self) -> None:
        """Free the model, and end what the verifiers have started."""
        self._reader.close()
        if self._generator is not None:
            self._generator.close()
            self._generator = None

    def __enter__(self) -> Solver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> Generator:
        if self._generator is None:
            options = {"model": str(self.folder), **self._side["generator"]["options"]}
            self._generator = self._registry.create("generator", self._side["generator"]["name"], options)
            self._generator.say = self._say
        return self._generator

    def _check_takes_samples(self, selector: str) -> None:
        if "samples" not in self._registry.get("selector", selector).options_type.model_fields:
            takes = [
                name
                for name in self.selectors
                if "samples" in self._registry.get("selector", name).options_type.model_fields
            ]
            raise RecipeError(
                f"The selector '{selector}' takes no samples. Selectors that do: {', '.join(takes) or 'none'}; "
                "or name a strategy, whose samples are put to a vote."
            )

    def _written(
        self, questions: Sequence[str], plan: Sequence[Wish], max_tokens: int
    ) -> dict[tuple[int, Wish], Completion]:
        """What the student writes to each question (by its place) for each wish: one batch for each way of sampling."""
        found = {}
        generator = self._opened()
        for temperature, top_p in dict.fromkeys((wish.temperature, wish.top_p) for wish in plan):
            asked = [
                (number, wish)
                for wish in plan
                if (wish.temperature, wish.top_p) == (temperature, top_p)
                for number in range(len(questions))
            ]
            requests = [self._request(number, questions[number], wish) for number, wish in asked]
            for place, completion in generator.generate(requests, Sampling(temperature, top_p, max_tokens)):
                found[asked[place]] = completion
        return found

    def _request(self, number: int, text: str, wish: Wish) -> Request:
        problem = Problem(str(number), text, "")
        forced = self._reader.strategies[wish.strategy] if wish.strategy else None
        question = forced.student_question(problem) if forced else text
        seed = seed_of(digest([text, wish.strategy, wish.draw]))
        return Request(problem, forced, self._reader.format.prompt(question, wish.strategy), wish.draw, seed)


def folder_of(student: str | Path, runs: Path = Path("runs"), say: Callable[[str], None] | None = None) -> Path:
    """A student's folder from a run, a folder, or a name on the hub.

    Raises:
        RunError, ModelError: there is none.
    """
    name = str(student)
    for folder in (Path(name).expanduser(), locate(name, runs)):
        if folder.is_dir():
            return find_student(folder)
    if is_hub_name(name) and not Path(name).parent.is_dir():  # a misspelt path is no name on the hub
        if say is not None:
            say(f"There is no folder {name} here: looking for it on the Hugging Face hub.")
        folder = fetched(name)
        if not (folder / SIDE_FILE).exists():
            raise ModelError(f"'{name}' on the hub is not a student of siked: it has no {SIDE_FILE}.")
        return folder
    known = sorted(path.parent.name for path in runs.glob("*/manifest.json"))
    raise RunError(
        f"{unknown('run', name, known)} Or give the folder of a student, or its name on the hub (OWNER/NAME)."
    )


def _at(wish: Wish, temperature: float) -> Wish:
    top_p = 1.0 if not temperature else wish.top_p if wish.temperature else TOP_P
    return replace(wish, temperature=temperature, top_p=top_p)


def _learnt(folder: Path, selector: str) -> dict[str, float]:
    """What a selector learnt for this student on validation, if it lies in its run and was evaluated with it there."""
    for card in _validations(folder):
        if card.get("selector") == selector and card.get("learnt"):
            return dict(card["learnt"])
    return {}


def _validations(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((folder.parent.parent / "scorecards").glob(f"{folder.name}.*-validation.json")):
        with suppress(OSError, ValueError):
            yield json.loads(path.read_text(encoding="utf-8"))
