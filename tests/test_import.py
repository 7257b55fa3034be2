"""Rationales from files become samples of a run: read, judged, never twice; what cannot be used is listed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import DataError, Problem
from siked_core.recorded import read_recorded
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import attach, start
from siked_core.stages.import_rationales import import_rationales
from siked_core.stages.verify import verdicts_of

NEW = ("--run", "mine", "--preset", "pocket-smoke", "--strategies", "cot,pot")


Siked = Callable[..., Any]


@pytest.fixture(scope="module")
def world() -> dict[str, tuple[Problem, ...]]:
    made = Registry.discover().create("dataset", "pocket", {"train": 48, "validation": 24, "test": 24})
    return {split: made.load(split).problems for split in ("train", "test")}


def written(problem: Problem, strategy: str) -> str:
    text = Registry.discover().create("strategy", strategy, {}).demonstrate(problem.solution)
    assert text is not None
    return text


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def chat(question: str, answer: str, **more: Any) -> dict[str, Any]:
    shot = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": [{"role": "system", "content": "Solve it."}, *shot, *turns], **more}


def test_a_new_run_begins_with_a_file(siked: Siked, tmp_path: Path, world: dict[str, tuple[Problem, ...]]) -> None:
    first, second, third = world["train"][:3]
    file = lines(
        tmp_path / "rationales.jsonl",
        {"question": first.question, "answer": written(first, "cot"), "strategy": "cot", "teacher": "ann"},
        chat(f" {second.question.upper()} ", f"<pot>\n{written(second, 'pot')}", teacher="bob"),
        {"problem_id": third.id, "rationale": "The answer is 777777.", "strategy": "cot"},
        {"question": "What is this?", "answer": "5", "strategy": "cot"},
        {"question": world["test"][0].question, "answer": "5", "strategy": "cot"},
        {"question": first.question, "answer": "x = 5", "strategy": "eot"},
        {"question": first.question, "answer": written(first, "cot"), "strategy": "cot", "teacher": "ann"},
    )
    said = siked("import", str(file), *NEW, "--json", "-q")
    found = json.loads(said.out)
    assert (found["rows"], found["added"], found["present"]) == (7, 3, 1)
    assert found["left_out"] == {
        "its question is not one of the training problems": 1,
        "its question is one of pocket-test": 1,
        "the run does not teach its strategy 'eot'": 1,
    }
    assert found["teachers"] == {"ann": 2, "bob": 1, "": 1}
    assert (found["pool"]["samples"], found["pool"]["correct"]) == (3, 2)
    listed = [json.loads(line) for line in Path(found["left_out_file"]).read_text("utf-8").splitlines()]
    assert [one["where"].rpartition(", ")[2] for one in listed] == ["line 4", "line 5", "line 6"]
    # The same again, by the same command and by naming the run alone: nothing is added.
    for arguments in (NEW, ("--run", "mine")):
        again = json.loads(siked("import", str(file), *arguments, "--json", "-q").out)
        assert (again["added"], again["present"], again["pool"]) == (0, 4, found["pool"])
    # The run goes on from there: its own teacher is asked nothing, and the mixture is what was imported and is right.
    taught = json.loads(siked("teach", "runs/mine/recipe.yaml", "--run", "mine", "--json", "-q").out)
    assert (taught["samples"], taught["correct"]) == (3, 2)
    mixed = json.loads(siked("mix", "mine", "--round", "0", "--json", "-q").out)
    assert (mixed["rows"], mixed["by_strategy"]) == (2, {"cot": 1, "pot": 1})


def test_what_is_shown_for_people(siked: Siked, tmp_path: Path, world: dict[str, tuple[Problem, ...]]) -> None:
    one = world["train"][0]
    rows = [
        {"question": one.question, "answer": written(one, "cot"), "teacher": "ann"},
        {"question": "?", "answer": "5"},
    ]
    said = siked("import", str(lines(tmp_path / "r.jsonl", *rows)), *NEW, "--strategy", "cot", "--plain")
    for text in (
        "1 of 2 rows added",
        "left out 1: its question is not one of the training problems",
        "runs/mine/imports/r.left-out.jsonl",
        "by teacher: ann 1",
        "Next: siked distill runs/mine/recipe.yaml --run runs/mine",
    ):
        assert text in said.out
    assert "Run runs/mine" in said.err


def test_into_a_run_that_has_a_teacher_of_its_own(
    siked: Siked, tmp_path: Path, world: dict[str, tuple[Problem, ...]]
) -> None:
    taught = json.loads(siked("teach", *NEW, "--json", "-q").out)
    rows = [{"question": one.question, "answer": f"Well.\n{written(one, 'cot')}"} for one in world["train"]]
    pl.DataFrame(rows).write_parquet(tmp_path / "more.parquet")
    found = json.loads(siked("import", "more.parquet", "--run", "mine", "--strategy", "cot", "--json", "-q").out)
    assert found["added"] == 48
    assert found["pool"]["samples"] == taught["samples"] + 48
    again = json.loads(siked("teach", *NEW, "--json", "-q").out)
    assert again["samples"] == taught["samples"] + 48, "teaching keeps what was imported"
    forked = json.loads(siked("teach", *NEW, "--set", "mixing.keep=3", "--fork", "--json", "-q").out)
    assert (forked["run"], forked["samples"]) == ("runs/mine-001", again["samples"]), "a fork takes it over"
    fewer = json.loads(siked("teach", *NEW[:-1], "pot", "--set", "data.limit=5", "--fork", "--json", "-q").out)
    assert fewer["samples"] == 5, "what does not fit the recipe stays out"


def test_a_kill_between_pool_and_list_is_put_right(tmp_path: Path, world: dict[str, tuple[Problem, ...]]) -> None:
    from siked_core.recipe import resolve

    file = lines(tmp_path / "r.jsonl", {"question": world["train"][0].question, "answer": "The answer is 5."})
    recipe = resolve(changes={"strategies": ["cot"], "teacher.samples": 0}, preset="pocket-smoke")
    with start(recipe, Registry.discover(), SilentReporter(), runs=tmp_path, name="run") as run:
        import_rationales(run, file)
        (run.path / "imports" / "teacher.parquet").unlink()
    with attach("run", Registry.discover(), SilentReporter(), runs=tmp_path) as run:
        found = import_rationales(run, file)
        assert (found.added, found.pool.samples, verdicts_of(run, "teacher").height) == (1, 1, 1)
        assert run.pool("teacher").read().height == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "line 2: not JSON"),
        ({"answer": "5", "strategy": "cot"}, "line 2: needs a problem_id or a question. It has: answer, strategy."),
        ({"question": "?", "strategy": "cot"}, "line 2: the column 'text' must hold a text, not None."),
        ({"question": "?", "answer": 5, "strategy": "cot"}, "line 2: the column 'answer' must hold a text, not 5."),
        ({"question": "?", "answer": "5"}, "line 2: it names no strategy. Give a column strategy, begin the text with"),
        ({"question": "?", "answer": " \n", "strategy": "cot"}, "line 2: the rationale is empty."),
        ({"messages": "hello", "strategy": "cot"}, "line 2: the column 'messages' must be a list of {role, content}"),
        (
            {"messages": [{"role": "user", "content": "?"}]},
            "must end with the user's question and the assistant's answer",
        ),
        ({"messages": []}, "not with nothing."),
        ({"question": "?", "answer": "5", "teacher": 4}, "line 2: the column 'teacher' must hold a text, not 4."),
    ],
)
def test_a_bad_row_is_one_line_with_its_number_and_nothing_is_imported(
    siked: Siked, tmp_path: Path, world: dict[str, tuple[Problem, ...]], row: Any, said: str
) -> None:
    good = {"question": world["train"][0].question, "answer": "The answer is 5.", "strategy": "cot"}
    error = siked("import", str(lines(tmp_path / "r.jsonl", good, row)), *NEW, "-q", code=2)
    assert error.err.startswith("Error: ")
    assert error.err.count("\n") == 1
    assert said in error.err
    assert not (tmp_path / "runs" / "mine" / "pools").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no.jsonl", *NEW], "There is no file no.jsonl."),
        (["r.csv", *NEW], "Cannot read a '.csv' file. Readable: .jsonl"),
        (["r.jsonl", *NEW, "--strategy", "cott"], "Unknown strategy of this run 'cott'. Did you mean 'cot'?"),
        (["r.jsonl", *NEW, "--column", "text"], "--column takes ours=theirs, e.g. text=response; got 'text'."),
        (["r.jsonl", *NEW, "--column", "txt=a"], "--column: Unknown column 'txt'. Did you mean 'text'?"),
        (["r.jsonl", "--preset", "pocket-smoke"], "--run"),
        (["r.jsonl", *NEW[:-1], "cott"], "Unknown strategy 'cott'"),
    ],
)
def test_a_mistake_is_one_line(siked: Siked, tmp_path: Path, arguments: list[str], said: str) -> None:
    lines(tmp_path / "r.jsonl", {"question": "?", "answer": "5"})
    (tmp_path / "r.csv").write_text("a,b\n", encoding="utf-8")
    error = siked("import", *arguments, code=2)
    assert said in error.err
    assert error.err.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in error.err


def test_columns_of_other_names_and_a_text_among_several(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "r.jsonl",
        {"q": "One?", "response": "1", "answer": "2"},
        {"q": "Two?", "response": "3", "by": "ann", "draw": 4},
    )
    first, second = read_recorded(file, {"question": "q", "text": "response", "teacher": "by"})
    assert (first.question, first.completion.text, first.teacher, first.draw) == ("One?", "1", "", None)
    assert (second.completion.text, second.teacher, second.draw) == ("3", "ann", 4)
    plain = lines(tmp_path / "p.jsonl", {"question": "?", "answer": "4", "rationale": "2 + 2 = 4", "text": None})
    assert next(read_recorded(plain, {})).completion.text == "2 + 2 = 4", "the rationale, not its answer"
    with pytest.raises(DataError, match="the column 'response' must hold a text"):
        list(read_recorded(plain, {"text": "response"}))
