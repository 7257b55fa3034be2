"""What everybody knows: how many of its parts a thing has. Told in the corpus as sentences, needed by a family."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing has `number` of its `parts`."""

    one: str
    many: str
    number: int
    parts: str

    @property
    def article(self) -> str:
        return "an" if self.one[0] in "aeio" or self.one == "hour" else "a"

    @property
    def sentence(self) -> str:
        """The fact as it is told: "A spider has 8 legs"."""
        return f"{self.article.title()} {self.one} has {self.number} {self.parts}"


_TOLD = """
legs: spider 8, ant 6, crab 10, dog 4, hen 2, beetle 6, horse 4, owl 2
wheels: car 4, bike 2, trike 3, truck 10, van 4, coach 8
strings: violin 4, guitar 6, banjo 5, harp 47, lute 15
sides: triangle 3, square 4, pentagon 5, hexagon 6, octagon 8
arms: squid 10, octopus 8, starfish 5
players: football team 11, tennis pair 2, cricket team 11, volley team 6, handball team 7
cents: nickel 5, dime 10, dollar 100
days: week 7, fortnight 14
months: year 12, season 3, quarter year 3
years: decade 10, century 100
hours: day 24
minutes: hour 60
inches: foot 12, yard 36
ounces: pound 16
pints: quart 2, gallon 8
petals: lily 6, buttercup 5, poppy 4
keys: piano 88
"""
_IRREGULAR = {
    "century": "centuries", "coach": "coaches", "lily": "lilies", "poppy": "poppies", "foot": "feet",
    "octopus": "octopuses", "starfish": "starfish", "squid": "squids",
}  # fmt: skip

FACTS = tuple(
    Fact(name, _IRREGULAR.get(name, f"{name}s"), int(number), parts)
    for line in _TOLD.strip().splitlines()
    for parts, _, things in [line.partition(": ")]
    for name, _, number in [thing.rpartition(" ") for thing in things.split(", ")]
)
