"""Families whose arithmetic is long or large: easy to write down, hard to do in one's head."""

from __future__ import annotations

from math import gcd

from siked_plugins.pocket.sketch import Draw, Sketch, Work
from siked_plugins.pocket.words import BUYERS, DAYS, TOWNS


def _list(items: list[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}"


def long_sum(draw: Draw) -> Sketch:
    """A sum of several numbers of up to three digits (four, when hard)."""
    who, things = draw.person(), draw.things()
    count = draw.between(*draw.by_difficulty((3, 3), (3, 5), (4, 6)))
    top = draw.by_difficulty(99, 999, 2999)
    numbers = [draw.between(11, top if draw.chance(0.5) else 99) for _ in range(count)]
    days = DAYS[(start := draw.between(0, 6)) :] + DAYS[:start]
    towns = draw.some(TOWNS, count)
    aside = draw.aside(who, things)
    story, ask = draw.pick(
        [
            (
                f"A {draw.pick(BUYERS)} sold "
                + _list(
                    [
                        f"{n} {things if i == 0 else ''} on {d}".replace("  ", " ")
                        for i, (n, d) in enumerate(zip(numbers, days, strict=False))
                    ]
                )
                + ".",
                f"How many {things} did it sell in all?",
            ),
            (
                f"{who.name} counted "
                + _list(
                    [
                        f"{n} {things} in {t}" if i == 0 else f"{n} in {t}"
                        for i, (n, t) in enumerate(zip(numbers, towns, strict=True))
                    ]
                )
                + ".",
                f"How many {things} did {who.he} count together?",
            ),
            (
                f"The piles in {who.name}'s barn have {_list([str(n) for n in numbers])} {things}.",
                f"How many {things} are there in total?",
            ),
        ]
    )
    work = Work()
    work.step("total", " + ".join(map(str, numbers)), ask)
    return work.sketch(f"{aside}{story} {ask}")


def bill(draw: Draw) -> Sketch:
    """The price of some things of several kinds."""
    who = draw.person()
    kinds = draw.some(["pens", "cups", "apples", "books", "cards", "keys", "hats", "cakes", "rolls", "toys"], 3)
    count = draw.by_difficulty(2, 2, 3)
    top = draw.by_difficulty(12, 99, 250)
    lines = [(draw.between(2, draw.by_difficulty(5, 9, 25)), kind, draw.between(5, top)) for kind in kinds[:count]]
    bought = [f"{draw.say(n)} {kind} at {price} cents" for n, kind, price in lines]
    frame = draw.pick(
        [
            f"{who.name} buys {_list(bought)}. ",
            f"On {draw.pick(DAYS)} {who.name} orders {_list(bought)}. ",
            f"{who.name} sells {_list(bought)} each. ",
        ]
    )
    ask = "How many cents is that?" if "sells" in frame else f"How many cents does {who.he} pay?"
    work = Work()
    work.step("cost", " + ".join(f"{n} * {price}" for n, _, price in lines), ask)
    return work.sketch(f"{frame}{ask}")


def percent(draw: Draw) -> Sketch:
    """A percentage of a large number, or what it leaves."""
    things = draw.things()
    share = draw.pick(draw.by_difficulty([10, 20, 25, 50], list(range(5, 100, 5)), list(range(2, 99))))
    unit = 100 // gcd(share, 100)
    whole = unit * draw.between(max(1, 40 // unit), max(2, draw.by_difficulty(200, 980, 4000) // unit))
    color, other = draw.some(["red", "blue", "green", "black", "white", "old", "new", "broken"], 2)
    town = draw.pick(TOWNS)
    part = f"{whole} * {share} / 100"
    work = Work()
    if draw.chance(0.5):
        story, ask = draw.pick(
            [
                (f"Of {whole} {things}, {share}% are {color}.", f"How many {things} are {color}?"),
                (f"{town} has {whole} people. {share}% of them have {things}.", "How many people is that?"),
                (f"A box of {whole} {things} is {share}% {color}.", f"How many {color} {things} are in it?"),
            ]
        )
        work.step("part", part, ask)
    else:
        story, ask = draw.pick(
            [
                (f"Of {whole} {things}, {share}% are {color} and the others {other}.", f"How many are {other}?"),
                (f"A shop had {whole} {things} and sold {share}% of them.", f"How many {things} are left?"),
                (f"{town} has {whole} people. {share}% of them are away.", "How many people are still there?"),
            ]
        )
        work.step("rest", f"{whole} - {part}", ask)
    return work.sketch(f"{story} {ask}")


def rate(draw: Draw) -> Sketch:
    """So much per unit, over a time that must first be turned into that unit."""
    who, things = draw.person(), draw.things()
    speed = draw.between(*draw.by_difficulty((3, 12), (12, 99), (30, 400)))
    span = draw.between(2, draw.by_difficulty(5, 9, 25))
    aside = draw.aside(who, things)
    unit, factor = draw.pick([("week", 7), ("hour", 60), ("day", 24), ("dozen", 12)])
    told = f"{draw.say(span)} {unit if unit == 'dozen' else unit + 's'}"
    if unit == "week":
        story = draw.pick([f"A shop sells {speed} {things} a day.", f"Every day {who.name} packs {speed} {things}."])
        ask = f"How many {things} is that in {told}?"
    elif unit == "hour":
        story = draw.pick([f"A machine makes {speed} {things} a minute.", f"{who.name} pumps {speed} pints a minute."])
        ask = f"How many {'pints' if 'pints' in story else things} is that in {told}?"
    elif unit == "day":
        story = f"A machine that never rests makes {speed} {things} an hour."
        ask = f"How many {things} does it make in {told}?"
    else:
        story = f"One of the {things} costs {speed} cents. {who.name} buys {told}."
        ask = f"How many cents does {who.he} pay?"
    work = Work()
    work.step("total", f"{speed} * {factor} * {span}", ask)
    return work.sketch(f"{aside}{story} {ask}")


def time(draw: Draw) -> Sketch:
    """Hours and minutes, as minutes."""
    who = draw.person()
    hours = draw.between(2, draw.by_difficulty(3, 6, 12))
    minutes = draw.between(3, 58)
    more = draw.between(3, draw.by_difficulty(20, 58, 200))
    part = f"{hours} * 60 + {minutes}"
    work = Work()
    ask = "How many minutes is that in all?"
    act, then = draw.pick([("reads", "draws"), ("walks", "rests"), ("sings", "cooks"), ("works", "sleeps")])
    if draw.chance(0.6):
        story = draw.pick(
            [
                f"{who.name} {act} for {draw.say(hours)} hours and {minutes} minutes and {then} for {more} minutes.",
                f"A film lasts {draw.say(hours)} hours and {minutes} minutes. Before it come {more} minutes of talk.",
                f"A trip took {draw.say(hours)} hours {minutes} minutes, and the way back {more} minutes longer.",
            ]
        )
        if "longer" in story:
            ask = "How many minutes did the way back take?"
        work.step("minutes", f"{part} + {more}", ask)
    else:
        more = min(more, hours * 60 + minutes - 1)  # something is left
        story = draw.pick(
            [
                f"A film of {draw.say(hours)} hours and {minutes} minutes has run for {more} minutes.",
                f"{who.name} has {draw.say(hours)} hours and {minutes} minutes for a test and used {more} minutes.",
            ]
        )
        ask = "How many minutes are left?"
        work.step("minutes", f"{part} - {more}", ask)
    return work.sketch(f"{story} {ask}")
