"""Progress as a live view: a bar for every stage that runs, a line for every stage that has ended."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskID
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from siked_core import figures
from siked_core.reporting import Progress
from siked_core.spending import Spent


class LiveReporter:
    """Shows on a terminal what is being done, how fast, and how long it will take."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: _Bars | None = None
        self._open = 0
        self._spending: _Spending | None = None

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
        bars = self._start()
        task = bars.add_task(name, total=total or None, unit=unit, text="")
        progress = _LiveProgress(bars, task)
        began = time.monotonic()
        try:
            yield progress
        except BaseException:
            self._end(task)
            self._line("stopped", "red", name, f"after {figures.count(progress.done)} of {figures.count(total)} {unit}")
            raise
        self._end(task)
        took = figures.duration(time.monotonic() - began)
        self._line(f"done {took:>7} ", "green", name, progress.summary)

    def note(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))

    def warn(self, text: str) -> None:
        self._console.print(Text(f"Warning: {text}", style="yellow"))

    def spent(self, spent: Spent, currency: str) -> None:
        self._spending = _Spending(spent, currency)
        if self._bars is not None:
            self._bars.spending = self._spending

    def _start(self) -> Bars:
        if self._bars is None:
            self._bars = _Bars(
                SpinnerColumn("line"),
                _NameColumn(),
                BarColumn(bar_width=None, table_column=Column(min_width=8, max_width=24, ratio=1)),
                _CountColumn(),
                _RateColumn(),
                _LeftColumn(),
                _TextColumn(table_column=Column(ratio=2, no_wrap=True, overflow="ellipsis")),
                console=self._console,
                transient=True,
                expand=True,
                refresh_per_second=5,
            )
            self._bars.spending = self._spending
            self._bars.start()
        self._open += 1
        return self._bars

    def _end(self, task: TaskID) -> None:
        """Take the bar away; the view itself goes with the last one, so that others may use the terminal."""
        if self._bars is None:
            return
        self._bars.remove_task(task)
        self._open -= 1
        if not self._open:
            self._bars.stop()
            self._bars = None

    def _line(self, state: str, colour: str, name: str, rest: str) -> None:
        self._console.print(Text.assemble((f"{state} ", colour), (name, "bold"), f"  {rest}" if rest else ""))


class _Spending:
    """A line about money and time, in which the time goes on."""

    def __init__(self, spent: Spent, currency: str) -> None:
        self._spent, self._currency, self._told = spent, currency, time.monotonic()

    def __rich__(self) -> Text:
        now = self._spent + Spent(seconds=time.monotonic() - self._told)
        line = f"spent  {figures.spent(now, self._currency)}"
        return Text(line, style="dim", no_wrap=True, overflow="ellipsis")


class _Bars(Bars):
    """The bars, and under them what has been spent."""

    spending: _Spending | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.spending is not None:
            yield self.spending


class _LiveProgress:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self.done = 0
        self.summary = ""
        self._bars, self._task = bars, task

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        self._bars.advance(self._task, amount)

    def describe(self, text: str) -> None:
        self._bars.update(self._task, text=text)

    def finish(self, summary: str) -> None:
        self.summary = summary


class _NameColumn(ProgressColumn):
    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        return Text(task.description, style="bold")


class _CountColumn(ProgressColumn):
    """512/1,200 samples"""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        whole = f"/{figures.count(task.total)}" if task.total is not None else ""
        return Text(f"{figures.count(task.completed)}{whole} {task.fields['unit']}")


class _RateColumn(ProgressColumn):
    """Units a second. The first report is left out: it may be what an earlier process had done."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))

    def render(self, task: Task) -> Text:
        return Text(figures.rate(task.speed), style="cyan")


class _LeftColumn(ProgressColumn):
    max_refresh = 0.5

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text(f"{figures.countdown(left)} left" if left is not None else "", style="cyan")


class _TextColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields["text"]), style="dim", no_wrap=True, overflow="ellipsis")
