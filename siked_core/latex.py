"""Comparing answers that are LaTeX or symbolic mathematics, with `math-verify`, in a caged process of its own.

Only what the exact path (`siked_core.numbers`) cannot read comes here: plain numbers, times, words and hedged answers
never do, since `math-verify` takes `5 million` for 5, `2:30` for 2:45 and `1e3` for 1.

| gold | prediction that is the same answer |
|---|---|
| mathematics that is one real number: `\\frac{\\sqrt{3}}{2}`, `2\\pi` | equal up to float noise, 1e-9 relative |
| other mathematics: `x^2+1`, `[0, 1)`, `\\{1, 2\\}`, `y = 2x` | what `math-verify` calls equal |
| a number, and the prediction is a LaTeX constant: `\\sqrt{16}` | its value is, by the table of `siked_core.numbers` |

The process is a fresh interpreter, never a fork of this one. It is started when first needed, behind the cage of
`siked_core.sandbox` (the text is hostile: a parser and SymPy work on it), used again, and replaced when it dies, or is
killed at the deadline. Here nothing uses signals, so any thread may call, also one that runs an event loop.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import threading
from typing import Any

from siked_core.errors import IncomparableError, SandboxError
from siked_core.number_text import read
from siked_core.numbers import same_answer
from siked_core.sandbox import seccomp
from siked_core.sandbox.client import Helper, locations
from siked_core.sandbox.zygote import send

_PACKAGES = ("math_verify", "latex2sympy2_extended", "antlr4", "sympy", "mpmath", "gmpy2")
_REPLIES = 1_000
"""After so many a worker is replaced: SymPy's caches only grow."""
_LONGEST = 1_000
_REPLY_BYTES = 16_384

_COMMAND = re.compile(
    r"\\(?!(?:text|textbf|textit|mathrm|mathbf|mbox|boxed|left|right|quad|circ)(?![a-zA-Z]))[a-zA-Z]+"
)
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s?\{([^{}]*)\}")
_NO_WORDS = re.compile(_TEXT.pattern + r"|\\(?:left|right)(?![a-zA-Z])|(?<=\\begin)\{\w+\}|(?<=\\end)\{\w+\}")
_MARKS = re.compile(r"[π√∞∪∩^]")
_BRACKETED = re.compile(r"\\?[\[({][^:;]*,[^:;]*[\])}]")
_ALGEBRA = re.compile(r"[A-Za-z0-9\s+\-*/=().,<>≤≥]+")
_OPERATION = re.compile(r"[A-Za-z)\d]\s*[+\-*/=<>≤≥]\s*[A-Za-z(\d]|\d[A-Za-z](?!\d)")
_WORD = re.compile(r"[A-Za-z]{2,}")
_FUNCTIONS = frozenset({"sqrt", "pi", "sin", "cos", "tan", "log", "ln", "exp", "infty", "oo", "cup", "cap"})
_CONSTANT = re.compile(
    r"(?:\\(?:[dt]?frac|sqrt|pi|cdot|times|div|left|right|log|ln)(?![a-zA-Z])|[\d\s.+\-*/^(){}\[\]π√_])+"
)
_HEDGED = re.compile(
    r"(?<![a-z\\])(?:or|either|between|not|neither|nor|least|most|than|about)(?![a-z])|[±≈≠]|\\(?:pm|mp|lor|neq?|approx|sim)(?![a-z])",
    re.IGNORECASE,
)
_INLINE = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_SPELLED = [
    (re.compile(r"(?<![\\A-Za-z])sqrt\s?\(([^()]*)\)|√\s?\(([^()]*)\)"), r"\\sqrt{\1\2}"),
    (re.compile(r"√\s?(\d+|[A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])|π"), r"\\pi "),
    (re.compile(r"(?<![\\A-Za-z])(?:oo|infinity|inf)(?![A-Za-z])|∞"), r"\\infty "),
    (re.compile(r"(?<![\\A-Za-z])(sin|cos|tan|log|ln)(?![A-Za-z])"), r"\\\1 "),
    (re.compile("∪"), r"\\cup "),
    (re.compile("∩"), r"\\cap "),
    (re.compile(r"\*\*"), "^"),
    (re.compile("[−–]"), "-"),
]


def installed_version() -> str:
    """The version of `math-verify` that comparisons would use; empty where it is missing or could not be caged."""
    if not seccomp.supported() or any(importlib.util.find_spec(name) is None for name in _PACKAGES[:5]):
        return ""
    try:
        return importlib.metadata.version("math-verify")
    except importlib.metadata.PackageNotFoundError:
        return ""


def mathematics(prediction: str, gold: str) -> tuple[str, str] | None:
    """The two answers as LaTeX, where it takes more than the exact path to compare them; else None."""
    prediction, gold = _unwrapped(prediction), _unwrapped(gold)
    if _HEDGED.search(prediction) and not _HEDGED.search(gold):
        return None
    if _exactly(gold) is not None:
        constant = _COMMAND.search(prediction) and _CONSTANT.fullmatch(prediction) and _exactly(prediction) is None
        return (_latex(prediction), str(_exactly(gold))) if constant else None
    if not _symbolic(gold):
        return None
    number = _exactly(prediction)
    if number is not None:
        return number, _latex(gold)
    return (_latex(prediction), _latex(gold)) if _symbolic(prediction) else None


