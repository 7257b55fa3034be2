"""Reads one number from a text, whatever convention it is written in. Exact, and linear in the text's length."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from siked_core.number_words import CARDINALS, FRACTIONS, SCALES, add_fraction, read_words

_LONGEST = 10_000
"""Characters: a longer text is not an answer."""
_DIGITS = 1_000
"""Digits and powers of ten beyond which a number is not read (it would only burn time)."""

_MOST_NUMBERS = 8
"""In one answer, remarks included."""
_LARGEST = 10**_DIGITS

PLAIN = re.compile(r"[+-]?\d{1,300}(?:\.(\d{1,300}))?", re.ASCII)
"""Digits with at most a sign and a point: by far the most answers."""
_COMMON = re.compile(r"[$€£]?(-?(?:[1-9]\d{0,2}(?:,\d{3})+|\d{1,300}))(?:\.(\d{1,300}))?(?: ([a-z]{3,}))?\.?", re.ASCII)
"""The next most: with thousands separators, a currency or a unit, a closing stop. Only a short cut past `_Scan`."""
_TOKEN = re.compile(
    r"(?P<num>(?:\d++(?:[.,'_’]\d++)*+|(?<![A-Za-z\d.])\.\d++)(?:[eE][+-]?\d++(?![A-Za-z\d]|\.\d))?+)"
    r"|(?P<word>[^\W\d_]\w*+)|(?P<sym>\S)"
)
_LATEX = [
    (re.compile(r"\\[dt]?frac\s?\{([^{}]{1,60})\}\s?\{([^{}]{1,60})\}"), r" \1/\2 "),
    (re.compile(r"\\[dt]?frac\s?(\d)\s?(\d)"), r" \1/\2 "),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|mbox|operatorname)\s?\{([^{}]{0,400})\}"), r" \1 "),
    (re.compile(r"\^\s?\{?\s?\\circ\s?\}?|\\degree\b"), "° "),
    (re.compile(r"\\(?:left|right|boxed|displaystyle|[!()\[\]])"), ""),
    (re.compile(r"\\(?:quad|qquad|[,;: ])"), " "),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\approx\b"), "≈"),
    (re.compile(r"\\([$%#&_{}])"), r"\1"),
]
_VULGAR = {
    ord(character): f" {numerator}/{denominator}"
    for character, numerator, denominator in [
        ("½", 1, 2), ("⅓", 1, 3), ("⅔", 2, 3), ("¼", 1, 4), ("¾", 3, 4), ("⅕", 1, 5), ("⅖", 2, 5), ("⅗", 3, 5),
        ("⅘", 4, 5), ("⅙", 1, 6), ("⅚", 5, 6), ("⅐", 1, 7), ("⅛", 1, 8), ("⅜", 3, 8), ("⅝", 5, 8), ("⅞", 7, 8),
        ("⅑", 1, 9), ("⅒", 1, 10),
    ]
} | {ord(dash): "-" for dash in "−–‐‑"} | {ord(slash): "/" for slash in "⁄∕"}  # fmt: skip
_GROUP = re.compile(r"\d{3}(?:[.,]\d++)?", re.ASCII)
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")

_CURRENCY = frozenset("$€£¥₹₩₽¢")
_MONEY = frozenset(
    {"dollar", "dollars", "usd", "euro", "euros", "eur", "pound", "pounds", "gbp", "buck", "bucks", "rupee", "rupees"}
)
_CENTS = frozenset({"cent", "cents", "pence", "¢"})
_HEDGES = frozenset({
    "or", "either", "between", "not", "neither", "cannot", "least", "most", "than", "nor", "±", "√", "π", "∞",
    "<", ">", "≤", "≥", "infinity", "pi", "sqrt",
})  # fmt: skip
_SUFFIXES = {"k": 10**3, "K": 10**3, "M": 10**6, "bn": 10**9}
"""Read only where they touch the number."""
_TIMES = frozenset({"x", "×", "*"})
_PERCENT = frozenset({"%", "percent", "percents", "pct", "percentage"})


_NO_UNIT = _HEDGES | _PERCENT | _CENTS | CARDINALS.keys() | SCALES.keys() | FRACTIONS.keys() | {"and", "per"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A number, and how it was written where that matters to a comparison."""

    value: Fraction
    decimals: int | None = None
    """Digits after the point; None where the number is not written as a decimal."""
    whole: bool = False
    """Written as an integer, digits only."""
    percent: bool = False


