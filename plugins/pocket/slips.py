"""Spoils a worked solution the way writers do: a wrong sign, a wrong or swapped number, a slip, a step left out.

An error is carried on: later steps are worked out from the wrong value, and texts show the wrong arithmetic. Where a
solution is a system of equations, the equations are spoilt in the same manner.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from random import Random

from siked_core import Step, WorkedSolution
from siked_plugins.pocket.sketch import evaluate, plain, shown

_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_SIGN = re.compile(r" ([-+*/]) ")


def spoil(solution: WorkedSolution, chance: Random) -> list[WorkedSolution]:
    """Spoilt versions of a solution, one of each kind that applies, in random order; each has another answer."""
    kinds: list[Callable[[WorkedSolution, Random], WorkedSolution | None]]
    kinds = [_wrong_sign, _wrong_number, _swapped, _slip, _left_out]
    chance.shuffle(kinds)
    return [spoilt for kind in kinds if (spoilt := kind(solution, chance)) is not None]


def _wrong_sign(solution: WorkedSolution, chance: Random) -> WorkedSolution | None:
    def change(text: str) -> str:
        signs = list(_SIGN.finditer(text))
        if not signs:
            return text
        sign = chance.choice(signs)
        other = chance.choice([s for s in "+-*/" if s != sign[1]])
        return f"{text[: sign.start(1)]}{other}{text[sign.end(1) :]}"

    return _rewritten(solution, chance, change)


def _wrong_number(solution: WorkedSolution, chance: Random) -> WorkedSolution | None:
    stated = sorted({n for step in solution.steps for n in _NUMBER.findall(step.expression)}, key=float)

    def change(text: str) -> str:
        numbers = list(_NUMBER.finditer(text))
        if not numbers:
            return text
        number = chance.choice(numbers)
        nearby = str(Fraction(number[0]).__trunc__() + chance.choice([-2, -1, 1, 2, 10]))
        others = [n for n in (*stated, nearby) if n != number[0] and not n.startswith("-")]
        return f"{text[: number.start()]}{chance.choice(others or ['0'])}{text[number.end() :]}"

    return _rewritten(solution, chance, change)


def _swapped(solution: WorkedSolution, chance: Random) -> WorkedSolution | None:
    def change(text: str) -> str:
        return re.sub(r"^(\w+(?:\.\d+)?) ([-/]) (\w+(?:\.\d+)?)(?= =|$)", r"\3 \2 \1", text)

    return _rewritten(solution, chance, change)


def _slip(solution: WorkedSolution, chance: Random) -> WorkedSolution | None:
    """The arithmetic of one step comes out wrong. A program or a system does not show it."""
    place = chance.randrange(len(solution.steps))
    right = Fraction(solution.steps[place].value)
    wrong = right + chance.choice([-10, -2, -1, 1, 2, 10])
    return _worked_out(solution, list(solution.steps), {place: abs(wrong)})


def _left_out(solution: WorkedSolution, chance: Random) -> WorkedSolution | None:
    """The last step is missing, and the answer is the one before it; or one equation of a system is missing."""
    equations = solution.equations
    if len(equations) > 1:
        place = chance.randrange(len(equations) - 1)
        equations = equations[:place] + equations[place + 1 :]
    if len(solution.steps) < 2 or len(equations) == 1:
        return None
    steps = solution.steps[:-1]
    if steps[-1].value == solution.answer:
        return None
    return WorkedSolution(steps, steps[-1].value, equations)


def _rewritten(solution: WorkedSolution, chance: Random, change: Callable[[str], str]) -> WorkedSolution | None:
    """One step's expression changed, and one equation."""
    steps = list(solution.steps)
    place = chance.randrange(len(steps))
    steps[place] = replace(steps[place], expression=change(steps[place].expression))
    equations = list(solution.equations)
    if equations:
        line = chance.randrange(len(equations))
        left, equals, right = equations[line].text.partition(" = ")
        changed = change(left) if len(left) > 3 else left
        equations[line] = replace(
            equations[line], text=f"{changed}{equals}{change(right) if changed == left else right}"
        )
        if equations == list(solution.equations):
            return None
    if steps[place].expression == solution.steps[place].expression:
        return None
    return _worked_out(replace(solution, equations=tuple(equations)), steps, {})


def _worked_out(solution: WorkedSolution, steps: list[Step], slips: dict[int, Fraction]) -> WorkedSolution | None:
    """The solution with these steps, each worked out from the ones before it; None if the answer stays or is odd."""
    wrong: dict[str, Fraction] = {}
    right: dict[str, Fraction] = {}
    written: list[Step] = []
    try:
        for place, (step, before) in enumerate(zip(steps, solution.steps, strict=True)):
            value = slips.get(place, evaluate(step.expression, wrong))
            old = f"{shown(before.expression, right)} = {before.value}"
            new = f"{shown(step.expression, wrong)} = {plain(value)}"
            text = (
                before.text.replace(old, new) if old in before.text else before.text.replace(before.value, plain(value))
            )
            written.append(replace(step, text=text, value=plain(value)))
            wrong[step.name] = value
            right[step.name] = Fraction(before.value)
    except ValueError:  # a division by zero, or by something that leaves an endless fraction
        return None
    if written[-1].value == solution.answer:
        return None
    return WorkedSolution(tuple(written), written[-1].value, solution.equations)
