"""The lock of a run: one process at a time, taken over from the dead, whatever the file system and the clock do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from siked_core import lock as module
from siked_core.errors import RunError
from siked_core.lock import Lock, Owner, read

HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom siked_core.lock import Lock\n"
    "Lock(Path(sys.argv[1])).acquire()\nprint('held', flush=True)\ntime.sleep(60)\n"
)


def left_behind(path: Path, owner: Owner, beat: int = 0) -> None:
    path.write_text(f"{beat:012d}\n{json.dumps(asdict(owner))}\n", encoding="utf-8")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.05)
    monkeypatch.setattr(module, "SILENCE_S", 0.5)
    monkeypatch.setattr(module, "_LOOK_S", 0.05)


def test_a_second_one_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    first, second = Lock(path), Lock(path)
    first.acquire()
    with pytest.raises(RunError, match=rf"Another process has the run .* open \(process {os.getpid()} on "):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_living_process_keeps_it_and_a_killed_one_loses_it(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {process.pid} on"):
            Lock(path).acquire()
        process.kill()
    mine = Lock(path)
    started = time.monotonic()
    mine.acquire()
    assert time.monotonic() - started < 0.4, "a dead process of this machine need not be watched"
    mine.release()


def test_a_later_process_of_the_same_number_is_another(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    left_behind(path, replace(Owner.me(), born="1"))
    mine = Lock(path)
    mine.acquire()
    mine.release()


def elsewhere(path: Path, stop: threading.Event, next_beat: Callable[[int], int]) -> None:
    owner = replace(Owner.me(), host="another", space="machine")
    count = 0
    while not stop.wait(0.05):
        count = next_beat(count)
        left_behind(path, owner, count)


def test_another_machine_keeps_it_while_its_count_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    left_behind(path, replace(Owner.me(), host="another", space="machine"))
    stop = threading.Event()
    beats = threading.Thread(target=elsewhere, args=(path, stop, lambda count: count + 1))
    beats.start()
    try:
        with pytest.raises(RunError, match=r"\(process \d+ on another\)"):
            Lock(path).acquire()
    finally:
        stop.set()
        beats.join()
    notes: list[str] = []
    mine = Lock(path, notes.append)
    mine.acquire()  # the count has stopped
    mine.release()
    assert len(notes) == 1
    assert "which cannot be asked from here: watching it" in notes[0]


def test_the_owner_goes_on_counting(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    lock = Lock(path)
    lock.acquire()
    before = read(path)
    time.sleep(0.3)
    after = read(path)
    lock.release()
    assert before[0] == after[0]
    assert int(after[1] or 0) > int(before[1] or 0)


def test_a_clock_that_is_set_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.lock"
    left_behind(path, replace(Owner.me(), host="another", space="machine"))
    os.utime(path, (4e9, 4e9))  # from the year 2096, as this clock has it
    monkeypatch.setattr(time, "time", lambda: 0.0)
    mine = Lock(path)
    mine.acquire()
    mine.release()


def test_a_file_that_is_no_lock_is_watched_and_then_taken(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    path.touch()
    mine = Lock(path)
    mine.acquire()
    mine.release()


def test_without_hard_links_and_without_locks_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    import fcntl

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)
    path = tmp_path / "run.lock"
    lock = Lock(path)
    lock.acquire()
    with pytest.raises(RunError, match="Another process"):
        Lock(path).acquire()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_who_comes_late_to_a_dead_owners_lock_leaves_the_new_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    dead = replace(Owner.me(), born="1")
    left_behind(path, dead)
    mine = Lock(path)
    mine.acquire()
    Lock(path)._take_away(dead)  # it had read the file before
    with pytest.raises(RunError, match="Another process"):
        Lock(path).acquire()
    mine.release()
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_was_left_behind_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import lock

    monkeypatch.setattr(lock, "CLAIM_S", 0.2)
    path = tmp_path / "run.lock"
    dead = replace(Owner.me(), born="1")
    left_behind(path, dead)
    (tmp_path / f".run.lock.{dead.token}.claim.tmp").touch()
    mine = Lock(path)
    mine.acquire()
    mine.release()
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_try_one_gets_it(tmp_path: Path) -> None:
    """A dead owner's lock, and eight processes that want it at once."""
    path = tmp_path / "run.lock"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom siked_core.lock import Lock\n"
        "from siked_core.errors import RunError\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        "try:\n    Lock(Path(sys.argv[1])).acquire()\n    print('held', flush=True)\n"
        "except RunError:\n    print('refused', flush=True)\nsys.stdin.readline()\n"
    )
    left_behind(path, replace(Owner.me(), born="1"))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]

    def said(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def tell(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    assert [said(process) for process in processes] == ["ready"] * 8
    for process in processes:
        tell(process)
    found = [said(process) for process in processes]
    for process in processes:
        tell(process)
        process.wait(timeout=20)
    assert sorted(found) == ["held", *["refused"] * 7]


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="Cannot write"):
        Lock(tmp_path / "file" / "run.lock").acquire()
