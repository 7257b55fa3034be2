"""What a change of the recipe invalidates: a case for every row of the table in docs/resuming.md.

One run is made; for each case it is forked with one change, and what the generators were asked, what was judged, and
which students were trained is compared with what the table says.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from pydantic import Field

from siked_core import (
    Completion,
    Message,
    MixContext,
    MixingPolicy,
    MixtureRow,
    ObjectiveContext,
    Options,
    Problem,
    Prompt,
    Rationale,
    Request,
    Sampling,
    Status,
    TrainingExample,
    TrainingRow,
    Transform,
    TransformContext,
    Verdict,
)
from siked_core.contracts import StrategyOptions
from siked_core.loop import distill
from siked_core.pool import read_parquet
from siked_core.recipe import validate
from siked_core.records import Loaded
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import Loud, OwnChoice, Plain, Quiet, SameText, Sums, ToyStudent, ToyTeacher

pytestmark = [pytest.mark.slow, pytest.mark.recovery]
PAGE = Path(__file__).parents[1] / "docs" / "resuming.md"


def is_long(problem: Problem) -> bool:
    return int(problem.answer) % 4 == 0


def cut(completion: Completion, sampling: Sampling, long: bool) -> Completion:
    """Long answers take ten tokens; a lower limit cuts them off."""
    if not long or sampling.max_tokens >= 10:
        return completion
    return Completion(completion.text[:4], "length", 3, sampling.max_tokens)


class Teacher(ToyTeacher):
    """Counts, and is cut off where an answer is long."""

    asked: ClassVar[list[tuple[str, str, int]]] = []

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, completion in super().generate(requests, sampling):
            one = requests[place]
            Teacher.asked.append((one.problem.id, one.strategy.name if one.strategy else "", one.draw))
            yield place, cut(completion, sampling, is_long(one.problem))


class Student(ToyStudent):
    """Counts, and has an option that changes nothing of what it writes."""

    class _Options(ToyStudent._Options):
        batch_size: int = 1

    options_type = _Options
    asked: ClassVar[list[tuple[str, str, str | None, int]]] = []

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, completion in super().generate(requests, sampling):
            one = requests[place]
            name = one.strategy.name if one.strategy else None
            Student.asked.append((Path(self.options.model).name, one.problem.id, name, one.draw))
            yield place, cut(completion, sampling, is_long(one.problem))


class Judge(SameText):
    """Counts."""

    judged = 0

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        Judge.judged += len(rationales)
        return super().answers(rationales)


class Twin(Judge):
    """Another verifier of the same opinion."""

    name = "twin"


class Strict(Judge):
    """Accepts nothing above six."""

    name = "strict"

    def compare(self, answer: str, gold: str) -> Verdict:
        found = super().compare(answer, gold)
        return Verdict(Status.WRONG, answer) if found.correct and int(gold) > 6 else found


class Asked(Loud):
    """`loud`, with an instruction in the teacher's prompt."""

    def teacher_prompt(self, problem: Problem) -> Prompt:
        own = (Message("system", self.options.instruction),) if self.options.instruction else ()
        return Prompt((*own, Message("user", problem.question)))


class Third(Quiet):
    """Writes `sum=5;`."""

    name = "third"
    end = ";"


class Corrected(Sums):
    """Sums, of which one problem can be corrected and reworded."""

    class _Options(Sums._Options):
        answer: str = ""
        question: str = ""

    options_type = _Options

    def load(self, split: str, limit: int | None = None) -> Loaded:
        found = super().load(split, limit)
        changed = [self._changed(one) if one.id == "train-1-2" else one for one in found.problems]
        return Loaded(tuple(changed))

    def _changed(self, problem: Problem) -> Problem:
        answer, question = self.options.answer or problem.answer, self.options.question or problem.question
        return Problem(problem.id, question, answer, problem.family)


class Elsewhere(Sums):
    """Another data set."""

    name = "elsewhere"


class TeacherOnly(MixingPolicy):
    """The teacher's rows."""

    name = "teacher-rows"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return candidates.filter(pl.col("source") == "teacher")


class Weighed(Plain):
    """The loss on the whole target, by the rows' weights."""

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        found = super().examples(rows, context)
        return [
            TrainingExample(one.input_ids, one.labels, (row.weight,) * len(one.labels))
            for one, row in zip(found, rows, strict=True)
        ]


class Emphatic(Transform):
    """Says it louder."""

    name = "emphatic"

    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        return [replace(row, rationale=f"{row.rationale[:-1]}.0{row.rationale[-1]}") for row in rows]


class Other(OwnChoice):
    """The same choice by another name."""

    name = "other-choice"


