"""Ctrl-C and SIGTERM: the first ends the command in good order, the second at once.

In good order means: what is finished is written, children are ended, and a line says how to continue. It has a time
limit, because those who send SIGTERM (Slurm, Kubernetes, systemd) follow it with SIGKILL; whatever is on the disk then
is whole, as after any kill.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

LIMIT_S = 6.0
"""So long an orderly end may take before it is cut short."""
SIGNALS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


class Interruption:
    """Turns signals into a `KeyboardInterrupt`, once, while it is open. In other threads than the main one it does
    nothing: there signals cannot be received."""

    def __init__(self, how_to_continue: str) -> None:
        self._how_to_continue = how_to_continue
        self._before: dict[signal.Signals, Any] = {}
        self._timer = threading.Timer(LIMIT_S, self._end_now)
        self._timer.daemon = True
        self.received: signal.Signals | None = None

    @property
    def code(self) -> int:
        """What the shell is told: 128 and the signal's number."""
        return 128 + (self.received or signal.SIGINT)

    @property
    def line(self) -> str:
        return f"{SIGNALS[self.received or signal.SIGINT]}.{self._how_to_continue}"

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
                    self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            self._end_now()
        self.received = signal.Signals(number)
        self._timer.start()
        raise KeyboardInterrupt

    def _end_now(self) -> None:
        """Leave without unwinding. What was written is whole; the run's lock is taken over by the next process."""
        stream = sys.__stderr__.fileno() if sys.__stderr__ else 2
        shown = "\x1b[?25h" if os.isatty(stream) else ""  # a live view may have hidden the cursor
        os.write(stream, f"{shown}\n{self.line}\n".encode())
        os._exit(self.code)
