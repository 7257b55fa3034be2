"""Runs many untrusted programs, caged, and says what became of each.

Two zygotes at most, one with SymPy loaded and one without, each started when the first program needs it, in a fresh
interpreter (`python -I -S`, an empty environment, stdin and outputs at /dev/null): never a fork of this process,
whose memory, files and threads a program must not inherit. A zygote that dies is replaced, and the programs that it
held are judged again, one at a time. Plain programs may be judged before that, by an interpreter that is much faster:
see `siked_core.sandbox.fast`.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from siked_core.errors import SandboxError
from siked_core.sandbox.client import Zygote, ZygoteDiedError
from siked_core.sandbox.fast import FastTier
from siked_core.sandbox.outcome import Layer, Limits, Outcome
from siked_core.sandbox.report import judge

_CODE_CHARACTERS = 200_000
_GRACE_S = 30.0
_ATTEMPTS = 2
_SYMPY = re.compile(r"\bsympy\b")


class ProgramPool:
    """Runs programs in the cage. Usable from any thread (one batch at a time) and not inherited by a fork."""

    def __init__(
        self,
        limits: Limits | None = None,
        workers: int | None = None,
        *,
        allow_unsafe: bool = False,
        fast: bool = False,
    ) -> None:
        """Nothing is started yet.

        Args:
            limits: what each program may use.
            workers: how many run at once; by default one for each available processor.
            allow_unsafe: run programs even where they cannot be caged (no seccomp: macOS, an exotic processor).
            fast: let an interpreter for plain programs judge what it surely can (tier 1), and cage the rest (tier 2).
        """
        self.limits = limits or Limits()
        self.workers = min(workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0]), 16)
        self.allow_unsafe = allow_unsafe
        self._zygotes: dict[bool, Zygote] = {}
        self._fast = FastTier(self.limits, self.workers) if fast else None
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

    def fast_layers(self) -> tuple[Layer, ...] | str:
        """What the fast tier's processes have given up, or why there is no fast tier."""
        with self._lock:
            self._disown()
            if self._fast is None:
                return "it is switched off"
            return self._fast.layers() or self._fast.missing

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
        """End the zygotes and interpreters. The pool can be used again: they are then started anew."""
        with self._lock:
            self._disown()
            zygotes, self._zygotes = list(self._zygotes.values()), {}
            for zygote in zygotes:
                zygote.close()
            if self._fast is not None:
                self._fast.close()

    def _disown(self) -> None:
        if os.getpid() != self._owner:  # a fork of the owner: its processes are not ours to use or to end
            self._zygotes, self._owner = {}, os.getpid()
            if self._fast is not None:
                self._fast.forget()

    def _zygote(self, with_sympy: bool) -> Zygote:
        self._disown()
        zygote = self._zygotes.get(with_sympy)
        if zygote is None:
            zygote = Zygote(self.limits, with_sympy)
            caged = any(layer.name == "seccomp" and layer.active for layer in zygote.layers)
            if not caged and not self.allow_unsafe:
                zygote.close()
                raise SandboxError(
                    "Model-written programs cannot be caged on this machine (no seccomp), so they are not run. "
                    "Use Linux on x86-64 or arm64, or accept the risk with --allow-unsafe-exec (allow_unsafe_exec in a "
                    "recipe): they can then read, change, delete and send anything that you can."
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
        plain = self._waiting[False]
        if self._pool._fast is not None and plain:
            self._pool._zygote(False)  # a machine that cannot cage programs refuses at once, not at the first odd one
            for index, outcome in self._pool._fast.run([(index, self._programs[index]) for index in plain]).items():
                self._outcomes[index] = outcome
            self._waiting[False] = deque(index for index in plain if self._outcomes[index] is None)
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
            except ZygoteDiedError:
                self._bury(with_sympy)

    def _collect(self) -> None:
        zygotes = {zygote.connection.fileno(): kind for kind, zygote in self._pool._zygotes.items() if zygote.running}
        if not zygotes:
            return
        patience = self._pool.limits.timeout_s + _GRACE_S
        poll = select.poll()  # not select(): this process may have more than 1,024 files open
        for descriptor in zygotes:
            poll.register(descriptor, select.POLLIN)
        readable = [descriptor for descriptor, _ in poll.poll(1_000)]
        for descriptor in readable:
            kind = zygotes[descriptor]
            zygote = self._pool._zygotes[kind]
            try:
                message = zygote.receive()
            except ZygoteDiedError:
                self._bury(kind)
                continue
            if not message["caged"]:  # the machine's fault (memory, processes), never the program's: it did not begin
                self._bury(kind)
                continue
            index, _ = zygote.running.pop(message["id"])
            self._outcomes[index] = judge(message, self._pool.limits)
        if not readable:
            for kind in zygotes.values():
                oldest = min((sent for _, sent in self._pool._zygotes[kind].running.values()), default=None)
                if oldest is not None and time.monotonic() - oldest > patience:
                    self._bury(kind)

    def _bury(self, with_sympy: bool) -> None:
        """Replace a dead zygote; what it held is judged again, or given up where that keeps killing zygotes.

        Raises:
            SandboxError: a harmless program fares no better.
        """
        held = [index for index, _ in self._pool._zygotes[with_sympy].running.values()]
        self._pool._replace(with_sympy)
        for index in held:
            self._attempts[index] = self._attempts.get(index, 0) + 1
            if self._attempts[index] <= _ATTEMPTS:
                self._waiting[with_sympy].appendleft(index)
                continue
            self._probe(with_sympy)
            self._outcomes[index] = Outcome("crashed", why="its sandbox process died each time that it was run")

    def _probe(self, with_sympy: bool) -> None:
        zygote = self._pool._zygote(with_sympy)
        try:
            zygote.send(self._pool._number(), -1, "answer = 1")
            message = zygote.receive()
            works = message["caged"] and judge(message, self._pool.limits).answer == "1"
        except ZygoteDiedError:
            works = False
        zygote.running.clear()
        if not works:
            raise SandboxError(
                "The sandbox keeps failing, with harmless programs too: this machine may lack memory or processes. "
                "Free some, or use fewer workers."
            )