PLUGINS = (
    *(Teacher, Student, Judge, Twin, Strict, Asked, Third, Corrected, Elsewhere, TeacherOnly, Other, Weighed),
    Emphatic,
)
SECTIONS: dict[str, Any] = {
    "data": {"validation": 2, "limit": 8, "test_limit": 4},
    "teacher": {"generator": "toy-teacher", "samples": 4, "max_tokens": 6},
    "rollout": {"mode": "free", "samples": 2, "max_tokens": 8},
    "evaluation": {"max_tokens": 8, "selector": "own-choice", "forced": False},
    "stopping": {"rounds": 1, "patience": 9},
}
VALIDATION = ("evaluations/round-0/sums-validation", "evaluations/round-1/sums-validation")


@dataclass(frozen=True)
class Case:
    """A row of the table: a change, and what it costs.

    `drawn`: samples by pool, of those in `WATCHED`; which student is tested depends on the scores. `trained`: the
    students that are trained, or None for those whose mixture or base has become another, and no others.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    drawn: Mapping[str, int] = field(default_factory=dict)
    trained: frozenset[str] | None = frozenset()
    judged: bool = True
    versions: Mapping[type, str] = field(default_factory=dict)


WATCHED = ("teacher", "round-1", "round-2", *VALIDATION)
STUDENTS = frozenset({"round-0", "round-1"})
ANEW = {"round-1": 16, VALIDATION[0]: 2, VALIDATION[1]: 2}
"""What students that are trained anew are asked anew."""
CASES = {
    "nothing": Case(judged=False),
    "`teacher.samples`, raised": Case({"teacher.samples": 10}, {"teacher": 6 * 16}),
    "`teacher.samples`, lowered": Case({"teacher.samples": 3}, {}, None, judged=False),
    "`teacher.max_tokens`, raised": Case({"teacher.max_tokens": 10}, {"teacher": 2 * 2 * 4, **ANEW}, STUDENTS),
    "`teacher.max_tokens`, lowered": Case({"teacher.max_tokens": 4}, judged=False),
    "`teacher.temperature`, `teacher.top_p`": Case({"teacher.top_p": 0.5}, {"teacher": 64}, None),
    "`teacher.generator`": Case({"teacher.generator.options": {"wrong_every": 7}}, {"teacher": 64}, None),
    "a new version of a generator": Case({}, {"teacher": 64}, None, versions={Teacher: "2"}),
    "`strategies`, one added": Case({"strategies": ["loud", "quiet", "third"]}, {"teacher": 32, **ANEW}, STUDENTS),
    "`strategies`, one taken away": Case({"strategies": ["loud"]}, ANEW, STUDENTS),
    "a strategy's bank, shots or instruction": Case(
        {"strategies": [{"name": "loud", "options": {"instruction": "Add."}}, "quiet"]}, {"teacher": 32}, None
    ),
    "a strategy's suffix": Case(
        {"strategies": [{"name": "loud", "options": {"suffix": " Loud."}}, "quiet"]}, ANEW, STUDENTS
    ),
    "`verifiers`, of the same verdicts": Case({"verifiers": {"loud": "twin"}}),
    "`verifiers`, of other verdicts": Case({"verifiers": {"loud": "strict"}}, ANEW, STUDENTS),
    "`reasoning`, where nobody thinks": Case({"reasoning": {"keep": True}}),
    "a new version of a strategy": Case({}, {}, STUDENTS, versions={Quiet: "2"}),
    "`data.limit`, raised": Case({"data.limit": 10}, {"teacher": 2 * 2 * 4, **ANEW, "round-1": 20}, STUDENTS),
    "a gold answer in the data": Case({"dataset": {"name": "sums", "options": {"answer": "99"}}}, ANEW, STUDENTS),
    "a question in the data": Case(
        {"dataset": {"name": "sums", "options": {"question": "1+02?"}}}, {"teacher": 8, **ANEW}, STUDENTS
    ),
    "`data.test_limit`, raised": Case({"data.test_limit": 6}),
    "`evaluate`, one added": Case({"evaluate": ["elsewhere"]}),
    "`student.model`, `lora`, `tag`, `instruction`, `chat_template`, `dtype`": Case(
        {"student.instruction": "Choose. "}, ANEW, STUDENTS
    ),
    "`student.generator`, what changes no text": Case(
        {"student.generator": {"name": "toy-student", "options": {"batch_size": 3}}}, judged=False
    ),
    "`rollout.samples`, raised": Case({"rollout.samples": 5}, {"round-1": 3 * 8}, None),
    "`rollout.mode`, `free` to `both`": Case({"rollout.mode": "both"}, {"round-1": 2 * 2 * 8}, None),
    "`rollout.problems`, `all` to `fresh`": Case({"rollout.problems": "fresh"}, {**ANEW, "round-1": 8}, STUDENTS),
    "`rollout.temperature`, `rollout.top_p`": Case({"rollout.top_p": 0.5}, {"round-1": 16}, None),
    "`rollout.max_tokens`, raised": Case({"rollout.max_tokens": 10}, {"round-1": 2 * 2}, None),
    "`mixing.policy`": Case({"mixing.policy": "teacher-rows"}, {VALIDATION[1]: 2}, frozenset({"round-1"})),
    "`mixing.keep`, `mixing.weights`": Case({"mixing.weights": "copies"}, ANEW, STUDENTS),
    "`mixing.transforms`": Case({"mixing.transforms": ["emphatic"]}, ANEW, STUDENTS),
    "`training`": Case({"training.epochs": 2}, ANEW, STUDENTS),
    "`training.epochs`, `training.learning_rate`, where the warm-up has its own": Case(
        {"training.epochs": 2, "training.warm_up_epochs": 1}, {VALIDATION[1]: 2}, frozenset({"round-1"})
    ),
    "`training.tokens_per_round`": Case({"training.tokens_per_round": 900}, {VALIDATION[1]: 2}, frozenset({"round-1"})),
    "`training.checkpoint_steps`": Case({"training.checkpoint_steps": 1}, judged=False),
    "a new version of an objective": Case({}, {}, STUDENTS, judged=False, versions={Weighed: "2"}),
    "`stopping.rounds`, raised": Case({"stopping.rounds": 2}, {"round-2": 16}, frozenset({"round-2"})),
    "`stopping.rule`": Case({"stopping.rule": "evidence"}, judged=False),
    "`evaluation.max_tokens`, raised": Case({"evaluation.max_tokens": 10}),
    "`evaluation.forced`, switched on": Case({"evaluation.forced": True}, {VALIDATION[0]: 4, VALIDATION[1]: 4}),
    "`evaluation.selector`": Case({"evaluation.selector": "other-choice"}, judged=False),
    "`evaluation.perplexity`": Case({"evaluation.perplexity": str(PAGE)}, judged=False),
    "`baselines`": Case({"baselines": "single"}, {}, frozenset({"only-loud", "only-quiet"})),
    "`seed`": Case({"seed": 2}, {"teacher": 64, **ANEW}, STUDENTS),
    "`storage`": Case({"storage": {"pools": "memory://what-a-change-costs"}}, judged=False),
    "`prices`, `caps`, `launch`, `alarms`, `rehearsal`": Case({"caps": {"tokens": 10**9}}, judged=False),
}


def recipe_of(tiny: Path, changes: Mapping[str, Any]) -> Any:
    content = toy_recipe(tiny, **{name: dict(section) for name, section in SECTIONS.items()})
    for dotted, value in changes.items():
        section, _, key = dotted.partition(".")
        if not key:
            content[section] = value
        elif key == "generator.options":
            content[section]["generator"] = {"name": content[section]["generator"], "options": value}
        else:
            content[section] = {**content[section], key: value}
    return validate(content)


def registry() -> Registry:
    return toy_registry(*PLUGINS)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A folder with the finished run that all cases start from."""
    folder = tmp_path_factory.mktemp("world")
    with start(recipe_of(tiny, {}), registry(), SilentReporter(), runs=folder, name="base") as run:
        distill(run)
    return folder