def read(text: str, words_before: bool) -> Reading | None:
    """Read the one number that a text states: see `siked_core.numbers.read_number`."""
    plain = PLAIN.fullmatch(text)
    if plain:
        decimals = plain[1]
        if decimals is None:
            return Reading(Fraction(int(text)), whole=True)
        return Reading(Fraction(int(text.replace(".", "")), 10 ** len(decimals)), len(decimals))
    common = _COMMON.fullmatch(text)
    if common and common[3] not in _NO_UNIT:
        digits, decimals = common[1].replace(",", ""), common[2]
        if decimals is None:
            return Reading(Fraction(int(digits)), whole=True)
        return Reading(Fraction(int(digits + decimals), 10 ** len(decimals)), len(decimals))
    if len(text) > _LONGEST:
        return None
    prepared = _prepare(text)
    if prepared is None:
        return None
    sides = prepared.split("=")
    if len(sides) > 1:
        if len(sides) > 2 and any(mark in prepared for mark in (", ", ";", " and ", "\n")):
            return None
        if " or " in prepared:
            return None
        right = _Scan(sides[-1]).reading(False)
        return right or (_Scan(sides[0]).reading(False) if sides[-1].strip().isalpha() else None)
    return _Scan(prepared).reading(words_before)


def _prepare(text: str) -> str | None:
    """Bring LaTeX, emphasis and unusual characters to one plain spelling; None where it is no plain number."""
    if not text.isascii():
        text = _SUPERSCRIPTS.sub(lambda found: "^" + unicodedata.normalize("NFKC", found[0]), text.translate(_VULGAR))
        text = unicodedata.normalize("NFKC", text).translate(_VULGAR)
    if "\\" in text:
        text = text.replace("{,}", ",")
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
        if "\\" in text:
            return None
    if "{" in text:
        text = text.replace("{", "").replace("}", "")
    return text.replace("**", "").replace("`", "")


