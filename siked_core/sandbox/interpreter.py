"""The helper process of the fast tier: runs plain programs in an interpreter of a part of Python, without the cage.

It looks at each program (`screen`) and hands plain ones to `pydantic_monty`, an interpreter written in Rust that has
no files, no network and no processes to offer, and which runs in a worker process of its own (a child of this one).
Whatever is not certain, an error of any kind included, is left to the caged CPython: the report is then None. A
program that is no Python at all is certain, since the compiler that says so is CPython's.

Runs in a fresh interpreter, started by `siked_core.sandbox.fast`; the wire is the zygote's.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from siked_core.sandbox import judged
from siked_core.sandbox.cage import lower_limits
from siked_core.sandbox.screen import Plain, look_at
from siked_core.sandbox.zygote import receive, send

_SLOWEST_S = 0.5
"""What takes longer is for the cage, with its own deadline. Under a twentieth of that deadline in any case: the
interpreter must not finish what CPython would be too slow for."""
_GRACE_S = 0.5
_WORKER_BYTES = 512 * 2**20
"""Address space for the interpreter beside a program's memory; this process has as much."""
_FRAMES = 300
_SUSPENSIONS = 300
"""How often one program may ask this process: each `round(x, n)` is such a question."""
_PROGRAMS_PER_WORKER = 5_000
_DEEPEST = 4
_PR_SET_NO_NEW_PRIVS = 38
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000


class _Interpreter:
    def __init__(self, settings: dict[str, Any]) -> None:
        from pydantic_monty import CollectString, Monty, MontyError

        self._collect = CollectString
        self._error = MontyError
        self._output_bytes = int(settings["output_kib"]) * 1024
        self._limits: dict[str, Any] = {
            "max_feed_duration_secs": min(_SLOWEST_S, float(settings["timeout_s"]) / 20),
            "max_memory": int(settings["memory_mib"]) * 2**20 // 4,  # its numbers take less than CPython's
            "max_recursion_depth": _FRAMES,
            "max_suspensions": _SUSPENSIONS,
            "max_total_sleep_secs": 0.0,
        }
        self._pool = Monty(
            binary_path=settings["binary"],
            max_processes=1,
            checkout_timeout=10,
            request_timeout=_SLOWEST_S + 2 * _GRACE_S,
            max_checkouts_per_worker=_PROGRAMS_PER_WORKER,
            feed_duration_limit_grace=_GRACE_S,
        )
        self._pool.__enter__()
        # From Python 3.12 on, sum() of floats is more exact than adding them up: then ours must do it.
        self._sums_alike = self._evaluate("sum([0.1] * 10)", {})[0] == sum([0.1] * 10)

    def report(self, code: str) -> str | None:
        """What `judged` would report of this program, or None where only the cage can say."""
        try:
            plain = look_at(code)
        except SyntaxError as error:
            return _report("crashed", why=f"{type(error).__name__}: {judged.one_line(error)}")
        if plain is None:
            return None
        hosted: dict[str, Callable[..., Any]] = {}
        if plain.rounds:
            hosted["round"] = _round
        if plain.sums and not self._sums_alike:
            hosted["sum"] = _sum
        before = "".join(f"{name} = siked_{name}\n" for name in hosted)
        try:
            (value, is_text), printed = self._evaluate(
                f"{before}{code}\n{_asking_for(plain)}", {f"siked_{name}": call for name, call in hosted.items()}
            )
        except (self._error, TimeoutError, RuntimeError, TypeError, ValueError, OverflowError):
            return None
        if not _certain(value, is_text) or "..." in printed:  # dots: how a list that holds itself is shown
            return None
        return _read(value, printed, plain)

    def _evaluate(self, code: str, hosted: dict[str, Callable[..., Any]]) -> tuple[Any, str]:
        printed = self._collect(self._output_bytes)
        with self._pool.checkout(limits=self._limits) as session:  # type: ignore[arg-type]
            value = session.feed_run(code, print_callback=printed, external_lookup=hosted)
        return value, printed.output


