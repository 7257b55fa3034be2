"""A family that needs what the question does not tell: a number that everybody knows."""

from __future__ import annotations

from siked_plugins.pocket.facts import FACTS
from siked_plugins.pocket.sketch import Draw, Sketch, Work


def known(draw: Draw) -> Sketch:
    """So many things and the number of their parts, which is not told."""
    fact = draw.pick(FACTS)
    top = draw.by_difficulty(5, 9 if fact.number < 20 else 5, 12)
    count = draw.between(2, top)
    things, parts = fact.many, fact.parts
    total = f"{fact.number} * {count}"
    others = [other for other in FACTS if other.parts == parts and other is not fact]
    work = Work()
    kind = draw.pick(["all", "more", "two", "two"] if others else ["all", "more"])
    asked = f"How many {parts} do {count} {things} have?"
    text = f"{fact.sentence}, so {{}}."
    if kind == "all":
        question = draw.pick(
            [
                f"How many {parts} do {draw.say(count)} {things} have?",
                f"{draw.person().name} drew {draw.say(count)} {things}. How many {parts} is that?",
                f"Here are {draw.say(count)} {things}. How many {parts} do they have in all?",
            ]
        )
        work.step("total", total, asked, text)
        return work.sketch(question)
    if kind == "more":
        extra = draw.between(2, 9)
        question = draw.pick(
            [
                f"How many {parts} are {draw.say(count)} {things} and {draw.say(extra)} {parts} more?",
                f"{draw.person().name} counts the {parts} of {draw.say(count)} {things}, and {draw.say(extra)} besides."
                f" How many {parts} is that?",
            ]
        )
        work.step("total", total, asked, text)
        work.step("now", f"total + {extra}", f"How many {parts} are there in all?")
        return work.sketch(question)
    other = draw.pick(others)
    number = draw.between(2, draw.by_difficulty(4, 9 if other.number < 20 else 4, 12))
    question = draw.pick(
        [
            f"How many {parts} do {draw.say(count)} {things} and {draw.say(number)} {other.many} have in all?",
            f"{draw.person().name} drew {draw.say(count)} {things} and {draw.say(number)} {other.many}."
            f" How many {parts} is that?",
        ]
    )
    work.step("first", total, asked, text)
    work.step(
        "second", f"{other.number} * {number}", f"How many {parts} do {number} {other.many} have?",
        f"{other.sentence}, so {{}}.",
    )  # fmt: skip
    work.step("both", "first + second", f"How many {parts} are there in all?")
    return work.sketch(question)
