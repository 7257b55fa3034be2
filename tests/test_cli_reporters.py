"""Progress: plain lines that do not flood a log, and a live view that leaves a line per stage behind."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from siked_cli.live import LiveReporter
from siked_cli.output import Output
from siked_cli.plain import PlainReporter
from siked_core.reporting import Reporter, SilentReporter


class Clock:
    """A clock that only moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain() -> tuple[PlainReporter, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return PlainReporter(stream, clock), stream, clock


def test_a_plain_stage_is_a_line_at_each_end() -> None:
    reporter, stream, clock = plain()
    with reporter.stage("teach", 1200, "samples") as progress:
        progress.advance(1200)
        clock.now += 3
        progress.finish("720 correct")
    assert stream.getvalue().splitlines() == ["teach: 1,200 samples", "teach: done in 3.0 s: 720 correct"]


def test_plain_progress_comes_at_most_every_five_seconds_with_rate_and_time_left() -> None:
    reporter, stream, clock = plain()
    with reporter.stage("rollout", 100, "samples") as progress:
        progress.advance(10)  # what an earlier process had done: no measure of speed
        progress.describe("yield 61 %")
        for _ in range(60):
            clock.now += 0.25
            progress.advance()
    lines = stream.getvalue().splitlines()[1:-1]
    assert lines == [
        "rollout: 30 of 100 samples, 4.0/s, 18 s left, yield 61 %",
        "rollout: 50 of 100 samples, 4.0/s, 12 s left, yield 61 %",
        "rollout: 70 of 100 samples, 4.0/s, 8 s left, yield 61 %",
    ]


def broken_off(reporter: Reporter) -> None:
    with reporter.stage("train", 50, "steps") as progress:
        progress.advance(7)
        raise KeyboardInterrupt


def test_a_plain_stage_that_is_broken_off_says_how_far_it_got() -> None:
    reporter, stream, _ = plain()
    with pytest.raises(KeyboardInterrupt):
        broken_off(reporter)
    assert stream.getvalue().splitlines()[-1] == "train: stopped after 7 of 50 steps"


def test_an_empty_stage_is_no_division_by_zero() -> None:
    reporter, stream, clock = plain()
    with reporter.stage("verify", 0, "samples") as progress:
        clock.now += 6
        progress.advance(0)
    assert "verify: 0 of 0 samples" in stream.getvalue()


def live() -> tuple[LiveReporter, io.StringIO]:
    stream = io.StringIO()
    return LiveReporter(Console(file=stream, force_terminal=True, width=100, color_system=None)), stream


def shown(stream: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())


def test_the_live_view_leaves_a_line_per_stage() -> None:
    reporter, stream = live()
    with reporter.stage("teach", 1200, "samples") as progress:
        progress.advance(512)
        progress.describe("yield 61 %")
        assert reporter._bars is not None
        reporter._bars.refresh()
        progress.finish("720 of 1,200 correct")
    reporter.note("Run runs/pocket-001")
    reporter.warn("the sandbox is weaker here")
    text = shown(stream)
    assert re.search(r"done +0\.\d s  teach  720 of 1,200 correct", text)
    assert re.search(r"teach .*512/1,200 samples .*yield 61 %", text), "the bar has shown how far it was"
    assert "Run runs/pocket-001" in text
    assert "Warning: the sandbox is weaker here" in text


def test_live_stages_may_nest_and_the_terminal_is_given_back() -> None:
    reporter, stream = live()
    with reporter.stage("round 1", 2, "stages") as outer:
        with reporter.stage("train", 10, "steps") as inner:
            inner.advance(10)
        outer.advance(2)
    assert reporter._bars is None
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h"), "the cursor is visible again"
    assert shown(stream).rindex("s  train") < shown(stream).rindex("s  round 1"), "the inner one ends first"


def test_a_live_stage_that_is_broken_off_gives_the_terminal_back() -> None:
    reporter, stream = live()
    with pytest.raises(KeyboardInterrupt):
        broken_off(reporter)
    assert "stopped train" in shown(stream)
    assert "after 7 of 50 steps" in shown(stream)
    assert stream.getvalue().rstrip().endswith("steps")
    assert reporter._bars is None


@pytest.mark.parametrize(("options", "kind"), [({}, PlainReporter), ({"quiet": True}, SilentReporter)])
def test_where_there_is_no_terminal_progress_is_plain_or_none(options: dict[str, bool], kind: type) -> None:
    assert type(Output(**options).reporter) is kind


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    reporter: Reporter = Output(quiet=True).reporter
    reporter.note("x")
    with reporter.stage("teach", 1, "samples") as progress:
        progress.advance()
        progress.finish("done")
    assert capsys.readouterr() == ("", "")
