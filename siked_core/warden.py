"""Runs a command and ends it, whole, when whoever wanted it closes the pipe or is gone, be it by `kill -9`.

A program of its own, run by path with the standard library alone, as `guarded` writes its command. What it runs gets a
process group of its own; on Linux the warden adopts what its processes leave behind, so that when the warden has ended,
nothing of them is left. Should the warden itself be killed, Linux tells the command to end. Processes that are killed
leave behind the shared memory that they had made (vLLM's, hundreds of MiB): where it is asked to, the warden looks
which that is while they run, and removes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LOOK_S = 0.2
LAST_S = 10.0
"""So long it may take until killed processes are gone: those that wait for a device cannot be hurried."""
MEMORY_LOOK_S = 2.0
"""Between two looks at which shared memory the command's processes have."""
_SHARED = re.compile(r" (/dev/shm/(?:psm_|sem\.mp-)[^ /]+)$", re.M)
"""What Python's multiprocessing names by chance: no two programs share such a name but by being told it."""


def guarded(
    command: Sequence[str], grace_s: float, *, folder: Path | None = None, shared_memory: bool = False
) -> list[str]:
    """A command, run by a warden for this process. It is to be started with a pipe as its standard input.

    Args:
        grace_s: so long the command may take to end by itself, in seconds.
        folder: removed where this process is gone; one that is there sees to it itself.
        shared_memory: remove what the command's processes leave of it (Linux).
    """
    more = [*(["--folder", str(folder)] if folder else []), *(["--shared-memory"] if shared_memory else [])]
    return [sys.executable, "-I", __file__, *more, str(os.getpid()), str(grace_s), *command]


def end(warden: subprocess.Popen[bytes], grace_s: float) -> None:
    """Have a warden end what it runs, and wait until it has. `grace_s` as it was started with."""
    assert warden.stdin is not None
    with contextlib.suppress(OSError):
        warden.stdin.close()
    try:
        warden.wait(grace_s + 2 * LAST_S)
    except subprocess.TimeoutExpired:
        warden.kill()
        warden.wait()


def main(owner: int, grace_s: float, command: list[str], folder: Path | None, shared_memory: bool) -> int:
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
    started = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_me,  # noqa: PLW1509 - there are no threads here
    )
    memory: set[str] = set()
    looked = time.monotonic()
    while started.poll() is None and not unwanted and os.getppid() == owner:
        if select.select([sys.stdin], [], [], LOOK_S)[0]:  # nothing is ever written to it: it was closed
            unwanted = True
        if shared_memory and time.monotonic() - looked > MEMORY_LOOK_S:
            memory |= _shared_memory(started.pid)
            looked = time.monotonic()
    if shared_memory:
        memory |= _shared_memory(started.pid)
    code = started.poll()
    if code is None:
        _end(started, signal.SIGTERM, grace_s)
    _end(started, signal.SIGKILL, LAST_S)
    _remove(memory)
    if folder is not None and _gone(owner):
        shutil.rmtree(folder, ignore_errors=True)
    code = started.returncode if code is None else code
    return 128 - code if code is not None and code < 0 else code or 0


def _gone(owner: int) -> bool:
    """Whether the owner has ended, or is ending: its pipe is closed a moment before its children have another parent,
    and its memory, with its command line, is gone before that."""
    if os.getppid() != owner:
        return True
    try:
        return not Path(f"/proc/{owner}/cmdline").read_bytes()
    except OSError:
        return False


def _control() -> Callable[..., int] | None:
    """The system call `prctl`, or None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        found: Callable[..., int] = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    return found


def _end(started: subprocess.Popen[bytes], number: int, patience_s: float) -> None:
    """Send a signal to the command's group, and to what was adopted from it, and wait until none of them is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(started.pid, number)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if started.poll() is not None:
            for child in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, number)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        try:
            os.killpg(started.pid, 0)
        except ProcessLookupError:
            if not _children():
                return
        except PermissionError:  # macOS, of processes that have ended and are not yet reaped
            pass
        time.sleep(0.05)


def _children() -> list[int]:
    """The warden's children: the command, and on Linux whatever the command's processes left behind."""
    me = os.getpid()
    try:
        return [int(child) for child in Path(f"/proc/{me}/task/{me}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def _shared_memory(group: int) -> set[str]:
    """The shared memory that processes of a group have, by its files; nothing where there is no /proc."""
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                found.update(_SHARED.findall((process / "maps").read_text(encoding="utf-8", errors="replace")))
    return found


def _remove(memory: set[str]) -> None:
    """Remove what is left of it, but for what another process has."""
    left = {path for path in memory if os.access(path, os.W_OK)}
    if not left:
        return
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            left.difference_update(_SHARED.findall(maps.read_text(encoding="utf-8", errors="replace")))
    for path in left:
        with contextlib.suppress(OSError):
            os.unlink(path)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("owner", type=int)
    parser.add_argument("grace_s", type=float)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--shared-memory", action="store_true")
    sys.exit(main(**vars(parser.parse_args())))
