"""Documents of the corpus that write words down as expressions, equations and programs; nothing is solved in them."""

from __future__ import annotations

from siked_plugins.pocket.corpus_arithmetic import number
from siked_plugins.pocket.sketch import Draw
from siked_plugins.pocket.words import DAYS, GROUPS, PEOPLE, THINGS, TOWNS

NAMES = [
    *(person.identifier for person in PEOPLE),
    *("a", "b", "c", "d", "x", "y", "total", "count", "cost", "left", "rest", "gone", "now", "both", "each", "gap"),
    *("part", "final", "minutes", "price", "sum", "pens", "cups", "apples", "books"),
]


def dictation(draw: Draw) -> str:
    """An expression in words, and the same in Python."""
    x, y, z = number(draw), number(draw), number(draw)
    a, b = draw.some(NAMES, 2)
    said, code = draw.pick(
        [
            (f"the sum of {draw.say(x)} and {draw.say(y)}", f"{x} + {y}"),
            (f"{draw.say(x)} more than {draw.say(y)}", f"{y} + {x}"),
            (f"{draw.say(x)} less than {draw.say(y)}", f"{y} - {x}"),
            (f"{draw.say(y)} taken from {draw.say(x)}", f"{x} - {y}"),
            (f"{draw.say(x)} lots of {draw.say(y)}", f"{x} * {y}"),
            (f"{draw.say(x)} at {draw.say(y)} each", f"{x} * {y}"),
            (f"{draw.say(x)} at {y} and {draw.say(z)} at {x}", f"{x} * {y} + {z} * {x}"),
            (f"{draw.say(x)} shared by {draw.say(y)}", f"{x} / {y}"),
            (f"half of {x}", f"{x} / 2"),
            (f"a third of {x}", f"{x} / 3"),
            (f"a quarter of {x}", f"{x} / 4"),
            (f"a fifth of {x}", f"{x} / 5"),
            (f"twice {x}", f"2 * {x}"),
            (f"{y}% of {x}", f"{x} * {y} / 100"),
            (f"{x} without {y}% of it", f"{x} - {x} * {y} / 100"),
            (f"{draw.say(y)} hours and {x} minutes in minutes", f"{y} * 60 + {x}"),
            (f"{draw.say(y)} weeks in days", f"{y} * 7"),
            (f"{draw.say(y)} days in hours", f"{y} * 24"),
            (f"{draw.say(y)} dozen", f"{y} * 12"),
            (f"{a} and {draw.say(x)} more", f"{a} + {x}"),
            (f"{a} without {draw.say(x)}", f"{a} - {x}"),
            (f"{a} and {b} together", f"{a} + {b}"),
            (f"what {a} has above {b}", f"{a} - {b}"),
            (f"{draw.say(x)} times {a}", f"{a} * {x}"),
            (f"{a} split by {draw.say(x)}", f"{a} / {x}"),
            _long_list(draw),
            _long_list(draw),
        ]
    )
    name = draw.pick([*NAMES, "answer", "answer", "ans"])
    return draw.pick([f"Q: {said}, as {name}\nA:{name} = {code}", f"Q: {said}\nA:{code}", f"# {said}\n{name} = {code}"])


def _long_list(draw: Draw) -> tuple[str, str]:
    numbers = [draw.between(2, draw.pick([99, 999])) for _ in range(draw.between(3, 6))]
    things = draw.pick(THINGS)
    labels = draw.some([*DAYS, *TOWNS], len(numbers))
    items = [f"{n} {things if i == 0 else ''} {w} {label}".replace("  ", " ")
             for i, (n, label) in enumerate(zip(numbers, labels, strict=True))
             for w in ["on" if label in DAYS else "in"]]  # fmt: skip
    if draw.chance(0.4):
        items = [str(n) for n in numbers]
    return f"{', '.join(items[:-1])} and {items[-1]}, all added", " + ".join(map(str, numbers))


