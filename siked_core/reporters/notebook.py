"""Progress under a notebook's cell: a line for each stage, the running one kept up to date.

It needs no widgets, only the display that a kernel has, and so works wherever a notebook is shown or executed.
"""

from __future__ import annotations

import html
import io
import time
from collections.abc import Callable
from typing import Any

from siked_core.reporters.plain import PlainReporter

PERIOD_S = 0.5


class NotebookReporter(PlainReporter):
    """One display for a whole run. What stages say is shown as text, whatever is in it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, period: float = PERIOD_S) -> None:
        super().__init__(io.StringIO(), clock, period)
        self._lines: list[str] = []
        self._places: dict[str, int] = {}
        self._display: Any = None

    def _say(self, line: str, stage: str | None = None) -> None:
        place = self._places.get(stage) if stage is not None else None
        if place is None:
            place = len(self._lines)
            self._lines.append(line)
            if stage is not None:
                self._places[stage] = place
        self._lines[place] = line
        self._show()

    def _show(self) -> None:
        from IPython.display import display

        text = "\n".join(self._lines)
        shown = {"text/plain": text, "text/html": f"<pre>{html.escape(text)}</pre>"}
        if self._display is None:
            self._display = display(shown, raw=True, display_id=True)
        else:
            self._display.update(shown, raw=True)
