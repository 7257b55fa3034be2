"""The process that forks one caged child per program. Started by `siked_core.sandbox.pool` in a fresh interpreter.

It loads the modules that programs may import, puts the cage on itself, and then serves requests one fork each: it
alone keeps the deadline, kills, and reaps. It imports only the standard library (and sympy, if asked to); neither
siked nor its dependencies are loaded, so a program finds nothing of ours in memory.

Wire, both ways: a 4-byte big-endian length and a JSON object.
"""

from __future__ import annotations

import codecs
import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from importlib.machinery import BuiltinImporter, FrozenImporter
from types import ModuleType
from typing import Any

from siked_core.sandbox import judged
from siked_core.sandbox.cage import Cage

MODULES = (
    "_strptime", "abc", "array", "base64", "bisect", "calendar", "cmath", "collections", "collections.abc",
    "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "heapq", "inspect",
    "io", "itertools", "json", "locale", "math", "numbers", "operator", "pprint", "queue", "random", "re", "secrets",
    "statistics", "string", "struct", "textwrap", "threading", "time", "traceback", "types", "typing", "unicodedata",
    "uuid", "warnings", "zoneinfo",
)  # fmt: skip
"""What programs can import, beside what these load themselves."""
_CODECS = (
    "ascii",
    "latin-1",
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-32",
    "cp1252",
    "idna",
    "unicode_escape",
    "hex",
    "rot13",
)
_CLOSED = b"!"
"""A child's first byte: its cage is closed and the program begins. Without it, a failure is not the program's."""
_PIPE_BYTES = 65_536
_HIDDEN = (
    "siked_core",
    "ctypes",
    "_ctypes",
    "subprocess",
    "_posixsubprocess",
    "socket",
    "_socket",
    "select",
    "multiprocessing",
)


