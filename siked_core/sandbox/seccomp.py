"""System-call filters for Linux on x86-64 and arm64, as raw BPF: allow-lists, everything else fails with EPERM.

Runs in the zygote, which has no third-party package: only the standard library is imported.
Two filters are stacked. `SERVER` holds for the zygote and all that it forks; `PROGRAM` is added in the fork that
runs a program and takes away processes, signals, limits, and file descriptors.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable

_FOR_PROGRAMS = {  # name: (x86-64, arm64)
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "readv": (19, 65), "writev": (20, 66),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101), "getpid": (39, 172),
    "exit": (60, 93), "uname": (63, 160), "gettimeofday": (96, 169), "getrusage": (98, 165), "sysinfo": (99, 179),
    "times": (100, 153), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177),
    "getppid": (110, 173), "rt_sigpending": (127, 136), "sigaltstack": (131, 132), "gettid": (186, 178),
    "futex": (202, 98), "sched_getaffinity": (204, 123), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94), "pselect6": (270, 72),
    "ppoll": (271, 73), "set_robust_list": (273, 99), "getrandom": (318, 278), "membarrier": (324, 283),
    "rseq": (334, 293),
}  # fmt: skip
_FOR_THE_ZYGOTE = {  # arm64 has neither poll, dup2 nor fork: their successors stand in
    "poll": (7, 73), "pipe2": (293, 59), "dup2": (33, 24), "dup3": (292, 24), "fcntl": (72, 25), "ioctl": (16, 29),
    "recvfrom": (45, 207), "sendto": (44, 206), "clone": (56, 220), "fork": (57, 220), "wait4": (61, 260),
    "kill": (62, 129), "setpgid": (109, 154), "prctl": (157, 167), "seccomp": (317, 277), "prlimit64": (302, 261),
    "close_range": (436, 436), "setrlimit": (160, 164),
}  # fmt: skip
_NUMBERS = _FOR_PROGRAMS | _FOR_THE_ZYGOTE
_CLONE3 = 435
SERVER = frozenset(_NUMBERS)
PROGRAM = frozenset(_FOR_PROGRAMS)

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000
_X32_BIT = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def supported() -> bool:
    """Is there a table for this machine's architecture?"""
    return platform.system() == "Linux" and platform.machine() in _ARCHITECTURES


def assemble(allowed: Iterable[str], machine: str) -> bytes:
    """The BPF program that allows these calls on `machine` ("x86_64" or "aarch64"), as `struct sock_filter[]`."""
    column, audit = _ARCHITECTURES[machine]
    numbers = sorted({_NUMBERS[name][column] for name in allowed})
    code: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),  # the architecture of this call: 32-bit entry points have other numbers
        (_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, 0),  # the call's number
        (_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),  # its flags are behind a pointer: libc then falls back on clone
    ]
    for index, number in enumerate(numbers):
        code.append((_EQUAL, len(numbers) - index, 0, number))
    code.append((_RETURN, 0, 0, _ERRNO | errno.EPERM))
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


class Filter:
    """A filter, assembled beforehand so that putting it on costs one system call."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._code = assemble(allowed, platform.machine())
        self._program = _Program(len(self._code) // 8, self._code)
        self._prctl = ctypes.CDLL(None, use_errno=True).prctl
        self._prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong]

    def put_on(self) -> None:
        """Put it on this process for good. Needs no_new_privs.

        Raises:
            OSError: the kernel has no seccomp filters.
        """
        if self._prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(self._program), 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
