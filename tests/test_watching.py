"""Watching a run: its journal, what is told of it in each condition, and when it ends."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from siked_cli.board import board
from siked_cli.watch import picture
from siked_core.ending import ending
from siked_core.errors import CapReached, RunError
from siked_core.events import EventReader, EventWriter, figures_in
from siked_core.files import write_text
from siked_core.journal import EVENTS, FOLDER, Journal, read_now
from siked_core.lock import Lock, Owner
from siked_core.manifest import read_manifest, write_manifest
from siked_core.now import StageClock
from siked_core.recipe import resolve
from siked_core.reporting import SilentReporter
from siked_core.run import how_ended
from siked_core.scorecard import Score, Scorecard, StrategyScore
from siked_core.spending import Spent
from siked_core.watching import Watcher, as_dict

Siked = Callable[..., SimpleNamespace]


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def made(folder: Path, stages: dict[str, float | None] | None = None, **changes: Any) -> Path:
    """A run as it lies on disk; of `stages`, those without seconds are under way."""
    recipe = resolve(changes={"stopping.rounds": 3, **changes})
    entries = {
        name: {"state": "running", "seconds": 0.0} if seconds is None else {"state": "done", "seconds": seconds}
        for name, seconds in (stages or {}).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "format": 1,
        "finished": False,
        "created": "",
        "recipe": recipe.model_dump(mode="json"),
        "stages": entries,
    }
    write_manifest(folder, content)
    return folder


def scored(run: Path, student: str, right: int, shares: dict[str, float], total: int = 100) -> None:
    strategies = tuple(StrategyScore(name, Score(0, 0), share) for name, share in shares.items())
    card = Scorecard(student, "pocket", "validation", Score(right, total), strategies)
    write_text(run / "scorecards" / f"{student}.pocket-validation.json", json.dumps(card.as_dict()))


ROUND_0 = {
    "teach": 10.0, "verify teacher": 2.0, "mix round-0": 1.0, "train round-0": 30.0,
    "evaluate round-0 on pocket validation": 5.0, "verify evaluations/round-0/pocket-validation": 1.0,
}  # fmt: skip
ROUND_1 = {
    "rollout round-1": 20.0, "verify round-1": 4.0, "mix round-1": 1.0, "train round-1": 15.0,
    "evaluate round-1 on pocket validation": 5.0, "verify evaluations/round-1/pocket-validation": 1.0,
}  # fmt: skip
SHARES = {"cot": 0.5, "pot": 0.3, "l2m": 0.2}


# The journal


def test_a_stage_is_written_down_while_it_works(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SilentReporter())
    with journal.stage("train round-0", 50, "steps") as progress:
        journal.spent(Spent(3, 10, 20, 0.5, 60.0), "EUR")
        progress.advance(7)
        progress.describe("loss 1.234")
        progress.measure(7, {"loss": 1.234})
        journal.warn("the student may be collapsing")
        until = time.monotonic() + 20
        while not (now := read_now(tmp_path)) or not now["stages"] or now["stages"][0]["done"] != 7:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert (now["state"], now["stages"][0]["text"], now["spent"]["tokens_out"]) == ("working", "loss 1.234", 20)
        progress.finish("50 rows")
    journal.close("paused", "0.6 EUR spent; the cap is 0.6 EUR")
    now = read_now(tmp_path)
    assert now is not None
    assert (now["state"], now["stages"], now["messages"][0]["text"]) == ("paused", [], "the student may be collapsing")
    events = list(EventReader(tmp_path / FOLDER / EVENTS).read())
    assert [one["event"] for one in events] == ["begun", "figures", "warning", "ended", "state"]
    (figures,) = figures_in(events)
    assert (figures.series, figures.step, figures.named) == ("train/round-0", 7, {"train/round-0/loss": 1.234})


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    assert EventWriter(file).append([{"t": 1, "event": "note", "text": "a"}])
    with file.open("ab") as opened:
        opened.write(b'{"t": 2, "event": "no')  # kill -9
    reader = EventReader(file)
    assert [one["text"] for one in reader.read()] == ["a"]
    assert EventWriter(file).append([{"t": 3, "event": "note", "text": "b"}])
    assert [one["text"] for one in reader.read()] == ["b"]
    assert [one["text"] for one in EventReader(file).read()] == ["a", "b"]


def test_steps_that_a_training_takes_again_count_once() -> None:
    def step(number: int, loss: float) -> dict[str, Any]:
        return {"t": 1.0, "event": "figures", "series": "train/round-0", "step": number, "values": {"loss": loss}}

    found = figures_in([step(1, 3.0), step(2, 2.0), step(3, 9.0), step(2, 2.0), step(3, 1.0), {"event": "figures"}])
    assert [(one.step, one.values["loss"]) for one in found] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_full_disk_ends_no_run_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Warned(SilentReporter):
        said: list[str] = []  # noqa: RUF012 - of this test alone

        def warn(self, text: str) -> None:
            self.said.append(text)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("siked_core.journal.replace_text", full)
    monkeypatch.setattr("siked_core.journal.EventWriter.append", lambda *_: False)
    monkeypatch.setattr("siked_core.journal.PERIOD_S", 0.05)
    journal = Journal(tmp_path, Warned())
    for _ in range(3):
        with journal.stage("teach", 2, "samples") as progress:
            progress.advance()
            time.sleep(0.2)
    journal.close("finished")
    (warning,) = Warned.said
    assert "the run goes on" in warning
    monkeypatch.undo()
    again = Journal(tmp_path, SilentReporter())
    with again.stage("teach", 2, "samples"):
        pass
    again.close("finished")
    assert [one["event"] for one in EventReader(tmp_path / FOLDER / EVENTS).read()] == ["begun", "ended", "state"]


def test_what_earlier_processes_had_done_is_no_measure_of_speed() -> None:
    clock = Clock()
    stage = StageClock("teach", 100, "samples", clock)
    stage.advance(50)
    assert stage.now().left is None
    clock.now += 10
    stage.advance(10)
    assert (stage.now().rate, stage.now().left) == (1.0, 40.0)


# Conditions


def condition(run: Path) -> str:
    return Watcher(run).look().condition


def test_every_condition_of_a_run(tmp_path: Path) -> None:
    assert condition(made(tmp_path / "new")) == "not begun"
    for state in ("resting", "paused", "interrupted", "failed"):
        run = made(tmp_path / state, {"teach": 1.0})
        ended(run, state)
        assert condition(run) == state
    run = made(tmp_path / "done", ROUND_0)
    write_manifest(run, {**read_manifest(run), "finished": True})
    assert condition(run) == "finished"
    with pytest.raises(RunError, match=r"There is no run at .*none\. Runs under .*: done, failed"):
        Watcher(tmp_path / "none").look()


def ended(run: Path, state: str) -> None:
    journal = Journal(run, SilentReporter())
    with journal.stage("teach", 2, "samples") as progress:
        progress.advance(2)
    journal.close(state, "because")


def test_running_and_dead_are_told_apart_by_the_lock(tmp_path: Path) -> None:
    run = made(tmp_path / "run", {"teach": None})
    lock = Lock(run / "run.lock")
    lock.acquire()
    assert condition(run) == "running"
    lock.release()
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    text = json.dumps({**owner(), "pid": gone.pid})
    (run / "run.lock").write_text(f"000000000001\n{text}\n", encoding="utf-8")
    assert condition(run) == "dead"


def owner() -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(Owner.me())


def test_another_machines_run_lives_as_long_as_its_lock_beats(tmp_path: Path) -> None:
    run, clock = made(tmp_path / "run", {"teach": None}), Clock()
    text = json.dumps({**owner(), "host": "elsewhere", "space": "other"})

    def beat(count: int) -> None:
        (run / "run.lock").write_text(f"{count:012d}\n{text}\n", encoding="utf-8")

    beat(1)
    watcher = Watcher(run, clock)
    assert watcher.look().condition == "unsure"
    clock.now += 6
    beat(2)
    assert watcher.look().condition == "running"
    clock.now += 29
    assert watcher.look().condition == "running"
    clock.now += 2
    assert watcher.look().condition == "dead"
    silent = Watcher(run, clock)
    assert silent.look().condition == "unsure"
    clock.now += 31
    assert silent.look().condition == "dead"


# The plan and the end


def test_rounds_are_done_under_way_and_to_come(tmp_path: Path) -> None:
    run = made(tmp_path / "run", {**ROUND_0, "rollout round-1": 20.0, "verify round-1": None}, baselines="single")
    scored(run, "round-0", 40, SHARES)
    view = Watcher(run).look().view
    assert [one.state for one in view.rounds] == ["done", "under way", "to come", "to come"]
    states = [part.state for part in view.rounds[1].parts.values()]
    assert states == ["done", "under way", "to come", "to come", "to come"]
    assert view.rounds[0].parts["evaluate"].seconds == 6.0
    assert list(view.after) == ["baselines", "test"]
    assert view.rounds[0].card is not None


def test_the_end_is_unknown_until_every_kind_of_work_was_measured(tmp_path: Path) -> None:
    run = made(tmp_path / "run", ROUND_0)
    scored(run, "round-0", 40, SHARES)
    found = Watcher(run).look().ends
    assert found is not None
    assert (found.basis, found.seconds) == ("unknown", None)


def test_the_end_is_told_from_the_rounds_that_were(tmp_path: Path) -> None:
    import polars as pl

    from siked_core.pool import write_parquet

    run = made(tmp_path / "run", {**ROUND_0, **ROUND_1})
    for number, right in enumerate((40, 50)):
        scored(run, f"round-{number}", right, SHARES)
    write_parquet(pl.DataFrame({"id": [str(n) for n in range(50)]}), run / "problems" / "pocket-test.parquet")
    found = Watcher(run).look().ends
    assert found is not None
    # Two rounds as round 1, and two students on half as many questions as validation has.
    assert (found.basis, found.seconds) == ("rounds", pytest.approx(2 * 46 + 2 * 6 / 2))
    assert found.sooner


def test_the_end_is_told_from_a_quote_where_there_is_one(tmp_path: Path) -> None:
    run = made(tmp_path / "run", ROUND_0)
    steps = [("teach", 0), ("train", 0), ("evaluate", 0), ("test", None)]
    steps += [(name, number) for number in (1, 2, 3) for name in ("rollout", "train", "evaluate")]
    figure = {"low": 5.0, "expected": 10.0, "high": 30.0}
    content = {"steps": [{"round": number, "step": name, "seconds": figure} for name, number in steps]}
    write_text(run / "quote" / "quote.json", json.dumps(content))
    found = ending(Watcher(run).look().view)
    assert found is not None
    assert found.basis == "quote"
    # The last part of round 0's evaluation has not been judged: there is no scorecard.
    assert (found.low, found.seconds, found.high) == (50.0, 104.0, 324.0)


# The screen


def screen(run: Path, width: int, height: int = 24, encoding: str = "utf-8") -> list[str]:
    sight = Watcher(run).look(count=True)
    console = Console(width=width, height=height, no_color=True, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(picture(sight, width, encoding))
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_the_screen(tmp_path: Path, width: int) -> None:
    run = made(tmp_path / "run", {**ROUND_0, **ROUND_1, "rollout round-2": None}, **{"caps.tokens": 1000000})
    for number, right in enumerate((40, 50)):
        scored(run, f"round-{number}", right, SHARES)
    lines = screen(run, width)
    assert len(lines) <= 20
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for wanted in ("50.0 (40.4-59.6)", "30 %", "to come" if width > 60 else "3"):
        assert wanted in text
    assert ("✓train" in text) == (width == 120)


def test_marks_without_unicode(tmp_path: Path) -> None:
    run = made(tmp_path / "run", {**ROUND_0, "rollout round-1": None})
    scored(run, "round-0", 40, SHARES)
    text = "\n".join(screen(run, 80, encoding="ascii"))
    assert "+++++" in text
    assert ">rollout..." in text
    text.encode("ascii")


def test_what_others_wrote_does_not_steer_the_terminal(tmp_path: Path) -> None:
    run = made(tmp_path / "run", {"teach": None})
    journal = Journal(run, SilentReporter())
    with journal.stage("teach \x1b[2J", 2, "samples\x1b]0;x\x07"):
        journal.warn("evil \x1b[31m [bold]markup[/bold]")
        journal.flush()
        lines = screen(run, 100)
    journal.close("failed", "\x1b[2J gone")
    text = "\n".join([*lines, *screen(run, 100)])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]markup[/bold]" in text
    assert "It failed:" in text


def test_once_as_text_and_as_json(siked: Siked, tmp_path: Path) -> None:
    run = made(tmp_path / "run", ROUND_0)
    scored(run, "round-0", 40, SHARES)
    ended(run, "paused")
    text = siked("watch", str(run), "--once").out
    assert "paused" in text.splitlines()[0]
    assert "because" in text
    found = json.loads(siked("watch", str(run), "--once", "--json").out)
    assert (found["state"], found["why"], found["rounds"][0]["validation"]["correct"]) == ("paused", "because", 40)
    assert found["rounds"][0]["shares"] == SHARES
    assert found == json.loads(json.dumps(as_dict(Watcher(run).settle())))
    lines = siked("watch", str(run), "--json").out.splitlines()
    assert json.loads(lines[-1])["state"] == "paused"
    assert "paused" in siked("watch", str(run)).out, "without a terminal: plain lines, until it has ended"


def test_a_run_that_is_not_there_is_one_line(siked_says: Callable[..., str]) -> None:
    assert "There is no run at runs/nothing." in siked_says("watch", "nothing", code=2)


# As a user sees it


class Terminal:
    """A command in a pseudo-terminal of so many columns."""

    def __init__(self, folder: Path, columns: int, *arguments: str, **environment: str) -> None:
        import fcntl
        import termios

        self.text = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "siked_cli", *arguments],
            cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )  # fmt: skip
        os.close(theirs)

    @property
    def shown(self) -> str:
        """What it wrote, without what steers the terminal."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)

    def until(self, pattern: str, seconds: float = 240) -> None:
        """Read until something has been on the screen."""
        ends = time.monotonic() + seconds
        while not re.search(pattern, self.shown):
            assert time.monotonic() < ends, self.text[-3000:]
            self._read()

    def end(self, seconds: float = 60) -> int:
        ends = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < ends, self.text[-3000:]
            self._read()
        while self._read():
            pass
        os.close(self._ours)
        return self.process.returncode

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 0.2)[0]:
            return False
        try:
            chunk = os.read(self._ours, 1 << 16)
        except OSError:
            return False
        self.text += chunk.decode(errors="replace")
        return bool(chunk)


