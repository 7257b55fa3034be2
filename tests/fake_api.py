"""A server that speaks the OpenAI API as badly as a test wants: completions, files and batches."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


def answer(*texts: str, finish: str | None = "stop", usage: Any = (9, 5), chat: bool = True) -> dict[str, Any]:
    """The body of a good reply with so many choices."""
    choices = [
        {"index": place, "finish_reason": finish} | ({"message": {"content": text}} if chat else {"text": text})
        for place, text in enumerate(texts)
    ]
    counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if isinstance(usage, tuple) else usage
    return {"id": "x", "choices": choices, "usage": counts}


def refusal(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


@dataclass
class Reply:
    """What is sent back."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    drip_s: float = 0.0
    """Seconds between two bytes."""
    cut: int | None = None
    """Only so many bytes, then the connection is closed; -1: it is reset before anything is said."""


@dataclass
class Call:
    """A request for a completion, as it came."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    number: int
    """From 0, over all calls."""
    at: float

    @property
    def question(self) -> str:
        """The last message, or the prompt."""
        return str(self.body["messages"][-1]["content"] if "messages" in self.body else self.body["prompt"])


class FakeApi:
    """A server on this machine; what it does is `respond`."""

    def __init__(self, respond: Callable[[Call], Reply] | None = None, at: int | str = 0) -> None:
        """
        Args:
            at: a port of this machine, or the path of a Unix socket.
        """
        self.respond = respond or (lambda call: Reply(answer(f"To {call.question}.")))
        self.calls: list[Call] = []
        self.answered: list[Call] = []
        """Those whose whole reply was sent with status 200."""
        self.now = self.most = 0
        """Requests at once: at present, and at most so far."""
        self.lock = threading.Lock()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks_needed = 1
        """A batch is at its end when it is looked at for this many times."""
        self.work: Callable[[dict[str, Any]], dict[str, Any] | None] = self._work_line
        """What becomes of a line of a batch: the line of its results, or None to leave it out."""
        self.batch_status: Callable[[int], str] = lambda number: "completed"
        self.file_drops = 0
        """So many downloads of files break off in the middle."""
        self.create_drops = 0
        """So many times a batch is made, and the connection lost before that is told."""
        server = _UnixServer(at, _handler(self)) if isinstance(at, str) else _Server(("127.0.0.1", at), _handler(self))
        self.server = server
        self.url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def questions(self) -> list[str]:
        return [call.question for call in self.answered]

    # Completions

    def call(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Call:
        with self.lock:
            call = Call(path, body, headers, len(self.calls), time.monotonic())
            self.calls.append(call)
            self.now += 1
            self.most = max(self.most, self.now)
        return call

    # Batches

    def _work_line(self, line: dict[str, Any]) -> dict[str, Any] | None:
        call = self.call(line["url"], line["body"], {})
        reply = self.respond(call)
        with self.lock:
            self.now -= 1
            self.answered += [call] if reply.status == 200 else []
        return {
            "custom_id": line["custom_id"],
            "response": {"status_code": reply.status, "body": reply.body},
            "error": None,
        }

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.batches)
        batch = {
            "id": f"batch_{number}",
            "object": "batch",
            "status": "validating",
            "created_at": int(time.time()),
            "looks": 0,
            **body,
        }
        self.batches[batch["id"]] = batch
        return batch

    def look(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["looks"] += 1
        if batch["looks"] < self.looks_needed or batch["status"] != "validating":
            return batch
        batch["status"] = self.batch_status(int(batch["id"].removeprefix("batch_")))
        if batch["status"] == "failed":
            batch["errors"] = {"data": [{"message": "the file is no good"}]}
            return batch
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        if batch["status"] == "expired":
            lines = lines[: len(lines) // 2]
        good, bad = [], []
        for done in (self.work(line) for line in lines):
            if done is not None:
                (good if (done.get("response") or {}).get("status_code") == 200 else bad).append(json.dumps(done))
        for name, content in (("output_file_id", good), ("error_file_id", bad)):
            if content:
                batch[name] = f"{name}-{batch['id']}"
                self.files[batch[name]] = "\n".join(content).encode() + b"\n"
        return batch


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is tested."""


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0


def _handler(api: FakeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            path = urlsplit(self.path).path.removeprefix("/v1")
            if path == "/files":
                found = re.search(rb"\r\n\r\n(\{.*?)\r\n--", content, re.DOTALL)
                name = f"file-{len(api.files)}"
                api.files[name] = found[1] if found else b""
                self.send(Reply({"id": name, "object": "file"}))
            elif path == "/batches":
                made = api.create(json.loads(content))
                api.create_drops -= 1
                self.send(Reply(made, cut=10 if api.create_drops >= 0 else None))
            else:
                call = api.call(path, json.loads(content or b"{}"), dict(self.headers))
                try:
                    reply = api.respond(call)
                    with api.lock:
                        api.now -= 1
                    if self.send(reply) and reply.status == 200:
                        with api.lock:
                            api.answered.append(call)
                except OSError:
                    self.close_connection = True

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            parts = address.path.removeprefix("/v1/").split("/")
            if address.path == "/health":
                self.send(Reply({}))
            elif parts[0] == "files":
                content = api.files.get(parts[1])
                if content is None:
                    self.send(Reply(refusal("no such file"), 404))
                    return
                api.file_drops -= 1
                self.send(Reply(content, cut=len(content) // 2 if api.file_drops >= 0 else None))
            elif len(parts) == 2:
                self.send(Reply(api.look(api.batches[parts[1]])))
            else:
                newest = list(reversed(api.batches.values()))
                after = parse_qs(address.query).get("after")
                start = next((i + 1 for i, one in enumerate(newest) if after and one["id"] == after[0]), 0)
                self.send(
                    Reply({"object": "list", "data": newest[start : start + 2], "has_more": start + 2 < len(newest)})
                )

        def send(self, reply: Reply) -> bool:
            """Whether all of it was sent."""
            time.sleep(reply.after_s)
            if reply.cut == -1:  # a reset, not a close
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return False
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            kind = "application/octet-stream" if isinstance(reply.body, bytes) else "application/json"
            for name, value in ({"Content-Type": kind, "Content-Length": str(len(content))} | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if reply.drip_s:
                for byte in content:
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.drip_s)
            else:
                self.wfile.write(content[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True
            return reply.cut is None

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler
