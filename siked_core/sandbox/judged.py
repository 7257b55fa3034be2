"""Runs one program in this process, reads its answer, and never returns. Called in the zygote's fork, caged.

Runs in the zygote, which has no third-party package: only the standard library is imported (sympy, where it is
there at all, is found through `sys.modules`).

The answer is the first of these that there is: the variable `answer` (SIKeD); the value that `solution()` returns
(PAL); the lines that were printed, from which the caller takes the last number; the variable `ans` (PoT). A value is
turned into text here and is never unpickled, evaluated or compared: see `text_of` for the types.
"""

from __future__ import annotations

import builtins
import io
import json
import math
import os
import struct
import sys
from decimal import Decimal
from fractions import Fraction
from types import ModuleType
from typing import Any, NoReturn

RESULT_FD = 3
FRAME_BYTES = 8_192
"""A longer report is cut before it is sent."""
_ANSWER_CHARACTERS = 2_000
_WHY_CHARACTERS = 300
TAIL_LINES = 10
_INTEGER_BITS = 8_000


class NotANumberError(Exception):
    """The answer is a value of a kind that is no answer."""


class TooLargeError(Exception):
    """The answer is too long to report."""


class _Printed(io.TextIOBase):
    """What a program prints: kept up to a limit, at which the program ends."""

    def __init__(self, nonce: bytes, limit: int) -> None:
        self.parts: list[str] = []
        self._room = limit
        self._nonce = nonce
        self._limit = limit

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._room -= len(text)
        if self._room < 0:
            _report(self._nonce, "too_large", why=f"printed more than {self._limit // 1024} KiB")
        self.parts.append(text)
        return len(text)


class _Discarded(io.TextIOBase):
    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def run(code: str, nonce: bytes, output_characters: int) -> NoReturn:
    """Run `code` as a `__main__` module, send one report to `RESULT_FD`, and end the process."""
    printed = _Printed(nonce, output_characters)
    try:
        module = ModuleType("__main__")
        sys.modules["__main__"] = module
        module.__dict__["__builtins__"] = builtins
        sys.stdout, sys.stderr, sys.stdin = printed, _Discarded(), io.StringIO()
        try:
            exec(compile(code, "<program>", "exec"), module.__dict__)  # the point of the cage
        except SystemExit as stop:
            if stop.code not in (None, 0):
                _report(nonce, "crashed", why=f"exit code {one_line(stop.code)}")
        value = module.__dict__.get("answer")
        if value is None and callable(module.__dict__.get("solution")):
            value = module.__dict__["solution"]()
        sys.settrace(None)
        sys.setprofile(None)
        sys.setrecursionlimit(1_000)
        if value is not None:
            _report(nonce, "answered", answer=text_of(value))
        lines = [line for line in "".join(printed.parts).splitlines() if line.strip()]
        if module.__dict__.get("ans") is not None and not any(c.isdigit() for line in lines for c in line):
            _report(nonce, "answered", answer=text_of(module.__dict__["ans"]))
        _report(nonce, "printed", lines=[line[:200] for line in lines[-TAIL_LINES:]])
    except NotANumberError as error:
        _report(nonce, "no_answer", why=str(error))
    except TooLargeError as error:
        _report(nonce, "too_large", why=str(error))
    except MemoryError:
        del printed.parts[:]
        _report(nonce, "crashed", why="MemoryError: out of memory")
    except PermissionError as error:
        _report(nonce, "refused", why=f"the cage forbids it: {one_line(error)}")
    except ModuleNotFoundError as error:
        _report(nonce, "refused", why=one_line(error))
    except BaseException as error:
        _report(nonce, "crashed", why=f"{type(error).__name__}: {one_line(error)}")
    os._exit(1)


def one_line(value: object) -> str:
    """What `str` makes of it, on one line and not too long, whatever its `__str__` does."""
    try:
        return " ".join(str(value)[: 2 * _WHY_CHARACTERS].split())[:_WHY_CHARACTERS]
    except BaseException:
        return "(a message that cannot be shown)"


def _report(nonce: bytes, status: str, *, answer: str = "", why: str = "", lines: list[str] | None = None) -> NoReturn:
    payload = json.dumps({"status": status, "answer": answer, "why": why, "lines": lines or []}).encode("ascii")
    if len(payload) > FRAME_BYTES:
        payload = json.dumps(
            {"status": "too_large", "answer": "", "why": "the report is too long", "lines": []}
        ).encode()
    try:
        os.write(RESULT_FD, nonce + struct.pack("!I", len(payload)) + payload)
    finally:
        os._exit(0)


def text_of(value: Any, depth: int = 0) -> str:
    """A value as text.

    Taken: int, float, Fraction, Decimal and str (a subclass as the plain value that it holds), SymPy's real numbers,
    and a list, tuple, set or dict that holds one of these and nothing else.
    Not taken: bool, complex, anything that is not finite, and every other type.
    """
    if isinstance(value, bool):
        raise NotANumberError(f"the answer is a bool ({value}), not a number")
    if isinstance(value, int):
        return _integer(int.__int__(value))
    if isinstance(value, float):
        return _float(float.__float__(value))
    if isinstance(value, str):
        text = str.__str__(value).strip()
        if not text:
            raise NotANumberError("the answer is an empty text")
        if len(text) > _ANSWER_CHARACTERS:
            raise TooLargeError(
                f"the answer is a text of {len(text)} characters; at most {_ANSWER_CHARACTERS} are read"
            )
        return text
    if isinstance(value, Fraction):
        above, below = _integer(int.__int__(value.numerator)), _integer(int.__int__(value.denominator))
        return f"{above}/{below}".removesuffix("/1")
    if isinstance(value, Decimal):
        if not Decimal.is_finite(value):
            raise NotANumberError(f"the answer is not finite: {one_line(value)}")
        return Decimal.__str__(value)[:_ANSWER_CHARACTERS]
    if isinstance(value, complex):
        raise NotANumberError(f"the answer is complex: {one_line(value)}")
    sympy = sys.modules.get("sympy")
    if sympy is not None and isinstance(value, sympy.Basic):
        return _sympy(value, sympy)
    if isinstance(value, (list, tuple, set, frozenset, dict)) and depth < 4:
        items = list(value.values() if isinstance(value, dict) else value)
        if len(items) == 1:
            return text_of(items[0], depth + 1)
        raise NotANumberError(f"the answer holds {len(items)} values, not one")
    raise NotANumberError(f"the answer is a {one_line(type(value).__name__)}, not a number")


def _integer(value: int) -> str:
    if value.bit_length() > _INTEGER_BITS:
        raise TooLargeError(f"the answer is an integer of {value.bit_length()} bits; at most {_INTEGER_BITS} are read")
    return str(value)


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise NotANumberError(f"the answer is not finite: {value}")
    return repr(value)


def _sympy(value: Any, sympy: Any) -> str:
    if isinstance(value, sympy.Rational):
        return text_of(Fraction(int(value.p), int(value.q)))
    if isinstance(value, (sympy.FiniteSet, sympy.Tuple)) and len(value.args) == 1:
        return _sympy(value.args[0], sympy)
    if not getattr(value, "is_number", False):
        raise NotANumberError(f"the answer is an expression, not a number: {one_line(value)}")
    number = sympy.N(value, 30)
    if not number.is_Float or not number.is_finite:
        raise NotANumberError(f"the answer is not a finite real number: {one_line(value)}")
    return str(sympy.N(value, 17) if isinstance(value, sympy.Float) else number)
