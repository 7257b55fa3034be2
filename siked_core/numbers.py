"""Reading and comparing answers exactly, as rational numbers. Floats never decide.

The policy, which every built-in verifier shares (`same_answer`; the first row that fits decides):

| gold | prediction that is the same answer |
|---|---|
| a worked solution with `#### 70000` | judged as what follows the first `####` |
| a clock time: `2:30`, `3:30 p.m.`, `15:30` | the same time; am/pm counts where both state it; 15:30 is 3:30 p.m. |
| not one number: `Purple`, `5:6`, `11; 12`, `Vendor 2` | the same text; but for case, spaces, closing stop |
| an integer, both written as integers | exactly the gold: 123456789012345678902 is not 123456789012345678901 |
| an integer (also `18.0`, `$18.00`) | equal up to float noise, 1e-9 relative: 17.999999999999996 is 18; 18.4 is not |
| a decimal that is not an integer: `33.33` | rounds to its digits: 33.333333 and 100/3 are, 33.3 is not |
| a fraction or mixed number: `1/3`, `1 3/4` | equal up to float noise: 0.3333333333333333 is 1/3; 0.33 is not |
| a number, and one side has a percent sign | equal as it stands or divided by 100: `12.5%` is 12.5 and is 0.125 |

A prediction that is hedged ("3 or 5", "between 5 and 7", "at least 3"), that holds several numbers, or that is no
finite number at all is never the answer to a numeric gold. Units and currencies are not compared: `$5` is `5 hours`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from siked_core.number_words import CARDINALS, FRACTIONS, SCALES, add_fraction, read_words
from siked_core.stated_answer import final_answer

__all__ = ["final_answer", "format_number", "read_number", "same_answer"]

_NOISE = Fraction(1, 10**9)
_LONGEST = 10_000
"""Characters: a longer text is not an answer."""
_DIGITS = 1_000
"""Digits and powers of ten beyond which a number is not read (it would only burn time)."""

_LARGEST = 10**_DIGITS

_PLAIN = re.compile(r"[+-]?\d{1,300}(?:\.(\d{1,300}))?", re.ASCII)
_TOKEN = re.compile(
    r"(?P<num>(?:\d++(?:[.,'_’]\d++)*+|(?<![A-Za-z\d.])\.\d++)(?:[eE][+-]?\d++(?![A-Za-z\d.]))?+)"
    r"|(?P<word>[^\W\d_]\w*+)|(?P<sym>\S)"
)
_TIME = re.compile(
    r"(?:at )?(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s?(?:([ap])\.?\s?m\.?|o'?clock|h|hours)?\.?", re.IGNORECASE | re.ASCII
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
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")

_CURRENCY = frozenset("$€£¥₹₩₽¢")
_MONEY = frozenset(
    {"dollar", "dollars", "usd", "euro", "euros", "eur", "pound", "pounds", "gbp", "buck", "bucks", "rupee", "rupees"}
)
_CENTS = frozenset({"cent", "cents", "pence", "¢"})
_HEDGES = frozenset(
    {"or", "either", "between", "not", "neither", "cannot", "least", "most", "than", "nor", "±", "infinity"}
)
_SUFFIXES = {"k": 10**3, "K": 10**3, "M": 10**6, "bn": 10**9}
"""Read only where they touch the number."""
_PERCENT = frozenset({"%", "percent", "percents", "pct", "percentage"})


@dataclass(frozen=True, slots=True)
class _Reading:
    value: Fraction
    decimals: int | None = None
    """Digits after the point; None where the number is not written as a decimal."""
    whole: bool = False
    """Written as an integer, digits only."""
    percent: bool = False


def read_number(text: str, *, words_before: bool = False) -> Fraction | None:
    """Read a text that states one number, exactly.

    Understood: thousands separators (1,234 · 1 234 · 1'234 · 1.234.567 · 1,00,000), decimals, a currency before or
    after, unit words after, percent (the number of percents: 12.5% is 25/2), fractions, mixed numbers, scientific
    notation, "5 million", number words, "5 dollars and 50 cents", "x = 7", simple LaTeX around any of these.
    Clock times and ratios are not one number. Linear in the length of the text.

    Args:
        text: what an answer field holds, or a line that a program printed.
        words_before: also read a number that other words come before ("The total is 5"). Without it such a text
            ("Vendor 2", "February 3rd") is a name, not a number.

    Returns:
        The number, or None where the text states none, or several, or hedges, or has more than 1,000 digits.
    """
    reading = _read(text, words_before)
    return None if reading is None else reading.value


def same_answer(prediction: str, gold: str) -> bool:
    """Is the prediction the gold answer? The module's table is the rule."""
    exact, wanted = _PLAIN.fullmatch(prediction), _PLAIN.fullmatch(gold)
    if exact and wanted and exact[1] is None and wanted[1] is None:
        return int(prediction) == int(gold)
    if "####" in gold:
        gold = gold.partition("####")[2].strip().partition("\n")[0]
    if "####" in prediction:
        prediction = prediction.partition("####")[2].strip().partition("\n")[0]
    gold_time = _read_time(gold)
    if gold_time is not None:
        time = _read_time(prediction)
        return time is not None and _same_time(time, gold_time)
    target = _read(gold, words_before=False)
    if target is None:
        return _plain_text(prediction) == _plain_text(gold) != ""
    found = _read(prediction, words_before=True)
    if found is None:
        return False
    if _meets(found.value, found.whole, target):
        return True
    if found.percent == target.percent:
        return False
    return _meets(found.value * 100 if target.percent else found.value / 100, False, target)


def format_number(value: Fraction) -> str:
    """Write a number as text that `read_number` reads back: "72", "0.125", and "1/3" where no short decimal is exact.

    Raises:
        ValueError: it has more than 4,300 digits (Python's own limit).
    """
    if value.denominator == 1:
        return str(value.numerator)
    twos = fives = 0
    rest = value.denominator
    while rest % 2 == 0 and twos <= 30:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0 and fives <= 30:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > 30:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _meets(value: Fraction, whole: bool, target: _Reading) -> bool:
    gold = target.value
    if value == gold:
        return True
    if whole and target.whole:
        return False
    slack = abs(gold) * _NOISE if gold else _NOISE
    if target.decimals and gold.denominator != 1:
        slack += Fraction(1, 2 * 10**target.decimals)
    return abs(value - gold) <= slack


def _plain_text(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).strip("*`'\"").rstrip(".")


def _read_time(text: str) -> tuple[int, int, int, str] | None:
    if ":" not in text or len(text) > 40:
        return None
    found = _TIME.fullmatch(unicodedata.normalize("NFKC", text).strip().strip("*`"))
    if found is None or int(found[1]) > 24:
        return None
    return int(found[1]), int(found[2]), int(found[3] or 0), (found[4] or "").lower()


def _same_time(one: tuple[int, int, int, str], other: tuple[int, int, int, str]) -> bool:
    if one[1:3] != other[1:3]:
        return False
    if one[0] == other[0]:
        return not one[3] or not other[3] or one[3] == other[3]
    return bool(one[3] or other[3]) and _hour_of_day(one) == _hour_of_day(other)


def _hour_of_day(time: tuple[int, int, int, str]) -> int:
    hour, half = time[0], time[3]
    if half and hour <= 12:
        return hour % 12 + (12 if half == "p" else 0)
    return hour


def _read(text: str, words_before: bool) -> _Reading | None:
    plain = _PLAIN.fullmatch(text)
    if plain:
        return _Reading(Fraction(text), len(plain[1]) if plain[1] else None, whole=plain[1] is None)
    if len(text) > _LONGEST:
        return None
    prepared = _prepare(text)
    if prepared is None:
        return None
    sides = prepared.split("=")
    if len(sides) > 1:
        if len(sides) > 2 and any(mark in prepared for mark in (", ", ";", " and ", "\n")):
            return None
        if _TOKEN.search(sides[-1]) is None or " or " in prepared:
            return None
        prepared = sides[-1]
        words_before = False
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
        self.found: list[tuple[_Reading, int, int]] = []
        """Each number with the index of its first token and the index after its last."""

    def reading(self, words_before: bool) -> _Reading | None:
        if not self.texts or not _HEDGES.isdisjoint(self.words):
            return None
        has_digits = "num" in self.kinds
        index = 0
        while index < len(self.texts):
            if self.kinds[index] == "num":
                if index and self._is_exponent_of_unit(index):
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
        return self.texts[index - 1] == "^" and index >= 2 and self.kinds[index - 2] == "word"

    def _number(self, index: int) -> int | None:
        """Read the number whose first digits are at `index`; return the index after it, or None if malformed."""
        reading = _literal(self.texts[index])
        end = index + 1
        if reading is None:
            return None
        while reading.whole and self._is_group(end, first=end == index + 1):
            joined = _literal("".join(self.texts[index : end + 1]))
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
            reading, end = _Reading(fraction), end + 2
        elif mixed is not None and reading.whole:
            if not 0 < mixed < 1:
                return None
            reading, end = _Reading(reading.value + mixed), end + (4 if self._next(end, "and") else 3)
        else:
            power = self._power(reading, end)
            if power is not None:
                reading, end = power
        value, end = add_fraction(reading.value, self.words, end)
        if value != reading.value:
            reading = _Reading(value)
        scale = SCALES.get(self._word(end)) or (
            _SUFFIXES.get(self.texts[end]) if self._kind(end) == "word" and self.touches[end] else None
        )
        while scale:
            reading, end = _Reading(reading.value * scale), end + 1
            scale = SCALES.get(self._word(end))
            if reading.value > _LARGEST:
                return None
        percent = self._percent_end(end)
        if percent is not None:
            reading, end = _Reading(reading.value, reading.decimals, reading.whole, percent=True), percent
        self._add(reading, index, end)
        return end

    def _words(self, index: int, has_digits: bool) -> int:
        if self.kinds[index] != "word":
            return index + 1
        word = self.words[index]
        read = read_words(self.words, index) if word in CARDINALS or word in FRACTIONS or word in ("a", "an") else None
        if read is None or (has_digits and read[1] == index + 1 and word in ("one", "quarter", "a", "an")):
            return index + 1
        value, end = read
        percent = self._percent_end(end)
        self._add(_Reading(value, percent=percent is not None), index, percent or end)
        return percent or end

    def _add(self, reading: _Reading, index: int, end: int) -> None:
        if self._is_negative(index):
            reading = _Reading(-reading.value, reading.decimals, reading.whole, reading.percent)
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

    def _one(self) -> _Reading | None:
        """The one number that all that was found amounts to."""
        first = self.found[0][0]
        if len(self.found) == 1:
            return first
        if all(other.value == first.value and self._in_brackets(start) for other, start, _ in self.found[1:]):
            return first
        if len(self.found) == 2:
            (_, start, end), (cents, _, cents_end) = self.found
            money = self._word(end) in _MONEY or (start > 0 and self.texts[start - 1] in _CURRENCY)
            if money and self._word(cents_end) in _CENTS and 0 <= cents.value < 100 and first.value >= 0:
                return _Reading(first.value + cents.value / 100, decimals=2)
        return None

    def _in_brackets(self, index: int) -> bool:
        return index > 0 and self.texts[index - 1] in "(["

    def _is_group(self, index: int, first: bool) -> bool:
        """Three digits after one space, as in "1 234", and not the "1 234/5" of a mixed number."""
        return (
            self._kind(index) == "num"
            and not self.touches[index]
            and len(self.texts[index].partition(".")[0]) == 3
            and self.texts[index].replace(".", "", 1).isdigit()
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

    def _power(self, reading: _Reading, end: int) -> tuple[_Reading, int] | None:
        """The "× 10^6" after a number, or the "^6" after a 10."""
        if self._kind(end) is not None and self.words[end] in ("x", "×", "*") and self._word(end + 1) == "10":
            if not self._next(end + 2, "^"):
                return None
            factor, base_end = reading.value, end + 2
        elif reading.value == 10 and self._next(end, "^"):
            factor, base_end = Fraction(1), end
        else:
            return None
        sign = self._next(base_end + 1, "-")
        at = base_end + (2 if sign else 1)
        if self._kind(at) != "num" or not self.texts[at].isdigit() or len(self.texts[at]) > 3:
            return None
        exponent = int(self.texts[at])
        return _Reading(factor * Fraction(10) ** (-exponent if sign else exponent)), at + 1

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


def _literal(text: str) -> _Reading | None:
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
        return _Reading(value * Fraction(10) ** int(exponent))
    return _Reading(value, len(decimals) if decimals else None, whole=not separator)


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
