"""Prompt banks: what a file may hold, and how a bad one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from siked_core import Bank, DataError, Shot, load_bank

GOOD = """
instruction: |
  Solve it step by step.
template: "Question: {question}"
shots:
  - question: Ann has 2 pens and buys 3 more. How many?
    answer: "5"
    completion: |
      Ann has 2 + 3 = 5 pens.
      The answer is 5.
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "bank.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_bank_is_read(tmp_path: Path) -> None:
    shot = Shot(
        question="Ann has 2 pens and buys 3 more. How many?",
        answer="5",
        completion="Ann has 2 + 3 = 5 pens.\nThe answer is 5.",
    )
    assert load_bank(write(tmp_path, GOOD)) == Bank("Solve it step by step.", "Question: {question}", (shot,))


def test_everything_has_a_default(tmp_path: Path) -> None:
    assert load_bank(write(tmp_path, "")) == Bank("", "{question}", ())


def test_the_instruction_can_be_replaced(tmp_path: Path) -> None:
    bank = load_bank(write(tmp_path, GOOD))
    changed = bank.with_instruction("Draw a table.")
    assert (changed.instruction, changed.template, changed.shots) == ("Draw a table.", bank.template, bank.shots)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("template: Question", "does not fit at template: Value error, the template must contain {question}."),
        ("shots: [{question: a, completion: b}]", "does not fit at shots.0.answer: Field required."),
        ("shots: [{question: a, answer: 5, completion: b}]", "does not fit at shots.0.answer: Input should be a valid"),
        ("shots: [{question: a, answer: '5', completion: b, extra: c}]", "does not fit at shots.0.extra: Extra inputs"),
        ("instructions: a", "does not fit at instructions: Extra inputs are not permitted."),
        ("- a", "does not fit at the file: "),
        ("instruction: 'a", "is not YAML: "),
        ("instruction: 2024-13-45", "is not YAML: "),
    ],
)
def test_a_bad_bank_is_refused_in_one_line_naming_file_and_place(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError) as raised:
        load_bank(path)
    assert str(raised.value).startswith(f"The prompt bank {path} ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    with pytest.raises(DataError) as raised:
        load_bank(missing)
    assert str(raised.value) == f"Cannot read the prompt bank {missing}: No such file or directory."
    path = tmp_path / "latin.yaml"
    path.write_bytes("instruction: caf\xe9".encode("latin-1"))
    with pytest.raises(DataError) as raised:
        load_bank(path)
    assert str(raised.value) == f"Cannot read the prompt bank {path}: it is not UTF-8 text."
