"""How fast answers are judged, side by side with what others use: math-verify for numbers, SymPy for equations.

    python benchmarks/answer_verification.py [--rounds 7] [--numbers 200] [--systems 40] [--results DIR]

It leaves `answer_verification.json`.

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
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from record import RESULTS, Picture, Record, in_turns, ratios, spread

from siked_core import Rationale
from siked_core.numbers import format_number, read_number, same_answer
from siked_plugins.verifiers.equation import EquationVerifier

ABOUT = (
    "Both sides judge the same answers in one process, by turns; a turn's ratio is of their processor times. Numbers "
    "are predictions and gold answers in the spellings of grade school; `math-verify` judges them with "
    "`verify(parse(gold), parse(prediction))`. Systems are linear, of one to eight unknowns, as a model writes them; "
    "the other side reads them with `sympy.sympify`, which evaluates text and so is not safe, and solves with "
    "`sympy.solve`. Every system is solved right by both."
)
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


@dataclass(frozen=True)
class Compared:
    """Two ways of judging the same items."""

    other: str
    items: int
    siked_s: list[float]
    other_s: list[float]
    same: float
    """Share of the items that both judge alike."""

    def row(self, what: str) -> dict[str, str | float]:
        """What a table shows of it."""
        quicker = ratios(self.other_s, self.siked_s, 1)
        return {
            "judged": f"{what}, against {self.other}",
            "siked, a second": self._rate(self.siked_s),
            "the other, a second": self._rate(self.other_s),
            "times as fast": quicker["median"],
            "least": quicker["least"],
            "most": quicker["most"],
            "same verdicts, in %": round(100 * self.same, 1),
        }

    def _rate(self, seconds: list[float]) -> float:
        return round(spread([self.items / one for one in seconds])["median"])


def side_by_side(
    ours: Callable[[], Any], theirs: Callable[[], Any], other: str, items: int, rounds: int, same: float
) -> Compared:
    """By turns, both warm."""
    ours(), theirs()
    ways = {"siked": lambda: timed(ours, 0.05), "other": lambda: timed(theirs, 0.0)}
    found = in_turns(ways, rounds)
    return Compared(other, items, found["siked"], found["other"], same)


def measure(numbers: int, systems: int, rounds: int) -> dict[str, Compared]:
    """Both comparisons.

    Raises:
        SystemExit: a system was solved wrong, or a spelling was judged wrong.
    """
    chance = random.Random(0)
    pairs = number_pairs(numbers, chance)
    judged = by_siked(pairs)
    truth = [
        abs((read_number(said, words_before=True) or 0) - Fraction(gold)) < Fraction(1, 200) for said, gold in pairs
    ]
    if [one for one, true in zip(judged, truth, strict=True) if one and not true]:
        raise SystemExit("a wrong number was accepted")
    agreed = sum(one == other for one, other in zip(judged, by_math_verify(pairs), strict=True)) / numbers
    judges = (lambda: by_siked(pairs)), (lambda: by_math_verify(pairs))
    figures = {"numbers": side_by_side(*judges, "math-verify", numbers, rounds, agreed)}

    made = [linear_system(1 + index % 8, chance) for index in range(systems)]
    texts, answers = [text for text, _ in made], [answer for _, answer in made]
    for solver in (solved_by_siked, solved_by_sympy):
        wrong = [
            text for text, found, answer in zip(texts, solver(texts), answers, strict=True) if Fraction(found) != answer
        ]
        if wrong:
            raise SystemExit(f"{solver.__name__} is wrong on:\n{wrong[0]}")
    solvers = (lambda: solved_by_siked(texts)), (lambda: solved_by_sympy(texts))
    figures["equations"] = side_by_side(*solvers, "sympify and solve", systems, rounds, 1.0)
    assert all(read_number(format_number(answer)) == answer for answer in answers)
    return figures


def write_up(record: Record, figures: dict[str, Compared]) -> None:
    """The figures as a reader sees them."""
    rows = [one.row(what) for what, one in figures.items()]
    place = record.table("answers judged a second of processor time", rows)
    reading = "Ratios within turns; the whiskers go from the least to the most. 1 would be equally fast."
    axes = Picture(place, "judged", "times as fast", low="least", high="most", reference=1, reading=reading)
    record.picture(axes)
    for row in rows:
        record.say(
            f"{str(row['judged']).capitalize()}: {row['times as fast']:g} times as fast (least {row['least']:g}, most "
            f"{row['most']:g}), and the same verdict on {row['same verdicts, in %']:g} %."
        )
    record.keep(cpu_s={what: {"siked": one.siked_s, "other": one.other_s} for what, one in figures.items()})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="how often each side runs, in turns")
    parser.add_argument("--numbers", type=int, default=200, help="pairs of numbers in a round")
    parser.add_argument("--systems", type=int, default=40, help="systems of equations in a round")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that the results go into")
    chosen = parser.parse_args(arguments)
    record = Record("answer_verification", "Judging numbers and equations", ABOUT)
    figures = measure(chosen.numbers, chosen.systems, chosen.rounds)
    for what, found in figures.items():
        print(", ".join(f"{name}: {value}" for name, value in found.row(what).items()))
    write_up(record, figures)
    print(record.write(chosen.results))
    return 0


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # math-verify warns that it may not be interrupted
    sys.exit(main())
