"""Every hostile program of the attack file, against one pool: none learns, changes or leaves anything."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from siked_core.sandbox import Limits, Outcome, ProgramPool

DATA = Path(os.environ.get("SIKED_DATA_DIR") or Path(__file__).resolve().parents[2] / "shared" / "data")
ATTACKS = DATA / "verification" / "attacks.jsonl"
TIMEOUT_S = 2.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the cage is Linux's"),
    pytest.mark.skipif(not ATTACKS.exists(), reason=f"{ATTACKS} is not there"),
]


def attacks() -> list[dict[str, Any]]:
    if not ATTACKS.exists():
        return []
    return [json.loads(line) for line in ATTACKS.read_text(encoding="utf-8").splitlines()]


@dataclass
class World:
    folder: Path
    secret: str
    port: int
    listeners: list[socket.socket]
    bystander: subprocess.Popen[bytes]
    pool: ProgramPool

    def touched(self) -> list[str]:
        """What the folder and the listeners show that was not there at first."""
        found = [path.name for path in self.folder.iterdir() if path.name not in ("secret.txt", "sock")]
        secret = self.folder / "secret.txt"
        if not secret.exists() or secret.read_text(encoding="utf-8") != self.secret:
            found.append("secret.txt changed")
        elif stat.S_IMODE(secret.stat().st_mode) != 0o644:
            found.append("secret.txt has another mode")
        for listener in self.listeners:
            try:
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(100)
                else:
                    listener.accept()
                found.append(f"something arrived at {listener.family.name} {listener.type.name}")
            except BlockingIOError:
                pass
        return found


@pytest.fixture(scope="module", params=[False, True], ids=["caged", "both-tiers"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("canary")
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    secret = "s3cr3t-" + secrets.token_hex(8)
    (folder / "secret.txt").write_text(secret, encoding="utf-8")
    (folder / "secret.txt").chmod(0o644)
    unix, tcp, udp = socket.socket(socket.AF_UNIX), socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    unix.bind(str(folder / "sock"))
    unix.listen()
    tcp.bind(("127.0.0.1", 0))
    tcp.listen()
    port = tcp.getsockname()[1]
    udp.bind(("127.0.0.1", port))
    for listener in (unix, tcp, udp):
        listener.setblocking(False)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "sbx_bystander"])
    before = os.environ.get("HF_TOKEN")
    os.environ["HF_TOKEN"] = secret
    pool = ProgramPool(Limits(timeout_s=TIMEOUT_S, memory_mib=128, output_kib=16), workers=2, fast=request.param)
    try:
        yield World(folder, secret, port, [unix, tcp, udp], bystander, pool)
    finally:
        pool.close()
        bystander.kill()
        bystander.wait()
        for listener in (unix, tcp, udp):
            listener.close()
        if before is None:
            del os.environ["HF_TOKEN"]
        else:
            os.environ["HF_TOKEN"] = before


def processes() -> set[int]:
    """Descendants of this process that are not zygotes: programs that are left over."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def shared_memory() -> str:
    return Path("/proc/sysvipc/shm").read_text(encoding="utf-8") + str(sorted(os.listdir("/dev/shm")))


ANSWERS: dict[str, set[tuple[str, str]]] = {
    "answer_bool": {("no_answer", "")},
    "answer_complex": {("no_answer", "")},
    "answer_inf": {("no_answer", "")},
    "answer_list": {("answered", "3")},
    "answer_neg_zero": {("answered", "-0.0")},
    "answer_surrogate": {("answered", "?")},
    "catch_everything": {("timeout", "")},
    "chmod": {("refused", "")},
    "ctypes_libc": {("refused", "")},
    "empty": {("no_answer", "")},
    "evil_float": {("answered", "1.0")},
    "fd_forgery": {("crashed", "")},
    "huge_answer": {("too_large", "")},
    "huge_stdout": {("too_large", "")},
    "infinite_loop": {("timeout", "")},
    "infinite_sleep": {("timeout", "")},
    "lying_type": {("answered", "3")},
    "malicious_pickle": {("no_answer", "")},
    "net_tcp": {("refused", "")},
    "net_udp": {("refused", "")},
    "os_exit0": {("crashed", "")},
    "read_passwd": {("refused", "")},
    "read_parent_mem": {("refused", "")},
    "read_secret": {("refused", "")},
    "regex_redos": {("timeout", "")},
    "signal_mask": {("timeout", "")},
    "sys_exit0": {("answered", "5")},
    "unix_socket": {("refused", "")},
    "unlink": {("refused", "")},
    "write_file": {("refused", "")},
}
"""Where the outcome is one that we promise (status, answer)."""


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack["id"])
def test_attack(world: World, attack: dict[str, Any]) -> None:
    assert world.pool.run(["answer = 1"])[0].answer == "1"
    programs_before, memory_before = processes(), shared_memory()
    code = attack["code"].replace("{CANARY}", str(world.folder))
    if attack.get("port"):
        code = code.replace("PORT", str(world.port))
    started = time.monotonic()
    outcome = world.pool.run([code])[0]
    seconds = time.monotonic() - started

    assert seconds < TIMEOUT_S + 5
    assert world.secret not in outcome.answer + outcome.why
    assert len(outcome.answer) + len(outcome.why) < 3_000
    assert world.touched() == []
    assert world.bystander.poll() is None
    assert shared_memory() == memory_before
    assert processes() <= programs_before
    if attack["id"] in ANSWERS:
        assert (outcome.status, outcome.answer) in ANSWERS[attack["id"]], outcome
    assert harmless(world.pool).answer == "42"


def harmless(pool: ProgramPool) -> Outcome:
    return pool.run(["def solution():\n    return 6 * 7"])[0]