class _Scan:
    """One pass over a text's tokens, collecting the numbers that it states."""

    def __init__(self, text: str) -> None:
        tokens = list(_TOKEN.finditer(text))
        self.kinds = [token.lastgroup for token in tokens]
        self.texts = [token[0] for token in tokens]
        self.words = [word.lower() for word in self.texts]
        self.touches = [False, *(before.end() == after.start() for before, after in pairwise(tokens))]
        """Whether no space comes before the token."""
        self.found: list[tuple[Reading, int, int]] = []
        """Each number with the index of its first token and the index after its last."""

    def reading(self, words_before: bool) -> Reading | None:
        if not self.texts or not _HEDGES.isdisjoint(self.words):
            return None
        has_digits = any(kind == "num" and not self._is_exponent_of_unit(at) for at, kind in enumerate(self.kinds))
        index = 0
        while index < len(self.texts):
            if len(self.found) > _MOST_NUMBERS:
                return None
            if self.kinds[index] == "num":
                if self._is_exponent_of_unit(index):
                    index += 1
                    continue
                end = self._number(index)
                if end is None:
                    return None
                index = end
            else:
                index = self._words(index, has_digits)
        if not self.found:
            return None
        if not words_before and any(kind == "word" for kind in self._leading_kinds()):
            return None
        return self._one()

    def _leading_kinds(self) -> list[str | None]:
        start = self.found[0][1]
        return [
            kind
            for kind, word in zip(self.kinds[:start], self.words[:start], strict=True)
            if word not in _MONEY and word not in ("rs", "us", "about", "approximately", "minus", "negative", "a", "an")
        ]

    def _is_exponent_of_unit(self, index: int) -> bool:
        """The 2 in "12 m^2"."""
        return index >= 2 and self.texts[index - 1] == "^" and self.kinds[index - 2] == "word"

    def _number(self, index: int) -> int | None:
        """Read the number whose first digits are at `index`; return the index after it, or None if malformed."""
        reading = _literal(self.texts[index])
        end = index + 1
        if reading is None:
            return None
        while reading.whole and self._is_group(end, first=end == index + 1):
            joined = _literal("".join(self.texts[index : end + 1]).replace(",", "."))
            if joined is None:
                return None
            reading, end = joined, end + 1
        if self._next(end, ":") and self._kind(end + 1) == "num" and self.touches[end + 1]:
            return None
        mixed = self._fraction(end + 1) if self._next(end, "and") else self._fraction(end)
        if self._next(end, "/") and self._kind(end + 1) == "num":
            fraction = self._fraction(index) if end == index + 1 else None
            if fraction is None:
                return None
            reading, end = Reading(fraction), end + 2
        elif mixed is not None and reading.whole:
            if not 0 < mixed < 1:
                return None
            reading, end = Reading(reading.value + mixed), end + (4 if self._next(end, "and") else 3)
        else:
            power = self._power(reading, end)
            if power is not None:
                reading, end = power
        value, end = add_fraction(reading.value, self.words, end)
        if value != reading.value:
            reading = Reading(value)
        scale = SCALES.get(self._word(end)) or (
            _SUFFIXES.get(self.texts[end]) if self._kind(end) == "word" and self.touches[end] else None
        )
        while scale:
            reading, end = Reading(reading.value * scale), end + 1
            scale = SCALES.get(self._word(end))
            if reading.value > _LARGEST:
                return None
        if self._goes_on(end):
            return None
        percent = self._percent_end(end)
        if percent is not None:
            reading, end = Reading(reading.value, reading.decimals, reading.whole, percent=True), percent
        self._add(reading, index, end)
        return end

    def _goes_on(self, end: int) -> bool:
        """Is the number part of an expression with unknowns: "1 + x^2", "2^n", "5 - x"?"""
        if self._kind(end + 1) != "word":
            return False
        operator = self._word(end)
        if operator == "*":
            return self.words.count("*") == 1  # else it is emphasis
        if operator == "-":
            return len(self._word(end + 1)) == 1 and self._kind(end + 2) is None
        return operator in ("+", "×", "^")

    def _words(self, index: int, has_digits: bool) -> int:
        if self.kinds[index] != "word":
            return index + 1
        word = self.words[index]
        read = read_words(self.words, index) if word in CARDINALS or word in FRACTIONS or word in ("a", "an") else None
        if read is None or (has_digits and read[1] == index + 1 and word in ("one", "quarter", "a", "an")):
            return index + 1
        value, end = read
        percent = self._percent_end(end)
        self._add(Reading(value, percent=percent is not None), index, percent or end)
        return percent or end

    def _add(self, reading: Reading, index: int, end: int) -> None:
        if self._is_negative(index):
            reading = Reading(-reading.value, reading.decimals, reading.whole, reading.percent)
        self.found.append((reading, index, end))

    def _is_negative(self, index: int) -> bool:
        at = index - 1
        while at >= 0 and (self.texts[at] in _CURRENCY or self.texts[at] == "("):
            at -= 1
        if at < 0:
            return False
        if self.words[at] in ("minus", "negative"):
            return True
        if self.texts[at] != "-":
            return False
        return at == 0 or not (self.kinds[at - 1] in ("num", "word") and self.touches[at])

    def _one(self) -> Reading | None:
        """The one number that all that was found amounts to."""
        first = self.found[0][0]
        if len(self.found) == 1:
            return first
        if all(self._is_aside(start, end, other.value == first.value) for other, start, end in self.found[1:]):
            return first
        if len(self.found) == 2:
            (_, start, end), (cents, _, cents_end) = self.found
            money = self._word(end) in _MONEY or (start > 0 and self.texts[start - 1] in _CURRENCY)
            if money and self._word(cents_end) in _CENTS and 0 <= cents.value < 100 and first.value >= 0:
                return Reading(first.value + cents.value / 100, decimals=2)
        return None

    def _is_aside(self, start: int, end: int, same: bool) -> bool:
        """In brackets, and either the same number once more or a remark: "18 (eighteen)", "18 eggs (9 per day)"."""
        opening = start - 1
        while opening >= 0 and self.texts[opening] not in ("(", "["):
            if self.texts[opening] in (")", "]"):
                return False
            opening -= 1
        closing = end
        while closing < len(self.texts) and self.texts[closing] not in (")", "]"):
            closing += 1
        return opening > 0 and (same or "word" in self.kinds[opening:start] + self.kinds[end:closing])

    def _is_group(self, index: int, first: bool) -> bool:
        """Three digits after one space, as in "1 234", and not the "1 234/5" of a mixed number."""
        return (
            self._kind(index) == "num"
            and not self.touches[index]
            and _GROUP.fullmatch(self.texts[index]) is not None
            and (not first or (len(self.texts[index - 1]) <= 3 and self.texts[index - 1][0] != "0"))
            and not self._next(index + 1, "/")
        )

    def _fraction(self, index: int) -> Fraction | None:
        """The "3/4" at `index`: two integers and a stroke, and nothing that makes it a date or a ratio."""
        if not (self._kind(index) == "num" and self._next(index + 1, "/") and self._kind(index + 2) == "num"):
            return None
        above, below = _literal(self.texts[index]), _literal(self.texts[index + 2])
        if above is None or below is None or below.value == 0 or self._next(index + 3, "/"):
            return None
        return above.value / below.value

    def _power(self, reading: Reading, end: int) -> tuple[Reading, int] | None:
        """The "× 10^6" after a number, or the "^6" after a 10."""
        times_ten = 1 if self._next(end, "x10") else 2 if self._word(end) in _TIMES and self._next(end + 1, "10") else 0
        if times_ten:
            if not self._next(end + times_ten, "^"):
                return None
            factor, base_end = reading.value, end + times_ten
        elif reading.value == 10 and self._next(end, "^"):
            factor, base_end = Fraction(1), end
        else:
            return None
        sign = self._next(base_end + 1, "-")
        at = base_end + (2 if sign else 1)
        if self._kind(at) != "num" or not self.texts[at].isdigit() or len(self.texts[at]) > 3:
            return None
        exponent = int(self.texts[at])
        return Reading(factor * Fraction(10) ** (-exponent if sign else exponent)), at + 1

    def _percent_end(self, end: int) -> int | None:
        if self._word(end) in _PERCENT:
            return end + 1
        return end + 2 if self._word(end) == "per" and self._word(end + 1) == "cent" else None

    def _kind(self, index: int) -> str | None:
        return self.kinds[index] if index < len(self.kinds) else None

    def _word(self, index: int) -> str:
        return self.words[index] if index < len(self.words) else ""

    def _next(self, index: int, text: str) -> bool:
        return self._word(index) == text


def _literal(text: str) -> Reading | None:
    """Read digits with separators. None where the grouping is no convention (a list, a date, a version)."""
    if not text.isascii():
        text = text.replace("’", "'")
        if not text.isascii():
            return None
    digits, _, exponent = text.lower().partition("e")
    if len(digits) > _DIGITS or len(exponent) > 5 or (exponent and abs(int(exponent)) > _DIGITS):
        return None
    whole, separator, decimals = _split_decimals(digits)
    if whole is None:
        return None
    value = Fraction(int((whole or "0") + decimals), 10 ** len(decimals))
    if exponent:
        return Reading(value * Fraction(10) ** int(exponent))
    return Reading(value, len(decimals) if decimals else None, whole=not separator)


def _split_decimals(digits: str) -> tuple[str | None, str, str]:
    """Split "1,234.5" into ("1234", ".", "5"); the first item is None where the separators make no sense."""
    separators = [character for character in digits if not character.isdigit()]
    if not separators:
        return digits, "", ""
    point = ""
    if separators.count(".") == 1 and separators[-1] == ".":
        point = "."
    elif separators.count(",") == 1 and separators[-1] == "," and set(separators[:-1]) == {"."}:
        point = ","
    whole, _, decimals = digits.rpartition(point) if point else (digits, "", "")
    groupers = {character for character in whole if not character.isdigit()}
    if not groupers:
        return whole, point, decimals
    if len(groupers) > 1:
        return None, point, decimals
    grouper = groupers.pop()
    first, *groups = whole.split(grouper)
    by_three = all(len(group) == 3 for group in groups)
    indian = grouper == "," and len(groups) > 1 and len(groups[-1]) == 3 and all(len(g) == 2 for g in groups[:-1])
    if not (1 <= len(first) <= 3) or first.startswith("0") or not (by_three or (indian and len(first) <= 2)):
        return None, point, decimals
    return "".join((first, *groups)), point, decimals
