"""Find the sums that a line of a human solution works out: the marked ones, and those that are only written out.

`She sold 48 / 2 = 24 clips` is a sum with or without its calculator mark. A sum that is only written out is taken
where its left side, read with the units left out (`3 canes/teacher * 4 teachers`), comes to the stated result:
the arithmetic itself tells a sum from a chance sequence of numbers. Of several readings the longest is taken.

Percentages are read in this order, the first that comes to the result wins: as hundredths; where the result is a
percentage too, as bare numbers (`100% - 30% = 70%`), or as hundredths with the result in hundredths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from siked_plugins.datasets.calculator import (
    NUMBER,
    Expression,
    Mark,
    NotArithmetic,
    Token,
    as_text,
    evaluate,
    has_operation,
    imply_products,
    plain_number,
    read_expression,
    stated,
    wrapped,
)

_PIECE = re.compile(
    rf"(?P<number>{NUMBER})"
    r"|(?P<percent>\s?%|\spercent\b)"
    r"|(?P<money>[$€£])"
    r"|(?P<times>\btimes\b|\bmultiplied by\b|×|\*|(?<![A-Za-z])[xX](?=\s*[$(\d.]))"
    r"|(?P<over>\bdivided by\b|÷|//?)"
    r"|(?P<plus>\bplus\b|\+)"
    r"|(?P<equals>=|\b(?:equals|is equal to)\b)"
    r"|(?P<word>[-–]?[A-Za-z](?:[\w’']|-(?=\w))*)"
    r"|(?P<minus>\bminus\b|[-−–—])"
    r"|(?P<open>\()|(?P<close>\))"
    r"|(?P<stop>[.;:?!](?=\s|$))"
    r"|(?P<other>[^\s])"
)
_OPERATORS = {"times": "*", "over": "/", "plus": "+", "minus": "-"}
_FAR = 40  # pieces before an equals sign that are looked at


@dataclass(frozen=True, slots=True)
class Sum:
    """A calculation in a line of text (the text without marks)."""

    start: int
    """Where its left side starts in the text; where the result starts, if the left side is not in the text."""
    end: int
    """Just after its result."""
    expression: Expression
    value: Fraction
    """The result as it is stated."""
    money: bool
    """The result is an amount of money."""


@dataclass(frozen=True, slots=True)
class WrongSum:
    """A marked calculation whose stated result is not what it comes to."""

    why: str


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: str
    text: str
    start: int
    end: int


def find_sums(text: str, marks: Sequence[Mark]) -> tuple[list[Sum], list[WrongSum]]:
    """Every sum of a line, in order, and the marked ones that are wrong.

    Args:
        text: the line without its marks.
        marks: the line's marks, in order.
    """
    pieces = [_Piece(found.lastgroup or "", found.group(), *found.span()) for found in _PIECE.finditer(text)]
    signs = [index for index, piece in enumerate(pieces) if piece.kind == "equals"]
    visible = {index: _visible(pieces, index) for index in signs}
    sums: list[Sum] = []
    wrong: list[WrongSum] = []
    for mark in marks:
        sign = _sign_before(pieces, signs, mark.position, text)
        seen = visible.pop(sign, None) if sign is not None else None
        marked = _marked(text, mark, seen, sign is not None and pieces[sign].start)
        if isinstance(marked, Sum):
            sums.append(marked)
        elif seen is not None:
            sums.append(seen)
        elif marked is not None:
            wrong.append(marked)
    sums += [found for found in visible.values() if found is not None]
    return sorted(sums, key=lambda found: found.end), wrong


def _sign_before(pieces: Sequence[_Piece], signs: Sequence[int], position: int, text: str) -> int | None:
    """The equals sign that a mark stands right behind."""
    for index in reversed(signs):
        if pieces[index].end <= position:
            return index if not text[pieces[index].end : position].strip(" $€£") else None
    return None


def _marked(text: str, mark: Mark, seen: Sum | None, sign_at: int | bool) -> Sum | WrongSum | None:
    """The sum of a mark; None where the mark has nothing to compute."""
    try:
        expression = read_expression(mark.left)
        if not has_operation(expression):
            return None
        exact = evaluate(expression)
    except NotArithmetic as error:
        return WrongSum(f"the mark <<{mark.left}={mark.right}>> cannot be computed: {error}")
    found = re.compile(rf"\s*-?({NUMBER})").match(text, mark.position)
    result = mark.right.replace(",", "").strip() or (found.group().strip().replace(",", "") if found else "")
    try:
        read_expression(result)
        exact_result = whole_steps(expression, exact, result)
    except (NotArithmetic, ValueError, ZeroDivisionError):
        return WrongSum(f"the mark <<{mark.left}={mark.right}>> states no number")
    if exact_result is None:
        return WrongSum(f"the mark <<{mark.left}={mark.right}>> is wrong: it comes to {float(exact):g}")
    start = seen.start if seen is not None else mark.position if sign_at is False else int(sign_at)
    end = found.end() if found else mark.position
    money = text[: mark.position].rstrip().endswith(("$", "€", "£"))
    return Sum(start, end, exact_result, Fraction(result), money)


def whole_steps(expression: Expression, exact: Fraction, result: str) -> Expression | None:
    """The expression that comes to the stated result: rounding to whole numbers is written out; None if it differs."""
    relation = stated(exact, result)
    one = Token("number", "1")
    true = tuple(Token("operator", "/") if token.text == "//" else token for token in expression)
    if true != expression and relation == "exact" and evaluate(true) == exact:
        return true  # `560 // 10` comes to 56 without rounding: equations have no other division
    floor = Token("operator", "//")
    if relation == "different":
        return None
    if relation in {"exact", "rounded"} and not (relation == "rounded" and "." not in result):
        return expression
    if relation == "floored" or (relation == "rounded" and exact > Fraction(result)):
        return (*wrapped(expression), floor, one)
    minus = Token("operator", "-")
    return (minus, *wrapped((minus, *wrapped(expression), floor, one)))


def _visible(pieces: Sequence[_Piece], sign: int) -> Sum | None:
    """The longest sum written out before an equals sign that comes to the number after it."""
    right = _right_side(pieces, sign + 1)
    if right is None:
        return None
    first = sign
    while first > 0 and sign - first < _FAR and pieces[first - 1].kind not in {"equals", "stop"}:
        first -= 1
    for start in range(first, sign):
        if pieces[start].kind not in {"number", "open", "minus"}:
            continue
        for expression in _readings(pieces[start:sign], right.percent):
            try:
                reached = _reaches(expression, right)
            except NotArithmetic:
                continue
            if reached is not None:
                return Sum(pieces[start].start, right.end, reached, right.value, right.money)
    return None


def _reaches(expression: Expression, right: _Right) -> Expression | None:
    """The expression, with its rounding written out, if it comes to the right side; None otherwise."""
    exact = evaluate(expression)
    if not has_operation(expression):
        return None
    if not right.digits:
        return expression if exact == right.value else None
    return whole_steps(expression, exact, right.digits) if stated(exact, right.digits) in {"exact", "rounded"} else None


@dataclass(frozen=True, slots=True)
class _Right:
    """The number after an equals sign."""

    value: Fraction
    digits: str
    """As it is written, for its precision; empty for a fraction or a mixed number, which is exact."""
    percent: bool
    money: bool
    end: int


def _right_side(pieces: Sequence[_Piece], at: int) -> _Right | None:
    """The number after an equals sign; None where there is none, or where a sum goes on."""
    sign = ""
    money = False
    while at < len(pieces) and pieces[at].kind in {"money", "minus"}:
        money = money or pieces[at].kind == "money"
        sign = "-" if pieces[at].kind == "minus" else sign
        at += 1
    if at >= len(pieces) or pieces[at].kind != "number":
        return None
    digits = plain_number(pieces[at].text)
    value = Fraction(digits)
    last = at
    if (fraction := _fraction(pieces, at)) is not None:  # 3/4
        digits, value, last = "", fraction, at + 2
    else:
        joint = at + 1
        while joint < len(pieces) and (pieces[joint].text.lower() == "and" or pieces[joint].kind == "money"):
            joint += 1
        part = _fraction(pieces, joint)
        if part is not None and part < 1 and "." not in digits:  # 1 1/2, 3 and 1/3
            digits, value, last = "", value + part, joint + 2
    percent = last + 1 < len(pieces) and pieces[last + 1].kind == "percent"
    end = pieces[last + percent].end
    after = last + 1 + percent
    while after < len(pieces) and pieces[after].kind == "word":
        after += 1
    if (
        after + 1 < len(pieces)
        and pieces[after].kind in _OPERATORS
        and pieces[after + 1].kind in {"number", "open", "money"}
    ):
        return None
    return _Right(-value if sign else value, f"{sign}{digits}" if digits else "", percent, money, end)


def _fraction(pieces: Sequence[_Piece], index: int) -> Fraction | None:
    """`1/2`, if that stands here."""
    if [piece.kind for piece in pieces[index : index + 3]] != ["number", "over", "number"]:
        return None
    top, bottom = (plain_number(pieces[at].text) for at in (index, index + 2))
    return None if "." in top + bottom or int(bottom) == 0 else Fraction(int(top), int(bottom))


def _readings(pieces: Sequence[_Piece], percent_result: bool) -> list[Expression]:
    """The ways to read pieces as an expression, best first; empty where they are none."""
    hundredths = _expression(pieces, hundredths=True)
    if hundredths is None:
        return []
    if not percent_result:
        return [hundredths]
    bare = _expression(pieces, hundredths=False)
    scaled = (*wrapped(hundredths), Token("operator", "*"), Token("number", "100"))
    return [bare, scaled] if bare is not None else [scaled]


def _expression(pieces: Sequence[_Piece], *, hundredths: bool) -> Expression | None:
    """Pieces of text as an expression: units are left out, `of` after a share means a product."""
    tokens: list[Token] = []
    gap: list[str] = []  # words since the last token
    index = 0
    while index < len(pieces):
        piece = pieces[index]
        after_value = bool(tokens) and tokens[-1].kind in {"number", "close"}
        if piece.kind in _OPERATORS:
            if piece.kind == "over" and index + 1 < len(pieces) and pieces[index + 1].kind == "word":
                index += 2  # a rate: "3 canes/teacher"
                continue
            tokens.append(Token("operator", _OPERATORS[piece.kind]))
            gap = []
        elif piece.kind in {"number", "open"}:
            if after_value and gap:
                if gap != ["of"]:
                    return None
                tokens.append(Token("operator", "*"))
            elif after_value and piece.kind == "number":
                part = _fraction(pieces, index)
                if part is None or part >= 1 or tokens[-1].kind != "number" or "." in tokens[-1].text:
                    return None
                tokens[-1:] = _mixed_number(tokens[-1], part)
                index += 3
                continue
            if piece.kind == "open":
                tokens.append(Token("open", "("))
            elif index + 1 < len(pieces) and pieces[index + 1].kind == "percent":
                index += 1
                number = Token("number", plain_number(piece.text))
                share = (number, Token("operator", "/"), Token("number", "100"))
                tokens += wrapped(share) if hundredths else (number,)
            else:
                tokens.append(Token("number", plain_number(piece.text)))
            gap = []
        elif piece.kind == "close":
            tokens.append(Token("close", ")"))
            gap = []
        elif piece.kind == "word" and (after_value or (tokens and tokens[-1].kind == "open")):
            gap.append(piece.text.lower())
        elif piece.kind != "money":
            return None
        index += 1
    return imply_products(tokens)


def _mixed_number(whole: Token, part: Fraction) -> Expression:
    """`1 1/2` as 1.5; as a sum in parentheses where it has no end as a decimal."""
    text = as_text(whole.value + part)
    if Fraction(text) == whole.value + part:
        return (Token("number", text),)
    top, bottom = Token("number", str(part.numerator)), Token("number", str(part.denominator))
    return wrapped((whole, Token("operator", "+"), top, Token("operator", "/"), bottom))
