"""Progress as a live view: a bar for every stage that runs, a line for every stage that has ended, and under them the
whole run where there is one to be shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from siked_cli.board import spent_line, stage_table
from siked_core import figures
from siked_core.now import StageClock
from siked_core.reporting import Progress
from siked_core.spending import Spent
from siked_core.visible import one_line

REFRESHES_PER_S = 4
Board = Callable[[int], RenderableType]
"""What is shown under the bars, in so many columns."""


class LiveReporter:
    """Shows on a terminal what is being done, how fast, and how long it will take."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Live | None = None
        self._open: list[StageClock] = []
        self._spent: tuple[Spent, str, float] | None = None
        self._board: Board | None = None
        self._spinner = Spinner("line")

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
        clock = StageClock(name, total, unit)
        self._open.append(clock)
        self._show()
        progress = _LiveProgress(clock)
        began = time.monotonic()
        try:
            yield progress
        except BaseException:
            self._end(clock)
            self._line("stopped", "red", name, f"after {figures.count(clock.done)} of {figures.count(total)} {unit}")
            raise
        self._end(clock)
        took = figures.duration(time.monotonic() - began)
        self._line(f"done {took:>7} ", "green", name, progress.summary)

    def note(self, text: str) -> None:
        self._console.print(Text(one_line(text), style="dim"))

    def warn(self, text: str) -> None:
        self._console.print(Text(f"Warning: {one_line(text)}", style="yellow"))

    def spent(self, spent: Spent, currency: str) -> None:
        self._spent = (spent, currency, time.monotonic())

    @contextmanager
    def board(self, board: Board) -> Iterator[None]:
        """Show this too, and between stages as well, so that nothing jumps. At the end the terminal is as it was."""
        self._board = board
        try:
            yield
        finally:
            self._board = None
            self._hide()

    def _show(self) -> None:
        if self._bars is None:
            self._bars = Live(
                _View(self.picture), console=self._console, transient=True, refresh_per_second=REFRESHES_PER_S
            )
            self._bars.start()

    def _hide(self) -> None:
        """Take the view away, so that others may use the terminal."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _end(self, clock: StageClock) -> None:
        self._open.remove(clock)
        if not self._open and self._board is None:
            self._hide()

    def picture(self, width: int) -> RenderableType:
        """All that is on the screen."""
        parts: list[RenderableType] = []
        stages = [clock.now() for clock in list(self._open)]
        if stages:
            grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
            grid.add_column(width=1)
            grid.add_column(ratio=1)
            grid.add_row(self._spinner, stage_table(stages, width - 2))
            parts.append(grid)
        if self._board is not None:
            parts += [Text(), self._board(width)] if stages else [self._board(width)]
        elif self._spent is not None:
            spent, currency, told = self._spent
            parts.append(spent_line(spent + Spent(seconds=time.monotonic() - told), currency))
        return Group(*parts)

    def _line(self, state: str, colour: str, name: str, rest: str) -> None:
        self._console.print(
            Text.assemble((f"{state} ", colour), (one_line(name), "bold"), f"  {one_line(rest)}" if rest else "")
        )


class _View:
    """What is shown, in as many columns as there are at this moment."""

    def __init__(self, picture: Callable[[int], RenderableType]) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._picture(options.max_width)


class _LiveProgress:
    def __init__(self, clock: StageClock) -> None:
        self.summary = ""
        self._clock = clock

    @property
    def done(self) -> int:
        return self._clock.done

    def advance(self, amount: int = 1) -> None:
        self._clock.advance(amount)

    def describe(self, text: str) -> None:
        self._clock.describe(text)

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def finish(self, summary: str) -> None:
        self.summary = summary
