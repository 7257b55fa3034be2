"""The fast tier: an interpreter for plain programs, in processes of its own, in front of the cage.

Nothing depends on it: what it does not serve, for whatever reason (the program is not plain, the interpreter fails,
dies, hangs, is not installed), the cage judges. See `siked_core.sandbox.interpreter` for what runs there.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from siked_core.errors import SandboxError
from siked_core.sandbox.client import Helper, locations
from siked_core.sandbox.outcome import Layer, Limits, Outcome
from siked_core.sandbox.report import judge
from siked_core.sandbox.zygote import receive, send

_MODULE = "siked_core.sandbox.interpreter"
_AT_ONCE = 16
"""Programs in one message."""
_PATIENCE_S = 5.0
"""For one message, beside a second for each of its programs."""
_MOST_DEATHS = 3
"""So many dead helpers in one batch, and the rest of it goes to the cage."""


class _Interpreter(Helper):
    """One helper process, and the programs that it holds."""

    def __init__(self, limits: Limits) -> None:
        from pydantic_monty._binary import find_monty_binary

        try:
            binary = find_monty_binary()
        except FileNotFoundError as error:
            raise SandboxError(f"The interpreter's program file is missing: {error}.") from error
        settings = {
            "timeout_s": limits.timeout_s,
            "memory_mib": limits.memory_mib,
            "output_kib": limits.output_kib,
            "binary": binary,
            "paths": locations("pydantic_monty"),
        }
        super().__init__(_MODULE, settings)
        self.holds: list[int] = []
        self.until = 0.0


class FastTier:
    """Runs plain programs. Not to be used by two threads at once."""

    def __init__(self, limits: Limits, workers: int) -> None:
        """Nothing is started yet."""
        self._limits = limits
        self._workers = workers
        self._helpers: list[_Interpreter] = []
        self.missing = ""
        """Why there is no fast tier here; empty while there is one, as far as is known."""

    def layers(self) -> tuple[Layer, ...]:
        """What its processes have given up; empty where it cannot be started, and `missing` says why."""
        helper = self._helper([])
        if helper is None:
            return ()
        return tuple(Layer(name, bool(on), str(detail)) for name, (on, detail) in helper.hello["layers"].items())

    def run(self, programs: Sequence[tuple[int, str]]) -> dict[int, Outcome]:
        """Run those of these programs (number and code) that are plain; the outcomes by number."""
        waiting = deque(programs)
        outcomes: dict[int, Outcome] = {}
        busy: list[_Interpreter] = []
        deaths = 0
        while waiting or busy:
            while waiting and len(busy) < self._workers and deaths < _MOST_DEATHS:
                helper = self._helper(busy)
                if helper is None:
                    break
                part = [waiting.popleft() for _ in range(min(_AT_ONCE, len(waiting)))]
                helper.holds = [index for index, _ in part]
                helper.until = time.monotonic() + _PATIENCE_S + len(part)
                try:
                    send(helper.connection, {"codes": [code for _, code in part]})
                except OSError:
                    deaths += 1
                    self._bury(helper)
                else:
                    busy.append(helper)
            if not busy:
                break
            for helper in _ready(busy):
                busy.remove(helper)
                message = _answer(helper)
                if message is None:
                    deaths += 1
                    self._bury(helper)
                    continue
                for index, (report, seconds) in zip(helper.holds, message["found"], strict=True):
                    if report is not None:
                        told = {"report": report, "seconds": seconds, "killed": "", "exit": 0}
                        outcomes[index] = judge(told, self._limits, tier=1)
        return outcomes

    def close(self) -> None:
        """End its processes. They are started anew when needed."""
        helpers, self._helpers = self._helpers, []
        for helper in helpers:
            helper.close()

    def forget(self) -> None:
        """In a fork of the owner: its processes are not ours to use or to end."""
        self._helpers = []

    def _helper(self, busy: list[_Interpreter]) -> _Interpreter | None:
        for helper in self._helpers:
            if helper not in busy:
                return helper
        if self.missing:
            return None
        try:
            helper = _Interpreter(self._limits)
        except (ImportError, OSError, SandboxError) as error:
            self.missing = str(error)
            return None
        self._helpers.append(helper)
        return helper

    def _bury(self, helper: _Interpreter) -> None:
        self._helpers.remove(helper)
        helper.kill()


def _ready(busy: list[_Interpreter]) -> list[_Interpreter]:
    """Those that have something to say, or have taken too long."""
    poll = select.poll()
    for helper in busy:
        poll.register(helper.connection, select.POLLIN)
    speaking = {descriptor for descriptor, _ in poll.poll(500)}
    now = time.monotonic()
    return [helper for helper in busy if helper.connection.fileno() in speaking or now > helper.until]


def _answer(helper: _Interpreter) -> dict[str, Any] | None:
    helper.connection.settimeout(max(0.1, helper.until - time.monotonic()))
    with contextlib.suppress(OSError, ValueError):
        message = receive(helper.connection)
        if message is not None and len(message["found"]) == len(helper.holds):
            return message
    return None
