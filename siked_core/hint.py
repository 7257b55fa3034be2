"""Problems told with their answer, as in STaR (arXiv 2203.14465), and rationales that only repeat what was told.

What was drawn with a hint is in pools of its own, `hinted/POOL`, so that nothing which counts what a model can do
counts it. Whoever knows the answer can write it down without a way that leads to it, and a verdict on the answer does
not see that. `copied` finds the plain cases; a rationale with made-up steps around the answer passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from siked_core.numbers import read_number
from siked_core.records import Problem, Rationale

HINTED = "hinted"
"""Pools under this name, `hinted/POOL`, hold what was written with the answer told, of what POOL left unsolved."""
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
_COMMENT = re.compile(r"#[^\n]*|^[ ]*%[^\n]*", re.MULTILINE)
_COMPUTED = re.compile(r"[=\n]")


def hinted(pool: str) -> str:
    """The pool of what was asked again with a hint, of what a pool left unsolved."""
    return f"{HINTED}/{pool}"


def is_hinted(pool: str) -> bool:
    """Whether a pool's samples were written with the answer told."""
    return pool.startswith(f"{HINTED}/")


def told(problem: Problem, hint: str) -> Problem:
    """The problem as it is put to someone who is told its answer.

    Args:
        hint: with `{question}` and `{answer}` in it.
    """
    places = {"{question}": problem.question, "{answer}": problem.answer}
    return replace(problem, question=re.sub(r"\{(?:question|answer)\}", lambda place: places[place[0]], hint))


def copied(rationale: Rationale, problem: Problem) -> str:
    """Why a right rationale, written by someone who knew the answer, shows no way to it; empty where it may.

    Looked at are numbers: a rationale must have another than the answer, and a program or a system of equations must
    not hold the answer as a number that the question does not have. Of answers that are no numbers nothing is said.
    """
    gold = read_number(problem.answer)
    if gold is None:
        return ""
    if set(_numbers(rationale.text)) <= {gold}:
        return "it was told the answer, and has no other number"
    source = _COMMENT.sub("", rationale.answer_source)
    if _COMPUTED.search(source) and gold in _numbers(source) and gold not in _numbers(problem.question):
        return "it was told the answer, and has it as a number, which nothing leads to"
    return ""


def _numbers(text: str) -> Iterator[Fraction]:
    for found in _NUMBER.findall(text):
        value = read_number(found.rstrip(","))
        if value is not None:
            yield value
