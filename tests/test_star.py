"""Asking again with the answer told: pools of their own that count for nothing, rows that a policy may take."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import (
    Completion,
    Generator,
    Problem,
    Rationale,
    RecipeError,
    Request,
    Sampling,
    TrainingExample,
    TrainingRow,
    Unreadable,
)
from siked_core.errors import CapReached
from siked_core.export import export
from siked_core.hint import copied, told
from siked_core.ledger import ledger
from siked_core.lineage import lineage
from siked_core.mixing import open_policy
from siked_core.pool import read_parquet
from siked_core.preflight import preflight
from siked_core.quote import quote
from siked_core.recipe import resolve, validate
from siked_core.recipe_check import check
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.spending import by_stage
from siked_core.stages.mix import judged, mix, offered
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.stages.verify import verdicts_of, verify
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import Loud, Plain, ToyStudent
from siked_plugins.mixers.biased import Biased
from siked_plugins.mixers.self_only import SelfOnly
from siked_plugins.mixers.star import Star

HINT = re.compile(r"Hint: the answer is (\d+)")


class Spelled(Loud):
    """Writes `2+3=5!`."""

    name = "spelled"

    def parse(self, text: str) -> Rationale | Unreadable:
        found = re.fullmatch(r"([\d+]+)=(\d+)!", text.strip())
        return Rationale(self.name, text.strip(), found[2]) if found else Unreadable("it is not 'a+b=c!'")


class Speaker(Generator):
    """Adds, but only pairs whose second number is odd; of the others it gets those right that it is told the answer of,
    and where the second number is divisible by four it only repeats that."""

    fails_after = 10**9
    asked: Sequence[str] = ()
    tag = ""

    @property
    def fingerprint(self) -> str:
        return "speaker"

    @property
    def chunk_size(self) -> int:
        return 2

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, request in enumerate(requests):
            prompt = request.prompt.messages[-1].content
            if len(Speaker.asked) >= Speaker.fails_after:
                raise RuntimeError("the power went")
            Speaker.asked = [*Speaker.asked, prompt]
            left, right = (int(part) for part in request.problem.question.rstrip("?").split("+"))
            hint = HINT.search(prompt)
            total = left + right if right % 2 or hint else left
            text = f"{total}={total}!" if hint and right % 4 == 0 else f"{left}+{right}={total}!"
            yield place, Completion(("" if request.strategy else self.tag) + text, "stop", 3, 5)


class Tutor(Speaker):
    """A teacher that is as bad at it."""

    name = "tutor"


class Pupil(Speaker):
    """A student that is as bad at it."""

    name = "toy-student"
    tag = "<spelled>\n"
    options_type = ToyStudent.options_type


class Watched(Plain):
    """Remembers what students are trained on."""

    rows: Sequence[TrainingRow] = ()

    def examples(self, rows: Sequence[TrainingRow], context: Any) -> list[TrainingExample]:
        Watched.rows = rows
        return super().examples(rows, context)


def registry() -> Registry:
    return toy_registry(Spelled, Tutor, Pupil, Watched, Star, SelfOnly, Biased)


def recipe_of(student: Path, **changes: Any) -> Any:
    content: dict[str, Any] = {
        "strategies": ["spelled"],
        "teacher": {"generator": "tutor", "samples": 1, "rationalise": {}},
        "rollout": {"mode": "free", "samples": 1, "max_tokens": 8, "rationalise": {}},
        "mixing": {"policy": "star"},
    }
    return validate(toy_recipe(student, **{**content, **changes}))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Run]:
    """A run up to the student of round 1."""
    folder = tmp_path_factory.mktemp("runs")
    with start(recipe_of(tiny), registry(), SilentReporter(), runs=folder, name="run") as opened:
        teach(opened)
        mix(opened, 0)
        train(opened, 0)
        rollout(opened, 1)
        mix(opened, 1)
        train(opened, 1)
    with attach("run", registry(), SilentReporter(), runs=folder, lock=False) as opened:
        yield opened


def seconds(table: pl.DataFrame) -> list[int]:
    """The second numbers of the problems in a table."""
    return sorted(int(name.rpartition("-")[2]) for name in table.get_column("problem_id").cast(pl.String).unique())


def test_what_is_not_solved_and_nothing_else_is_asked_again(run: Run) -> None:
    own, again = verdicts_of(run, "round-1"), verdicts_of(run, "hinted/round-1")
    right = own.filter(pl.col("status") == "correct")
    assert {second % 2 for second in seconds(right)} == {1}
    assert set(again.get_column("problem_id")) == set(own.get_column("problem_id")) - set(
        right.get_column("problem_id")
    )
    by_status = {name: seconds(rows) for (name,), rows in again.group_by("status")}
    assert {second % 4 for second in by_status["correct"]} == {2}
    assert {second % 4 for second in by_status["copied"]} == {0}
    assert by_status.keys() == {"correct", "copied"}


def test_it_is_no_sign_of_what_the_student_can_do(run: Run) -> None:
    attempts = ledger(judged(run, 1))
    told_keys = verdicts_of(run, "hinted/round-1").get_column("key").implode()
    assert attempts.filter(pl.col("key").is_in(told_keys)).is_empty()
    even = attempts.filter(pl.col("problem_id").cast(pl.String).str.ends_with("-2"), pl.col("source") == "student")
    assert set(even.get_column("pass_rate")) == {0.0}
    summary = rollout(run, 1)
    assert summary.samples == summary.problems == verdicts_of(run, "round-1").height
    assert summary.hinted is not None
    assert summary.hinted.samples == summary.hinted.problems == summary.samples - summary.problems_solved
    plain = offered(run, 1, attempts)
    assert plain.filter(pl.col("source") == "student", pl.col("hinted")).is_empty(), (
        "who does not ask is not offered it"
    )
    rows = offered(run, 1, attempts, hinted=True).filter(pl.col("hinted"), pl.col("source") == "student")
    assert rows.height == summary.hinted.correct > 0
    assert rows.get_column("pass_rate").is_null().all()


def test_it_is_trained_on_without_the_hint(run: Run) -> None:
    mixture = read_parquet(run.mixture("round-1"))
    again = verdicts_of(run, "hinted/round-1")
    right = set(again.filter(pl.col("status") == "correct").get_column("key"))
    assert set(mixture.filter(pl.col("hinted")).get_column("key")) == right
    assert set(mixture.get_column("source")) == {"student"}, "as in STaR, the student's own rows and those alone"
    assert {row.key for row in Watched.rows if row.key in right} == right or not Watched.rows
    for row in Watched.rows:
        assert HINT.search(row.prompt.messages[-1].content) is None
        assert "=" in row.target


def test_a_teacher_is_asked_again_as_well(run: Run) -> None:
    mixture = read_parquet(run.mixture("round-0"))
    assert mixture.get_column("hinted").any()
    assert {second % 4 for second in seconds(mixture.filter(pl.col("hinted")))} == {2}
    assert mixture.get_column("problem_id").is_unique().all()


def test_a_sample_tells_that_it_was_told(run: Run) -> None:
    mixture = read_parquet(run.mixture("round-1")).filter(pl.col("hinted"))
    found = lineage(run, mixture.get_column("key")[0])
    assert (found.hinted, found.pool, found.origin.unknown) == (True, "hinted/round-1", "")
    assert found.origin.prompt is not None
    assert HINT.search(found.origin.prompt.messages[-1].content)
    assert {place.mixture: place.why_not for place in found.mixtures} == {
        "round-0": "the mixture takes the teacher's samples only",
        "round-1": "",
    }
    again = verdicts_of(run, "hinted/round-1").filter(pl.col("status") == "copied")
    repeated = lineage(run, again.get_column("key")[0])
    assert repeated.mixtures[-1].why_not == "it is not correct (copied)"
    assert [one.why for one in repeated.verdicts] == ["it was told the answer, and has no other number"]
    assert not lineage(run, verdicts_of(run, "round-1").get_column("key")[0]).hinted


def test_what_it_takes_is_counted_and_what_is_there_is_not_drawn_again(run: Run) -> None:
    spent = by_stage(run.path, run.recipe)
    assert spent["rationalise round-1"].samples == verdicts_of(run, "hinted/round-1").height
    assert spent["rationalise teacher"].tokens_out > 0
    before = len(Speaker.asked)
    rollout(run, 1)
    assert len(Speaker.asked) == before
    assert verify(run, "hinted/round-1") == rollout(run, 1).hinted


def test_it_goes_on_where_it_was_interrupted(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Speaker, "asked", [])
    recipe = recipe_of(tiny, data={"validation": 1, "limit": 10})
    with start(recipe, registry(), SilentReporter(), runs=tmp_path, name="run") as opened:
        monkeypatch.setattr(Speaker, "fails_after", 13)
        with pytest.raises(RuntimeError, match="the power went"):
            teach(opened)
        kept = opened.pool("hinted/teacher").read()
        assert kept.height
        monkeypatch.setattr(Speaker, "fails_after", 10**9)
        summary = teach(opened)
    assert summary.hinted is not None
    assert len(Speaker.asked) == summary.samples + summary.hinted.samples
    assert summary.hinted.samples == sum(bool(HINT.search(prompt)) for prompt in Speaker.asked) > kept.height


def test_nothing_is_asked_again_where_all_is_solved(tiny: Path, tmp_path: Path) -> None:
    class Able(Tutor):
        """Knows every answer."""

        def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
            for place, request in enumerate(requests):
                sum_ = request.problem.question.rstrip("?")
                yield place, Completion(f"{sum_}={request.problem.answer}!", "stop", 3, 5)

    everything = toy_registry(Spelled, Able, Pupil, Star, SelfOnly)
    with start(recipe_of(tiny), everything, SilentReporter(), runs=tmp_path, name="run") as opened:
        summary = teach(opened)
        assert summary.hinted is not None
        assert (summary.correct, summary.hinted.samples) == (summary.samples, 0)
        assert teach(opened) == summary
        assert mix(opened, 0).hinted == 0
        assert quote(opened, 3)["steps"][0]["samples"]["expected"] == summary.samples


def test_a_cap_pauses_it(tiny: Path, tmp_path: Path) -> None:
    teacher = {"generator": "tutor", "samples": 1, "max_tokens": 6, "rationalise": {}}
    recipe = recipe_of(tiny, teacher=teacher, caps={"tokens": 100})
    with (
        start(recipe, registry(), SilentReporter(), runs=tmp_path, name="run") as opened,
        pytest.raises(CapReached, match="`rationalise teacher`"),
    ):
        teach(opened)


def test_each_strategy_may_be_asked_again_for_itself(tiny: Path, tmp_path: Path) -> None:
    class Aloud(Spelled):
        """Never understood."""

        name = "aloud"

        def parse(self, text: str) -> Rationale | Unreadable:
            return Unreadable("never")

    both: dict[str, Any] = {"strategies": ["spelled", "aloud"]}
    counts = {}
    for per in ("problem", "strategy"):
        teacher = {"generator": "tutor", "samples": 1, "rationalise": {"per": per, "samples": 2}}
        recipe = recipe_of(tiny, **both, teacher=teacher)
        everything = toy_registry(Spelled, Aloud, Tutor, Pupil, Star, SelfOnly)
        with start(recipe, everything, SilentReporter(), runs=tmp_path, name=per) as opened:
            teach(opened)
            table = verdicts_of(opened, "hinted/teacher")
            unsolved = verdicts_of(opened, "teacher").filter(pl.col("status") != "correct")
        counts[per] = (table.height, unsolved)
        cells = table.select(pl.struct("problem_id", "requested")).n_unique()
        assert table.height == 2 * cells
    assert counts["strategy"][0] == 2 * counts["strategy"][1].height
    spelled = counts["problem"][1].filter(pl.col("strategy") == "spelled")
    assert counts["problem"][0] == 2 * 2 * spelled.height < counts["strategy"][0]


def test_a_quote_knows_of_it(tiny: Path, tmp_path: Path) -> None:
    with start(recipe_of(tiny), registry(), SilentReporter(), runs=tmp_path, name="run") as opened:
        found = quote(opened, 4)
        pilot = sum(
            verdicts.height for verdicts in (opened.pool("teacher").read(), opened.pool("hinted/teacher").read())
        )
        (teaching,) = [step for step in found["steps"] if step["step"] == "teach"]
        summary = teach(opened)
    assert summary.hinted is not None
    assert pilot > 4, "what the pilot was told is the run's"
    low, high = teaching["samples"]["low"], teaching["samples"]["high"]
    assert low <= summary.samples + summary.hinted.samples <= high


# What goes together


def test_a_recipe_that_asks_for_nothing_or_in_vain_is_told(tiny: Path, tmp_path: Path) -> None:
    ours = Registry.discover()
    with pytest.raises(RecipeError, match=r"rollout\.rationalise is null"):
        check(resolve(preset="pocket", changes={"mixing.policy": "star"}), ours)
    with pytest.raises(RecipeError, match="reads no prompt"):
        check(resolve(preset="pocket", assignments=["teacher.rationalise={}"]), ours)
    with pytest.raises(RecipeError, match="must contain \\{answer\\}"):
        resolve(preset="pocket", changes={"rollout.rationalise": {"hint": "{question}"}})
    with pytest.raises(RecipeError, match="samples of 1 or more"):
        resolve(preset="pocket", assignments=["teacher.rationalise={}", "teacher.samples=0"])
    check(resolve(preset="pocket,star"), ours)
    recipe = recipe_of(tiny, mixing={"policy": "both"})
    with start(recipe, registry(), SilentReporter(), runs=tmp_path, name="run") as opened:
        (finding,) = [one for one in preflight(opened) if one.what == "hints"]
    assert (finding.level, "'both' does not take" in finding.says) == ("warning", True)


def test_other_policies_go_with_it(run: Run) -> None:
    attempts = ledger(judged(run, 1))
    rows = offered(run, 1, attempts, hinted=True)
    told_rows = rows.filter(pl.col("hinted"), pl.col("source") == "student")

    def chosen(policy: str, **options: Any) -> pl.DataFrame:
        from siked_core import MixContext, PluginChoice

        opened = open_policy(PluginChoice(name=policy, options=options), run.recipe, run.registry)
        return opened.mix(rows, MixContext(1, ("spelled",), attempts, 1))

    everybodys = chosen("star", mixing={"name": "both", "options": {}})
    assert set(told_rows["key"]) <= set(everybodys["key"])
    helped = everybodys.filter(pl.col("source") == "teacher").join(told_rows, on="problem_id", how="semi")
    assert not helped.is_empty(), "the teacher has rows of these, too"
    own = chosen("star", mixing={"name": "both", "options": {}}, instead=True)
    assert set(own["key"]) == set(everybodys["key"]) - set(helped["key"])
    one_each = chosen("biased", order=["spelled"], mixing={"name": "star", "options": {}})
    assert one_each["problem_id"].is_unique().all()
    assert set(told_rows["key"]) <= set(one_each["key"])


# What is seen through, and what is not


def rationale(text: str, source: str) -> Rationale:
    return Rationale("any", text, source)


CLIPS = Problem("p", "She sold 48 clips in April and half as many in May. How many altogether?", "72")


@pytest.mark.parametrize(
    ("text", "source", "seen"),
    [
        ("She sold 48 / 2 = 24 clips.\nThat is 48 + 24 = 72.\nThe answer is 72.", "72", False),
        ("That is 72 clips.\nThe answer is 72.", "72", True),
        ("It must be 72.0, so\nThe answer is 72.", "72", True),
        ("may = 48 / 2\nanswer = 48 + may", "may = 48 / 2\nanswer = 48 + may", False),
        ("answer = 72", "answer = 72", True),
        ("april = 48\nmay = 24\nanswer = 72", "april = 48\nmay = 24\nanswer = 72", True),
        ("print(72 + 48 - 48)", "x = 72 + 48 - 48\nprint(x)", True),
        ("may = 48 / 2  # 24\nanswer = 48 + may  # 72", "may = 48 / 2  # 24\nanswer = 48 + may  # 72", False),
        ("% altogether 72\nans = 48 + 48 / 2", "% altogether 72\nans = 48 + 48 / 2", False),
        ("ans = 72", "ans = 72", True),
        ("She sold 48, and somehow 72.\nThe answer is 72.", "72", False),  # made up, and not seen through
    ],
)
def test_copies_are_seen_through_where_numbers_tell(text: str, source: str, seen: bool) -> None:
    assert bool(copied(rationale(text, source), CLIPS)) is seen


def test_a_number_of_the_question_may_be_the_answer() -> None:
    same = Problem("p", "Ann has 5 pens, gets 2 and loses 2. How many has she?", "5")
    assert copied(rationale("answer = 5 + 2 - 2", "answer = 5 + 2 - 2"), same) == ""
    assert copied(rationale("It is blue.", "blue"), Problem("p", "Which colour?", "blue")) == ""


def test_the_hint_is_put_in_letter_by_letter() -> None:
    odd = Problem("p", "Is {answer} \\1 a word?", "{question}")
    assert told(odd, "{question} ({answer})").question == "Is {answer} \\1 a word? ({question})"
    assert told(odd, "{question} ({answer})").answer == odd.answer


# As a user sees it


def test_the_commands_show_it(
    run: Run, siked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for place in ("attached", "either", "switches", "why"):
        monkeypatch.setattr(f"siked_cli.{place}.open_registry", lambda no_plugin: registry())
    name = str(run.path)
    key = read_parquet(run.mixture("round-1")).filter(pl.col("hinted")).get_column("key")[0]
    why = siked("why", name, key).out
    assert "hinted/round-1" in why
    assert "whoever wrote it had been told the answer" in why
    pools = json.loads(siked("verify", name, "--json", "-q").out)["pools"]
    assert list(pools) == ["teacher", "round-1", "hinted/teacher", "hinted/round-1"]
    assert pools["hinted/round-1"]["statuses"].keys() == {"correct", "copied"}
    again = siked("rollout", name, "--round", "1").out
    assert "hinted/round-1 (asked again, the answer told)" in again
    assert "told)" in siked("mix", name, "--round", "1").out
    compared = json.loads(siked("mix", name, "--policy", "star", "--policy", "self_only", "--json", "-q").out)
    star, alone = compared["policies"]
    assert star["rows"] == alone["rows"] + pools["hinted/round-1"]["correct"]
    assert "asked again, and told:" in siked("prompts", name, "--strategy", "spelled").out
    shown = export(run, tmp_path / "data", "correct")
    table = pl.concat([pl.read_parquet(one) for one in (tmp_path / "data").rglob("*.parquet")])
    assert shown.rows == table.height
    hinted = table.filter(pl.col("hinted"))
    assert hinted.height == sum(pools[f"hinted/{pool}"]["correct"] for pool in ("teacher", "round-1"))
    assert hinted.get_column("pass_rate").is_null().all()
    assert asdict(shown)["by_strategy"] == {"spelled": table.height}
