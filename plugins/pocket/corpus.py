"""General text of the pocket world, from which the base student learns to read, copy, calculate and write code.

Stories and reading them back, arithmetic of many sizes, Python and equations taken down from dictation, comparisons,
number words, lists of sub-questions. What it never holds is a word problem with its solution: a document that asks
a question contains no arithmetic, and a document that contains arithmetic asks none and tells no story. Nor does it
hold any question of the world's splits: it has none of their questions' forms with numbers in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from siked_plugins.pocket.sketch import Difficulty, Draw, evaluate, plain
from siked_plugins.pocket.words import BUYERS, DAYS, GROUPS, PEOPLE, PLACES, THINGS, TOWNS, Person, spoken

NAMES = [
    *(person.identifier for person in PEOPLE),
    *("a", "b", "c", "d", "x", "y", "total", "count", "cost", "left", "rest", "gone", "now", "both", "each", "gap"),
    *("part", "final", "minutes", "price", "sum", "pens", "cups", "apples", "books"),
]


def number(draw: Draw) -> int:
    """A number of the corpus: small ones are common."""
    return draw.between(2, draw.pick([9, 20, 20, 60, 100, 100, 999, 999, 4000]))


def calculation(draw: Draw, small: bool = True) -> str:
    """One operation, small enough to be learnt by heart; else of two or three digits."""
    sign = draw.pick("++--**/")
    if sign in "+-":
        top = draw.pick([10, 20, 50, 100, 100]) if small else draw.pick([200, 999])
        x, y = draw.between(0, top), draw.between(0, top)
        return f"{x} + {y}" if sign == "+" else f"{max(x, y)} - {min(x, y)}"
    top = draw.pick([5, 10, 12]) if small else 30
    x, y = draw.between(1, top), draw.between(1, top)
    return f"{x} * {y}" if sign == "*" else f"{x * y} / {y}"


def solved(expression: str) -> str:
    return f"{expression} = {plain(evaluate(expression))}"


def arithmetic(draw: Draw) -> str:
    """Lines of calculations, now and then in a sentence, now and then with the last result stated."""
    small = draw.chance(0.9)
    thing = draw.pick(THINGS)
    form = draw.pick(["{}", "{}", "{}.", f"{{}} {thing}.", "{}, so it is done."])
    lines = [form.replace("{}", solved(calculation(draw, small))) for _ in range(draw.between(2, 7))]
    if draw.chance(0.3):
        last = solved(calculation(draw, small))
        lines += [f"{last}.", f"The answer is {last.split(' = ')[1]}."]
    return "\n".join(lines)


def table(draw: Draw) -> str:
    """A run of a times table or of sums."""
    sign = draw.pick(["*", "*", "+", "-", "/"])
    x = draw.between(2, 12 if sign in "*/" else 60)
    start = draw.between(1, 7 if sign in "*/" else 40)
    lines = []
    for y in range(start, start + 6):
        lines.append({"*": f"{y} * {x}", "+": f"{y + x} + {x}", "-": f"{y + x} - {x}", "/": f"{y * x} / {x}"}[sign])
    return "\n".join(solved(line) for line in lines)


def chain(draw: Draw) -> str:
    """Calculations of which each starts from the result of the one before it."""
    value = draw.between(2, 60)
    lines = []
    for _ in range(draw.between(2, 4)):
        sign = draw.pick("+-*/")
        amount = draw.between(2, min(60, max(2, value - 1)))
        divisors = [n for n in range(2, 13) if value % n == 0]
        if sign == "*" and value <= 12:
            line = f"{value} * {draw.between(2, 12)}"
        elif sign == "/" and divisors:
            line = f"{value} / {draw.pick(divisors)}"
        elif sign == "-" and value > amount:
            line = f"{value} - {amount}"
        else:
            line = f"{value} + {amount}"
        lines.append(solved(line))
        value = int(evaluate(line))
    if draw.chance(0.5):
        lines = [f"{line}." for line in lines] + [f"The answer is {value}."]
    return "\n".join(lines)


def combined(draw: Draw) -> str:
    """Two calculations, and one on their results; a difference starts from the larger one."""
    first, second = calculation(draw), calculation(draw)
    x, y = int(evaluate(first)), int(evaluate(second))
    low, high = min(x, y), max(x, y)
    lines = [first, second]
    kind = draw.pick(["difference", "difference", "sum", "low", "high", "limit"])
    if kind == "difference":
        lines.append(f"{high} - {low}")
    elif kind == "sum":
        lines.append(f"{x} + {y}")
    elif kind in ("low", "high"):
        lines.append(f"{low if kind == 'low' else high} * {draw.between(2, 9)}")
    solutions = [solved(line) for line in lines]
    if kind in ("low", "high"):
        solutions[2:2] = [f"{'lower' if kind == 'low' else 'higher'}: {low if kind == 'low' else high}"]
    if kind == "limit":
        return "\n".join(
            f"{solution}, which is {'above' if value > limit else 'not above'} {limit}."
            for solution, value in zip(solutions, (x, y), strict=True)
            for limit in [max(0, value + draw.between(-9, 8))]
        )
    return "\n".join(draw.pick([solutions, [f"{line}." for line in solutions]]))


def simplify(draw: Draw) -> str:
    """An expression worked out from left to right: "3 * 4 + 5 = 12 + 5 = 17"."""
    x, y, z = draw.between(2, 12), draw.between(2, 12), draw.between(2, 60)
    product = x * y
    text = draw.pick([f"{x} * {y} + {z} = {product} + {z}", f"{z} + {x} * {y} = {z} + {product}"])
    if draw.chance(0.4):
        a, b = draw.between(2, 50), draw.between(2, 50)
        text, product = f"{a} + {b} + {z} = {a + b} + {z}", a + b
    return f"{text} = {product + z}"


def comparison(draw: Draw) -> str:
    """Which of two numbers is larger."""
    top = draw.pick([20, 50, 100, 100, 300])
    lines = []
    for _ in range(draw.between(2, 5)):
        x = draw.between(1, top)
        y = draw.pick([n for n in {*range(max(1, x - 9), x + 10), *range(1, top)} if n != x])
        low, high = sorted((x, y))
        lines.append(
            draw.pick(
                [
                    f"{high} is more than {low}.",
                    f"{low} is less than {high}.",
                    f"{x} and {y}: {high} is more than {low}.",
                    f"{x} is {'above' if x > y else 'not above'} {y}.",
                    f"Of {x} and {y} the larger is {high} and the smaller is {low}.",
                    f"{x} and {y}, from the larger one: {high} - {low} = {high - low}.",
                ]
            )
        )
    return "\n".join(lines)


def counting(draw: Draw) -> str:
    """Counting up or down, and number words."""
    if draw.chance(0.5):
        numbers = [draw.between(0, draw.pick([20, 99])) for _ in range(draw.between(3, 8))]
        return "\n".join(draw.pick([f"{spoken(n)} is {n}", f"{n} is {spoken(n)}"]) for n in numbers)
    start, step = draw.between(0, draw.pick([20, 100, 900])), draw.pick([1, 1, 1, 2, 5, 10])
    numbers = [start + step * n for n in range(draw.between(5, 12))]
    return ", ".join(map(str, numbers if draw.chance(0.7) else reversed(numbers)))


def _fact(draw: Draw, who: Person, amount: int, things: str) -> tuple[str, str]:
    """A sentence of a story, and what it asks of the reader."""
    n = draw.say(amount)
    place = draw.pick(PLACES)
    return draw.pick(
        [
            (f"{who.name} has {n} {things}.", f"How many {things} are {who.name}'s own?"),
            (f"{who.name} keeps {n} {things} in a {place}.", f"How many {things} are in {who.name}'s {place}?"),
            (f"{who.name} bought {n} {things} on {draw.pick(DAYS)}.", f"How many {things} did {who.name} buy?"),
            (f"{who.name} found {n} {things} in {draw.pick(TOWNS)}.", f"How many {things} did {who.name} find?"),
            (f"{who.name} lost {n} {things}.", f"How many {things} did {who.name} lose?"),
            (f"{who.name} gave {n} {things} to a friend.", f"How many {things} did {who.name} give away?"),
            (
                f"{who.name} sold {n} {things} at {draw.between(2, 99)} cents.",
                f"How many {things} did {who.name} sell?",
            ),
            (f"{who.name} made {things} for {n} days.", f"For how many days did {who.name} make {things}?"),
            (f"{who.name} needs {n} {draw.pick(GROUPS)} for {who.his} {things}.", f"What does {who.name} need?"),
            (f"{who.name} paid {n} dollars for {things}.", f"How many dollars did {who.name} pay for {things}?"),
            (f"The {things} of {who.name} weigh {n} pounds.", f"How many pounds do the {things} weigh?"),
            (f"{who.name} walked for {n} minutes.", f"For how many minutes did {who.name} walk?"),
            (f"{who.name} is {n} years old.", f"How old is {who.name}?"),
            (f"There are {n} {things} on {who.name}'s table.", f"How many {things} are on the table?"),
            (f"{who.name} makes {n} {things} a day.", f"How many {things} does {who.he} make a day?"),
            (f"{who.name} had {n} {things} at first.", f"How many {things} had {who.name} at first?"),
            (f"{who.name} also has {n} {things}.", f"How many {things} does {who.he} have too?"),
            (f"{amount}% of the {things} are {who.name}'s.", f"What percentage of the {things} is {who.name}'s?"),
            (f"A {draw.pick(BUYERS)} has {n} {things} for {who.name}.", f"How many {things} wait for {who.name}?"),
            (f"{who.name} sells {things} at {n} dollars each.", f"What does {who.name} take for one?"),
        ]
    )


def _facts(draw: Draw, low: int, high: int) -> list[tuple[Person, str, int, str, str]]:
    count = draw.between(low, high)
    people = draw.some(PEOPLE, count)
    things = draw.some(THINGS, count)
    amounts = draw.some(sorted({number(draw) for _ in range(4 * count)} | set(range(2, 8))), count)
    told = [_fact(draw, *fact) for fact in zip(people, amounts, things, strict=True)]
    return [(who, thing, amount, *fact) for who, thing, amount, fact in zip(people, things, amounts, told, strict=True)]


def story(draw: Draw) -> str:
    """Facts, and nothing asked."""
    return " ".join(fact for _, _, _, fact, _ in _facts(draw, 2, 6))


def reading(draw: Draw) -> str:
    """A story, and questions that its sentences answer as they stand."""
    facts = _facts(draw, 2, 5)
    told = " ".join(fact for _, _, _, fact, _ in facts)
    asked = draw.some(facts, draw.between(min(2, len(facts)), len(facts)))
    pairs = [(ask, draw.pick([str(amount), f"It is {amount}.", fact])) for _, _, amount, fact, ask in asked]
    first, *others = pairs
    lines = [f"Q: {told} {first[0]}", f"A:{first[1]}"]
    for ask, answer in others:
        lines += [f"Q: {ask}", f"A: {answer}"]
    return "\n".join(lines)


def noted(draw: Draw) -> str:
    """A story, and its numbers taken down as Python names."""
    facts = _facts(draw, 2, 4)
    told = " ".join(fact for _, _, _, fact, _ in facts)
    by_person = draw.chance(0.5)
    lines = [f"{who.identifier if by_person else things} = {amount}" for who, things, amount, _, _ in facts]
    return f"{draw.pick(['Q: ', ''])}{told}\n{draw.pick(['A:', ''])}" + "\n".join(lines)


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


def plan(draw: Draw) -> str:
    """Questions in an order in which one would ask them: no story, no answers."""
    first, second = draw.some(PEOPLE, 2)
    things, he = draw.pick(THINGS), first.he
    place, group = draw.pick(PLACES), draw.pick(GROUPS)
    start = f"How many {things} "
    openings = [
        f"{start}does {first.name} have?",
        f"{start}does {second.name} have?",
        f"{start}are gone?",
        f"What does {first.name} take for one?",
        "What is the bill?",
        "What is the score?",
        "How many pounds is that?",
        "How many shares are there?",
        f"{start}are in a share?",
        f"What is twice {first.name}'s number?",
        "What was it before the last change?",
        f"{start}did {he} find?",
        f"{start}did {he} make?",
    ]
    endings = [
        f"{start}does {he} have now?", f"{start}does {he} have?", f"{start}are in the {place} now?",
        f"{start}did {he} find in all?", f"{start}are left?", f"How many of {first.his} {things} are not red?",
        f"{start}are there?", f"{start}does {he} make a day?", f"{start}does each friend get?", f"{start}are in each?",
        f"By how many {things} do they differ?", "How many years are between them?",
        "How many more did the faster one make?", f"How many more {things} are in the fuller one?",
        f"How many dollars does {first.name} pay?", f"How many points does {first.name} get?",
        f"{start}did it sell in all?", f"{start}did {he} count together?", f"{start}are there in total?",
        "How many cents is that?", f"How many cents does {he} pay?", f"{start}are red?", "How many people is that?",
        f"How many red {things} are in it?", "How many are broken?", "How many people are still there?",
        "How many minutes is that in all?", "How many minutes did the way back take?", "How many minutes are left?",
        f"{start}did {he} have at first?", f"{start}were in the {place} at the start?", "What was the number?",
        f"How many more {things} does the richer one have?", f"By how many {things} do their totals differ?",
        "How many more is that?", "How many dollars is that?", "What do they cost?", "What do they cost there?",
        f"{start}does {first.name} still have?", f"{start}do {first.name} and {second.name} have together?",
        f"{start}do they have in all?", f"{start}are in each of the {group}?",
        "What was it before the last two changes?",
    ]  # fmt: skip
    asked = [*draw.some(openings, draw.between(1, 3)), draw.pick(endings)]
    return "\n".join(f"Q: {ask}" for ask in asked)


def prose(draw: Draw) -> str:
    """Sentences in the words of this world, with no numbers to reckon with."""
    first, second = draw.some(PEOPLE, 2)
    things, other = draw.some(THINGS, 2)
    color, shade = draw.some(["red", "blue", "green", "black", "white", "old", "new", "broken"], 2)
    place, group, buyer, day = draw.pick(PLACES), draw.pick(GROUPS), draw.pick(BUYERS), draw.pick(DAYS)
    town = draw.pick(TOWNS)
    sentences = [
        f"{first.name} had some {things} at first, but now {first.he} has none.",
        f"{first.name} and {second.name} have their {things} together in a {place}.",
        f"The {buyer} takes dollars and cents for its {things}.",
        f"{first.name} also wants more {other} than {second.name}.",
        f"There were {things} in the {place} at the start, and then there are fewer.",
        f"A machine that never rests makes {things} every hour and every minute.",
        f"Every day {first.name} packs {things} into {group}, the same number in each.",
        f"The richer one has more {things}; the faster one made more {things}.",
        f"Some people of {town} are away, the others are still there.",
        "A film lasts hours and minutes. Before it come some minutes of talk.",
        f"The way back took longer than the trip to {town}.",
        f"{first.name} reads, then draws. {second.name} walks, then rests. They sing, cook, work and sleep.",
        f"{first.name} thinks of a number, adds another, takes away a third and multiplies the result.",
        f"In a game {first.name} throws {things} for points. A score above the limit earns a bonus of points.",
        f"{first.name} sends a load of {things}. A pound costs a dollar, a load above the limit costs more.",
        f"The {buyer} takes some dollars off a bill above its limit.",
        f"We want {things} at the lower price, and {second.name} sells them for less.",
        f"One {place} holds more {things}, another holds fewer. The fuller one is {color}.",
        f"The piles of {things} in {first.name}'s barn are {color}, the others {shade}.",
        f"{first.name} gives {second.name} half of {first.his} {things}, lends a third, and shares the rest equally.",
        f"{first.name} bought {things} on {day} and found {other} today. Both are on the table.",
        f"{first.name} doubled {first.his} {things}, {second.name} tripled them. Then they gave some away.",
        f"Mother sells {things} in {town} and {other} in total peace. I want twice as many.",
        f"{first.name} puts {color} {things} and {shade} {things} into a {place} and counted them in all.",
        f"{first.name} pumps pints and orders rolls. It earns {first.him} what remains for a test.",
        f"{first.name} makes {things} and has used {other} in the morning and in the evening.",
        f"Their totals differ by some {things}. A share, a quarter or a fifth is less than half.",
    ]
    return " ".join(draw.some(sentences, draw.between(2, 4)))


def repeated(draw: Draw) -> str:
    """A list, and the same list again, or from its end, or its first and last."""
    source = draw.pick([THINGS, TOWNS, DAYS, [person.name for person in PEOPLE], None, None, None])
    length = draw.between(2, 7)
    items = draw.some(source, length) if source else [str(number(draw)) for _ in range(length)]
    separator = draw.pick([", ", " ", "\n", " + ", " and "])
    listed = separator.join(items)
    return draw.pick(
        [
            f"{listed}\nagain: {listed}",
            f"{listed}\nagain: {listed}\nagain: {listed}",
            f"{listed}\nback: {separator.join(reversed(items))}",
            f"{listed}\nfirst: {items[0]}\nlast: {items[-1]}",
        ]
    )


def recall(draw: Draw) -> str:
    """What belongs to what, told once and asked for in another order."""
    keys = draw.pick([THINGS, THINGS, DAYS, [person.name for person in PEOPLE], [person.name for person in PEOPLE]])
    chosen = draw.some(keys, draw.between(2, 6))
    words = [*TOWNS, *PLACES, *GROUPS]
    values = [str(number(draw)) if draw.chance(0.85) else draw.pick(words) for _ in chosen]
    told, link = draw.pick(
        [("{key} {value}", ", "), ("{value} {key}", ", "), ("{key}: {value}", "\n"), ("{key} has {value}.", " ")]
    )
    asked, between = draw.pick(
        [("{key} {value}", ", "), ("{key} = {value}", "\n"), ("{key}? {value}", "\n"), ("{key} has {value}.", " "),
         ("{name} = {value}", "\n"), ("{name} = {value}", "\n")]
    )  # fmt: skip
    pairs = list(zip(chosen, values, strict=True))
    first = link.join(told.format(key=key, value=value) for key, value in pairs)
    again = between.join(
        asked.format(key=key, name=key.lower(), value=value) for key, value in draw.some(pairs, len(pairs))
    )
    return f"{first}\n{again}"


KINDS: dict[Callable[[Draw], str], int] = {
    arithmetic: 24,
    table: 4,
    chain: 10,
    combined: 8,
    simplify: 3,
    comparison: 6,
    counting: 4,
    story: 3,
    reading: 18,
    noted: 8,
    dictation: 12,
    event: 6,
    undo: 3,
    equation: 6,
    program: 6,
    plan: 4,
    prose: 4,
    repeated: 6,
    recall: 12,
}
"""What the corpus is made of, by documents."""


def documents(seed: int, start: int = 0) -> Iterator[str]:
    """The corpus: its documents without end, from the `start`-th on; each depends on (seed, index) only."""
    kinds, weights = list(KINDS), list(KINDS.values())
    index = start
    while True:
        draw = Draw(f"corpus/{seed}/{index}", Difficulty.MEDIUM)
        draw.difficulty = draw.pick([Difficulty.MEDIUM, Difficulty.HARD])
        yield draw.random.choices(kinds, weights)[0](draw)
        index += 1