def shards(run: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in (run / "pools").rglob("*.parquet"):
        found.setdefault(path.parent.relative_to(run / "pools").as_posix(), set()).add(path.name)
    return found


def inodes(run: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_ino for path in run.glob("students/*/model.safetensors")}


def mixture(run: Path, name: str) -> list[tuple[Any, ...]]:
    return read_parquet(run / "mixtures" / f"{name}.parquet").rows()


def counted(act: Callable[[], Any]) -> tuple[int, int, bool]:
    """Completions asked of the teacher and of students, and whether a verifier had to judge anything."""
    before = len(Teacher.asked), len(Student.asked), Judge.judged
    act()
    return len(Teacher.asked) - before[0], len(Student.asked) - before[1], Judge.judged > before[2]


@pytest.mark.parametrize("name", CASES)
def test_a_change_costs_what_the_table_says(
    name: str, tmp_path: Path, world: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    for plugin, version in case.versions.items():
        monkeypatch.setattr(plugin, "version", version)
    base = world / "base"
    recipe = recipe_of(tiny, case.changes)
    same = start(recipe, registry(), SilentReporter(), runs=world, name="base", fork=True)
    path = same.path
    if same.path == base:  # the recipe is the same: the same run is continued, and must stay as it is for the others
        same.close()
        path = tmp_path / "copy"
        copy_linked(base, path)
        same = Run(path, recipe, registry(), SilentReporter(), resumed=True)
    with same as run:
        asked, answered, judged = counted(lambda: distill(run))
    there = shards(base)
    drawn: Counter[str] = Counter()
    for pool, names in shards(path).items():
        for shard in names - there.get(pool, set()):
            drawn[pool] += read_parquet(path / "pools" / pool / shard).height
    assert {pool: drawn[pool] for pool in WATCHED if drawn[pool]} == {
        pool: count for pool, count in case.drawn.items() if count
    } or case.trained is None
    if case.trained is None:
        assert {pool: drawn[pool] for pool in case.drawn} == case.drawn or "round-0" in changed(base, path)
        assert drawn["teacher"] == case.drawn.get("teacher", 0)
    assert asked == drawn["teacher"], "every completion is kept, and none was asked for twice"
    assert answered == drawn.total() - drawn["teacher"]
    before, after = inodes(base), inodes(path)
    trained = {student for student in after if after[student] != before.get(student)}
    assert trained == (changed(base, path) if case.trained is None else case.trained)
    assert judged == case.judged or (case.trained is None and bool(trained))


def changed(base: Path, path: Path) -> set[str]:
    """The students whose mixture is another, and those that are trained on from one of them."""
    found: set[str] = set()
    for name in ("round-0", "round-1"):
        if found or mixture(base, name) != mixture(path, name):
            found.add(name)
    return found


def copy_linked(source: Path, destination: Path) -> None:
    import os
    import shutil

    shutil.copytree(source, destination, copy_function=os.link)


def test_every_row_of_the_table_has_a_case() -> None:
    rows = re.findall(r"^\| (.+?) \| .+ \|$", PAGE.read_text(encoding="utf-8").split("## ")[1], re.MULTILINE)
    assert [row for row in rows if row not in ("change", "---")] == list(CASES)


def test_a_higher_limit_replaces_what_was_cut_off_and_only_that(tmp_path: Path, tiny: Path) -> None:
    """The rest of the row: which ones, and that the verdicts are those of the new texts."""
    from siked_core.stages.teach import teach
    from siked_core.stages.verify import verdicts_of

    with start(recipe_of(tiny, {}), registry(), SilentReporter(), runs=tmp_path, name="low") as run:
        teach(run)
        before = verdicts_of(run, "teacher")
    first = len(Teacher.asked)
    recipe = recipe_of(tiny, {"teacher.max_tokens": 10})
    with start(recipe, registry(), SilentReporter(), runs=tmp_path, name="low", fork=True) as run:
        teach(run)
        after = verdicts_of(run, "teacher")
    cut_off = before.filter(pl.col("finish_reason") == "length")
    assert len(Teacher.asked) - first == cut_off.height > 0
    assert set(cut_off["status"]) == {"unreadable"}
    again = after.join(cut_off.select("key"), on="key")
    assert set(again["finish_reason"]) == {"stop"}
    assert set(again["max_tokens"]) == {10}
    assert "unreadable" not in set(again["status"])
    kept = before.join(cut_off.select("key"), on="key", how="anti")
    assert after.join(cut_off.select("key"), on="key", how="anti").equals(kept)


def test_greedy_sampling_has_no_top_p(tiny: Path) -> None:
    from siked_core.keys import sample_key

    problem, teacher = Problem("1", "1+1?", "2"), Teacher()
    prompt = Prompt((Message("user", "1+1?"),))

    def key(**sampling: Any) -> str:
        return sample_key(problem, Loud(), prompt, 0, Sampling(**sampling), teacher, 1)

    assert key(temperature=0, top_p=0.5) == key(temperature=0, top_p=1.0) == key(temperature=0, max_tokens=9)
    assert key(temperature=1, top_p=0.5) != key(temperature=1, top_p=1.0)
    assert key(temperature=1) != key(temperature=1, stop=("x",))


def test_a_teacher_that_writes_from_solutions_is_keyed_by_them(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import Step, WorkedSolution
    from siked_core.keys import sample_key

    class FromSolution(Teacher):
        reads_solution = True

    class Terse(Loud):
        class _Options(StrategyOptions):
            terse: bool = Field(False)

        options_type: ClassVar[type[Options]] = _Options

    def key(generator: Teacher, value: str, family: str = "", **options: Any) -> str:
        solution = WorkedSolution((Step("?", "It is.", "it", "1+1", value),), value)
        problem = Problem("1", "1+1?", "2", family, solution)
        return sample_key(problem, Terse(options), Prompt((Message("user", "1+1?"),)), 0, Sampling(), generator, 1)

    assert key(FromSolution(), "2") != key(FromSolution(), "3")
    assert key(FromSolution(), "2") != key(FromSolution(), "2", terse=True)
    assert key(FromSolution(), "2") == key(FromSolution(), "2", family="sum") == key(FromSolution(), "2", shots=1)
    assert key(Teacher(), "2") == key(Teacher(), "3") == key(Teacher(), "2", terse=True)
    before = key(FromSolution(), "2")
    monkeypatch.setattr(Terse, "version", "2")
    assert key(FromSolution(), "2") != before
