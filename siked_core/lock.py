"""A run's lock: one process at a time, also where the file system has no locks of its own.

The lock is a file that only one process can make, with who made it and a count that goes up every few seconds. Whether
its owner still lives is asked of the operating system where the owner was a process of this machine; of another
machine's (or another container's), the count tells: it goes on, or it has stopped. No clock is compared with another,
so one that is set back does no harm. The file goes with its owner's end; after a kill the next process takes it over.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from siked_core.errors import RunError
from siked_core.files import unwritable

BEAT_S = 5.0
"""Seconds between two beats of the owner."""
SILENCE_S = 30.0
"""After so many seconds without a beat, an owner on another machine counts as gone."""
CLAIM_S = 5.0
"""After so many seconds a claim on a dead owner's lock, which is made and gone at once, counts as left behind."""
_LOOK_S = 0.5
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that holds a lock."""

    host: str
    space: str
    """What numbers its processes: a boot of the machine, and a container on it."""
    pid: int
    born: str
    """When the process was started, as the system counts it: a later process may have the same number."""
    token: str = ""

    @classmethod
    def me(cls) -> Owner:
        return cls(socket.gethostname(), _space(), os.getpid(), _born(os.getpid()), secrets.token_hex(8))

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine, and of this container on it."""
        return (self.host, self.space) == (socket.gethostname(), _space())

    @property
    def lives(self) -> bool:
        """Whether the process still runs. Only to be asked where it `is_here`."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _born(self.pid) == self.born


class Lock:
    """The lock of one run directory."""

    def __init__(self, path: Path, note: Callable[[str], None] = lambda text: None, what: str = "") -> None:
        """Nothing is locked yet.

        Args:
            path: the lock's file.
            note: told when a lock that another machine left behind has to be watched.
            what: is locked, where it is no run.
        """
        self.path = path
        self._what = what
        self._note = note
        self._owner = Owner.me()
        self._descriptor = -1
        self._ended = threading.Event()
        self._beats: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunError: a living process has it, or the directory cannot be written.
        """
        while not self._make():
            owner, beat = read(self.path)
            if owner is None and beat is None:
                continue  # it has been released just now
            if self._lives(owner, beat):
                what = self._what or f"the run {self.path.parent}"
                other = "another one" if self._what else "another --run"
                raise RunError(
                    f"Another process has {what} open{_named(owner)}. Wait for it to end, or choose {other}."
                )
            self._take_away(owner)
        self._beats = threading.Thread(target=self._beat, name="siked-lock", daemon=True)
        self._beats.start()

    def release(self) -> None:
        if self._beats is None:
            return
        self._ended.set()
        self._beats.join()
        self._beats = None
        os.close(self._descriptor)
        owner, _ = read(self.path)
        if owner is not None and owner.token == self._owner.token:
            self.path.unlink(missing_ok=True)

    def _make(self) -> bool:
        """Make the file, unless it is there. It appears with its content where the file system knows hard links."""
        text = f"{0:0{_DIGITS}d}\n{json.dumps(asdict(self._owner))}\n"
        draft = self.path.with_name(f".{self.path.name}.{self._owner.token}.tmp")
        try:
            draft.write_text(text, encoding="utf-8")
            try:
                os.link(draft, self.path)
            except FileExistsError:
                return False
            except OSError:
                with self.path.open("x", encoding="utf-8") as file:
                    file.write(text)
            self._descriptor = os.open(self.path, os.O_WRONLY)
        except FileExistsError:
            return False
        except OSError as error:
            raise unwritable(self.path, error) from None
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        return True

    def _lives(self, owner: Owner | None, beat: str | None) -> bool:
        if owner is not None and owner.is_here:
            return owner.lives
        self._note(
            f"The run {self.path.parent} was left locked{_named(owner)}, which cannot be asked from here: watching it "
            f"for {SILENCE_S:.0f} s."
        )
        ends = time.monotonic() + SILENCE_S
        while time.monotonic() < ends:
            time.sleep(_LOOK_S)
            now, other = read(self.path)
            if now is None and other is None:
                return False
            if other != beat or (now is not None and now != owner):
                return True
        return False

    def _take_away(self, owner: Owner | None) -> None:
        """Remove a dead owner's lock. Only who has made the claim on that very owner may, so that nobody removes the
        lock of one who came after it; a claim that stays belonged to one who was killed at it."""
        claim = self.path.with_name(f".{self.path.name}.{owner.token if owner else 'unknown'}.claim.tmp")
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            self._watch(claim)
            return
        except OSError as error:
            raise unwritable(self.path, error) from None
        try:
            now, beat = read(self.path)
            if now == owner and beat is not None:
                self.path.unlink(missing_ok=True)
        finally:
            claim.unlink(missing_ok=True)

    def _watch(self, claim: Path) -> None:
        """Until another's claim has gone; one that stays is removed."""
        ends = time.monotonic() + CLAIM_S
        while claim.exists():
            if time.monotonic() > ends:
                claim.unlink(missing_ok=True)
                return
            time.sleep(0.01)

    def _beat(self) -> None:
        count = 0
        while not self._ended.wait(BEAT_S):
            count += 1
            # A beat overwrites its own bytes, so it needs no room; what fails now may go through the next time.
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, f"{count:0{_DIGITS}d}".encode(), 0)
                os.fsync(self._descriptor)


def read(path: Path) -> tuple[Owner | None, str | None]:
    """The owner and the beat of a lock. (None, None) where there is none; owner None where it cannot be read."""
    try:
        beat, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    except FileNotFoundError:
        return None, None
    except OSError:
        return None, ""
    try:
        return Owner(**json.loads(rest)), beat
    except (ValueError, TypeError):
        return None, beat


def holder(path: Path) -> Owner | None:
    """The living process of this machine that holds a lock, where there is one."""
    owner, _ = read(path)
    return owner if owner is not None and owner.is_here and owner.lives else None


def _named(owner: Owner | None) -> str:
    return f" (process {owner.pid} on {owner.host})" if owner is not None else ""


def _born(pid: int) -> str:
    """The start of a process in the kernel's ticks since the boot; empty where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""
