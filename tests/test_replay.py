"""The teacher that is a file of recorded completions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import Completion, DataError, Message, Problem, Prompt, Request, Sampling
from siked_plugins.generators.replay import Replay
from siked_plugins.strategies.cot import ChainOfThought

PROBLEM = Problem("gsm8k-train-00001", "How many pens?", "5")


def recorded(tmp_path: Path, *rows: Any, name: str = "teacher.jsonl") -> Path:
    path = tmp_path / name
    if path.suffix == ".parquet":
        pl.DataFrame(list(rows)).write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def ask(generator: Replay, draw: int = 0, *, free: bool = False) -> Completion:
    strategy = None if free else ChainOfThought()
    request = Request(PROBLEM, strategy, Prompt((Message("user", "How many pens?"),)), draw, seed=0)
    [(index, completion)] = generator.generate([request], Sampling())
    assert index == 0
    return completion


@pytest.mark.parametrize("name", ["teacher.jsonl", "teacher.parquet"])
def test_recorded_completions_come_back(tmp_path: Path, name: str) -> None:
    row = {
        "problem_id": PROBLEM.id,
        "strategy": "cot",
        "text": "2 + 3 = 5 pens.\nThe answer is 5.",
        "draw": 1,
        "finish_reason": "length",
        "prompt_tokens": 11,
        "completion_tokens": 13,
        "logprob": -1.5,
    }
    path = recorded(tmp_path, {**row, "draw": 0, "text": "other"}, row, name=name)
    assert ask(Replay({"path": path}), 1) == Completion(row["text"], "length", 11, 13, -1.5)  # type: ignore[arg-type]


def test_draws_are_numbered_where_the_file_has_none_and_words_counted(tmp_path: Path) -> None:
    row = {"problem_id": PROBLEM.id, "strategy": "cot"}
    path = recorded(tmp_path, {**row, "text": "one two"}, {**row, "text": "three"})
    generator = Replay({"path": path})
    assert ask(generator, 0) == Completion("one two", "stop", 3, 2)
    assert ask(generator, 1).text == "three"


def test_questions_and_mapped_columns_and_free_choice(tmp_path: Path) -> None:
    path = recorded(tmp_path, {"q": "  How many pens? ", "completion": "five"})
    generator = Replay({"path": path, "columns": {"question": "q", "text": "completion"}})
    assert ask(generator, free=True).text == "five"


def test_a_missing_one_is_named_or_empty(tmp_path: Path) -> None:
    path = recorded(tmp_path, {"problem_id": PROBLEM.id, "strategy": "cot", "text": "x"})
    with pytest.raises(DataError, match="no completion of the problem 'gsm8k-train-00001' under 'cot', draw 3"):
        ask(Replay({"path": path}), 3)
    with pytest.raises(DataError, match="under 'free choice', draw 0"):
        ask(Replay({"path": path}), free=True)
    assert ask(Replay({"path": path, "missing": "empty"}), 3).text == ""


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"strategy": "cot", "text": "x"}, "line 1: needs a problem_id or a question. It has: strategy, text."),
        ({"problem_id": "p", "strategy": "cot"}, "line 1: the column 'text' must hold a text, not None"),
        ({"problem_id": "p", "text": "x", "draw": -1}, "line 1: draw must be a whole number from 0, not -1"),
        ({"problem_id": "p", "text": "x", "draw": True}, "line 1: draw must be a whole number from 0, not True"),
        ({"problem_id": "p", "text": "x", "finish_reason": "stopp"}, "line 1: Unknown finish_reason 'stopp'. Did you"),
        ({"problem_id": "p", "text": "x", "logprob": "low"}, "line 1: logprob must be a number, not 'low'"),
        ({"problem_id": 7, "text": "x"}, "line 1: the column 'problem_id' must hold a text, not 7"),
    ],
)
def test_malformed_rows_name_file_and_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    path = recorded(tmp_path, row)
    with pytest.raises(DataError) as error:
        ask(Replay({"path": path}))
    assert str(error.value).startswith(f"{path}, {said}")


def test_one_recorded_twice_is_refused(tmp_path: Path) -> None:
    row = {"problem_id": "p", "strategy": "cot", "text": "x", "draw": 0}
    with pytest.raises(DataError, match="line 2: 'p' under 'cot', draw 0, is recorded twice"):
        ask(Replay({"path": recorded(tmp_path, row, row)}))


def test_the_fingerprint_is_the_content(tmp_path: Path) -> None:
    row = {"problem_id": PROBLEM.id, "strategy": "cot", "text": "x"}
    one, same = recorded(tmp_path, row, name="a.jsonl"), recorded(tmp_path, row, name="b.jsonl")
    other = recorded(tmp_path, {**row, "text": "y"}, name="c.jsonl")
    assert Replay({"path": one}).fingerprint == Replay({"path": same}).fingerprint
    assert Replay({"path": one}).fingerprint != Replay({"path": other}).fingerprint
    with pytest.raises(DataError, match="Cannot read"):
        _ = Replay({"path": tmp_path / "none.jsonl"}).fingerprint
