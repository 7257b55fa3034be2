"""A vLLM server as a child: started, waited for, watched, ended.

It listens on 127.0.0.1 alone, on a port that was free, and takes requests only with a random key, which it is given in
its environment, so that neither a process list nor a log shows it. It runs under a warden (`warden.py`).
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from siked_core import ModelError
from siked_plugins.generators.vllm import warden
from siked_plugins.generators.vllm.log import Log

HOST = "127.0.0.1"
LOOK_S = 0.5
SPEAK_S = 15.0
GRACE_S = 20.0
"""So long it may take to end by itself."""


class Server:
    """One server. It is started by `start`, and `stop` leaves nothing of it."""

    def __init__(self, model: str, say: Callable[[str], None]) -> None:
        """
        Args:
            model: its name at the server.
            say: told what goes on while it starts.
        """
        self.key = secrets.token_urlsafe(32)
        self._model, self._say = model, say
        self._process: subprocess.Popen[bytes] | None = None
        self._log: Log | None = None
        self._failed = False
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}/v1"

    @property
    def log_path(self) -> Path | None:
        return self._log.path if self._log else None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], what: str, timeout_s: float, logprobs: bool
    ) -> None:
        """Start it and wait until it has answered a first request.

        Args:
            command: without host and port, which are added.
            what: what it is, for people: "vLLM 0.32.0 (/opt/vllm/bin/python)".

        Raises:
            ModelError: it ended, does not answer in time, or cannot answer; with the end of its log.
        """
        began = time.monotonic()
        handle, name = tempfile.mkstemp(prefix="siked-vllm-", suffix=".log")
        self._log = Log(Path(name), self.key)
        reserved = socket.socket()
        try:
            # On Linux it stays bound, without listening, until vLLM, which binds so too, has it.
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind((HOST, 0))
            self._port = reserved.getsockname()[1]
            if sys.platform != "linux":
                reserved.close()
            guard = (sys.executable, "-I", warden.__file__, str(os.getpid()), str(GRACE_S), name)
            self._process = subprocess.Popen(
                [*guard, *command, "--host", HOST, "--port", str(self._port)],
                stdin=subprocess.PIPE,
                stdout=handle,
                stderr=handle,
                env={**environment, "VLLM_API_KEY": self.key},
                start_new_session=True,  # Ctrl-C is for siked, which ends the server when it has what is under way
            )
            self._say(f"Starting {what} for '{self._model}'; its log is {name}")
            self._wait(began, timeout_s, self._healthy)
            self._wait(began, timeout_s, lambda: self._answers(timeout_s - (time.monotonic() - began), logprobs))
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(handle)
            reserved.close()
        self._say(f"vLLM answers, {time.monotonic() - began:,.0f} s after its start")

    def gone(self) -> str:
        """How it ended; empty while it runs."""
        code = self._process.poll() if self._process else None
        if code is None:
            return ""
        self._failed = True
        if code < 0 or code > 128:
            number = -code if code < 0 else code - 128
            with suppress(ValueError):
                killed = " (out of memory?)" if number == signal.SIGKILL else ""
                return f"was ended by signal {number}, {signal.Signals(number).name}{killed}"
        return f"ended by itself, with code {code}"

    def failed(self, why: str) -> ModelError:
        """An error that says why it is of no use, and what its log says."""
        self._failed = True
        assert self._log is not None
        return ModelError(f"The vLLM server of '{self._model}' {why}.\n{self._log.told()}")

    def stop(self) -> None:
        """End it. The log is kept where the server failed."""
        if self._process is not None:
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(GRACE_S + 2 * warden.LAST_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._log is not None and not self._failed:
            self._log.path.unlink(missing_ok=True)

    def _wait(self, began: float, timeout_s: float, ready: Callable[[], bool]) -> None:
        assert self._log is not None
        spoke = time.monotonic()
        while not ready():
            now = time.monotonic()
            ended = self.gone()
            if ended:
                raise self.failed(f"{ended}, before it could answer")
            if now - began > timeout_s:
                raise self.failed(
                    f"did not answer within {timeout_s:g} seconds (the generator's option startup_timeout)"
                )
            if now - spoke > SPEAK_S:
                spoke = now
                last = self._log.lines()[-1:]
                self._say(f"vLLM, {now - began:,.0f} s: {last[0][:100] if last else 'starting'}")
            time.sleep(LOOK_S)

    def _healthy(self) -> bool:
        if self._ask("GET", "/health", None, 5.0)[0] != 200:
            return False
        listener = _listener(self._port)
        if listener not in (None, os.getuid()):  # it is not sent the key
            raise self.failed(f"did not get its port {self._port}: the user with the number {listener} listens there")
        return True

    def _answers(self, left_s: float, logprobs: bool) -> bool:
        """Ask for one token: what a model cannot do shows when it first does it, and so does what is made ready then.

        Raises:
            ModelError: it answers with an error.
        """
        body = {"model": self._model, "prompt": "1", "max_tokens": 1} | ({"logprobs": 0} if logprobs else {})
        status, said = self._ask("POST", "/v1/completions", json.dumps(body), max(1.0, left_s))
        if status not in (0, 200):
            raise self.failed(f"cannot answer a first request (HTTP {status}: {' '.join(said.split())[:300]})")
        return status == 200

    def _ask(self, method: str, path: str, body: str | None, timeout_s: float) -> tuple[int, str]:
        """Status and body; status 0 where it does not answer. No proxy is asked, whatever the environment says."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=timeout_s)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read(1 << 20).decode("utf-8", "replace").replace(self.key, "***")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()


def _listener(port: int) -> int | None:
    """The number of the user that listens on a port of 127.0.0.1; None where that cannot be known."""
    try:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return None
    address = f"0100007F:{port:04X}"
    return next((int(row[7]) for row in rows if row[1] == address and row[3] == "0A"), None)
