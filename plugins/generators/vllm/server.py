"""A vLLM server as a child: started, waited for, watched, ended.

It listens on a Unix socket in a folder that only this user may enter, so nobody else on the machine reaches any of its
paths (vLLM asks for a key on some of them only), and no port has to be found. It also takes requests to its API only
with a random key, which it is given in its environment. It runs under a warden (`siked_core.warden`).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from siked_core import ModelError, warden
from siked_plugins.generators.vllm.log import Log

URL = "http://localhost/v1"
"""What stands in requests; the socket decides where they go."""
LONGEST_PATH = 100
"""Bytes that the name of a socket may have: 104 on macOS, 108 on Linux."""
LOOK_S = 0.5
SPEAK_S = 15.0
GRACE_S = 20.0
"""So long it may take to end by itself."""
LARGEST_REPLY = 1 << 22


class Server:
    """One server. It is started by `start`, and `stop` leaves nothing of it."""

    def __init__(self, model: str, say: Callable[[str], None]) -> None:
        """
        Args:
            model: its name at the server.
            say: told what goes on while it starts.
        """
        self.key = secrets.token_urlsafe(32)
        self.model, self._say = model, say
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._log: Log | None = None
        self._failed = False

    @property
    def socket(self) -> Path:
        assert self._folder is not None
        return self._folder / "socket"

    @property
    def log_path(self) -> Path | None:
        return self._log.path if self._log else None

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], what: str, timeout_s: float, logprobs: bool
    ) -> None:
        """Start it and wait until it has answered a first request.

        Args:
            command: without where it listens, which is added.
            what: what it is, for people: "vLLM 0.32.0 (/opt/vllm/bin/python)".

        Raises:
            ModelError: it ended, does not answer in time, or cannot answer; with the end of its log.
        """
        began = time.monotonic()
        self._folder = _private_folder()
        self._log = Log(self._folder / "server.log", self.key)
        try:
            with self._log.path.open("wb") as log:
                listening = [*command, "--uds", str(self.socket)]
                self._process = subprocess.Popen(
                    warden.guarded(listening, GRACE_S, folder=self._folder, shared_memory=True),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env={**environment, "VLLM_API_KEY": self.key},
                    start_new_session=True,  # Ctrl-C is for siked, which ends the server when it has what is under way
                )
            self._say(f"Starting {what} for '{self.model}'; its log is {self._log.path}")
            self._wait(began, timeout_s, self._healthy)
            self._wait(began, timeout_s, lambda: self._answers(timeout_s - (time.monotonic() - began), logprobs))
        except BaseException:
            self.stop()
            raise
        self._say(f"vLLM answers, {time.monotonic() - began:,.0f} s after its start")

    def ask(self, method: str, path: str, body: Any, timeout_s: float) -> tuple[int, str]:
        """Status and body of a reply; status 0 where it does not answer. No proxy is asked, whatever the environment
        says: it goes over a Unix socket."""
        import http.client  # it brings TLS along, which takes long to load

        connection = http.client.HTTPConnection("localhost", timeout=timeout_s)
        text = None if body is None else json.dumps(body)
        try:
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(timeout_s)
            connection.sock.connect(str(self.socket))
            connection.request(method, path, text, headers)
            reply = connection.getresponse()
            return reply.status, reply.read(LARGEST_REPLY).decode("utf-8", "replace").replace(self.key, "***")
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

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
        return ModelError(f"The vLLM server of '{self.model}' {why}.\n{self._log.told()}")

    def stop(self, forget: bool = False) -> None:
        """End it. The log is kept where the server failed.

        Args:
            forget: that it failed is nobody's concern: another one takes its place.
        """
        if self._process is not None:
            warden.end(self._process, GRACE_S)
            self._process = None
        if self._folder is not None:
            self.socket.unlink(missing_ok=True)
            if forget or not self._failed:
                shutil.rmtree(self._folder, ignore_errors=True)

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
        return self.ask("GET", "/health", None, 5.0)[0] == 200

    def _answers(self, left_s: float, logprobs: bool) -> bool:
        """Ask for one token: what a model cannot do shows when it first does it, and so does what is made ready then.

        Raises:
            ModelError: it answers with an error.
        """
        body = {"model": self.model, "prompt": "1", "max_tokens": 1} | ({"logprobs": 0} if logprobs else {})
        status, said = self.ask("POST", "/v1/completions", body, max(1.0, left_s))
        if status not in (0, 200):
            raise self.failed(f"cannot answer a first request (HTTP {status}: {' '.join(said.split())[:300]})")
        return status == 200


def _private_folder() -> Path:
    """A new folder that only this user may enter, with a name that is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="siked-vllm-"))
    if len(os.fsencode(folder / "socket")) > LONGEST_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="siked-vllm-", dir="/tmp"))
    return folder
