"""Runs many untrusted programs, caged, and says what became of each.

Two zygotes at most, one with SymPy loaded and one without, each started when the first program needs it, in a fresh
interpreter (`python -I -S`, an empty environment, stdin and outputs at /dev/null): never a fork of this process,
whose memory, files and threads a program must not inherit. A zygote that dies is replaced, and the programs that it
held are judged again, one at a time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from siked_core.errors import SandboxError
from siked_core.numbers import read_number
from siked_core.sandbox.outcome import Layer, Limits, Outcome, OutcomeStatus
from siked_core.sandbox.zygote import receive, send

_CODE_CHARACTERS = 200_000
_START_S = 120.0
_GRACE_S = 30.0
_ATTEMPTS = 2
_SYMPY = re.compile(r"\bsympy\b")
_BOOTSTRAP = """\
import json, sys, types
settings = json.loads(sys.argv[1])
for name, path in settings["packages"]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
sys.path[:0] = settings["paths"]
from siked_core.sandbox.zygote import main
main(int(sys.argv[2]), settings)
"""
"""The packages are entered by hand so that their `__init__`, and all that it imports, is not run."""


class _ZygoteDiedError(Exception):
    """The zygote has gone, or does not answer any more."""


class _Zygote:
    def __init__(self, limits: Limits, with_sympy: bool) -> None:
        ours, theirs = socket.socketpair()
        here = Path(__file__).parent
        settings = {
            "timeout_s": limits.timeout_s,
            "memory_mib": limits.memory_mib,
            "output_kib": limits.output_kib,
            "sympy": with_sympy,
            "packages": [("siked_core", str(here.parent)), ("siked_core.sandbox", str(here))],
            "paths": _locations("sympy", "mpmath", "gmpy2") if with_sympy else [],
        }
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _BOOTSTRAP]
        with theirs:
            self._process = subprocess.Popen(
                [*command, json.dumps(settings), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={},
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.connection = ours
        ours.settimeout(_START_S)
        hello = None
        try:
            hello = receive(ours)
        finally:
            if hello is None:
                said = self._last_words()
                raise SandboxError(f"The sandbox could not be started: {said or 'its process ended at once'}.")
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.layers = tuple(
            Layer(name, bool(active), str(detail)) for name, (active, detail) in hello["layers"].items()
        )
        self.running: dict[int, tuple[int, float]] = {}
        """Request number: the program's index and when it was sent."""

    def send(self, request: int, index: int, code: str) -> None:
        self.running[request] = (index, time.monotonic())
        try:
            send(self.connection, {"id": request, "nonce": secrets.token_hex(16), "code": code})
        except OSError as error:
            raise _ZygoteDiedError from error

    def receive(self) -> dict[str, Any]:
        try:
            message = receive(self.connection)
        except OSError as error:
            raise _ZygoteDiedError from error
        if message is None:
            raise _ZygoteDiedError
        return message

    def _last_words(self) -> str:
        try:
            _, errors = self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, errors = self._process.communicate()
        lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def close(self) -> None:
        """End the zygote and everything in it."""
        self.connection.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class ProgramPool:
    """Runs programs in the cage. Usable from any thread (one batch at a time) and not inherited by a fork."""

    def __init__(self, limits: Limits | None = None, workers: int | None = None, *, allow_unsafe: bool = False) -> None:
        """Nothing is started yet.

        Args:
            limits: what each program may use.
            workers: how many run at once; by default one for each available processor.
            allow_unsafe: run programs even where they cannot be caged (no seccomp: macOS, an exotic processor).
        """
        self.limits = limits or Limits()
        self.workers = min(workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0]), 16)
        self.allow_unsafe = allow_unsafe
        self._zygotes: dict[bool, _Zygote] = {}
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._requests = 0

    def __enter__(self) -> ProgramPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def layers(self) -> tuple[Layer, ...]:
        """The protections and which of them are active on this machine.

        Raises:
            SandboxError: the sandbox cannot be started.
        """
        with self._lock:
            return self._zygote(False).layers

    def run(self, programs: Sequence[str]) -> list[Outcome]:
        """Run each program and say what became of it, in order.

        Raises:
            SandboxError: this machine cannot cage programs, and `allow_unsafe` was not given.
        """
        with self._lock:
            try:
                return _Batch(self, programs).run()
            except BaseException:
                self.close()  # replies that are still under way must not reach the next batch
                raise

    def close(self) -> None:
        """End the zygotes. The pool can be used again: they are then started anew."""
        with self._lock:
            zygotes, self._zygotes = list(self._zygotes.values()), {}
            if os.getpid() == self._owner:
                for zygote in zygotes:
                    zygote.close()

    def _zygote(self, with_sympy: bool) -> _Zygote:
        if os.getpid() != self._owner:  # a fork of the owner: its zygotes are not ours to use or to end
            self._zygotes, self._owner = {}, os.getpid()
        zygote = self._zygotes.get(with_sympy)
        if zygote is None:
            zygote = _Zygote(self.limits, with_sympy)
            caged = any(layer.name == "seccomp" and layer.active for layer in zygote.layers)
            if not caged and not self.allow_unsafe:
                zygote.close()
                raise SandboxError(
                    "Model-written programs cannot be caged on this machine (no seccomp), so they are not run. "
                    "Use Linux on x86-64 or arm64, or accept the risk with the option allow_unsafe_exec."
                )
            self._zygotes[with_sympy] = zygote
        return zygote

    def _replace(self, with_sympy: bool) -> None:
        self._zygotes.pop(with_sympy).close()

    def _number(self) -> int:
        self._requests += 1
        return self._requests


