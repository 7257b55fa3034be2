"""Starts a helper process, such as a zygote, and talks to it. The one place where siked starts an interpreter.

This is the near end of the wire that `siked_core.sandbox.zygote` describes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siked_core.errors import SandboxError
from siked_core.sandbox.outcome import Layer, Limits
from siked_core.sandbox.zygote import receive, send

_START_S = 120.0
_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that the interpreter may need of our environment; the zygote then forgets it."""
BOOTSTRAP = """\
import importlib, json, sys, types
settings = json.loads(sys.argv[1])
for name, path in settings["packages"]:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
sys.path[:0] = settings["paths"]
main = importlib.import_module(settings["module"]).main
main(int(sys.argv[2]), settings)
"""
"""The packages are entered by hand so that their `__init__`, and all that it imports, is not run."""


class ZygoteDiedError(Exception):
    """The zygote has gone, or does not answer any more."""


class Helper:
    """A process of ours in a fresh interpreter (isolated mode, an empty environment, no outputs), and a wire to it."""

    def __init__(self, module: str, settings: Mapping[str, Any]) -> None:
        """Start it and wait for its first message, `hello`.

        Args:
            module: what it runs: this module's `main(descriptor of its socket, settings)`.
            settings: what it is told, as JSON; `paths` are folders to import from, beside the standard library's.

        Raises:
            SandboxError: it does not start.
        """
        ours, theirs = socket.socketpair()
        here = Path(__file__).parent
        settings = {
            **settings,
            "module": module,
            "packages": [("siked_core", str(here.parent)), ("siked_core.sandbox", str(here))],
        }
        command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", BOOTSTRAP]
        with theirs:
            self._process = subprocess.Popen(
                [*command, json.dumps(settings), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={name: os.environ[name] for name in _LIBRARY_PATHS if name in os.environ},
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.connection = ours
        ours.settimeout(_START_S)
        try:
            hello = receive(ours)
        except Exception:
            hello = None  # why, it says itself
        except BaseException:  # an interruption is no fault of the sandbox
            self.kill()
            raise
        if hello is None:
            ours.close()
            said = self._last_words()
            raise SandboxError(f"The sandbox could not be started: {said or 'its process ended at once'}.")
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.hello = hello

    def hear(self, seconds: float, most_bytes: int) -> dict[str, Any]:
        """One message of a process that may be hostile: whole by then, and no larger than that.

        Raises:
            TimeoutError: it was not.
            EOFError, OSError: the process has gone, or what it says is no message.
        """
        deadline = time.monotonic() + seconds
        (size,) = struct.unpack("!I", self._exactly(4, deadline))
        if size > most_bytes:
            raise EOFError(f"a message of more than {most_bytes} bytes")
        try:
            message = json.loads(self._exactly(size, deadline))
        except ValueError as error:
            raise EOFError("no message") from error
        if not isinstance(message, dict):
            raise EOFError("no message")
        return message

    def _exactly(self, size: int, deadline: float) -> bytes:
        received = b""
        while len(received) < size:
            self.connection.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self.connection.recv(size - len(received))
            if not piece:
                raise EOFError
            received += piece
            if time.monotonic() > deadline:
                raise TimeoutError
        return received

    def _last_words(self) -> str:
        try:
            _, errors = self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, errors = self._process.communicate()
        lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """End it and everything in it."""
        self.connection.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Zygote(Helper):
    """One running zygote, and the programs that it holds."""

    def __init__(self, limits: Limits, with_sympy: bool) -> None:
        settings = {
            "timeout_s": limits.timeout_s,
            "memory_mib": limits.memory_mib,
            "output_kib": limits.output_kib,
            "sympy": with_sympy,
            "paths": locations("sympy", "mpmath", "gmpy2") if with_sympy else [],
        }
        super().__init__("siked_core.sandbox.zygote", settings)
        self.layers = tuple(
            Layer(name, bool(active), str(detail)) for name, (active, detail) in self.hello["layers"].items()
        )
        self.running: dict[int, tuple[int, float]] = {}
        """Request number: the program's index and when it was sent."""

    def send(self, request: int, index: int, code: str) -> None:
        self.running[request] = (index, time.monotonic())
        try:
            send(self.connection, {"id": request, "nonce": secrets.token_hex(16), "code": code})
        except OSError as error:
            raise ZygoteDiedError from error

    def receive(self) -> dict[str, Any]:
        try:
            message = receive(self.connection)
        except OSError as error:
            raise ZygoteDiedError from error
        if message is None:
            raise ZygoteDiedError
        return message


def locations(*packages: str) -> list[str]:
    """The folders that hold these packages, as far as they are installed."""
    found = []
    for name in packages:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(str(Path(spec.origin).parent.parent))
    return list(dict.fromkeys(found))
