"""Documents of the corpus that tell, and that say again what was told; nothing is worked out in them."""

from __future__ import annotations

from siked_plugins.pocket.corpus_arithmetic import number
from siked_plugins.pocket.facts import FACTS
from siked_plugins.pocket.sketch import Draw
from siked_plugins.pocket.words import BUYERS, DAYS, GROUPS, PEOPLE, PLACES, THINGS, TOWNS, Person


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


def known(draw: Draw) -> str:
    """What everybody knows, told."""
    facts = [(fact, f"{fact.number} {fact.parts}") for fact in draw.some(FACTS, draw.between(2, 6))]
    return "\n".join(
        draw.pick(
            [
                f"{fact.sentence}.",
                f"{fact.sentence}.",
                f"{fact.sentence}, so {draw.say(draw.between(2, 12))} {fact.many} have {has} each.",
                f"Every {fact.one} has {has}.",
                f"There are {has} to {fact.article} {fact.one}.",
            ]
        )
        for fact, has in facts
    )
