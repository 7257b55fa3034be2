"""The table of `siked_core.numbers`, for any number under any formatting: true to itself, false to every other.

`written` draws a number and one way of writing it, with what the table needs to know of that way; `expected` is the
table once more, from the drawn numbers alone. No text is read here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from siked_core.numbers import final_answer, same_answer

NOISE = Fraction(1, 10**9)
UNITS = ["apples", "hours", "km", "m^2", "m²", "square feet", "cm", "°C", "people", "km/h", "dollars", "miles per hour"]
SMALL = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
         "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]  # fmt: skip
TENS = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = [(10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred")]


@dataclass(frozen=True)
class Written:
    text: str
    value: Fraction
    whole: bool = False
    """In digits alone, without a point."""
    decimals: int = 0
    percent: bool = False
    sentence: bool = False
    """With words before the number: fit for a prediction, but text as a gold answer."""


def in_words(value: int, joined: bool) -> str:
    if value < 20:
        return SMALL[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return TENS[tens] + ("-" + SMALL[ones] if ones else "")
    for scale, name in SCALES:
        if value >= scale:
            above, below = divmod(value, scale)
            joint = " and " if joined and below < 100 else " "
            return f"{in_words(above, joined)} {name}" + (joint + in_words(below, joined) if below else "")
    raise AssertionError


def grouped(digits: str, separator: str) -> str:
    return f"{int(digits):,}".replace(",", separator)


def indian(digits: str) -> str:
    head, tail = digits[:-3], digits[-3:]
    pairs: list[str] = []
    while head:
        head, pair = head[:-2], head[-2:]
        pairs.insert(0, pair)
    return ",".join([*pairs, tail])


@st.composite
def bare(draw: st.DrawFn) -> Written:
    """A number, without anything around it."""
    magnitude = draw(st.sampled_from([1, 2, 3, 4, 6, 9, 12, 15]))
    whole = draw(st.integers(0, 10**magnitude))
    sign = draw(st.sampled_from(["", "", "", "-", "−", "+"]))
    factor = -1 if sign in ("-", "−") else 1
    kind = draw(st.sampled_from(
        ["integer", "decimal", "fraction", "mixed", "scientific", "power", "words", "scale", "suffix", "latex", "half"]
    ))  # fmt: skip
    if kind in ("integer", "decimal"):
        digits = str(whole)
        places = draw(st.integers(1, 6)) if kind == "decimal" else 0
        rest = "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=places, max_size=places)))
        style = draw(st.sampled_from(["plain", ",", " ", "\u202f", "\u00a0", "'", "’", ".", "{,}", "indian"]))
        point = ","
        if style == "plain" or len(digits) <= 3:
            text, point = digits, "."
        elif style == "indian":
            text, point = indian(digits), "."
        else:
            text = grouped(digits, style)
            if style == ".":  # "1.234" alone is a decimal, and "1.234,5" is not
                assume(len(digits) > 6 or places)
            else:
                point = "."
        text += point + rest if places else ""
        value = factor * (whole + Fraction(int(rest or "0"), 10**places))
        return Written(sign + text, value, whole=not places, decimals=places)
    if kind in ("fraction", "latex"):
        below = draw(st.integers(1, 10 ** draw(st.integers(1, 4))))
        above = draw(st.integers(0, 10 ** draw(st.integers(1, 6))))
        spellings = [f"{above}/{below}", f"{above} / {below}", f"{above}⁄{below}"]
        latex = [f"\\{name}{{{above}}}{{{below}}}" for name in ("frac", "dfrac", "tfrac")]
        text = draw(st.sampled_from(latex if kind == "latex" else spellings))
        return Written(sign + text, factor * Fraction(above, below))
    if kind == "mixed":
        below = draw(st.integers(2, 99))
        above = draw(st.integers(1, below - 1))
        joint = draw(st.sampled_from([" ", " and "]))
        assume(whole < 10**9)
        return Written(f"{sign}{whole}{joint}{above}/{below}", factor * (whole + Fraction(above, below)))
    if kind == "half":
        vulgar, part = draw(st.sampled_from([("½", Fraction(1, 2)), ("¼", Fraction(1, 4)), ("⅔", Fraction(2, 3))]))
        spoken = draw(st.booleans()) and vulgar == "½" and sign == ""
        text = f"{whole} and a half" if spoken else f"{sign}{whole}{vulgar}"
        return Written(text, factor * (whole + part))
    if kind in ("scientific", "power"):
        mantissa, exponent = draw(st.decimals("0.001", "999", places=3)), draw(st.integers(-9, 12))
        mark = draw(st.sampled_from(["e", "E", "e+" if exponent >= 0 else "e"]))
        times = draw(st.sampled_from([" × ", " x ", "*", " * "]))
        braces = draw(st.sampled_from(["{}", "{{{}}}"]))
        power = f"{mantissa}{times}10^{braces.format(exponent)}"
        text = f"{mantissa}{mark}{exponent}" if kind == "scientific" else power
        return Written(sign + text, factor * Fraction(Decimal(mantissa)) * Fraction(10) ** exponent)
    if kind == "words":
        text = in_words(whole % 10**12, draw(st.booleans()))
        minus = draw(st.sampled_from(["", "minus ", "negative "]))
        if draw(st.booleans()):
            text = text.capitalize() if not minus else text
        return Written(minus + text, Fraction(whole % 10**12) * (-1 if minus else 1))
    count = draw(st.decimals("0.1", "999", places=1))
    scale, name = draw(st.sampled_from([*SCALES[:3], (10**12, "trillion")]))
    if kind == "suffix":
        scale, name = draw(st.sampled_from([(1000, "k"), (1000, "K"), (10**6, "M"), (10**9, "bn")]))
        return Written(f"{sign}{count}{name}", factor * Fraction(count) * scale)
    return Written(f"{sign}{count} {name}", factor * Fraction(count) * scale)


@st.composite
def written(draw: st.DrawFn) -> Written:
    """A number, with a currency, a unit, a percent sign, emphasis or a sentence around it."""
    number = draw(bare())
    text = number.text
    digits_first = text[0].isdigit()
    letters = any(character.isalpha() for character in text)
    around = draw(st.sampled_from(["none", "currency", "unit", "percent", "x =", "approximately"]))
    if around == "currency" and digits_first and not letters:
        symbol = draw(st.sampled_from(["${}", "€{}", "£ {}", "{} €", "{} USD", "US$ {}", "Rs. {}", "₹{}", "-${}"]))
        text = symbol.format(text)
        number = replace(number, value=-number.value if symbol[0] == "-" else number.value)
    elif around == "unit":
        text = f"{text} {draw(st.sampled_from(UNITS))}"
        number = replace(number, whole=number.whole)
    elif around == "percent":
        text += draw(st.sampled_from(["%", " %", "\\%", " percent", " per cent"]))
        number = replace(number, percent=True)
    elif around == "x =":
        text = f"{draw(st.sampled_from(['x', 'ans', 'total cost', '2 * 7']))} = {text}"
    elif around == "approximately" and digits_first:
        text = draw(st.sampled_from(["≈ ", "about ", "approximately "])) + text
    wrap = draw(st.sampled_from(["{}", "{}", "**{}**", " {} ", "{}.", "({})", "\\boxed{{{}}}", "\\({}\\)", "`{}`"]))
    number = replace(number, text=wrap.format(text))
    if "=" not in text and draw(st.integers(0, 4)) == 0:
        sentence = draw(
            st.sampled_from(["The total is {}", "So she pays {}", "Janet has {} left", "It costs {} in all"])
        )
        number = replace(number, text=sentence.format(text), sentence=True)
    return number


def expected(found: Written, gold: Written) -> bool:
    def meets(value: Fraction, whole: bool) -> bool:
        if value == gold.value:
            return True
        if whole and gold.whole:
            return False
        slack = abs(gold.value) * NOISE if gold.value else NOISE
        if gold.decimals and gold.value.denominator != 1:
            slack += Fraction(1, 2 * 10**gold.decimals)
        return abs(value - gold.value) <= slack

    if meets(found.value, found.whole):
        return True
    if found.percent == gold.percent:
        return False
    return meets(found.value * 100 if gold.percent else found.value / 100, False)


golds = written().filter(lambda number: not number.sentence)


@settings(max_examples=600)
@given(written(), st.data())
def test_every_formatting_of_a_number_is_that_number(found: Written, data: st.DataObject) -> None:
    value = found.value / 100 if found.percent else found.value
    plain = f"{found.value.numerator}/{found.value.denominator}"
    assert same_answer(found.text, plain), found
    assert not found.percent or same_answer(found.text, f"{value.numerator}/{value.denominator}")
    if not found.sentence:
        assert same_answer(plain, found.text), found
        assert same_answer(found.text, found.text), found


@settings(max_examples=600)
@given(written(), golds)
@example(Written("12.5%", Fraction(25, 2), decimals=1, percent=True), Written("0.125", Fraction(1, 8), decimals=3))
def test_two_numbers_are_the_same_exactly_where_the_table_says_so(found: Written, gold: Written) -> None:
    assert same_answer(found.text, gold.text) == expected(found, gold)


@settings(max_examples=600)
@given(written(), golds, st.sampled_from([-1, 1]), st.integers(0, 12), st.data())
def test_a_number_nearby_is_the_same_exactly_where_the_table_says_so(
    found: Written, gold: Written, sign: int, distance: int, data: st.DataObject
) -> None:
    """What random numbers never are: within a rounding, or a float's noise, of each other; or a factor of 100 apart."""
    factor = data.draw(st.sampled_from([Fraction(1), Fraction(100), Fraction(1, 100)]))
    value = gold.value * factor + sign * Fraction(data.draw(st.integers(0, 9)), 10**distance)
    near = replace(found, text=f"{value.numerator}/{value.denominator}", value=value, whole=False, decimals=0)
    near = replace(near, text=near.text + ("%" if near.percent else ""))
    assert same_answer(near.text, gold.text) == expected(near, gold), near


