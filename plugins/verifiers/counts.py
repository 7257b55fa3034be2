"""Does an answer fit a question that counts? "How many buses are needed?" has no answer such as -3 or 2/3.

Only ever a note beside a verdict: questions are read by their words, and "How many hours" may well be 2.5.
"""

from __future__ import annotations

import re

from siked_core.numbers import read_number

_HOW_MANY = re.compile(r"\bhow many\b\s*([^?.!;\n]*)", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+")
_LOOKED_AT = 5
"""Words after "how many": "more red apples", "total hours of practice"."""
_MEASURED = frozenset({
    "acre", "byte", "calorie", "centimeter", "centimetre", "cent", "cm", "cup", "day", "decade", "decimeter",
    "decimetre", "degree", "dollar", "euro", "foot", "feet", "gallon", "gb", "gigabyte", "gram", "hectare", "hour",
    "inch", "inches", "kg", "kilogram", "kilometer", "kilometre", "km", "kwh", "lb", "liter", "litre", "mb",
    "megabyte", "meter", "metre", "mg", "mile", "milligram", "milliliter", "millilitre", "millimeter",
    "millimetre", "minute", "ml", "mm", "month", "mph", "ounce", "oz", "percent", "percentage", "pint", "point",
    "pound", "quart", "rupee", "second", "square", "tablespoon", "teaspoon", "time", "ton", "tonne", "unit",
    "watt", "week", "yard", "year", "per", "average", "share", "fraction", "portion", "part", "half", "halve",
    "quarter", "third", "dozen", "hundred", "thousand", "million",
})  # fmt: skip


def misfit(answer: str, question: str) -> str:
    """What is odd about an answer to a question that counts things; empty where nothing is."""
    value = read_number(answer)
    asked = _HOW_MANY.findall(question)
    if value is None or not asked:
        return ""
    if value < 0:
        return "the question asks how many, and that is negative"
    if value.denominator != 1 and not any(_is_measured(what) for what in asked):
        return "the question asks how many, and that is not a whole number"
    return ""


def _is_measured(what: str) -> bool:
    """Is it of something that is measured, or divided, rather than counted?"""
    words = _WORD.findall(what.casefold())[:_LOOKED_AT]
    return any(word in _MEASURED or word.removesuffix("s") in _MEASURED for word in words)
