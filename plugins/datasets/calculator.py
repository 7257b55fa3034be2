"""Arithmetic in text: GSM8K's calculator marks and written-out sums, read exactly and never evaluated as code.

GSM8K's human solutions (Cobbe et al. 2021, arXiv 2110.14168, section 3 and appendix C) carry marks such as
`48/2 = <<48/2=24>>24`: what a calculator would have been asked, and what it would have said. This module tokenises
such arithmetic, computes it over `Fraction`, and writes it down again with some of the numbers replaced by names.

Departures from the published marks' own evaluation (`eval` of the left side): a small recursive-descent reader over a
closed set of tokens, exact rational results, and limits on length, depth and exponents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Literal

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
_MARK = re.compile(r"<<([^<>]*)>>")
_TOKEN = re.compile(rf"(?P<number>{NUMBER})|(?P<symbol>//|\*\*|[-+*/()=^×÷−–—])|(?P<cross>[xX])|(?P<skip>[\s$€£]+)")
_SYMBOLS = {"×": "*", "x": "*", "X": "*", "÷": "/", "−": "-", "–": "-", "—": "-", "^": "**"}
_LONGEST = 200  # tokens; a solution's step has fewer than 40
_DEEPEST = 40  # nested parentheses and signs
_LARGEST = Fraction(10**30)

TokenKind = Literal["number", "operator", "open", "close"]


class NotArithmetic(ValueError):  # noqa: N818 - what the text is, not a failure
    """The text is not arithmetic that this module computes; the message says why."""


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of an arithmetic expression."""

    kind: TokenKind
    text: str
    """As it is written down: a plain number without separators, an operator, a parenthesis."""

    @property
    def value(self) -> Fraction:
        return _fraction(self.text)


@lru_cache(maxsize=4096)
def _fraction(text: str) -> Fraction:
    """Numbers recur: reading one takes longer than computing with it."""
    return Fraction(text)


Expression = tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A calculator mark, and where in the text without marks it stood."""

    position: int
    left: str
    right: str
    """Empty where the mark has no equals sign."""


def split_marks(line: str) -> tuple[str, tuple[Mark, ...]]:
    """Take the marks out of a line: the text as a reader sees it, and the marks in order."""
    pieces: list[str] = []
    marks: list[Mark] = []
    end = length = 0
    for found in _MARK.finditer(line):
        pieces.append(line[end : found.start()])
        length += found.start() - end
        end = found.end()
        left, equals, right = found.group(1).rpartition("=")
        marks.append(Mark(length, left if equals else found.group(1), right if equals else ""))
    pieces.append(line[end:])
    return "".join(pieces), tuple(marks)


def plain_number(text: str) -> str:
    """A number as Python and a reader both take it: no separators, no superfluous zeros in front or behind."""
    whole, _, decimals = text.replace(",", "").partition(".")
    decimals = decimals.rstrip("0")
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def read_expression(text: str) -> Expression:
    """Read an arithmetic expression; products may be implied (`3(10)`). A percent sign is not arithmetic here.

    Raises:
        NotArithmetic: something in it is not arithmetic, or it is too long.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.group() == "=":
            raise NotArithmetic(f"'{text.strip()}' has '{text[position]}' in it")
        position = found.end()
        if found.lastgroup == "skip":
            continue
        piece = found.group()
        if found.lastgroup == "number":
            tokens.append(Token("number", plain_number(piece)))
        else:
            piece = _SYMBOLS.get(piece, piece)
            kind: TokenKind = "open" if piece == "(" else "close" if piece == ")" else "operator"
            tokens.append(Token(kind, piece))
    return imply_products(tokens)


def imply_products(tokens: Sequence[Token]) -> Expression:
    """Write the product signs that `3(10)` and `(1/2)(20)` leave out."""
    out: list[Token] = []
    for token in tokens:
        if out and (out[-1].kind, token.kind) in {("number", "open"), ("close", "open"), ("close", "number")}:
            out.append(Token("operator", "*"))
        out.append(token)
    return tuple(out)


def evaluate(expression: Expression, names: Mapping[str, Fraction] | None = None) -> Fraction:
    """Compute an expression exactly; a number token whose text is in `names` stands for that value.

    Raises:
        NotArithmetic: it is not well formed, divides by zero, or has a result beyond 10**30.
    """
    if len(expression) > _LONGEST:
        raise NotArithmetic("the expression is too long")
    return _Evaluation(expression, names or {}).whole()


