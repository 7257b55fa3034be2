"""Progress: plain lines that do not flood a log, and a live view that leaves a line per stage behind."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from siked_cli.live import LiveReporter
from siked_cli.output import Output
from siked_core import figures
from siked_core.reporters.plain import PlainReporter
from siked_core.reporting import Reporter, SilentReporter
from siked_core.spending import Spent


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


SPENT = Spent(20, 12345, 678, 1.5, 187.0)


def test_plain_lines_say_what_was_spent_and_the_time_goes_on() -> None:
    reporter, stream, clock = plain()
    reporter.spent(SPENT, "EUR")
    with reporter.stage("train", 10, "steps") as progress:
        progress.advance()
        clock.now += 6
        progress.advance()
        clock.now += 2
    began, during, ended = stream.getvalue().splitlines()
    assert "spent" not in began
    assert during.endswith("| spent 12,345 tokens in, 678 out, 1.50 EUR, 3:13")
    assert ended.endswith("| spent 12,345 tokens in, 678 out, 1.50 EUR, 3:15")
    reporter.spent(SPENT, "")
    with reporter.stage("mix", 1, "mixture"):
        pass
    assert stream.getvalue().endswith("| spent 12,345 tokens in, 678 out, free, 3:07\n")


def test_the_live_view_keeps_what_was_spent_under_the_bars() -> None:
    reporter, stream = live()
    with reporter.stage("teach", 10, "samples") as progress:
        reporter.spent(SPENT, "EUR")
        progress.advance(5)
        assert reporter._bars is not None
        reporter._bars.refresh()
    # A stage that is told nothing still shows it.
    before = len(shown(stream))
    with reporter.stage("verify", 10, "samples"):
        assert reporter._bars is not None
        reporter._bars.refresh()
    pattern = r"spent  12,345 tokens in, 678 out, 1\.50 EUR, 3:0[78]"
    assert re.search(pattern, shown(stream)[:before])
    assert re.search(pattern, shown(stream)[before:])


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0.00 EUR"), (1234.5, "1,234.50 EUR"), (0.0312, "0.031 EUR"), (0.5, "0.50 EUR")]
)
def test_money(amount: float, text: str) -> None:
    assert figures.money(amount, "EUR") == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (4.7e6, "4.7 MB"), (2e13, "20.0 TB")]
)
def test_sizes(number: float, text: str) -> None:
    assert figures.size(number) == text


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
