"""Families of several parts with small numbers: what to work out first is half of the problem."""

from __future__ import annotations

from siked_plugins.pocket.sketch import Draw, Sketch, Work
from siked_plugins.pocket.words import DAYS, GROUPS


def gap(draw: Draw) -> Sketch:
    """Two totals, each from two numbers, and the difference between the larger and the smaller."""
    (first, second), things = draw.two_people(), draw.things()
    top = draw.by_difficulty(6, 10, 12)
    sides = []
    for person in (first, second):
        groups = draw.pick(GROUPS)
        if draw.chance(0.6):
            x, y = draw.between(2, top), draw.between(2, top)
            sides.append((f"{person.name} has {draw.say(x)} {groups} of {draw.say(y)} {things}.", f"{x} * {y}", x * y))
        else:
            x, y = draw.between(2, 4 * top), draw.between(2, 2 * top)
            told = draw.pick(
                [
                    f"{person.name} has {draw.say(x)} red {things} and {draw.say(y)} blue {things}.",
                    f"{person.name} found {draw.say(x)} {things} on {draw.pick(DAYS)} and {draw.say(y)} today.",
                ]
            )
            sides.append((told, f"{x} + {y}", x + y))
    if sides[0][2] == sides[1][2]:
        return gap(draw)
    ask = draw.pick(
        [f"How many more {things} does the richer one have?", f"By how many {things} do their totals differ?"]
    )
    work = Work()
    names = [first.identifier, second.identifier]
    for person, name, (_, expression, _) in zip((first, second), names, sides, strict=True):
        work.step(name, expression, f"How many {things} does {person.name} have?", f"{person.name} has {{}}.")
    high, low = names if sides[0][2] > sides[1][2] else reversed(names)
    work.step("gap", f"{high} - {low}", "How many more is that?")
    return work.sketch(f"{sides[0][0]} {sides[1][0]} {ask}")


def better_buy(draw: Draw) -> Sketch:
    """Two offers, the price of one thing at each, and a purchase at the better one."""
    (first, second), things = draw.two_people(), draw.things()
    top = draw.by_difficulty(5, 9, 12)
    price_a = draw.between(2, top)
    price_b = draw.pick([n for n in range(2, top + 2) if n != price_a])
    number_a, number_b = draw.between(2, top), draw.between(2, top)
    wanted = draw.between(2, top)
    buyer = draw.pick(["I want", "Mother wants", "We want"])
    question = (
        f"{first.name} sells {draw.say(number_a)} {things} for {number_a * price_a} dollars."
        f" {second.name} sells {draw.say(number_b)} {things} for {number_b * price_b} dollars."
        f" {buyer} {draw.say(wanted)} {things} at the lower price."
        f" {draw.pick(['How many dollars is that?', 'What do they cost?'])}"
    )
    work = Work()
    names = [first.identifier, second.identifier]
    work.step(
        names[0], f"{number_a * price_a} / {number_a}", f"What does {first.name} take for one?", f"{first.name}: {{}}."
    )
    work.step(
        names[1],
        f"{number_b * price_b} / {number_b}",
        f"What does {second.name} take for one?",
        f"{second.name}: {{}}.",
    )
    lower = names[0] if price_a < price_b else names[1]
    work.step("cost", f"{lower} * {wanted}", f"What do {wanted} cost at the lower price?")
    return work.sketch(question)


def shares(draw: Draw) -> Sketch:
    """A fraction goes away, and the rest is split or counted on."""
    (first, second), things = draw.two_people(), draw.things()
    word, denominator = draw.pick([("half", 2), ("a third", 3), ("a quarter", 4), ("a fifth", 5)])
    split = draw.between(2, draw.by_difficulty(3, 5, 9))
    unit = split * draw.between(1, draw.by_difficulty(2, 4, 9))
    while unit * (denominator - 1) % split:
        unit += 1
    whole = unit * denominator
    gone = draw.pick(["gives", "sells", "lends"])
    work = Work()
    work.step("gone", f"{whole} / {denominator}", f"How many {things} are gone?")
    story = f"{first.name} has {draw.say(whole)} {things} and {gone} {second.name} {word} of them."
    kind = draw.pick(["split", "more", "left"])
    aside = draw.aside(first, things)
    if kind == "left":
        ask = f"How many {things} does {first.name} still have?"
        work.step("left", f"{whole} - gone", ask)
        return work.sketch(f"{aside}{story} {ask}")
    work.step("left", f"{whole} - gone", f"How many {things} are left?")
    if kind == "split":
        story += f" {first.he.title()} puts the rest into {draw.say(split)} equal {draw.pick(GROUPS)}."
        ask = f"How many {things} are in each?"
        work.step("each", f"left / {split}", ask)
    else:
        story += f" Then {first.he} finds {draw.say(split + 2)} more."
        ask = f"How many {things} does {first.he} have now?"
        work.step("now", f"left + {split + 2}", ask)
    return work.sketch(f"{aside}{story} {ask}")


def compare(draw: Draw) -> Sketch:
    """One number is told by another one; both together, or a third one, are asked for."""
    (first, second), things = draw.two_people(), draw.things()
    x = draw.between(4, draw.by_difficulty(12, 30, 90))
    kind = draw.pick(["more", "fewer", "times"])
    if kind == "more":
        y = draw.between(2, draw.by_difficulty(9, 20, 60))
        told, expression = f"{draw.say(y)} more {things} than", f"{x} + {y}"
    elif kind == "fewer":
        y = draw.between(2, x - 2)
        told, expression = f"{draw.say(y)} fewer {things} than", f"{x} - {y}"
    else:
        x, y = draw.between(2, draw.by_difficulty(6, 10, 15)), draw.between(2, draw.by_difficulty(3, 5, 9))
        told, expression = f"{'twice' if y == 2 else draw.say(y) + ' times'} as many {things} as", f"{x} * {y}"
    aside = draw.aside(first, things)
    story = draw.pick(
        [
            f"{first.name} has {draw.say(x)} {things}. {aside}{second.name} has {told} {first.name}.",
            f"{second.name} has {told} {first.name}. {aside}{first.name} has {draw.say(x)}.",
        ]
    )
    work = Work()
    work.step(second.identifier, expression, f"How many {things} does {second.name} have?", f"{second.name} has {{}}.")
    ask = draw.pick(
        [
            f"How many {things} do {first.name} and {second.name} have together?",
            f"How many {things} do they have in all?",
        ]
    )
    work.step("both", f"{second.identifier} + {x}", ask)
    return work.sketch(f"{story} {ask}")
