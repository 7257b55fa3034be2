"""Training problems that are too near a test problem: found, left out, listed; and nothing else is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_cli.main import main
from siked_core import DataError, Problem, RecipeError
from siked_core.decontamination import Rule, too_near, words
from siked_core.recipe import resolve, validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import start
from siked_core.stages.prepare import contaminated, excluded, problems

LONG = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did "
    "Natalia sell altogether in April and May?"
)
DATA = Path(os.environ.get("SIKED_DATA_DIR") or Path(__file__).resolve().parents[2] / "shared" / "data")


def problem(name: str, question: str) -> Problem:
    return Problem(name, question, "1")


def found(question: str, test: str, rule: Rule, ngram: int = 8, overlap: float = 0.7) -> str | None:
    matches = too_near([problem("a", question)], {"d": [problem("t", test)]}, rule, ngram, overlap)
    return matches[0].how if matches else None


@pytest.mark.parametrize(
    ("question", "test", "exact", "normalised", "ngram"),
    [
        (LONG, LONG, "exact", "exact", "exact"),
        (f"  {LONG}\n", LONG, "exact", "exact", "exact"),
        (LONG.upper().replace(",", " -"), LONG, None, "normalised", "normalised"),
        ("It costs $1,200 - why?", "it costs  $1200. Why", None, "normalised", "normalised"),
        ("½ of 6?", "1⁄2 of 6", None, "normalised", "normalised"),
        (f"Here is a riddle. {LONG}", LONG, None, None, "ngram"),
        (LONG.replace("her friends", "his neighbours"), LONG, None, None, None),
        ("Ann has 3 pens. How many pens?", "Ann has 4 pens. How many pens?", None, None, None),
        ("Think. Ann has 3 pens. How many pens? Show it.", "Ann has 3 pens. How many pens?", None, None, "ngram"),
        ("", "?", None, None, None),
    ],
)
def test_each_rule_includes_those_before_it(
    question: str, test: str, exact: str | None, normalised: str | None, ngram: str | None
) -> None:
    assert [found(question, test, rule) for rule in ("none", "exact", "normalised", "ngram")] == [
        None,
        exact,
        normalised,
        ngram,
    ]


def test_overlap_is_the_share_of_the_test_problem() -> None:
    test = problem("t", "a b c d e f")  # five pairs
    near = too_near([problem("p", "x a b c d y")], {"d": [test]}, "ngram", 2, 0.6)
    assert [(match.test, match.overlap) for match in near] == [(test, 0.6)]
    assert not too_near([problem("p", "x a b c d y")], {"d": [test]}, "ngram", 2, 0.61)


def test_the_nearest_of_several_is_named() -> None:
    tests = {"far": [problem("far-1", "a b c d z z")], "near": [problem("near-1", "a b c d e f")]}
    (match,) = too_near([problem("p", "a b c d e f g")], tests, "ngram", 2, 0.5)
    assert (match.dataset, match.test.id, match.overlap) == ("near", "near-1", 1.0)


TEXT = st.lists(st.sampled_from(["a", "b", "c", "1", "2"]), max_size=9).map(" ".join)


@given(TEXT, TEXT, st.integers(1, 4), st.sampled_from([0.3, 0.7, 1.0]))
def test_the_index_finds_what_comparing_all_finds(question: str, test: str, ngram: int, overlap: float) -> None:
    """The rule, said once more without an index."""

    def grams(text: tuple[str, ...], length: int) -> set[tuple[str, ...]]:
        return {text[i : i + length] for i in range(len(text) - length + 1)}

    mine, theirs = words(question), words(test)
    length = min(ngram, len(theirs))
    wanted = grams(theirs, length) if theirs else set()
    near = bool(wanted) and len(wanted & grams(mine, length)) / len(wanted) >= overlap
    same = question.strip() == test.strip() or (bool(theirs) and mine == theirs)
    assert bool(found(question, test, "ngram", ngram, overlap)) == (near or same)


# In a run


def write(folder: Path, name: str, questions: list[str]) -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"question": one, "answer": "1"}) + "\n" for one in questions), "utf-8")
    return path


def recipe_of(folder: Path, **data: object) -> dict[str, object]:
    return {
        "dataset": {"name": "jsonl", "options": {"path": str(folder)}},
        "evaluate": [{"name": "svamp", "options": {"path": str(folder / "SVAMP.json")}}],
        "data": {"validation": 1, **data},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fine = [f"Tom had {n} apples and ate {n - 1} of them before noon. How many are left?" for n in range(2, 12)]
    write(tmp_path, "train", [*fine, LONG.upper(), "Bea reads 7 pages a day. How many in 2 days?"])
    write(tmp_path, "test", [LONG, "What is 1 + 1?"])
    rows = [{"Body": "Bea reads 7 pages a day", "Question": "How many in 2 days?", "Answer": 14.0}]
    (tmp_path / "SVAMP.json").write_text(json.dumps(rows), "utf-8")
    return tmp_path


def test_a_run_leaves_them_out_of_training_and_validation_and_lists_them(folder: Path) -> None:
    with start(validate(recipe_of(folder)), Registry.discover(), SilentReporter(), runs=folder, name="run") as run:
        train, validation = problems(run, "train"), problems(run, "validation")
        assert len(train) + len(validation) == 10
        assert not {"jsonl-train-00011", "jsonl-train-00012"} & {one.id for one in (*train, *validation)}
        assert len(problems(run, "test")) == 2, "test problems stay"
        assert excluded(run) == {"jsonl-train": 2}
        assert contaminated(run) == {
            "jsonl-train-00011": "jsonl-test-00001",
            "jsonl-train-00012": "svamp-test-00001",
        }
        listed = [json.loads(line) for line in (run.path / "problems" / "contaminated.jsonl").open(encoding="utf-8")]
    assert [(one["dataset"], one["how"], one["test_question"]) for one in listed] == [
        ("jsonl", "normalised", LONG),
        ("svamp", "exact", "Bea reads 7 pages a day. How many in 2 days?"),
    ]


def test_limits_on_the_test_split_hide_nothing_from_it_and_none_switches_it_off(folder: Path) -> None:
    registry = Registry.discover()
    for name, data, left in (("limited", {"test_limit": 1}, 2), ("off", {"decontaminate": "none"}, 0)):
        with start(validate(recipe_of(folder, **data)), registry, SilentReporter(), runs=folder, name=name) as run:
            problems(run, "train")
            assert len(contaminated(run)) == left


def test_training_on_the_test_split_is_refused_in_one_line(folder: Path) -> None:
    (folder / "train.jsonl").write_bytes((folder / "test.jsonl").read_bytes())
    with (
        start(validate(recipe_of(folder)), Registry.discover(), SilentReporter(), runs=folder, name="run") as run,
        pytest.raises(DataError, match=r"Every training problem of the data set 'jsonl' is too near a test problem"),
    ):
        problems(run, "train")


def test_an_unknown_rule_names_those_that_there_are() -> None:
    with pytest.raises(RecipeError, match=r"data\.decontaminate.*'none', 'exact', 'normalised' or 'ngram'"):
        resolve(assignments=["data.decontaminate=fuzzy"])


def test_the_command_says_what_it_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "SVAMP.json").unlink()
    arguments = ["teach", "--dataset", "jsonl", "--data", str(folder), "--strategies", "cot", "--run", "mine"]
    arguments += ["--teacher", "annotations", "--set", "data.decontaminate=normalised", "--plain"]
    assert main(arguments) == 0
    said = capsys.readouterr().err
    assert "1 of 12 training problems of jsonl are left out, because a test problem is too near" in said
    assert "runs/mine/problems/contaminated.jsonl" in said


def test_the_pocket_world_keeps_its_templates() -> None:
    """Problems of one family share their wording; only what differs in a name alone is too near."""
    registry = Registry.discover()
    recipe = resolve()
    world = registry.create("dataset", "pocket", recipe.dataset.options)
    train, test = world.load("train").problems, world.load("test").problems
    left = too_near(train, {"pocket": test}, "ngram", recipe.data.ngram, recipe.data.ngram_overlap)
    assert len(left) <= len(train) / 100


@pytest.mark.skipif(not (DATA / "gsm8k_test.jsonl").exists(), reason=f"no published data at {DATA}")
def test_thousands_of_questions_take_seconds() -> None:
    questions = [
        [json.loads(line)["question"] for line in (DATA / f"gsm8k_{split}.jsonl").open(encoding="utf-8")]
        for split in ("train", "test")
    ]
    train, test = (
        [problem(f"{name}-{n}", q) for n, q in enumerate(one)] for name, one in zip("ab", questions, strict=True)
    )
    started = time.process_time()
    assert too_near(train, {"gsm8k": test}, "ngram", 8, 0.7) == []
    assert len(too_near(train, {"gsm8k": test}, "ngram", 8, 0.5)) == 2
    assert time.process_time() - started < 20
