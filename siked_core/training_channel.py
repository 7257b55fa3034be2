"""What a training in processes of its own tells siked while it works, and how either side knows that the other is gone.

siked listens; each process that trains connects to it and sends messages, each one JSON object. A connection that ends
without a last word is a process that died. A process whose connection ends has lost its owner, and ends at once, on
whichever machine it is. Who connects must know a secret, which is in the environment of those that are started.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import socket
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from typing import Any

ADDRESS, SECRET = "SIKED_TRAINING_ADDRESS", "SIKED_TRAINING_SECRET"
"""The environment's variables with the address and the secret."""
LARGEST = 1 << 24
"""Bytes of a message."""
Message = dict[str, Any]


class Channel:
    """siked's side."""

    def __init__(self, everywhere: bool = False) -> None:
        """
        Args:
            everywhere: other machines are to connect too.
        """
        self.host = socket.gethostname() if everywhere else "127.0.0.1"
        self.events: queue.Queue[tuple[int, Message | None]] = queue.Queue()
        """From which process, and what it said; None for the end of its connection."""
        self._secret = secrets.token_hex(32)
        self._listener = Listener(("" if everywhere else self.host, 0), "AF_INET", backlog=1024)
        self._connections: dict[int, Connection[bytes, bytes]] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What those that are started need to connect."""
        return {ADDRESS: f"{self.host}:{self._listener.address[1]}", SECRET: self._secret}

    def reply(self, process: int, message: Message) -> None:
        """Answer a process; nothing where it is gone."""
        with contextlib.suppress(OSError):
            self._connections[process].send_bytes(json.dumps(message).encode())

    def close(self) -> None:
        """End every connection: the processes end."""
        self._listener.close()
        for connection in list(self._connections.values()):
            with contextlib.suppress(OSError):
                connection.close()

    def _accept(self) -> None:
        for number in range(1 << 62):
            try:
                connection = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(number, connection), daemon=True).start()

    def _read(self, number: int, connection: Connection[bytes, bytes]) -> None:
        try:
            deliver_challenge(connection, self._secret.encode())
            answer_challenge(connection, self._secret.encode())
        except (AuthenticationError, EOFError, OSError):
            connection.close()
            return
        self._connections[number] = connection
        try:
            while True:
                self.events.put((number, json.loads(connection.recv_bytes(LARGEST))))
        except (EOFError, OSError, ValueError):
            self.events.put((number, None))


class Owner:
    """Whoever wants this process, as it sees them."""

    def __init__(self, connection: Connection[bytes, bytes]) -> None:
        self._connection = connection
        self._replies: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    @classmethod
    def connect(cls) -> Owner | None:
        """The owner that the environment names; None where it names none.

        Raises:
            OSError: it is gone.
        """
        address, secret = os.environ.get(ADDRESS), os.environ.get(SECRET)
        if not address or not secret:
            return None
        host, _, port = address.rpartition(":")
        return cls(Client((host, int(port)), "AF_INET", authkey=secret.encode()))

    def say(self, message: Message) -> None:
        """Send a message."""
        self._connection.send_bytes(json.dumps(message).encode())

    def ask(self, message: Message) -> Message:
        """Send a message, and wait for the reply."""
        self.say(message)
        return self._replies.get()

    def _listen(self) -> None:
        try:
            while True:
                self._replies.put(json.loads(self._connection.recv_bytes(LARGEST)))
        except (EOFError, OSError):
            os._exit(1)  # nobody wants what comes out; the threads of torch are not waited for