def _asking_for(plain: Plain) -> str:
    """The lines that end the program: their value is its answer, found in `judged`'s order, and whether it is a text.

    Values of kinds that cannot leave the interpreter arrive here as texts too, hence the second.
    """
    wanted = "None"
    if plain.answer and plain.solution:
        wanted = "answer if answer is not None else solution()"
    elif plain.answer:
        wanted = "answer"
    elif plain.solution:
        wanted = "solution()"
    elif plain.ans:
        wanted = "ans"
    return f"siked_value = {wanted}\n(siked_value, isinstance(siked_value, str))"


def _read(value: Any, printed: str, plain: Plain) -> str | None:
    named = plain.answer or plain.solution
    try:
        if named and value is not None:
            return _report("answered", answer=judged.text_of(value))
        if named and plain.ans:  # `ans` was not asked for
            return None
        lines = [line for line in printed.splitlines() if line.strip()]
        if value is not None and not any(c.isdigit() for line in lines for c in line):
            return _report("answered", answer=judged.text_of(value))
        return _report("printed", lines=[line[:200] for line in lines[-judged.TAIL_LINES :]])
    except judged.NotANumberError as error:
        return _report("no_answer", why=str(error))
    except judged.TooLargeError as error:
        return _report("too_large", why=str(error))


def _certain(value: Any, is_text: bool, depth: int = 0) -> bool:
    """Is it a value that arrived as it was?"""
    if type(value) is str:
        return is_text and "..." not in value
    if type(value) in (list, tuple, dict):
        items = list(value.values() if type(value) is dict else value)[:2]
        return depth < _DEEPEST and all(_certain(item, False, depth + 1) for item in items)
    return value is None or type(value) in (bool, int, float)


def _report(status: str, *, answer: str = "", why: str = "", lines: list[str] | None = None) -> str | None:
    text = json.dumps({"status": status, "answer": answer, "why": why, "lines": lines or []})
    return text if len(text) <= judged.FRAME_BYTES else None


def _round(number: object, digits: object = None) -> float | int:
    """CPython's `round`: the interpreter's own rounds 2.675 to 2.68."""
    if type(number) not in (bool, int, float) or not (digits is None or type(digits) is int):
        raise TypeError("left to the cage")
    if digits is not None and abs(digits) > 400:
        raise TypeError("left to the cage")
    return round(number, digits)  # type: ignore[call-overload, no-any-return]


def _sum(numbers: object, start: object = 0) -> float | int:
    if type(numbers) not in (list, tuple) or type(start) not in (int, float):
        raise TypeError("left to the cage")
    if not all(type(number) in (bool, int, float) for number in numbers):  # type: ignore[attr-defined]
        raise TypeError("left to the cage")
    return sum(numbers, start)  # type: ignore[call-overload, no-any-return]


def _restrict(memory_mib: int) -> dict[str, tuple[bool, str]]:
    """What this process and the interpreter's worker give up. The cage does more, but loads no program file."""
    room = memory_mib * 2**20 + _WORKER_BYTES
    limits = {resource.RLIMIT_AS: room, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_NOFILE: 64, resource.RLIMIT_CORE: 0}
    lower_limits(limits)
    layers = {"rlimits": (True, "memory, file size, open files")}
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.prctl(_PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(n) for n in (1, 0, 0, 0))) == 0
        layers["no_new_privs"] = (done, "no program can gain privileges")
        flags = _NEW_NET if os.getuid() == 0 else _NEW_NET | _NEW_USER
        alone = libc.unshare(flags) == 0
        layers["network namespace"] = (alone, "no network" if alone else os.strerror(ctypes.get_errno()))
    return layers


def main(descriptor: int, settings: dict[str, Any]) -> None:
    """Start the interpreter, say so, and serve until the other side closes the connection.

    Args:
        descriptor: the connected socket to serve.
        settings: `timeout_s`, `memory_mib`, `output_kib`, `binary` (the interpreter's program file).
    """
    os.environ.clear()
    with socket.socket(fileno=descriptor) as control:
        layers = _restrict(int(settings["memory_mib"]))
        interpreter = _Interpreter(settings)
        os.dup2(1, 2)
        send(control, {"layers": layers})
        while (request := receive(control)) is not None:
            found = []
            for code in request["codes"]:
                started = time.monotonic()
                report = interpreter.report(code)
                found.append([report, time.monotonic() - started])
            send(control, {"found": found})
    os._exit(0)