class LatexJudge:
    """Compares mathematics. Usable from any thread (one comparison at a time), and after a fork."""

    def __init__(self, timeout_s: float = 5.0, memory_mib: int = 512) -> None:
        """Nothing is started yet.

        Args:
            timeout_s: for one comparison.
            memory_mib: for the worker, beside what it has loaded.
        """
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._worker: _Worker | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def same(self, prediction: str, gold: str) -> bool | None:
        """Is the prediction the gold answer? None where they are no mathematics, or nothing is there to compare it.

        Raises:
            IncomparableError: it took too long, or its worker died of it.
            SandboxError: the worker cannot be started.
        """
        pair = mathematics(prediction, gold)
        if pair is None or not installed_version():
            return None
        with self._lock:
            reply = self._ask(*pair)
        if reply is None:
            return None
        if _exactly(_unwrapped(gold)) is not None:
            return bool(reply["prediction"]) and same_answer(reply["prediction"], gold)
        if reply["prediction"] and reply["gold"]:
            return same_answer(reply["prediction"], reply["gold"])
        return reply["same"] is True

    def close(self) -> None:
        """End the worker. The judge can be used again."""
        with self._lock:
            self._end()

    def _ask(self, prediction: str, gold: str) -> dict[str, Any] | None:
        for attempt in (1, 2):
            worker = self._ready()
            if worker is None:
                return None
            try:
                reply = worker.ask({"prediction": prediction, "gold": gold}, self._timeout_s)
            except TimeoutError:
                self._end()
                raise IncomparableError(f"comparing them took longer than {self._timeout_s:g} s") from None
            except (OSError, EOFError):
                self._end()
                if attempt == 2:
                    raise IncomparableError("the process that compared them died, twice") from None
                continue
            except BaseException:
                self._end()  # its reply must not be taken for the next one's
                raise
            if worker.replies >= _REPLIES:
                self._end()
            return reply
        return None

    def _ready(self) -> _Worker | None:
        if os.getpid() != self._owner:
            self._worker, self._owner = None, os.getpid()
        if self._worker is None:
            worker = _Worker(self._memory_mib)
            if not worker.caged:  # the kernel has no seccomp after all
                worker.kill()
                return None
            self._worker = worker
        return self._worker

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and os.getpid() == self._owner:
            worker.kill()


class _Worker(Helper):
    """One process that compares: see `siked_core.latex_worker`."""

    def __init__(self, memory_mib: int) -> None:
        try:
            super().__init__("siked_core.latex_worker", {"memory_mib": memory_mib, "paths": locations(*_PACKAGES)})
        except (OSError, SandboxError) as error:
            raise SandboxError(
                "The process that compares LaTeX could not be started: this machine may lack memory or processes. "
                "Free some, or set the number verifier's option latex to off."
            ) from error
        self.caged = self.hello["caged"] is True
        self.replies = 0

    def ask(self, question: dict[str, str], timeout_s: float) -> dict[str, Any]:
        """Raises TimeoutError at the deadline, EOFError or OSError where the process has gone."""
        self.connection.settimeout(timeout_s)
        send(self.connection, question)
        self.replies += 1
        reply = {"same": False, "prediction": "", "gold": ""} | self.hear(timeout_s, _REPLY_BYTES)
        if not all(isinstance(value, bool | str) for value in reply.values()):
            raise EOFError("no reply of ours")
        return reply


def _unwrapped(text: str) -> str:
    """What is inside the one formula of a text, or the text itself."""
    text = text.strip().strip("*`").strip().removesuffix(".")
    if "\\boxed{" in text:
        start, end = text.rfind("\\boxed{") + len("\\boxed{"), text.rfind("}")
        text = text[start:end] if end > start else text
    inside = _INLINE.findall(text)
    rest = _INLINE.sub(" ", text)
    if len(inside) == 1 and not any(character.isdigit() for character in rest) and not _HEDGED.search(rest):
        text = next(part for part in inside[0] if part)
    return text.strip()


def _symbolic(text: str) -> bool:
    """Does it look like LaTeX or mathematics that is more than a number?"""
    if not 0 < len(text) <= _LONGEST:
        return False
    text = _NO_WORDS.sub(" ", text)
    if _COMMAND.search(text):
        return not any(word not in _FUNCTIONS for word in _WORD.findall(_COMMAND.sub(" ", text)))
    words = _WORD.findall(text)
    if any(word not in _FUNCTIONS for word in words):
        return False
    if words or _MARKS.search(text) or _BRACKETED.fullmatch(text.strip()):
        return True
    return (
        _ALGEBRA.fullmatch(text) is not None
        and any(character.isalpha() for character in text)
        and _OPERATION.search(text) is not None
    )


def _exactly(text: str) -> str | None:
    """The number that a text states, for the exact path can read it, as LaTeX."""
    reading = read(text, words_before=False)
    if reading is None:
        return None
    value = reading.value / 100 if reading.percent else reading.value
    if value.denominator == 1:
        return str(value.numerator)
    return f"{'-' if value < 0 else ''}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _latex(text: str) -> str:
    for pattern, replacement in _SPELLED:
        text = pattern.sub(replacement, text)
    return text
