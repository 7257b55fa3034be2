"""What a family of problems is written with: seeded draws, and a solution that evaluates itself.

A family is a function from a `Draw` to a `Sketch`. Steps are given as expressions; their values, and the
arithmetic shown in their texts, are computed from the expressions, so text and value cannot disagree.
"""

from __future__ import annotations

import ast
import operator
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from siked_core import Equation, Step
from siked_plugins.pocket.words import PEOPLE, THINGS, Person, spoken

T = TypeVar("T")

_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Difficulty(StrEnum):
    """How large the numbers are, how many parts a problem has, and how often a spare fact is told."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"


def evaluate(expression: str, values: Mapping[str, Fraction] | None = None) -> Fraction:
    """The exact value of `+ - * /` arithmetic over numbers and the given names.

    Raises:
        ValueError: the expression is anything else, or divides by zero.
    """

    def of(node: ast.expr) -> Fraction:
        match node:
            case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](of(left), of(right))
            case ast.UnaryOp(ast.USub(), operand):
                return -of(operand)
            case ast.Constant(int() | float() as value) if not isinstance(value, bool):
                return Fraction(str(value))
            case ast.Name(name) if values is not None and name in values:
                return values[name]
        raise ValueError(f"not arithmetic over known names: {ast.unparse(node)}")

    try:
        return of(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ZeroDivisionError) as error:
        raise ValueError(f"cannot evaluate {expression!r}: {error}") from None


def plain(value: Fraction) -> str:
    """A number as people write it: "24", "0.5".

    Raises:
        ValueError: it has no short decimal form.
    """
    if value.denominator == 1:
        return str(value.numerator)
    text = f"{float(value):.4f}".rstrip("0")
    if Fraction(text) != value:
        raise ValueError(f"{value} has no short decimal form")
    return text


def shown(expression: str, values: Mapping[str, Fraction]) -> str:
    """The expression with its names replaced by their values: "total - 5" as "24 - 5"."""
    return re.sub(r"[A-Za-z_]\w*", lambda match: plain(values[match.group()]), expression)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A problem before it has an identity: its question, its steps, and its equations where the story is a system."""

    question: str
    steps: tuple[Step, ...]
    equations: tuple[Equation, ...] = ()


@dataclass(slots=True)
class Work:
    """Collects the steps of a solution; each is evaluated as it is added."""

    steps: list[Step] = field(default_factory=list)
    values: dict[str, Fraction] = field(default_factory=dict)

    def step(self, name: str, expression: str, question: str, text: str = "{}.") -> Fraction:
        """Add a step; `{}` in `text` becomes the arithmetic with its result: "3 + 4 = 7"."""
        value = evaluate(expression, self.values)
        arithmetic = f"{shown(expression, self.values)} = {plain(value)}"
        self.steps.append(Step(question, text.replace("{}", arithmetic), name, expression, plain(value)))
        self.values[name] = value
        return value

    def sketch(self, question: str, *equations: str) -> Sketch:
        return Sketch(question, tuple(self.steps), tuple(Equation(text) for text in equations))


class Draw:
    """Seeded choices of people, things and numbers."""

    def __init__(self, seed: str, difficulty: Difficulty) -> None:
        self.random = random.Random(seed)
        self.difficulty = difficulty

    def by_difficulty(self, easy: T, medium: T, hard: T) -> T:
        return {Difficulty.EASY: easy, Difficulty.MEDIUM: medium, Difficulty.HARD: hard}[self.difficulty]

    def pick(self, choices: Sequence[T]) -> T:
        return self.random.choice(choices)

    def some(self, choices: Sequence[T], count: int) -> list[T]:
        """Distinct choices, in random order."""
        return self.random.sample(choices, count)

    def between(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def person(self) -> Person:
        return self.pick(PEOPLE)

    def two_people(self) -> tuple[Person, Person]:
        first, second = self.some(PEOPLE, 2)
        return first, second

    def things(self) -> str:
        return self.pick(THINGS)

    def say(self, number: int) -> str:
        """A number of the story: mostly in digits, small ones now and then in words."""
        top = self.by_difficulty(12, 20, 99)
        share = self.by_difficulty(0.08, 0.15, 0.25)
        return spoken(number) if number <= top and self.chance(share) else str(number)

    def aside(self, person: Person, besides: str) -> str:
        """Now and then a fact that the solution does not need (with a space after it), else nothing."""
        if not self.chance(self.by_difficulty(0.0, 0.2, 0.4)):
            return ""
        other = self.pick([thing for thing in THINGS if thing != besides])
        number = self.say(self.between(2, 60))
        return self.pick(
            [
                f"{person.name} also has {number} {other}. ",
                f"{person.name} is {self.between(6, 80)} years old. ",
                f"There are {number} {other} on the table. ",
            ]
        )
