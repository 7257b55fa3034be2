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
from fractions import Fraction

from siked_core.number_text import PLAIN, Reading, read
from siked_core.stated_answer import final_answer

__all__ = ["final_answer", "format_number", "read_number", "same_answer"]

_NOISE = 10**9
"""One part in so many is float noise."""
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]*)\}")
_TIME = re.compile(
    r"(?:at )?(\d{1,2})(?::([0-5]\d)(?::([0-5]\d))?)?\s?(?:([ap])\.?\s?m\.?|o'?clock|h|hours)?\.?",
    re.IGNORECASE | re.ASCII,
)


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
    reading = read(text, words_before)
    return None if reading is None else reading.value


def same_answer(prediction: str, gold: str) -> bool:
    """Is the prediction the gold answer? The module's table is the rule."""
    exact, wanted = PLAIN.fullmatch(prediction), PLAIN.fullmatch(gold)
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
    target = read(gold, words_before=False)
    if target is None:
        return _plain_text(prediction) == _plain_text(gold) != ""
    found = read(prediction, words_before=True)
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


def _meets(value: Fraction, whole: bool, target: Reading) -> bool:
    gold = target.value
    if value == gold:
        return True
    if whole and target.whole:
        return False
    # |value - gold| <= |gold| / noise (+ half a unit of the gold's last digit), without fractions: they are slow
    above, below = (abs(gold.numerator), gold.denominator * _NOISE) if gold else (1, _NOISE)
    if target.decimals and gold.denominator != 1:
        half = 2 * 10**target.decimals
        above, below = above * half + below, below * half
    difference = abs(value.numerator * gold.denominator - gold.numerator * value.denominator)
    return difference * below <= above * value.denominator * gold.denominator


def _plain_text(text: str) -> str:
    if "\\" in text:
        text = _LATEX_TEXT.sub(r"\1", text)
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).strip("*`'\"").rstrip(".")


def _read_time(text: str) -> tuple[int, int, int, str] | None:
    if len(text) > 40 or (":" not in text and "m" not in text.lower()):
        return None
    found = _TIME.fullmatch(unicodedata.normalize("NFKC", text).strip().strip("*`"))
    if found is None or int(found[1]) > 24 or not (found[2] or found[4]):
        return None
    return int(found[1]), int(found[2] or 0), int(found[3] or 0), (found[4] or "").lower()


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
