"""Numbers that are written as English words: "twenty-five", "three million", "two and a half"."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

_UNITS = [
    "zero", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
CARDINALS = {word: value for value, word in enumerate(_UNITS)} | {
    word: value * 10 for value, word in enumerate(_TENS, start=2)
}
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
FRACTIONS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4} | {
    name + plural: denominator
    for denominator, name in {
        3: "third", 4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth", 10: "tenth",
    }.items()
    for plural in ("", "s")
}  # fmt: skip


def read_words(words: Sequence[str], start: int) -> tuple[Fraction, int] | None:
    """Read the number that begins at `words[start]` (lower case; hyphens are items of their own).

    Returns:
        The value and the index after its last word, or None where no number begins there.
    """
    if words[start] not in CARDINALS:
        if words[start] in ("half", "quarter"):
            return Fraction(1, FRACTIONS[words[start]]), start + 1
        if words[start] in ("a", "an") and start + 1 < len(words):
            after = words[start + 1]
            if after in ("half", "quarter"):
                return Fraction(1, FRACTIONS[after]), start + 2
            if after in SCALES:
                return _whole(["one", *words[start + 1 :]], start + 1)
        return None
    read = _whole(words[start:], start)
    value, end = read
    part = end + 1 if end < len(words) and words[end] == "-" else end
    if part < len(words) and words[part] in FRACTIONS and value != 0:
        return value / FRACTIONS[words[part]], part + 1
    return add_fraction(value, words, end)


def add_fraction(value: Fraction, words: Sequence[str], end: int) -> tuple[Fraction, int]:
    """Add "and a half", "and three quarters" where it follows at `words[end]`."""
    if end + 2 < len(words) and words[end] == "and" and words[end + 2] in FRACTIONS:
        numerator = 1 if words[end + 1] in ("a", "an") else CARDINALS.get(words[end + 1], 0)
        if numerator:
            return value + Fraction(numerator, FRACTIONS[words[end + 2]]), end + 3
    return value, end


def _whole(words: Sequence[str], offset: int) -> tuple[Fraction, int]:
    """Read a whole number from the start of `words`; the index returned counts from `offset`."""
    total, group = 0, 0
    index, end = 0, 0
    last = 0  # the previous cardinal, where one may still follow it ("twenty" then "five")
    while index < len(words):
        word = words[index]
        if word in CARDINALS:
            value = CARDINALS[word]
            fits = end == 0 or (last >= 20 and 0 < value < 10) or (group % 100 == 0 and last == 0 and value > 0)
            if not fits:
                break
            group, last = group + value, value
        elif word == "hundred" and 0 < group < 100:
            group, last = group * 100, 0
        elif word in SCALES and word != "hundred" and group:
            total, group, last = total + group * SCALES[word], 0, 0
        elif end and word in ("-", "and") and index + 1 < len(words) and words[index + 1] in CARDINALS:
            joins_tens = word == "-" and last >= 20
            if not (joins_tens or (word == "and" and last == 0)):
                break
            index += 1
            continue
        else:
            break
        index += 1
        end = index
    return Fraction(total + group), offset + end
