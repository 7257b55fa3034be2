"""The process that compares mathematics with `math-verify`. Started by `siked_core.latex` in a fresh interpreter.

It loads math-verify and SymPy, puts on the cage that programs get (no files, no network, no processes, no signals),
and then answers one question after another. It never ends by itself: the other side keeps the deadline, and kills.

Wire, both ways: a 4-byte big-endian length and a JSON object. A question has `prediction` and `gold` (LaTeX); a reply
`same`, and each side's value as text where it is a real constant.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import struct
import sys
from typing import Any

from siked_core.sandbox import sympy_warm_up
from siked_core.sandbox.cage import Cage

_WIRE_FD = 3
"""The cage lets a process have four files."""
_CPU_S = 3_600
"""In all; then the kernel ends this process, and it is replaced."""
_DIGITS = 30
_MOST_TEXT = 2_000
_WARM_UP = [
    (r"\frac{\sqrt{3}}{2}", r"\sqrt{3}/2"), (r"2\pi", r"6.28\cdot 1"), ("x^2+2x+1", "(x+1)^2"), ("[0,1)", "(0,1]"),
    (r"\{1,2,3\}", r"\{3,2\}"), ("(3,4)", "(4,3)"), (r"(-\infty,2]\cup(3,\infty)", r"(3,\infty)"), ("y=2x+1", "2x+1"),
    (r"x \in [1,2]", "1 \\le x \\le 2"), ("x > 5", "5 < x"), ("x=5", "5"), (r"\log_2 8", "3"), (r"\binom{5}{2}", "10"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\3\end{pmatrix}"), ("3+4i", "4i+3"),
    (r"\sin x", r"\cos x"),
    (r"x=1 \text{ or } x=2", r"\{1,2\}"), ("e^x", r"\exp(x)"), (r"\sum_{n=1}^{3} n", "6"), ("50\\%", "0.5"),
    ("5!", "120"),
    (r"\frac{1}{x}+\frac{1}{y}", r"\frac{x+y}{xy}"), (r"\sqrt[3]{2}", "2^{1/3}"), (r"\lfloor 2.5\rfloor", "|{-2}|"),
]  # fmt: skip


def main(descriptor: int, settings: dict[str, Any]) -> None:
    """Load, enclose, say whether the cage holds, serve.

    Args:
        descriptor: the connected socket to serve.
        settings: `memory_mib`, beside what is loaded by then.
    """
    if descriptor != _WIRE_FD:
        os.dup2(descriptor, _WIRE_FD)
        os.close(descriptor)
    os.environ.clear()
    logging.disable(logging.CRITICAL)
    for gold, prediction in _WARM_UP:
        compare(prediction, gold)
    sympy_warm_up.load()
    cage = Cage()
    cage.enclose()
    os.dup2(1, 2)
    cage.close_around_program(_CPU_S, int(settings["memory_mib"]))
    caged, _ = cage.layers["seccomp"]
    _send({"caged": caged})
    while True:
        question = _receive()
        reply = {"same": False}
        with contextlib.suppress(Exception, RecursionError, MemoryError):
            reply = compare(question["prediction"], question["gold"])
        _send(reply)


def compare(prediction: str, gold: str) -> dict[str, Any]:
    """Compare two formulae. What cannot be read is the same as nothing."""
    from math_verify import verify

    found, wanted = _parsed(prediction), _parsed(gold)
    if found is None or wanted is None:
        return {"same": False}
    values = {"prediction": _value(found), "gold": _value(wanted)}
    if values["prediction"] and values["gold"]:
        return {"same": False} | values
    return {"same": bool(verify(wanted, found, timeout_seconds=None))} | values


def _parsed(latex: str) -> Any:
    """A SymPy object, or None. Only math-verify's LaTeX grammar reads: its other reader evaluates text as Python."""
    import sympy
    from math_verify import LatexExtractionConfig, parse

    found = parse(f"${latex}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found and isinstance(found[0], sympy.Basic | sympy.MatrixBase) else None


def _value(expression: Any) -> str:
    """The value of a real constant: exact if rational, else to 30 digits; empty for anything else."""
    import sympy

    if not isinstance(expression, sympy.Expr) or expression.free_symbols:
        return ""
    expression = expression.doit()
    if not expression.is_Rational:
        expression = sympy.N(expression, _DIGITS)
    text = str(expression) if expression.is_Rational or (expression.is_Float and expression.is_finite) else ""
    return text if len(text) <= _MOST_TEXT else ""


def _receive() -> dict[str, Any]:
    (size,) = struct.unpack("!I", _exactly(4))
    question: dict[str, Any] = json.loads(_exactly(size))
    return question


def _exactly(size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = os.read(_WIRE_FD, size - len(received))
        if not piece:
            sys.exit()
        received += piece
    return received


def _send(message: dict[str, Any]) -> None:
    body = json.dumps(message).encode("ascii")
    os.write(_WIRE_FD, struct.pack("!I", len(body)) + body)