@settings(max_examples=300)
@given(st.integers(-(10**30), 10**30), st.integers(-3, 3), st.sampled_from([",", " ", "'", ""]))
def test_long_integers_are_exact(value: int, step: int, separator: str) -> None:
    assert same_answer(f"{value + step:,}".replace(",", separator), f"{value}") == (step == 0)


@settings(max_examples=300)
@given(written(), st.sampled_from(["The answer is {}.", "#### {}", "so \\boxed{{{}}}", "Answer: {}", "We add.\nA: {}"]))
def test_a_stated_answer_is_found(found: Written, frame: str) -> None:
    assume("boxed" not in found.text and found.text == found.text.strip())
    stated = final_answer("First we add 3 and 4.\n" + frame.format(found.text))
    assert stated is not None
    assert same_answer(stated, f"{found.value.numerator}/{found.value.denominator}"), stated


@settings(max_examples=300)
@given(golds, golds, st.sampled_from(["{} or {}", "either {} or {}", "between {} and {}", "{}; {}", "{}, or {}"]))
def test_a_hedged_answer_is_wrong(one: Written, other: Written, hedge: str) -> None:
    plain = f"{one.value.numerator}/{one.value.denominator}"
    assume(not set("=(") & set(one.text + other.text))  # in brackets it may be an aside: "18 eggs (9 per day)"
    assert not same_answer(hedge.format(one.text, other.text), plain)
    assert not same_answer(hedge.format(other.text, one.text), plain)


@pytest.mark.parametrize("prefix", ["at least ", "at most ", "more than ", "less than ", "not ", "> ", "≤ ", "±"])
@given(number=bare())
def test_a_bound_is_not_the_number(prefix: str, number: Written) -> None:
    assert not same_answer(prefix + number.text, f"{number.value.numerator}/{number.value.denominator}")
