"""Two runs side by side: their differences, and accuracies on the questions that both were asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from siked_core.comparison import chosen_student, compare
from siked_core.errors import RunError
from siked_core.loop import distill
from siked_core.recipe import validate
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.seeds import compare_seeds
from siked_core.stages.evaluate import right_answers
from siked_core.stages.teach import teach
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Two finished runs that differ in seed and teacher, and one that has only been taught."""
    folder = tmp_path_factory.mktemp("runs")
    student = make_tiny_student(tmp_path_factory.mktemp("tiny"))
    changes: dict[str, dict[str, object]] = {
        "a": {"evaluate": []},
        "b": {"seed": 2, "teacher": {"generator": "toy-teacher", "samples": 2}},
        "begun": {},
    }
    for name, change in changes.items():
        recipe = validate(toy_recipe(student, **change))
        with start(recipe, toy_registry(), SilentReporter(), runs=folder, name=name) as run:
            teach(run) if name == "begun" else distill(run)
    return {name: attach(name, toy_registry(), SilentReporter(), runs=folder, lock=False) for name in changes}


def test_what_differs_and_what_was_got(runs: dict[str, Run]) -> None:
    found = compare(runs["a"], runs["b"])
    assert found.recipe == ("seed: 1 -> 2", "teacher.samples: 1 -> 2")
    assert found.data["sums-train"] == {"a": 10, "b": 10, "shared": 10}
    assert found.pools["teacher"]["a"]["samples"] == 20
    assert found.pools["teacher"]["b"]["samples"] == 40
    by_strategy = found.pools["teacher"]["b"]["by_strategy"]
    assert sum(one["correct"] for one in by_strategy.values()) == found.pools["teacher"]["b"]["correct"]
    assert found.spent["teach"]["b"]["tokens_out"] == 2 * found.spent["teach"]["a"]["tokens_out"] == 160
    reports = {name: json.loads((runs[name].path / "report.json").read_text("utf-8")) for name in "ab"}
    assert found.chosen == {name: f"round-{report['chosen_round']}" for name, report in reports.items()}
    scores = {(one.student, one.split): one for one in found.accuracies}
    for name in "ab":
        for one in reports[name]["rounds"]:
            score = getattr(scores[one["student"], "validation"], name)
            assert score.as_dict() == one["validation"]["score"]
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()


def test_the_paired_difference_is_that_of_the_same_questions(runs: dict[str, Run]) -> None:
    found = compare(runs["a"], runs["b"])
    tested = [one for one in found.paired if one.split == "test"]
    assert tested
    assert (tested[0].student_a, tested[0].student_b) == (found.chosen["a"], found.chosen["b"])
    for one in found.paired:
        left = right_answers(runs["a"], one.student_a, one.dataset, one.split)
        right = right_answers(runs["b"], one.student_b, one.dataset, one.split)
        assert one.paired.total == len(left) == len(right)
        assert one.paired.difference == pytest.approx((sum(right.values()) - sum(left.values())) / len(left))
        assert one.paired.only_a == sum(left[problem] and not right[problem] for problem in left)
    cards = {(one.student, one.split): one.a for one in found.accuracies}
    for student, split in [(one.student_a, one.split) for one in found.paired]:
        score = cards[student, split]
        assert score is not None
        assert sum(right_answers(runs["a"], student, "sums", split).values()) == score.correct


def test_a_run_with_itself_and_with_one_that_has_hardly_begun(runs: dict[str, Run]) -> None:
    same = compare(runs["a"], runs["a"])
    assert same.recipe == ()
    assert all((one.paired.difference, one.paired.p_value) == (0.0, 1.0) for one in same.paired)
    begun = compare(runs["a"], runs["begun"])
    assert begun.chosen["b"] is None
    assert begun.paired == ()
    assert begun.pools["round-1"]["b"] is None
    assert all(one.b is None for one in begun.accuracies)


def test_other_questions_are_not_compared(runs: dict[str, Run], tmp_path: Path) -> None:
    fewer = validate({**runs["a"].recipe.model_dump(mode="json"), "data": {"validation": 2, "test_limit": 2}})
    with start(fewer, toy_registry(), SilentReporter(), runs=tmp_path, name="fewer") as run:
        distill(run)
        found = compare(runs["a"], run)
    assert {one.paired.total for one in found.paired if one.split == "test"} == {2}