class _Evaluation:
    """Recursive descent: sum > product > sign > power > atom, with Python's precedence."""

    def __init__(self, expression: Expression, names: Mapping[str, Fraction]) -> None:
        self.tokens = expression
        self.names = names
        self.at = 0
        self.depth = 0

    def whole(self) -> Fraction:
        result = self.sum()
        if self.at != len(self.tokens):
            raise NotArithmetic(f"'{self.tokens[self.at].text}' stands where an operator should")
        return result

    def take(self, *operators: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at].text in operators:
            self.at += 1
            return self.tokens[self.at - 1].text
        return None

    def sum(self) -> Fraction:
        result = self.product()
        while operator := self.take("+", "-"):
            right = self.product()
            result = _bounded(result + right if operator == "+" else result - right)
        return result

    def product(self) -> Fraction:
        result = self.sign()
        while operator := self.take("*", "/", "//"):
            right = self.sign()
            if operator == "*":
                result = _bounded(result * right)
            elif right == 0:
                raise NotArithmetic("it divides by zero")
            else:
                result = _bounded(result / right if operator == "/" else Fraction(result // right))
        return result

    def sign(self) -> Fraction:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise NotArithmetic("the expression is nested too deep")
        operator = self.take("+", "-")
        result = self.power() if operator is None else self.sign() if operator == "+" else -self.sign()
        self.depth -= 1
        return result

    def power(self) -> Fraction:
        base = self.atom()
        if self.take("**") is None:
            return base
        exponent = self.sign()
        if exponent.denominator != 1 or abs(exponent) > 64 or (base == 0 and exponent < 0):
            raise NotArithmetic(f"it raises to the power {exponent}")
        return _bounded(base**exponent.numerator)

    def atom(self) -> Fraction:
        if self.at == len(self.tokens):
            raise NotArithmetic("it ends where a number should stand")
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "number":
            named = self.names.get(token.text)
            return token.value if named is None else named
        if token.kind != "open":
            raise NotArithmetic(f"'{token.text}' stands where a number should")
        result = self.sum()
        if self.take(")") is None:
            raise NotArithmetic("a parenthesis is not closed")
        return result


def _bounded(value: Fraction) -> Fraction:
    if abs(value) > _LARGEST or value.denominator > _LARGEST:
        raise NotArithmetic("its result is too large")
    return value


def has_operation(expression: Expression) -> bool:
    """Is there something to compute (more than a number with a sign)?"""
    return any(
        token.kind == "operator" and position > 0 and expression[position - 1].kind in {"number", "close"}
        for position, token in enumerate(expression)
    )


def write_expression(expression: Expression) -> str:
    """Write an expression as Python: spaces around operators, none after a sign or inside parentheses."""
    out = ""
    previous: TokenKind | None = None
    for token in expression:
        if token.kind == "operator" and previous in {"number", "close"} and token.text != "**":
            out += f" {token.text} "
        else:
            out += token.text
        previous = token.kind
    return out


def rename(expression: Expression, names: Mapping[int, str]) -> Expression:
    """Put names in the places of the numbers at these positions."""
    return tuple(replace(token, text=names.get(index, token.text)) for index, token in enumerate(expression))


def wrapped(expression: Expression) -> Expression:
    """The expression in parentheses, unless it is a single number."""
    if len(expression) == 1:
        return expression
    return (Token("open", "("), *expression, Token("close", ")"))


def stated(exact: Fraction, text: str) -> Literal["exact", "rounded", "floored", "raised", "different"]:
    """How a stated result relates to the exact one, at the digits that are stated.

    `rounded` is to the nearest; `floored` and `raised` are whole numbers below and above that are not the nearest.
    """
    value = _fraction(plain_number(text.lstrip("-"))) * (-1 if text.startswith("-") else 1)
    digits = len(text.partition(".")[2])
    gap = (exact - value) * 10**digits
    if gap == 0:
        return "exact"
    if abs(gap) <= Fraction(1, 2):
        return "rounded"
    if 0 < gap < 1:
        return "floored" if digits == 0 else "rounded"
    if -1 < gap < 0 and digits == 0:
        return "raised"
    return "different"


def as_text(value: Fraction) -> str:
    """A value as a plain number: all its digits where they end, else twelve significant ones."""
    if value.denominator == 1:
        return str(value.numerator)
    rest, digits = value.denominator, 0
    while rest % 10 == 0 or rest % 5 == 0 or rest % 2 == 0:
        rest //= 10 if rest % 10 == 0 else 5 if rest % 5 == 0 else 2
        digits += 1
    if rest != 1 or digits > 12:
        return f"{float(value):.12g}"
    sign = "-" if value < 0 else ""
    scaled = str(abs(value.numerator) * 10**digits // value.denominator).rjust(digits + 1, "0")
    return sign + plain_number(scaled[:-digits] + "." + scaled[-digits:])