class _NothingElse:
    """Last in `sys.meta_path`: says why an import fails."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        raise ModuleNotFoundError(f"the cage has no module '{name}'", name=name)


@dataclass
class _Child:
    pid: int
    request: int
    nonce: bytes
    started: float
    deadline: float
    received: bytearray = field(default_factory=bytearray)


class _Server:
    def __init__(self, control: socket.socket, cage: Cage, settings: dict[str, Any]) -> None:
        self._control = control
        self._cage = cage
        self._timeout_s = float(settings["timeout_s"])
        self._memory_mib = int(settings["memory_mib"])
        self._output_characters = int(settings["output_kib"]) * 1024
        self._children: dict[int, _Child] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Serve until the other side closes the connection."""
        try:
            while True:
                now = time.monotonic()
                nearest = min((child.deadline for child in self._children.values()), default=None)
                wait_ms = None if nearest is None else max(0, int((nearest - now) * 1000) + 1)
                for descriptor, _ in self._poll.poll(wait_ms):
                    if descriptor == self._control.fileno():
                        request = receive(self._control)
                        if request is None:
                            return
                        self._start(request)
                    elif descriptor in self._children:
                        self._hear(descriptor)
                now = time.monotonic()
                for descriptor, child in list(self._children.items()):
                    if now >= child.deadline:
                        self._finish(descriptor, "deadline")
        finally:
            for child in self._children.values():
                _kill(child.pid)

    def _start(self, request: dict[str, Any]) -> None:
        nonce = bytes.fromhex(request["nonce"])
        ours, theirs = os.pipe()
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            self._become(request["code"], nonce, theirs)
        os.close(theirs)
        os.set_blocking(ours, False)
        self._children[ours] = _Child(pid, request["id"], nonce, started, started + self._timeout_s)
        self._poll.register(ours, select.POLLIN | select.POLLHUP)

    def _become(self, code: str, nonce: bytes, result: int) -> None:
        """In the fork: let go of everything that is not this program's, close the cage, run. Never returns."""
        try:
            os.setpgid(0, 0)
            os.dup2(result, judged.RESULT_FD)
            os.closerange(judged.RESULT_FD + 1, 1_024)
            self._children.clear()
            del self._control, self._poll
            output_characters = self._output_characters
            self._cage.close_around_program(self._timeout_s, self._memory_mib)
            os.write(judged.RESULT_FD, _CLOSED)
            gc.enable()
            random.seed(0)  # a fork has reseeded itself; the same program must give the same answer again
            judged.run(code, nonce, output_characters)
        finally:
            os._exit(70)

    def _hear(self, descriptor: int) -> None:
        child = self._children[descriptor]
        try:
            piece = os.read(descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return
        child.received += piece
        if not piece:
            self._finish(descriptor, "")
        elif len(child.received) > _PIPE_BYTES:
            self._finish(descriptor, "flood")
        elif _frame(child) is not None:
            self._finish(descriptor, "")

    def _finish(self, descriptor: int, killed: str) -> None:
        child = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if pid == 0:
            _kill(child.pid)
            _, status = os.waitpid(child.pid, 0)
        frame = _frame(child)
        send(
            self._control,
            {
                "id": child.request,
                "caged": bool(child.received),
                "killed": killed,
                "exit": os.waitstatus_to_exitcode(status),
                "seconds": time.monotonic() - child.started,
                "report": None if frame is None else frame.decode("ascii", "replace"),
            },
        )


def _frame(child: _Child) -> bytes | None:
    """The report in what a child wrote, found by the nonce that only the code around the program was given."""
    start = child.received.find(child.nonce)
    if start < 0 or len(child.received) < start + len(child.nonce) + 4:
        return None
    start += len(child.nonce)
    (length,) = struct.unpack_from("!I", child.received, start)
    end = start + 4 + length
    return (
        bytes(child.received[start + 4 : end]) if length <= judged.FRAME_BYTES and end <= len(child.received) else None
    )


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(OSError):  # it is gone, or (killpg) has not made its group yet
            kill(pid, signal.SIGKILL)


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    body = json.dumps(message).encode("ascii")
    connection.sendall(struct.pack("!I", len(body)) + body)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Receive one message; None where the other side has gone."""
    head = _exactly(connection, 4)
    body = _exactly(connection, struct.unpack("!I", head)[0]) if head else None
    if body is None:
        return None
    message: dict[str, Any] = json.loads(body)
    return message


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        try:
            piece = connection.recv(min(size - len(received), 65_536))
        except ConnectionError:
            return None
        if not piece:
            return None
        received += piece
    return bytes(received)


def _load(with_sympy: bool) -> None:
    for name in MODULES:
        importlib.import_module(name)
    if with_sympy:
        from siked_core.sandbox import sympy_warm_up

        sympy_warm_up.load()
    for codec in _CODECS:
        codecs.lookup(codec)
    for name in list(sys.modules):
        if name.partition(".")[0] in _HIDDEN:
            del sys.modules[name]
    sys.path[:] = []
    sys.path_hooks[:] = []
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, _NothingElse]
    sys.argv[:] = ["program"]


def main(descriptor: int, settings: dict[str, Any]) -> None:
    """Load, enclose, report the layers, serve.

    Args:
        descriptor: the connected socket to serve.
        settings: `timeout_s`, `memory_mib`, `output_kib`, `sympy` (load it?).
    """
    if descriptor != judged.RESULT_FD:  # to the place that a child's result takes: one descriptor less to let go of
        os.dup2(descriptor, judged.RESULT_FD)
        os.close(descriptor)
    os.environ.clear()
    with socket.socket(fileno=judged.RESULT_FD) as control:
        _load(bool(settings["sympy"]))
        cage = Cage()
        cage.enclose()
        sys.modules["__main__"] = ModuleType("__main__")
        gc.collect()
        gc.disable()
        gc.freeze()
        os.dup2(1, 2)
        send(control, {"layers": cage.layers})
        _Server(control, cage, settings).serve()
