"""Reads a system of equations that a model wrote, into trees. Nothing here evaluates text.

Grammar: equations on lines or between semicolons (or between commas, where each part has an `=`); chained equalities;
`+ - * / ^ **`, brackets of any kind, `× · ÷ −`; implicit products (`2x`, `3(10)`, `(a)(b)`), which bind like written
ones, from left to right; `20%` is 20/100 and `of` a product; currency signs are skipped; a line that begins with `%`
or `#` is a comment, and so is the rest of a line after `#`, or after a ` %` that words follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

LONGEST = 8_000
"""Characters. A longer system is not read."""
_DEEPEST = 40
_EQUATIONS = 300
_DIGITS = 300

_TOKEN = re.compile(
    r"\s*+(?:(?P<number>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d*+)?+(?:[eE][+-]?\d{1,2}(?!\w))?+|\.\d++(?:[eE][+-]?\d{1,2}(?!\w))?+)"
    r"|(?P<name>[^\W\d]\w*+)|(?P<operator>\*\*|[-+*/^()=%])|(?P<end>$))"
)
_FUNCTIONS = frozenset({"sqrt", "abs", "ceil", "exp", "floor", "int", "ln", "log", "max", "min", "mod", "round", "sum"})
_PLAIN = str.maketrans({
    "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "−": "-", "–": "-", "[": "(", "]": ")", "{": "(", "}": ")",
    "$": " ", "€": " ", "£": " ", "₹": " ", "¢": " ", "`": " ",
})  # fmt: skip
_NUMBERING = re.compile(r"\A(?:\(?\d{1,3}[.)]\s++|[•*]\s++)(?=[^\W\d])")
_TRAILING_COMMENT = re.compile(r"\s%(?=[^%\n]*[^\W\d_]{2})(?!\s*of\b)")


class UnreadableSystemError(Exception):
    """The text is not a system of equations, and why."""


class TooLargeSystemError(Exception):
    """The system is larger than is worth solving."""


@dataclass(frozen=True, slots=True)
class Number:
    value: Fraction


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Sum:
    terms: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Product:
    factors: tuple[Tree, ...]
    divisors: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Power:
    base: Tree
    exponent: Tree


Tree = Number | Name | Sum | Product | Power
HALF = Number(Fraction(1, 2))
MINUS_ONE = Number(Fraction(-1))


@dataclass(frozen=True, slots=True)
class ParsedEquation:
    left: Tree
    right: Tree


def read_system(text: str) -> list[ParsedEquation]:
    """Read every equation of the text, in order.

    Raises:
        UnreadableSystemError: a line is not an equation, or there is none.
        TooLargeSystemError: too long, too deeply nested, or too many equations.
    """
    if len(text) > LONGEST:
        raise TooLargeSystemError(f"{len(text)} characters; at most {LONGEST} are read")
    equations: list[ParsedEquation] = []
    for line in text.splitlines():
        for part in _equations_of(line):
            sides = _Parser(part).sides()
            equations += [ParsedEquation(left, right) for left, right in pairwise(sides)]
            if len(equations) > _EQUATIONS:
                raise TooLargeSystemError(f"more than {_EQUATIONS} equations")
    if not equations:
        raise UnreadableSystemError("there is no equation")
    return equations


def _equations_of(line: str) -> list[str]:
    line = line.strip()
    if not line or line[0] in "%#" or line.startswith("```"):
        return []
    line = line.partition("#")[0]
    comment = _TRAILING_COMMENT.search(line)
    if comment:
        line = line[: comment.start()]
    line = _NUMBERING.sub("", line.translate(_PLAIN).replace("==", "=").strip(), count=1)
    parts = [part.strip() for part in line.split(";")]
    separate = [piece for part in parts for piece in _at_commas(part)]
    return [part.rstrip(".,") for part in separate if part and not part.endswith("?")]


def _at_commas(part: str) -> list[str]:
    pieces = part.split(", ")
    return pieces if len(pieces) > 1 and all("=" in piece for piece in pieces) else [part]


class _Parser:
    """Recursive descent over one equation; the recursion is as deep as its brackets, which are limited."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while True:
            token = _TOKEN.match(text, at)
            if token is None:
                raise UnreadableSystemError(f"cannot read {text[at : at + 20].strip()!r} in {_short(text)}")
            at = token.end()
            kind = str(token.lastgroup)
            if kind == "end":
                break
            self._tokens.append((kind, token[kind]))
        self._tokens.append(("end", ""))
        self._at = 0
        self._depth = 0

    def sides(self) -> list[Tree]:
        sides = [self._sum()]
        while self._accept("="):
            sides.append(self._sum())
        if self._tokens[self._at][0] != "end":
            raise UnreadableSystemError(f"unexpected {self._tokens[self._at][1]!r} in {_short(self._text)}")
        if len(sides) == 1:
            raise UnreadableSystemError(f"no equals sign in {_short(self._text)}")
        return sides

    def _accept(self, *operators: str) -> str:
        kind, text = self._tokens[self._at]
        if kind == "operator" and text in operators:
            self._at += 1
            return text
        return ""

    def _sum(self) -> Tree:
        terms = [self._product()]
        while sign := self._accept("+", "-"):
            term = self._product()
            terms.append(term if sign == "+" else Product((MINUS_ONE, term), ()))
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def _product(self) -> Tree:
        factors, divisors = [self._signed()], []
        while True:
            if self._accept("*"):
                factors.append(self._signed())
            elif self._accept("/"):
                divisors.append(self._signed())
            elif self._tokens[self._at] == ("name", "of"):
                self._at += 1
                factors.append(self._signed())
            elif self._implicit():
                factors.append(self._power())
            else:
                break
        return factors[0] if len(factors) == 1 and not divisors else Product(tuple(factors), tuple(divisors))

    def _implicit(self) -> bool:
        """Does a factor follow without an operator? Two names or two numbers side by side are not a product."""
        kind, text = self._tokens[self._at]
        before_kind, before = self._tokens[self._at - 1]
        if text == "(":
            return True
        if kind == "name":
            return before_kind == "number" or before in (")", "%")
        return False

    def _signed(self) -> Tree:
        negative = False
        while sign := self._accept("+", "-"):
            negative ^= sign == "-"
        power = self._power()
        return Product((MINUS_ONE, power), ()) if negative else power

    def _power(self) -> Tree:
        base = self._atom()
        if self._accept("%"):
            base = Product((base,), (Number(Fraction(100)),))
        if not self._accept("^", "**"):
            return base
        self._deepen()
        exponent = self._signed()
        self._depth -= 1
        return Power(base, exponent)

    def _atom(self) -> Tree:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            digits = text.replace(",", "")
            if len(digits) > _DIGITS:
                raise TooLargeSystemError(f"a number of {len(digits)} characters")
            return Number(Fraction(digits if not digits.endswith(".") else digits[:-1]))
        if kind == "name":
            if self._tokens[self._at][1] != "(" or text.casefold() not in _FUNCTIONS:
                return Name(text)
            if text.casefold() != "sqrt":
                raise UnreadableSystemError(f"functions such as {text}() are not read")
            return Power(self._atom(), HALF)
        if text == "(":
            self._deepen()
            inner = self._sum()
            self._depth -= 1
            if not self._accept(")"):
                raise UnreadableSystemError(f"a bracket is not closed in {_short(self._text)}")
            return inner
        raise UnreadableSystemError(f"unexpected {text or 'end'!r} in {_short(self._text)}")

    def _deepen(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TooLargeSystemError(f"brackets nested more than {_DEEPEST} deep")


def _short(text: str) -> str:
    return repr(text if len(text) <= 50 else text[:47] + "...")
