"""The pocket world's people, things and number words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    he: str
    his: str
    him: str

    @property
    def identifier(self) -> str:
        """The name as a Python identifier: "ann"."""
        return self.name.lower()


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _people(names: str, he: str, his: str, him: str) -> tuple[Person, ...]:
    return tuple(Person(name, he, his, him) for name in _words(names))


PEOPLE = _people("Ann Mia Zoe Lena Ruth Ivy Nora Tara Emma Lily Sara Maya Rosa June", "she", "her", "her") + _people(
    "Ben Tom Sam Leo Jack Omar Raj Ken Luis Finn Hugo Paul Noah Adam", "he", "his", "him"
)

THINGS = _words(
    "pens cups apples books coins cards shells stamps balls eggs plums beads keys hats boxes bricks stones pears nuts"
    " figs cakes rolls toys ribbons buttons marbles stickers pencils candles flowers"
)
PLACES = _words("box bag jar basket drawer chest")
GROUPS = _words("bags boxes jars baskets packs rows")
BUYERS = _words("shop market stall store")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
TOWNS = _words("Alton Burley Corby Denton Elford Firth Garby Holt")

_SMALL = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")


def spoken(number: int) -> str:
    """A number from 0 to 99 in words: "twenty-five"."""
    if not 0 <= number <= 99:
        raise ValueError(f"{number} is not between 0 and 99")
    if number < 20:
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")
