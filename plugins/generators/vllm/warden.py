"""Runs a server and ends it, whole, when whoever wanted it closes the pipe or is gone, be it by `kill -9`.

A program of its own, run by path with the standard library alone: `warden.py OWNER_PID GRACE_S LOG COMMAND...`. The
server gets a process group of its own; on Linux the warden adopts what the server's processes leave behind, so that
when the warden has ended, nothing of the server is left. Should the warden itself be killed, Linux tells the server to
end. The server's log goes with an owner that is gone; one that is there sees to it itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LOOK_S = 0.2
LAST_S = 10.0
"""So long it may take until killed processes are gone: those that wait for a device cannot be hurried."""


def main(owner: int, grace_s: float, log: Path, command: list[str]) -> int:
    """Run the command until it ends or is not wanted any more; its exit code, or 128 and its signal."""
    unwanted = False

    def stop(*_: object) -> None:
        nonlocal unwanted
        unwanted = True

    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    control = _control()
    if control:
        control(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    die_with_me = (lambda: control(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)) if control else None
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_me,  # noqa: PLW1509 - there are no threads here
    )
    while server.poll() is None and not unwanted and os.getppid() == owner:
        if select.select([sys.stdin], [], [], LOOK_S)[0]:  # nothing is ever written to it: it was closed
            unwanted = True
    code = server.poll()
    if code is None:
        _end(server, signal.SIGTERM, grace_s)
    _end(server, signal.SIGKILL, LAST_S)
    if os.getppid() != owner:
        log.unlink(missing_ok=True)
    code = server.returncode if code is None else code
    return 128 - code if code is not None and code < 0 else code or 0


def _control() -> Callable[..., int] | None:
    """The system call `prctl`, or None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        found: Callable[..., int] = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    return found


def _end(server: subprocess.Popen[bytes], number: int, patience_s: float) -> None:
    """Send a signal to the server's group, and to what was adopted from it, and wait until none of them is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, number)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if server.poll() is not None:
            for child in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, number)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        try:
            os.killpg(server.pid, 0)
        except ProcessLookupError:
            if not _children():
                return
        except PermissionError:  # macOS, of processes that have ended and are not yet reaped
            pass
        time.sleep(0.05)


def _children() -> list[int]:
    """The warden's children: the server, and on Linux whatever the server's processes left behind."""
    me = os.getpid()
    try:
        return [int(child) for child in Path(f"/proc/{me}/task/{me}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]))