def test_seeds_of_two_recipes_are_compared_on_the_questions_that_all_were_asked(runs: dict[str, Run]) -> None:
    a, b = runs["a"], runs["b"]
    found = compare_seeds([a, b], [b])
    (score,) = found.scores
    right = [right_answers(run, str(chosen_student(run)), "sums", "test") for run in (a, b)]
    accuracies = [sum(one.values()) / len(one) for one in right]
    assert score.paired.accuracies == (tuple(accuracies), (accuracies[1],))
    assert score.paired.difference == pytest.approx(accuracies[1] - sum(accuracies) / 2)
    low, high = score.paired.bootstrap()
    assert low <= score.paired.difference <= high
    assert json.loads(json.dumps(found.as_dict())) == found.as_dict()
    with pytest.raises(RunError, match="is not finished"):
        compare_seeds([a], [b, runs["begun"]])


# Through the command

Siked = Callable[..., str]


@pytest.mark.slow
def test_the_commands_compare_and_list_runs(siked_says: Siked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    recipe = ["--preset", "pocket-smoke", "--strategies", "cot", "--rounds", "0", "-q"]
    for seed in ("1", "2"):
        siked_says("distill", *recipe, "--seed", seed, "--run", f"seed-{seed}")
    siked_says("teach", *recipe, "--seed", "3", "--run", "begun")
    told = json.loads(siked_says("compare", "seed-1", "seed-2", "--json"))
    assert told["recipe"] == ["seed: 1 -> 2"]
    paired = next(one for one in told["paired"] if one["split"] == "test")
    assert paired["problems"] == 24
    assert paired["low"] <= paired["difference"] <= paired["high"]
    shown = siked_says("compare", "seed-1", "seed-2")
    for text in ("A  runs/seed-1", "seed: 1 -> 2", "pocket-train", "teacher: correct of all", "round-0 on pocket test"):
        assert text in shown
    points = f"{100 * paired['difference']:+.1f} ({100 * paired['low']:+.1f} to {100 * paired['high']:+.1f})"
    assert points in shown
    assert "the same" in siked_says("compare", "seed-1", "seed-1")
    seeds = json.loads(siked_says("compare", "seed-1,seed-2", "seed-2,seed-1", "--json"))
    (test,) = seeds["scores"]
    assert (test["problems"], test["difference"]) == (24, 0.0)
    assert test["accuracies"]["a"] == test["accuracies"]["b"][::-1]
    assert test["bootstrap_low"] <= 0 <= test["bootstrap_high"]
    assert "pocket test" in siked_says("compare", "seed-1,seed-2", "seed-1")
    assert "is not finished" in siked_says("compare", "seed-1,begun", "seed-2", code=2)
    assert "There is no run at runs/none" in siked_says("compare", "seed-1", "none", code=2)
    # What is under runs/.
    listed = {one["run"]: one for one in json.loads(siked_says("runs", "--json"))}
    assert set(listed) == {"seed-1", "seed-2", "begun"}
    first, begun = listed["seed-1"], listed["begun"]
    assert (first["state"], first["seed"], first["student"], first["last_stage"]) == ("finished", 1, "pocket", None)
    score = json.loads(Path("runs/seed-1/report.json").read_text("utf-8"))["test"][0]["score"]
    assert first["accuracy"] == {"student": "round-0", "split": "test", **score}
    assert first["bytes"] == sum(path.stat().st_size for path in Path("runs/seed-1").rglob("*") if path.is_file())
    assert (begun["state"], begun["last_stage"], begun["accuracy"]) == ("unfinished", "verify teacher", None)
    table = siked_says("runs")
    (line,) = [line for line in table.splitlines() if line.startswith("seed-1")]
    assert f"{100 * score['accuracy']:.1f}" in line
    assert first["created"][:16].replace("T", " ") in line
    Path("runs/seed-2/report.json").unlink()  # as while it is under way: the best on validation, in brackets
    unfinished = {one["run"]: one for one in json.loads(siked_says("runs", "--json"))}["seed-2"]
    assert unfinished["accuracy"]["split"] == "validation"
    assert f"({100 * unfinished['accuracy']['accuracy']:.1f})" in siked_says("runs")


def test_a_run_that_a_process_works_on_is_running(siked_says: Siked) -> None:
    recipe = ["--preset", "pocket-smoke", "--strategies", "cot", "-q"]
    siked_says("teach", *recipe, "--run", "mine")
    with attach("mine", toy_registry(), SilentReporter()):
        assert json.loads(siked_says("runs", "--json"))[0]["state"] == "running"
        assert "running" in siked_says("runs")
    assert json.loads(siked_says("runs", "--json"))[0]["state"] == "unfinished"
