"""How fast answers are judged, side by side with what others use: math-verify for numbers, SymPy for equations.

    python benchmarks/answer_verification.py [--json FILE] [--rounds 7] [--numbers 200] [--systems 40]

Numbers: pairs of a prediction and a gold answer in the spellings of grade-school answers.
`siked_core.numbers.same_answer` against `math_verify.verify(parse(gold), parse(prediction))`, whose regular expressions
and parsers are warm, and whose cache of parsed texts (of 20) is as its users have it. Equations: linear systems as a
model writes them, of one to eight unknowns. The `equation` verifier against `sympy.sympify` of each side and
`sympy.solve`.

Both sides do the same work in the same process, in turns: one round of each, and the ratio of their processor times is
one figure. Shown are its least, median and greatest over the rounds. Every system must be solved right by both sides;
how often the two agree on numbers is counted, since math-verify judges some pairs otherwise.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from siked_core import Rationale
from siked_core.numbers import format_number, read_number, same_answer
from siked_plugins.verifiers.equation import EquationVerifier

Pair = tuple[str, str]


def number_pairs(count: int, chance: random.Random) -> list[Pair]:
    """Predictions and golds: every spelling as often right as wrong."""
    pairs = []
    for index in range(count):
        value = chance.choice([chance.randint(0, 200), chance.randint(0, 10**6), round(chance.uniform(0, 1000), 2)])
        said = value if index % 2 else value + chance.choice([1, -1, 10])
        spelling = chance.choice(["{}", "{}", "{:,}", "${:,.2f}", "{} apples", "{}.", "{:.1f}"])
        pairs.append((spelling.format(said), str(value)))
    return pairs


def linear_system(unknowns: int, chance: random.Random) -> tuple[str, Fraction]:
    """A system that reads like a model's, and the value of its `ans`: every name from earlier ones, shuffled."""
    names = [*("eggs", "cost", "left", "rate", "total", "paid", "days")[: unknowns - 1], "ans"]
    values: dict[str, Fraction] = {}
    lines = []
    for index, name in enumerate(names):
        first, second = chance.randint(2, 40), chance.randint(1, 90)
        if index == 0:
            values[name] = Fraction(first * second)
            lines.append(f"{name} = {first} * {second}")
        else:
            before = chance.choice(names[:index])
            shape = chance.randrange(3)
            if shape == 0:
                values[name] = values[before] * first - second
                lines.append(f"{name} = {before} * {first} - {second}")
            elif shape == 1:
                values[name] = (values[before] + second) / first
                lines.append(f"{first} * {name} = {before} + {second}")
            else:
                values[name] = second - values[before] / 4
                lines.append(f"{name} + {before} / 4 = {second}")
    chance.shuffle(lines)
    return "\n".join(lines), values["ans"]


def by_math_verify(pairs: Sequence[Pair]) -> list[bool]:
    from math_verify import parse, verify

    return [
        verify(parse(gold, parsing_timeout=None), parse(prediction, parsing_timeout=None), timeout_seconds=None)
        for prediction, gold in pairs
    ]


def by_siked(pairs: Sequence[Pair]) -> list[bool]:
    return [same_answer(prediction, gold) for prediction, gold in pairs]


def solved_by_sympy(systems: Sequence[str]) -> list[str]:
    import sympy

    found = []
    for system in systems:
        sides = [line.split("=") for line in system.splitlines()]
        equations = [sympy.Eq(sympy.sympify(left), sympy.sympify(right)) for left, right in sides]
        solution = sympy.solve(equations, dict=True)
        found.append(str(solution[0][sympy.Symbol("ans")]))
    return found


def solved_by_siked(systems: Sequence[str]) -> list[str]:
    rationales = [Rationale("eot", system, system) for system in systems]
    verifier = EquationVerifier()
    try:
        return [verdict.answer for verdict in verifier.answers(rationales)]
    finally:
        verifier.close()


def timed(work: Callable[[], Any], at_least_s: float) -> float:
    """Processor seconds of one piece of work, repeated until there is enough of it to time."""
    times, started = 0, time.process_time()
    while True:
        work()
        times += 1
        spent = time.process_time() - started
        if spent >= at_least_s:
            return spent / times


def side_by_side(ours: Callable[[], Any], theirs: Callable[[], Any], items: int, rounds: int) -> dict[str, Any]:
    ours(), theirs()
    measured = [(timed(ours, 0.05), timed(theirs, 0.0)) for _ in range(rounds)]
    ratios = sorted(other / mine for mine, other in measured)
    return {
        "items": items,
        "rounds": rounds,
        "siked_per_s": round(items / statistics.median(mine for mine, _ in measured)),
        "other_per_s": round(items / statistics.median(other for _, other in measured), 1),
        "ratio_min": round(ratios[0], 1),
        "ratio_median": round(statistics.median(ratios), 1),
        "ratio_max": round(ratios[-1], 1),
    }


def measure(numbers: int, systems: int, rounds: int) -> dict[str, dict[str, Any]]:
    """Both comparisons.

    Raises:
        SystemExit: a system was solved wrong, or a spelling was judged wrong.
    """
    logging.disable(logging.WARNING)
    chance = random.Random(0)
    pairs = number_pairs(numbers, chance)
    judged = by_siked(pairs)
    truth = [
        abs((read_number(said, words_before=True) or 0) - Fraction(gold)) < Fraction(1, 200) for said, gold in pairs
    ]
    if [one for one, true in zip(judged, truth, strict=True) if one and not true]:
        raise SystemExit("a wrong number was accepted")
    figures = {"numbers": side_by_side(lambda: by_siked(pairs), lambda: by_math_verify(pairs), numbers, rounds)}
    agreed = sum(one == other for one, other in zip(judged, by_math_verify(pairs), strict=True))
    figures["numbers"] |= {"other": "math-verify", "agreement": round(agreed / numbers, 3)}

    made = [linear_system(1 + index % 8, chance) for index in range(systems)]
    texts, answers = [text for text, _ in made], [answer for _, answer in made]
    for solver in (solved_by_siked, solved_by_sympy):
        wrong = [
            text for text, found, answer in zip(texts, solver(texts), answers, strict=True) if Fraction(found) != answer
        ]
        if wrong:
            raise SystemExit(f"{solver.__name__} is wrong on:\n{wrong[0]}")
    ours, theirs = (lambda: solved_by_siked(texts)), (lambda: solved_by_sympy(texts))
    figures["equations"] = side_by_side(ours, theirs, systems, rounds) | {"other": "sympify + solve", "agreement": 1.0}
    assert all(read_number(format_number(answer)) == answer for answer in answers)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--rounds", type=int, default=7, help="how often each side runs, in turns")
    parser.add_argument("--numbers", type=int, default=200, help="pairs of numbers in a round")
    parser.add_argument("--systems", type=int, default=40, help="systems of equations in a round")
    chosen = parser.parse_args(arguments)
    figures = measure(chosen.numbers, chosen.systems, chosen.rounds)
    for name, found in figures.items():
        print(f"{name:10} {found['siked_per_s']} a second, {found['other']} {found['other_per_s']}:", end=" ")
        print(f"{found['ratio_median']} x (least {found['ratio_min']}, greatest {found['ratio_max']};", end=" ")
        print(f"{found['rounds']} rounds of {found['items']}); same verdicts {found['agreement']:.1%}")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
