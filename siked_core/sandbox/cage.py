"""The layers around untrusted programs, put on once in the zygote: as many as the kernel grants.

Runs in the zygote, which has no third-party package: only the standard library is imported. The order matters:
namespaces and the empty root need privileges, which are then dropped; seccomp comes last and forbids all of it.
Nothing here is undone: what a process has put on, its children keep.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import resource
import signal
import sys
from collections.abc import Callable

from siked_core.sandbox import seccomp

_NEW = {"mount": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000, "pid": 0x20000000, "net": 0x40000000}
_NEW_USER = 0x10000000
_MS_NOSUID_NODEV_NOEXEC_RDONLY = 0x2 | 0x4 | 0x8 | 0x1
_MS_PRIVATE_REC = 0x40000 | 0x4000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446  # the same numbers on every architecture
_LANDLOCK_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NOBODY = 65534

Layers = dict[str, tuple[bool, str]]


class Cage:
    """Puts the layers on and remembers which ones held."""

    def __init__(self) -> None:
        self.layers: Layers = {}
        self._program_filter: seccomp.Filter | None = None
        self._base_bytes = _address_space()

    def enclose(self) -> None:
        """Put every layer on this process; inside a new PID namespace this goes on in a forked child.

        The calling process then only waits for that child, and never returns from here.
        """
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            entered = self._enter_namespaces()
            if "pid" in entered:
                self._become_init()
            self._empty_root("mount" in entered)
            self._drop_privileges()
            if "pid" in entered:  # elsewhere the parent is a thread of siked's, which may end long before siked
                self._die_with_parent()
            self._call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
            self._attempt("no_new_privs", "no program can gain privileges", self._no_new_privileges)
            self._landlock()
        self.layers["rlimits"] = (True, "memory, processor time, file size, open files, processes")
        self._seccomp()

    def close_around_program(self, timeout_s: float, memory_mib: int) -> None:
        """The last step, in the fork that will run the program.

        Raises:
            OSError: a layer that held in the zygote does not hold here.
        """
        seconds = math.ceil(timeout_s) + 1
        limits = {
            resource.RLIMIT_AS: self._base_bytes + memory_mib * 2**20,
            resource.RLIMIT_CPU: seconds,
            resource.RLIMIT_FSIZE: 0,
            resource.RLIMIT_NOFILE: 4,
            resource.RLIMIT_NPROC: 0,
            resource.RLIMIT_CORE: 0,
        }
        lower_limits(limits)
        if sys.platform == "linux":
            self._die_with_parent()
        if self._program_filter is not None:
            self._program_filter.put_on()

    def _enter_namespaces(self) -> list[str]:
        entered: list[str] = []
        uid, gid = os.getuid(), os.getgid()
        refused = ""
        if uid != 0 or not self._try_unshare(_NEW["mount"]):
            if self._try_unshare(_NEW_USER):
                entered.append("user")
                _write("/proc/self/setgroups", "deny")
                _write("/proc/self/uid_map", f"{uid} {uid} 1")
                _write("/proc/self/gid_map", f"{gid} {gid} 1")
            else:
                refused = f"user: {os.strerror(ctypes.get_errno())}; "
        else:
            entered.append("mount")
        for name, flag in _NEW.items():
            if name not in entered and self._try_unshare(flag):
                entered.append(name)
        missing = [name for name in _NEW if name not in entered]
        detail = f"{', '.join(entered)}" if entered else "none"
        if missing:
            detail += f" (not granted: {refused}{', '.join(missing)})"
        self.layers["namespaces"] = ("net" in entered and "pid" in entered, detail)
        return entered

    def _try_unshare(self, flag: int) -> bool:
        return bool(self._libc.unshare(flag) == 0)

    def _become_init(self) -> None:
        """Go on as process 1 of the new PID namespace: when it ends, the kernel kills everything inside."""
        pid = os.fork()
        if pid == 0:
            return
        os.closerange(0, 256)
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)

    def _empty_root(self, may_mount: bool) -> None:
        if not may_mount:
            self.layers["empty root"] = (False, "needs a mount namespace")
            return

        def change_root() -> None:
            self._call("mount", b"none", b"/", None, _MS_PRIVATE_REC, None)
            self._call("mount", b"tmpfs", b"/tmp", b"tmpfs", _MS_NOSUID_NODEV_NOEXEC_RDONLY, b"size=4k,mode=0500")
            os.chroot("/tmp")
            os.chdir("/")

        self._attempt("empty root", "the file system is an empty read-only folder", change_root)

    def _drop_privileges(self) -> None:
        if os.getuid() == 0:

            def become_nobody() -> None:
                os.setgroups([])
                os.setresgid(_NOBODY, _NOBODY, _NOBODY)
                os.setresuid(_NOBODY, _NOBODY, _NOBODY)

            self._attempt("unprivileged", "runs as nobody", become_nobody)
        else:
            self.layers["unprivileged"] = (True, f"runs as user {os.getuid()}")
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        self._libc.capset(header, (ctypes.c_uint32 * 6)())  # gives up what a user namespace granted

    def _die_with_parent(self) -> None:
        self._call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def _no_new_privileges(self) -> None:
        self._call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def _landlock(self) -> None:
        """Forbid every access to files and TCP ports (and, from ABI 6, signals and abstract sockets)."""
        abi = self._libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
        if abi < 1:
            self.layers["landlock"] = (False, "the kernel has none")
            return
        rights = (1 << _LANDLOCK_FILE_RIGHTS[min(abi, 5)]) - 1
        handled = [rights, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0]
        size = 8 if abi < 4 else 16 if abi < 6 else 24

        def restrict() -> None:
            attribute = (ctypes.c_uint64 * 3)(*handled)
            ruleset = self._libc.syscall(_LANDLOCK_CREATE, attribute, ctypes.c_size_t(size), 0)
            if ruleset < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            self._call("syscall", _LANDLOCK_RESTRICT, ruleset, 0)
            os.close(ruleset)

        self._attempt("landlock", f"no file and no port may be opened (ABI {abi})", restrict)

    def _seccomp(self) -> None:
        if not seccomp.supported():
            self.layers["seccomp"] = (False, "no table of system calls for this system")
            return

        def filters() -> None:
            program = seccomp.Filter(seccomp.PROGRAM)
            seccomp.Filter(seccomp.SERVER).put_on()
            self._program_filter = program

        self._attempt("seccomp", "only harmless system calls; no file, network, process or signal", filters)

    def _attempt(self, name: str, detail: str, put_on: Callable[[], None]) -> None:
        try:
            put_on()
        except OSError as error:
            self.layers[name] = (False, str(error))
        else:
            self.layers[name] = (True, detail)

    def _call(self, function: str, *arguments: object) -> None:
        converted = [ctypes.c_ulong(value) if isinstance(value, int) else value for value in arguments]
        if getattr(self._libc, function)(*converted) != 0:
            number = ctypes.get_errno() or errno.EINVAL
            raise OSError(number, os.strerror(number))


def lower_limits(limits: dict[int, int]) -> None:
    """Set limits of this process, never above what it has already.

    Raises:
        OSError, ValueError: the kernel refuses one, on Linux.
    """
    for kind, wanted in limits.items():
        hard = resource.getrlimit(kind)[1]
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            if sys.platform == "linux":
                raise  # elsewhere (macOS) some limits cannot be set, and the user has accepted that


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _address_space() -> int:
    """Bytes that this process has mapped."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 512 * 2**20