@pytest.mark.slow
def test_a_run_is_watched_on_a_terminal_killed_and_its_watcher_says_so(tmp_path: Path) -> None:
    """Live at 80 and watched at 60 columns; the watcher is interrupted, the run killed, and interrupted when it goes
    on: each leaves the terminal as it was."""
    distil = ["distill", "--preset", "pocket-smoke", "--strategies", "cot,pot", "--run", "mine"]
    run = Terminal(tmp_path, 80, *distil)
    run.until("train round-0 ")
    left, stays = Terminal(tmp_path, 60, "watch", "mine"), Terminal(tmp_path, 80, "watch", "mine", NO_COLOR="1")
    left.until("train round-0 ")
    left.process.send_signal(signal.SIGINT)
    assert left.end() == 130
    assert left.text.count("\x1b[?25l") == left.text.count("\x1b[?25h"), "the cursor is there again"
    assert run.process.poll() is None, "the run does not notice"
    stays.until("▸train")
    run.process.kill()
    assert run.end() == -signal.SIGKILL
    assert stays.end() == 0
    assert "dead" in stays.shown
    assert "killed, or the machine went down" in stays.shown
    assert not re.search("\x1b\\[[0-9;]*3[0-7]m", stays.text), "NO_COLOR"
    again = Terminal(tmp_path, 80, *distil)
    again.until("(?s)Continuing .*train round-0 .*validation")
    again.process.send_signal(signal.SIGINT)
    assert again.end() == 130
    assert again.text.count("\x1b[?25l") == again.text.count("\x1b[?25h")
    assert Watcher(tmp_path / "runs" / "mine").look().condition == "interrupted"


def test_a_cap_leaves_a_run_paused_with_its_reason(tmp_path: Path) -> None:
    pause = CapReached("5 tokens spent; the cap is 5 tokens.\nmore")
    assert how_ended(tmp_path, pause) == ("paused", "5 tokens spent; the cap is 5 tokens.")
    assert how_ended(tmp_path, KeyboardInterrupt()) == ("interrupted", "")
    assert how_ended(tmp_path, ValueError()) == ("failed", "ValueError()")
    assert how_ended(made(tmp_path / "run"), None) == ("resting", "")


def test_the_board_alone_is_what_a_run_shows_of_itself(tmp_path: Path) -> None:
    run = made(tmp_path / "run", ROUND_0)
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(board(Watcher(run).look(), 80))
    assert "unknown until a round was measured" in console.export_text()
