"""Parsers read what a model that has lost its way writes: the same few words again and again, 4 KB of them."""

from __future__ import annotations

import ast
import gc
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_core import Rationale, Strategy, Unreadable
from siked_core.numbers import final_answer
from siked_plugins.strategies import python_text, surface
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.eot import EquationOfThought
from siked_plugins.strategies.kpdd import KeyPoints
from siked_plugins.strategies.kpdd_pot import KeyPointsProgram
from siked_plugins.strategies.l2m import LeastToMost
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.strategies.socratic import Socratic

STRATEGIES: list[Strategy] = [
    ChainOfThought(),
    ProgramOfThoughts(),
    LeastToMost(),
    EquationOfThought(),
    KeyPoints(),
    KeyPointsProgram(),
    Socratic(),
]
SIZE = 4_096
CPU_S = 1.0
"""For one completion. They take some 20 ms at most; what is not linear takes seconds or hours."""
READINGS = 5
PIECES = [
    "answer = ", "answer: ", "The answer is ", "the answer is\n", "therefore the answer to ",
    "the final answer is $", "#### ", "\\boxed{", "\\boxed {1}", "Question: ", "Q: ", "A: ", "Answer:",
    "Core question: a\nInformation: b\nSolution:\n", "Core question: ",
    "Q: a\nA: b\n", "Sub-question 1: ", "So ", "because ", "**", "***a", "```\n", "```python\n", "# ", "% ",
    "* ", "1. ", "- ", "<|a|>", "\\(", "\\times ", "ans = 1;", "x = 1\n", "a = b\n", "print(1)\n", "def f(",
    "if a:\n", "return ", "import a\n", "@a\n", "class A\n", "(", "[", "{", "}", "=", "a=", "a;", "-",
    "a//b ", "a % b c ", "'", '"""', "\\\n", "__", "x", "a. ", "1 ", "1,", "a ", "\n", " ", "    ",
]  # fmt: skip
ENDS = ["", "The answer is 5.", "\nThe answer is 5.", "\nA: x\nThe answer is 5.", "\nans = 1", "\nanswer = 1", "}", "$"]
some = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join)


def filled(head: str, unit: str, end: str) -> str:
    return (head + unit * (SIZE // len(unit)))[: SIZE - len(end)] + end


def seconds(strategy: Strategy, text: str) -> float:
    """This thread's processor time that it takes, without that for others' garbage. What would not end is
    interrupted."""

    def too_long(*_: object) -> None:
        raise AssertionError(f"{strategy.name} has not read {text[:80]!r}... in {10 * CPU_S:g} s")

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, 10 * CPU_S)
    gc.disable()
    started = time.thread_time()
    try:
        found = strategy.parse(text)
    finally:
        took = time.thread_time() - started
        gc.enable()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert isinstance(found, Rationale | Unreadable)
    return took


@settings(max_examples=150)
@given(some | st.just(""), some, st.sampled_from(ENDS))
def test_nothing_that_is_said_over_and_over_takes_long(head: str, unit: str, end: str) -> None:
    for strategy in STRATEGIES:
        assert seconds(strategy, filled(head, unit, end)) < CPU_S, strategy.name


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("unit", PIECES)
def test_no_single_phrase_takes_long(strategy: Strategy, unit: str) -> None:
    for head in ("", "a = b\n", "Question:\n", "Core question: a\nInformation: b\nSolution:\n"):
        for end in ("", "The answer is 5."):
            assert seconds(strategy, filled(head, unit, end)) < CPU_S


def counted(function: Callable[..., Any], calls: list[int]) -> Callable[..., Any]:
    def count(*arguments: Any) -> Any:
        calls.append(1)
        return function(*arguments)

    return count


@pytest.mark.parametrize("unit", ["answer = \n", "\nanswer = ", "the answer is\n", "####\n", "The answer is:\n\n"])
def test_statements_without_an_answer_are_looked_at_a_bounded_number_of_times(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(surface, "final_answer", counted(final_answer, calls))
    assert isinstance(ChainOfThought().parse(filled("A step.\n", unit, "")), Unreadable)
    assert 0 < len(calls) <= READINGS * surface._MOST_STATEMENTS


@pytest.mark.parametrize("unit", ["x = 1\n(", "x = 1\nNo code here\n", "[\n", "\\\nanswer = 1\n[", "x = {\n"])
def test_a_program_between_words_is_compiled_a_bounded_number_of_times(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(python_text.ast, "parse", counted(ast.parse, calls))
    python_text.parsed.cache_clear()
    ProgramOfThoughts().parse(filled("", unit, "The answer is 5."))
    assert 0 < len(calls) <= 40


def test_boxes_are_taken_off_and_other_braces_kept() -> None:
    assert surface._unboxed("a \\boxed{\\frac{1}{2}} b {c} \\boxed {d") == "a \\frac{1}{2} b {c} d"
    assert surface._unboxed("\\boxed{a\nb} {c}") == "a\nb} {c}"
    assert surface._unboxed("no {box} here}") == "no {box} here}"
