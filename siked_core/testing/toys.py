"""Toy plugins of every kind that a run needs: a whole loop in seconds, without one of siked's own plugins."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from siked_core.contracts import (
    Attempt,
    Dataset,
    Figures,
    Generator,
    MixContext,
    MixingPolicy,
    MixtureRow,
    Objective,
    ObjectiveContext,
    Options,
    Plugin,
    Request,
    Selector,
    Strategy,
    TrackedRun,
    Tracker,
    TrainingExample,
    TrainingRow,
    Transform,
    TransformContext,
    Verifier,
    Wish,
)
from siked_core.models import fingerprint
from siked_core.records import (
    Completion,
    Loaded,
    Problem,
    Prompt,
    Rationale,
    Sampling,
    Status,
    Unreadable,
    Verdict,
)
from siked_core.registry import Entry, Registry

if TYPE_CHECKING:
    import polars as pl


class Sums(Dataset):
    """Sums of two small numbers."""

    name = "sums"

    class _Options(Options):
        train: int = 12
        test: int = 6

    options_type = _Options

    def splits(self) -> tuple[str, ...]:
        return ("train", "test")

    def load(self, split: str, limit: int | None = None) -> Loaded:
        first = 0 if split == "train" else 50
        count = min(getattr(self.options, split), limit or 1000)
        pairs = [(n // 7 + 1, n % 7 + 1) for n in range(first, first + count)]
        return Loaded(tuple(Problem(f"{split}-{a}-{b}", f"{a}+{b}?", str(a + b), family="sum") for a, b in pairs))


class Loud(Strategy):
    """Writes `sum=5!`."""

    name = "loud"
    verifier = "same_text"
    end = "!"

    def teacher_prompt(self, problem: Problem) -> Prompt:
        from siked_core.records import Message

        return Prompt((Message("user", problem.question),))

    def parse(self, text: str) -> Rationale | Unreadable:
        found = text.strip()
        if not (found.startswith("sum=") and found.endswith(self.end)):
            return Unreadable(f"it is not 'sum=...{self.end}'")
        return Rationale(self.name, found, found[4 : -len(self.end)])


class Quiet(Loud):
    """Writes `sum=5.`."""

    name = "quiet"
    end = "."


class SameText(Verifier):
    """The answer is the gold answer, to the letter."""

    name = "same_text"

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        sources = [rationale.answer_source for rationale in rationales]
        return [Verdict(Status.ANSWERED, text) if text.strip() else Verdict(Status.NO_ANSWER) for text in sources]

    def compare(self, answer: str, gold: str) -> Verdict:
        return Verdict(Status.CORRECT if answer == gold else Status.WRONG, answer)


class ToyTeacher(Generator):
    """Adds, and is wrong about every nth problem."""

    name = "toy-teacher"

    class _Options(Options):
        wrong_every: int = Field(5, ge=2)

    options_type = _Options
    calls = 0
    """How many completions were asked of any toy teacher: what a test counts."""

    @property
    def fingerprint(self) -> str:
        return f"toy-{self.options.wrong_every}"

    @property
    def chunk_size(self) -> int:
        return 5

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, request in enumerate(requests):
            ToyTeacher.calls += 1
            left, right = (int(part) for part in request.problem.question.rstrip("?").split("+"))
            slip = int(request.seed % self.options.wrong_every == 0)
            end = getattr(request.strategy, "end", "!")
            yield place, Completion(f"sum={left + right + slip}{end}", "stop", 3, 4)


class ToyStudent(Generator):
    """Chooses a strategy and adds, right two times in three; it never looks at the weights that it is given."""

    name = "toy-student"

    class _Options(Options):
        model: str

    options_type = _Options

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.options.model)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, request in enumerate(requests):
            left, right = (int(part) for part in request.problem.question.rstrip("?").split("+"))
            chosen = request.strategy.name if request.strategy else ("loud", "quiet")[request.seed // 3 % 2]
            text = f"sum={left + right + int(request.seed % 3 == 0)}{'!' if chosen == 'loud' else '.'}"
            yield place, Completion(text if request.strategy else f"<{chosen}>\n{text}", "stop", 3, 6, -1.0)


class Both(MixingPolicy):
    """The student's rows, and the teacher's where the student has none."""

    name = "both"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        import polars as pl

        student = candidates.filter(pl.col("source") == "student")
        teacher = candidates.filter(pl.col("source") == "teacher")
        return pl.concat([student, teacher.join(student, on=["problem_id", "strategy"], how="anti")])


class Backwards(Transform):
    """The same rows, the last first."""

    name = "backwards"

    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        return list(reversed(rows))


class Plain(Objective):
    """The loss on the whole target."""

    name = "plain"

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        return [context.tokenize(row) for row in rows]


class OwnChoice(Selector):
    """The student's own."""

    name = "own-choice"

    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        return (Wish(),)

    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        return 0


class Listed(Tracker):
    """Writes what it is told into a file of its folder, a line of JSON each."""

    name = "listed"

    class _Options(Options):
        broken: bool = False

    options_type = _Options

    def open(self, run: TrackedRun) -> str:
        if self.options.broken:
            raise ConnectionError("the server is away")
        self._file = run.folder / "told.jsonl"
        self._write(opened=run.name, id=run.id, config=dict(run.config))
        return run.id or f"id-of-{run.name}"

    def log(self, figures: Sequence[Figures]) -> None:
        for one in figures:
            self._write(series=one.series, step=one.step, values=one.named)

    def finish(self, summary: Mapping[str, float | str]) -> None:
        self._write(summary=dict(summary))

    def _write(self, **told: Any) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


TOYS: tuple[type[Plugin], ...] = (
    *(Sums, Loud, Quiet, SameText, ToyTeacher, ToyStudent),
    *(Both, Backwards, Plain, OwnChoice, Listed),
)


def toy_registry(*more: type[Plugin]) -> Registry:
    """A registry of the toys and of what a test adds; what is added takes the place of a toy of its name."""
    by_name = {(plugin.kind, plugin.name): plugin for plugin in (*TOYS, *more)}
    return Registry(
        Entry(kind, name, "active", "toys", "0", f"{kind}-{name}", plugin=plugin)
        for (kind, name), plugin in by_name.items()
    )


def toy_recipe(student: Path, /, **changes: Any) -> dict[str, Any]:
    """The plain content of a recipe that runs on toys in seconds; `changes` replace top-level keys."""
    content: dict[str, Any] = {
        "strategies": ["loud", "quiet"],
        "dataset": "sums",
        "data": {"validation": 2},
        "teacher": {"generator": "toy-teacher"},
        "student": {
            "model": str(student),
            "generator": "toy-student",
            "lora": None,
            "instruction": "Choose {strategies}. ",
        },
        "rollout": {"mode": "free", "samples": 2, "max_tokens": 8},
        "mixing": {"policy": "both"},
        "training": {"objective": "plain", "epochs": 1, "batch_size": 4, "accumulation": 1, "warm_up_steps": 0},
        "stopping": {"rounds": 1},
        "rehearsal": False,
        "evaluation": {"max_tokens": 8, "selector": "own-choice"},
    }
    return {**content, **changes}


def toy_sample(key: str, **changes: Any) -> dict[str, Any]:
    """A row of a pool of samples; `changes` replace columns."""
    plain = {
        "key": key,
        "problem_id": "p",
        "requested": None,
        "strategy": "cot",
        "source": "student",
        "round": 1,
        "draw": 0,
        "text": "t",
        "finish_reason": "stop",
        "max_tokens": 8,
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "logprob": None,
    }
    return {**plain, **changes}
