# ruff: noqa: E501  (one line a case)
"""KPDD: three named parts, however a model labels them, with a solution in words or a program."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from siked_core import Rationale, Strategy, Unreadable
from siked_plugins.strategies.kpdd import KeyPoints
from siked_plugins.strategies.kpdd_pot import KeyPointsProgram

WORDS, PROGRAM = KeyPoints(), KeyPointsProgram()
HEAD = (
    "Core question: How many clips did she sell?\n"
    "Needed information: 48 clips in April; half as many in May.\n"
    "Solution:\n"
)
IN_WORDS = HEAD + "In May it was 48 / 2 = 24 clips.\nThat is 48 + 24 = 72 clips.\nThe answer is 72."
AS_PROGRAM = HEAD + "may = 48 / 2\nanswer = 48 + may"


def read(strategy: Strategy, text: str) -> Rationale:
    result = strategy.parse(text)
    assert isinstance(result, Rationale), result
    return result


@pytest.mark.parametrize(
    "written",
    [
        IN_WORDS,
        IN_WORDS.replace("\n", "\r\n"),
        IN_WORDS.replace("\n", "\n\n"),
        f"Let us see.\n\n{IN_WORDS}\n\nI hope this helps!",
        f"Question: She sold 48 clips.\nAnswer:\n{IN_WORDS}",
        f"```\n{IN_WORDS}\n```",
        IN_WORDS.replace("Core question:", "**Core Question:**").replace("Needed information:", "**Needed information**:"),
        IN_WORDS.replace("Core question: ", "### 1. Core question\n").replace("Solution:", "### 3. Solution"),
        IN_WORDS.replace("Core question: How many clips did she sell?", "**Core question: How many clips did she sell?**"),
        IN_WORDS.replace("Needed information: 48 clips in April; h", "Problem-solving information:\n- 48 clips in April\n- h"),
        IN_WORDS.replace("Needed information: 48 clips in April; h", "Information needed:\n1. 48 clips in April.\n2) h"),
        IN_WORDS.replace("Solution:\n", "Step-by-step solution: "),
        IN_WORDS.replace("Solution:", "Reasoning:").replace("/", "÷"),
        IN_WORDS.replace("The answer is 72.", "#### 72"),
        f"{IN_WORDS}\n\nCore question: What now?\nNeeded information: none.\nSolution:\nNothing.\nThe answer is 0.",
        f"{IN_WORDS}\n\nQuestion: Bo has 2 pens.\n{IN_WORDS}",
    ],
)  # fmt: skip
def test_reads_a_solution_in_words(written: str) -> None:
    assert read(WORDS, written) == Rationale("kpdd", IN_WORDS, "72")


@pytest.mark.parametrize(
    "written",
    [
        AS_PROGRAM,
        AS_PROGRAM.replace("Solution:\n", "Solution:\n```python\n") + "\n```\nThe answer is 72.",
        AS_PROGRAM.replace("Solution:\n", "Python program:\n"),
        AS_PROGRAM.replace("Solution:\n", "Solution: ").replace("\n", "\r\n"),
        f"```\n{AS_PROGRAM}\n```",
        f"{AS_PROGRAM}\n\nCore question: What now?\nNeeded information: none.\nSolution:\nanswer = 0",
    ],
)
def test_reads_a_program(written: str) -> None:
    assert read(PROGRAM, written) == Rationale("kpdd_pot", AS_PROGRAM, "may = 48 / 2\nanswer = 48 + may")


def test_the_verifier_is_given_the_program_alone_and_the_solver_says_what_it_cannot_read() -> None:
    assert (WORDS.verifier, PROGRAM.verifier) == ("number", "program")
    indented = HEAD + "def solution():\n    may = 48 / 2\n    # the label of a part: no part here\n    return 48 + may"
    assert read(PROGRAM, indented).text == indented
    assert read(PROGRAM, indented).answer_source.startswith("def solution():\n    may")


@pytest.mark.parametrize(
    ("strategy", "written", "reason"),
    [
        (WORDS, "", "empty"),
        (WORDS, "She sold 48 + 24 = 72 clips.\nThe answer is 72.", 'no core question: it stands behind "Core question:"'),
        (WORDS, "Core question: How many?\nSolution:\n1 + 1 = 2.\nThe answer is 2.", "no needed information"),
        (WORDS, "Core question: How many?\nNeeded information: 1.\n1 + 1 = 2.", "no solution"),
        (WORDS, "Core question:\nNeeded information: 1.\nSolution:\n1 = 1.\nThe answer is 1.", "core question is empty"),
        (WORDS, "Core question: a\nNeeded information: **\nSolution:\n1 = 1.\nThe answer is 1.", "information is empty"),
        (WORDS, "Core question: a\nNeeded information: b\nSolution:\n\n", "solution is empty"),
        (WORDS, "Needed information: b\nCore question: a\nSolution:\n1 = 1.\nThe answer is 1.", "no needed information"),
        (WORDS, HEAD + "That is 48 + 24 = 72 clips.", "no final answer"),
        (WORDS, AS_PROGRAM, "program"),
        (PROGRAM, IN_WORDS, "no Python code"),
        (PROGRAM, HEAD + "total = 48 + 24", "gives no answer"),
    ],
)  # fmt: skip
def test_says_what_is_missing(strategy: Strategy, written: str, reason: str) -> None:
    result = strategy.parse(written)
    assert isinstance(result, Unreadable), result
    assert reason in result.why


def test_a_teacher_that_does_not_err_is_right_under_both(siked_says: Callable[..., str]) -> None:
    whole = "teacher.generator.options.error_rate=0"
    said = siked_says(
        "teach", "--preset", "pocket-smoke", "--strategies", "kpdd,kpdd_pot", "--set", whole, "--json", "-q"
    )
    assert json.loads(said)["by_strategy"] == {
        "kpdd": {"samples": 48, "correct": 48},
        "kpdd_pot": {"samples": 48, "correct": 48},
    }