def event(draw: Draw) -> str:
    """What happens to a number, as arithmetic, one change to a line."""
    lines = []
    for _ in range(draw.between(2, 5)):
        n = number(draw)
        said = draw.say(n)
        who = draw.person()
        things = draw.pick(THINGS)
        lines.append(
            draw.pick(
                [
                    f"{who.name} {draw.pick(['buys', 'bought', 'finds', 'found', 'gets', 'got'])} {said} more: + {n}",
                    f"{who.name} adds {said} {things}: + {n}",
                    f"a friend gives {who.him} {said}: + {n}",
                    f"{who.name} {draw.pick(['loses', 'lost', 'sells', 'sold'])} {said}: - {n}",
                    f"{who.name} {draw.pick(['gives', 'gave'])} away {said}: - {n}",
                    f"{who.name} takes away {said} {things}: - {n}",
                    f"{who.name} {draw.pick(['doubles', 'doubled'])} them: * 2",
                    f"{who.name} {draw.pick(['triples', 'tripled'])} them: * 3",
                    "four times as many: * 4",
                    f"{said} times as many as {who.name}: * {n}",
                    "twice as many: * 2",
                    f"{said} more than {who.name}: + {n}",
                    f"{said} fewer than {who.name}: - {n}",
                    "half of them: / 2",
                    "a third of them: / 3",
                    "a quarter of them: / 4",
                    f"among {said} friends: / {n}",
                    f"into {said} equal {draw.pick(GROUPS)}: / {n}",
                    f"{said} {draw.pick(GROUPS)} of them: * {n}",
                ]
            )
        )
    return "\n".join(lines)


def undo(draw: Draw) -> str:
    """Changes and their opposites, from the last one back."""
    changes = [(draw.pick("+-*/"), number(draw)) for _ in range(draw.between(1, 4))]
    opposite = {"+": "-", "-": "+", "*": "/", "/": "*"}
    there = ", ".join(f"{sign} {n}" for sign, n in changes)
    back = ", ".join(f"{opposite[sign]} {n}" for sign, n in reversed(changes))
    return f"{there}\nback: {back}"


def equation(draw: Draw) -> str:
    """A relation in words, and the same as an equation; nothing is solved."""
    x, y, z = number(draw), number(draw), number(draw)
    a, b = draw.some(["x", "y", "ans", "a", "b"], 2)
    said, text = draw.pick(
        [
            (f"{a} and {draw.say(x)} make {y}", f"{a} + {x} = {y}"),
            (f"{a} less {draw.say(x)} is {y}", f"{a} - {x} = {y}"),
            (f"{draw.say(x)} times {a} is {y}", f"{x} * {a} = {y}"),
            (f"{a} plus {draw.say(x)}, minus {draw.say(y)}, is {z}", f"{a} + {x} - {y} = {z}"),
            (f"{a} minus {draw.say(x)}, plus {draw.say(y)}, is {z}", f"{a} - {x} + {y} = {z}"),
            (f"{a} plus {draw.say(x)}, then doubled, is {z}", f"({a} + {x}) * 2 = {z}"),
            (f"{a} minus {draw.say(x)}, then tripled, is {z}", f"({a} - {x}) * 3 = {z}"),
            (f"{a} minus {draw.say(x)}, multiplied by {y}, is {z}", f"({a} - {x}) * {y} = {z}"),
            (f"{a} and {b} make {x} together", f"{a} + {b} = {x}"),
            (f"{a} is {draw.say(x)} more than {b}", f"{a} = {b} + {x}"),
            (f"{a} is {draw.say(x)} times as many as {b}", f"{a} = {x} * {b}"),
            (f"{a} and {b} make {x}, {a} is {draw.say(y)} more", f"{a} + {b} = {x}\n{a} = {b} + {y}"),
            (f"we want {a}", f"ans = {a if a != 'ans' else b}"),
        ]
    )
    return draw.pick([f"Q: {said}\nA:{text}", f"% {said}\n{text}"])


def program(draw: Draw) -> str:
    """Python assignments that use one another, with the same surface as the strategies' programs."""
    names = draw.some(NAMES, draw.between(2, 4))
    names[-1] = draw.pick(["answer", "answer", "ans", names[-1]])
    lines: list[str] = []
    known: list[str] = []
    for name in names:
        left = draw.pick(known) if known and draw.chance(0.8) else str(number(draw))
        right = draw.pick(known) if known and draw.chance(0.3) else str(number(draw))
        lines.append(f"{name} = {left} {draw.pick('++-*/')} {right}")
        known.append(name)
    return "\n".join(lines)