class _Batch:
    """One call of `ProgramPool.run`."""

    def __init__(self, pool: ProgramPool, programs: Sequence[str]) -> None:
        self._pool = pool
        self._programs = programs
        self._outcomes: list[Outcome | None] = [None] * len(programs)
        self._attempts: dict[int, int] = {}
        self._waiting: dict[bool, deque[int]] = {False: deque(), True: deque()}
        for index, code in enumerate(programs):
            if len(code) > _CODE_CHARACTERS:
                why = f"the program has {len(code)} characters; at most {_CODE_CHARACTERS} are run"
                self._outcomes[index] = Outcome("too_large", why=why)
            else:
                self._waiting[_SYMPY.search(code) is not None].append(index)

    def run(self) -> list[Outcome]:
        while any(self._waiting.values()) or self._running():
            for with_sympy, waiting in self._waiting.items():
                self._fill(with_sympy, waiting)
            self._collect()
        return [outcome for outcome in self._outcomes if outcome is not None]

    def _running(self) -> int:
        return sum(len(zygote.running) for zygote in self._pool._zygotes.values())

    def _fill(self, with_sympy: bool, waiting: deque[int]) -> None:
        while waiting and self._running() < self._pool.workers:
            index = waiting[0]
            zygote = self._pool._zygote(with_sympy)
            alone = index in self._attempts
            if zygote.running and (alone or any(i in self._attempts for i, _ in zygote.running.values())):
                return
            waiting.popleft()
            try:
                zygote.send(self._pool._number(), index, self._programs[index])
            except _ZygoteDiedError:
                self._bury(with_sympy)

    def _collect(self) -> None:
        zygotes = {zygote.connection: kind for kind, zygote in self._pool._zygotes.items() if zygote.running}
        if not zygotes:
            return
        patience = self._pool.limits.timeout_s + _GRACE_S
        readable, _, _ = select.select(list(zygotes), [], [], 1.0)
        for connection in readable:
            kind = zygotes[connection]
            zygote = self._pool._zygotes[kind]
            try:
                message = zygote.receive()
            except _ZygoteDiedError:
                self._bury(kind)
                continue
            index, _ = zygote.running.pop(message["id"])
            self._outcomes[index] = _judge(message, self._pool.limits)
        if not readable:
            for kind in zygotes.values():
                oldest = min((sent for _, sent in self._pool._zygotes[kind].running.values()), default=None)
                if oldest is not None and time.monotonic() - oldest > patience:
                    self._bury(kind)

    def _bury(self, with_sympy: bool) -> None:
        """Replace a dead zygote; what it held is judged again, or given up where that keeps killing zygotes."""
        zygote = self._pool._zygotes[with_sympy]
        for index, _ in zygote.running.values():
            self._attempts[index] = self._attempts.get(index, 0) + 1
            if self._attempts[index] > _ATTEMPTS:
                self._outcomes[index] = Outcome("crashed", why="its sandbox process died each time that it was run")
            else:
                self._waiting[with_sympy].appendleft(index)
        self._pool._replace(with_sympy)


def _judge(message: dict[str, Any], limits: Limits) -> Outcome:
    """Turn a zygote's message, of which the report is the program's word, into an outcome."""
    seconds = float(message["seconds"])

    def outcome(status: OutcomeStatus, *, answer: str = "", why: str = "") -> Outcome:
        return Outcome(status, answer, why, seconds)

    report = _report(message["report"])
    if report is not None:
        status, answer, why, lines = report
        if status == "answered" and answer:
            return outcome("answered", answer=answer)
        if status == "no_answer":
            return outcome("no_answer", why=why)
        if status == "refused":
            return outcome("refused", why=why)
        if status == "too_large":
            return outcome("too_large", why=why)
        if status == "printed":
            for line in reversed(lines):
                if read_number(line, words_before=True) is not None:
                    return outcome("answered", answer=line.strip())
            return outcome("no_answer", why="neither `answer`, nor `solution()`, nor a printed number")
        return outcome("crashed", why=why or "the program ended without giving an answer")
    if message["killed"] == "deadline":
        return outcome("timeout", why=f"stopped after {limits.timeout_s:g} s")
    if message["killed"] == "flood":
        return outcome("too_large", why="wrote too much into its result")
    if message["exit"] < 0:
        number = -int(message["exit"])
        if number in (signal.SIGXCPU, signal.SIGKILL) and seconds >= limits.timeout_s:
            return outcome("timeout", why=f"stopped after {limits.timeout_s:g} s of processor time")
        return outcome("crashed", why=f"killed by {_signal_name(number)}")
    return outcome("crashed", why=f"the program ended itself without giving an answer (exit code {message['exit']})")


def _report(text: str | None) -> tuple[str, str, str, list[str]] | None:
    """The fields of a report, or None where it is not one. Whatever a program forges, it can only be texts."""
    if text is None:
        return None
    try:
        fields = json.loads(text)
        status, answer, why, lines = (fields[name] for name in ("status", "answer", "why", "lines"))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not isinstance(lines, list) or not all(isinstance(field, str) for field in (status, answer, why, *lines)):
        return None
    return status, _printable(answer), " ".join(_printable(why).split()), [_printable(line) for line in lines]


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _locations(*packages: str) -> list[str]:
    """The folders that hold these packages, as far as they are installed."""
    found = []
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(str(Path(spec.origin).parent.parent))
    return list(dict.fromkeys(found))
