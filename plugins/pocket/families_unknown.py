"""Families whose unknown comes first: the equation follows the story, a calculation must run against it."""

from __future__ import annotations

from siked_plugins.pocket.sketch import Draw, Sketch, Work
from siked_plugins.pocket.words import PLACES

_INVERSE = {"+": "-", "-": "+", "*": "/", "/": "*"}


def unknown(draw: Draw) -> Sketch:
    """Some number, two or more changes, and what came of it."""
    who, things = draw.person(), draw.things()
    start = draw.between(3, draw.by_difficulty(12, 60, 300))
    value = start
    changes: list[tuple[str, int]] = []
    for position in range(draw.by_difficulty(2, draw.pick([2, 3]), draw.pick([3, 4]))):
        top = draw.by_difficulty(9, 60, 300)
        signs = ["+"] * 2 + (["-"] * 2 if value > 6 else []) + (["*"] if position and value < 200 else [])
        sign = draw.pick(signs)
        if changes and changes[-1][0] == sign and sign != "*":
            sign = "+" if sign == "-" or value <= 6 else "-"
        amount = draw.between(2, 4) if sign == "*" else draw.between(2, min(top, value - 2) if sign == "-" else top)
        value = {"+": value + amount, "-": value - amount, "*": value * amount}[sign]
        changes.append((sign, amount))
    number = draw.chance(0.3)
    told = [_tell(draw, sign, amount, number) for sign, amount in changes]
    if number:
        final = "What was the number?"
        joined = f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else told[0]
        question = f"{who.name} thinks of a number, {joined}. The result is {value}. {final}"
    else:
        joined = f"{', '.join(told[:-1])} and then {told[-1]}" if len(told) > 1 else told[0]
        place = draw.pick(PLACES)
        story, final = draw.pick(
            [
                (
                    f"{who.name} had some {things}. {who.he.title()} {joined}. Now {who.he} has {value}.",
                    f"How many {things} did {who.he} have at first?",
                ),
                (
                    f"There were {things} in {who.name}'s {place}. {who.he.title()} {joined}. Then {value} were there.",
                    f"How many {things} were in the {place} at the start?",
                ),
            ]
        )
        question = f"{story} {final}"
    system = "ans"
    for sign, amount in changes:
        system = f"({system}) {sign} {amount}" if sign == "*" and " " in system else f"{system} {sign} {amount}"
    work = Work()
    names = ["a", "b", "c", "d"]
    last = str(value)
    for position, (sign, amount) in enumerate(reversed(changes)):
        ask = f"What was it before the last {'change' if position == 0 else str(position + 1) + ' changes'}?"
        ask = final if position == len(changes) - 1 else ask
        work.step(names[position], f"{last} {_INVERSE[sign]} {amount}", ask)
        last = names[position]
    return work.sketch(question, f"{system} = {value}")


def _tell(draw: Draw, sign: str, amount: int, number: bool) -> str:
    if number:
        return {
            "+": f"adds {draw.say(amount)}",
            "-": f"takes away {draw.say(amount)}",
            "*": f"multiplies by {draw.say(amount)}",
        }[sign]
    if sign == "*":
        return {2: "doubled them", 3: "tripled them", 4: "made them four times as many"}[amount]
    verb = draw.pick(["bought", "found", "got"] if sign == "+" else ["lost", "sold", "gave away"])
    return f"{verb} {draw.say(amount)}"


def pair(draw: Draw) -> Sketch:
    """Two unknowns, of which their sum and their difference or ratio are told."""
    (first, second), things = draw.two_people(), draw.things()
    verb = draw.pick(["have", "found", "made"])
    has = "has" if verb == "have" else verb
    of_first = draw.chance(0.5)
    asked = first if of_first else second
    ask = f"How many {things} {'does' if verb == 'have' else 'did'} {asked.name} "
    ask += {"have": "have?", "found": "find?", "made": "make?"}[verb]
    work = Work()
    y = draw.between(3, draw.by_difficulty(9, 40, 200))
    if draw.chance(0.5):
        more = draw.between(2, draw.by_difficulty(9, 30, 100))
        x = y + more
        together = f"{first.name} and {second.name} {verb} {x + y} {things} together."
        told = f"{first.name} {has} {draw.say(more)} more than {second.name}."
        system = [f"x + y = {x + y}", f"x = y + {more}"]
        work.step("a", f"{x + y} {'+' if of_first else '-'} {more}", f"What is twice {asked.name}'s number?")
        work.step("b", "a / 2", ask)
    else:
        times = draw.between(2, draw.by_difficulty(3, 5, 9))
        x = y * times
        together = f"{first.name} and {second.name} {verb} {x + y} {things} together."
        told = f"{first.name} {has} {draw.say(times)} times as many as {second.name}."
        system = [f"x + y = {x + y}", f"x = {times} * y"]
        work.step("a", f"{times} + 1", "How many shares are there?")
        work.step("b", f"{x + y} / a", f"How many {things} are in a share?")
        if of_first:
            work.step("c", f"b * {times}", ask)
    story = draw.pick([f"{together} {told}", f"{told} {together.replace(' together', ' in all')}"])
    return work.sketch(f"{story} {ask}", *system, f"ans = {'x' if of_first else 'y'}")
