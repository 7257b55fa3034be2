"""Families with small numbers and one or two steps, where mental arithmetic is safe.

In `apart` and `offer` what to do next depends on values: which number is larger, whether a total passes a limit.
A rationale in words states the values and the comparison; a straight-line program must settle it unseen.
"""

from __future__ import annotations

from siked_plugins.pocket.sketch import Draw, Sketch, Work
from siked_plugins.pocket.words import BUYERS, GROUPS, PLACES


def short(draw: Draw) -> Sketch:
    """One operation on two small numbers."""
    who, things = draw.person(), draw.things()
    top = draw.by_difficulty(10, 20, 50)
    x, y = draw.between(2, top), draw.between(2, top)
    kind = draw.pick(["gain", "loss", "groups", "split"])
    aside = draw.aside(who, things)
    ask = f"How many {things} does {who.name} have now?"
    if kind == "gain":
        expression = f"{x} + {y}"
        place = draw.pick(PLACES)
        story, ask = draw.pick(
            [
                (f"{who.name} has {draw.say(x)} {things} and buys {draw.say(y)} more.", ask),
                (f"{who.name} had {draw.say(x)} {things}. A friend gave {who.him} {draw.say(y)} more.", ask),
                (
                    f"There are {draw.say(x)} {things} in a {place}. {who.name} puts in {draw.say(y)} more.",
                    f"How many {things} are in the {place} now?",
                ),
                (
                    f"{who.name} found {draw.say(x)} {things} in the morning and {draw.say(y)} in the evening.",
                    f"How many {things} did {who.he} find in all?",
                ),
            ]
        )
    elif kind == "loss":
        x += y
        expression = f"{x} - {y}"
        story, ask = draw.pick(
            [
                (f"{who.name} has {draw.say(x)} {things} and loses {draw.say(y)} of them.", ask),
                (f"{who.name} had {draw.say(x)} {things}. {who.he.title()} gave {draw.say(y)} to a friend.", ask),
                (
                    f"A {draw.pick(BUYERS)} had {draw.say(x)} {things} and sold {draw.say(y)} of them.",
                    f"How many {things} are left?",
                ),
                (
                    f"Of {who.name}'s {draw.say(x)} {things}, {draw.say(y)} are red.",
                    f"How many of {who.his} {things} are not red?",
                ),
            ]
        )
    else:
        x, y = draw.between(2, draw.by_difficulty(5, 9, 12)), draw.between(2, draw.by_difficulty(5, 10, 12))
        groups = draw.pick(GROUPS)
        if kind == "groups":
            expression = f"{x} * {y}"
            story, ask = draw.pick(
                [
                    (
                        f"{who.name} has {draw.say(x)} {groups} with {draw.say(y)} {things} in each.",
                        f"How many {things} does {who.he} have?",
                    ),
                    (f"There are {draw.say(x)} {groups} of {draw.say(y)} {things}.", f"How many {things} are there?"),
                    (
                        f"{who.name} makes {draw.say(y)} {things} a day.",
                        f"How many {things} does {who.he} make in {draw.say(x)} days?",
                    ),
                ]
            )
        else:
            expression = f"{x * y} / {y}"
            story, ask = draw.pick(
                [
                    (
                        f"{who.name} shares {x * y} {things} equally among {draw.say(y)} friends.",
                        f"How many {things} does each friend get?",
                    ),
                    (
                        f"{who.name} puts {x * y} {things} into {draw.say(y)} {groups}, the same number in each.",
                        f"How many {things} are in each?",
                    ),
                ]
            )
    work = Work()
    work.step("count", expression, ask)
    return work.sketch(f"{aside}{story} {ask}")


def apart(draw: Draw) -> Sketch:
    """The difference of two numbers, told in either order."""
    (first, second), things = draw.two_people(), draw.things()
    top = draw.by_difficulty(15, 40, 90)
    x = draw.between(2, top)
    y = draw.pick([n for n in range(2, top + 1) if n != x])
    aside = draw.aside(draw.person(), things)
    story, ask = draw.pick(
        [
            (
                f"{first.name} has {draw.say(x)} {things} and {second.name} has {draw.say(y)}.",
                f"By how many {things} do they differ?",
            ),
            (
                f"{first.name} is {draw.say(x)} years old. {second.name} is {draw.say(y)}.",
                "How many years are between them?",
            ),
            (
                f"{first.name} made {draw.say(x)} {things}. {second.name} made {draw.say(y)} {things}.",
                "How many more did the faster one make?",
            ),
            (
                f"One {draw.pick(PLACES)} holds {draw.say(x)} {things}, another holds {draw.say(y)}.",
                f"How many more {things} are in the fuller one?",
            ),
        ]
    )
    low, high = sorted((x, y))
    work = Work()
    work.step("gap", f"{high} - {low}", ask, f"{high} is more than {low}, so {{}}.")
    return work.sketch(f"{aside}{story} {ask}")


def offer(draw: Draw) -> Sketch:
    """A product, and a discount, a fee or a bonus if it passes a limit."""
    who, things = draw.person(), draw.things()
    x, y = draw.between(2, draw.by_difficulty(5, 9, 12)), draw.between(3, draw.by_difficulty(6, 9, 15))
    passes = draw.chance(0.5)
    distance = draw.between(1, 8)
    limit = max(2, x * y - distance if passes else x * y + distance - 1)
    passes = x * y > limit
    extra = draw.between(2, min(9, x * y - 1))
    kind = draw.pick(["discount", "fee", "bonus"])
    if kind == "discount":
        story = (
            f"{who.name} buys {draw.say(x)} {things} at {draw.say(y)} dollars each."
            f" The {draw.pick(BUYERS)} takes {draw.say(extra)} dollars off a bill above {limit} dollars."
        )
        first, ask, sign = "What is the bill?", f"How many dollars does {who.name} pay?", "-"
    elif kind == "fee":
        story = (
            f"{who.name} sends {draw.say(x)} {things} of {draw.say(y)} pounds each."
            f" A pound costs a dollar, and a load above {limit} pounds costs {draw.say(extra)} dollars more."
        )
        first, ask, sign = "How many pounds is that?", f"How many dollars does {who.name} pay?", "+"
    else:
        story = (
            f"In a game {who.name} throws {draw.say(x)} {things} for {draw.say(y)} points each."
            f" A score above {limit} earns a bonus of {draw.say(extra)} points."
        )
        first, ask, sign = "What is the score?", f"How many points does {who.name} get?", "+"
    work = Work()
    if passes:
        work.step("total", f"{x} * {y}", first, f"{{}}, which is above {limit}.")
        work.step("final", f"total {sign} {extra}", ask)
    else:
        work.step("total", f"{x} * {y}", first, f"{{}}, which is not above {limit}.")
    return work.sketch(f"{story} {ask}")
