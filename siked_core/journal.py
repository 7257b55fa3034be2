"""A run's journal: what it does, kept in its directory as it happens, for other terminals, machines and trackers.

    RUN/journal/now.json      what it is doing; replaced whole, once a second at the most
    RUN/journal/events.jsonl  what happened: stages, notes, warnings, figures (siked_core.events)

A thread of its own writes both, so that a slow disk slows nothing down, and what it cannot write it keeps for later or
loses: a run never fails for its journal. A kill loses a second of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from siked_core.events import Event, EventReader, EventWriter, figures_in
from siked_core.now import StageClock
from siked_core.reporting import Progress, Reporter
from siked_core.spending import Spent

FOLDER, NOW, EVENTS = "journal", "now.json", "events.jsonl"
FORMAT = 1
PERIOD_S = 1.0
"""Between two writes."""
IDLE_S = 5.0
"""The same where nothing is new: the seconds of a stage go on."""
LAST_S = 3.0
"""So long the last write may take when the run ends."""
KEPT_LINES = 10_000
"""Events that wait for a disk to take them; more are lost, the oldest first."""
MESSAGES = 3


class Journal:
    """Passes everything on to another reporter, and writes it down."""

    def __init__(self, run: Path, inner: Reporter) -> None:
        """Nothing is written before the first stage begins."""
        self._inner = inner
        self._folder = run / FOLDER
        self._writer = EventWriter(self._folder / EVENTS)
        self._waiting: deque[Event] = deque(maxlen=KEPT_LINES)
        self._open: list[StageClock] = []
        self._messages: deque[dict[str, str]] = deque(maxlen=MESSAGES)
        self._spent: tuple[Spent, str, float] | None = None
        self._state, self._why = "working", ""
        self._lock = threading.Lock()
        self._news, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._known: dict[tuple[str, int], Mapping[str, float]] | None = None
        self._failed = False

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
        self._begin()
        clock = StageClock(name, total, unit)
        with self._inner.stage(name, total, unit) as inner:
            progress = _Written(self, inner, clock)
            with self._lock:
                self._open.append(clock)
            self._add("begun", stage=name, total=total, unit=unit)
            try:
                yield progress
            except BaseException:
                self._end(clock, "stopped", "")
                raise
            self._end(clock, "ended", progress.summary)

    def note(self, text: str) -> None:
        self._inner.note(text)
        self._add("note", text=text)

    def warn(self, text: str) -> None:
        self._inner.warn(text)
        with self._lock:
            self._messages.append({"kind": "warning", "text": text})
        self._add("warning", text=text)

    def spent(self, spent: Spent, currency: str) -> None:
        self._inner.spent(spent, currency)
        with self._lock:
            self._spent = (spent, currency, time.monotonic())
        self._news.set()

    def figures(self, series: str, step: int, values: Mapping[str, float]) -> None:
        """Keep numbers of a step; those that are known already are not written again."""
        known = self._figures()
        if known.get((series, step)) != dict(values):
            known[series, step] = dict(values)
            self.add_figures(series, step, values)

    def add_figures(self, series: str, step: int, values: Mapping[str, float]) -> None:
        """The same without looking whether they are known."""
        self._add("figures", series=series, step=step, values=dict(values))

    def knows(self, series: str, step: int) -> bool:
        """Whether there are figures of a step."""
        return (series, step) in self._figures()

    def flush(self) -> None:
        """Wait until what there is has been written, or until the disk has had `LAST_S` for it."""
        until = time.monotonic() + LAST_S
        while self._thread is not None and self._waiting and time.monotonic() < until:
            self._news.set()
            time.sleep(0.05)

    def close(self, state: str, why: str = "") -> None:
        """Write what is left.

        Args:
            state: finished, resting (a command for one stage is done), paused, interrupted or failed.
            why: in one line, what ended it.
        """
        if self._thread is None:
            return
        self._state, self._why = state, why
        self._add("state", state=state, why=why)
        self._ended.set()
        self._news.set()
        self._thread.join(LAST_S)
        self._thread = None

    def changed(self) -> None:
        self._news.set()

    def _begin(self) -> None:
        if self._thread is None:
            self._state, self._why = "working", ""
            self._ended.clear()
            self._thread = threading.Thread(target=self._write_on, name="siked-journal", daemon=True)
            self._thread.start()

    def _end(self, clock: StageClock, how: str, summary: str) -> None:
        with self._lock:
            self._open.remove(clock)
        now = clock.now()
        self._add(how, stage=now.name, done=now.done, seconds=round(now.seconds, 3), summary=summary)

    def _figures(self) -> dict[tuple[str, int], Mapping[str, float]]:
        if self._known is None:
            found = figures_in(EventReader(self._folder / EVENTS).read())
            self._known = {(one.series, one.step): one.values for one in found}
        return self._known

    def _add(self, event: str, **content: Any) -> None:
        with self._lock:
            self._waiting.append({"t": round(time.time(), 3), "event": event, **content})
        self._news.set()

    def _write_on(self) -> None:
        while True:
            self._news.wait(IDLE_S)
            self._news.clear()
            last = self._ended.is_set()
            self._write()
            if last:
                return
            self._ended.wait(PERIOD_S)

    def _write(self) -> None:
        with self._lock:
            events, now = list(self._waiting), self._now()
        written = self._writer.append(events)
        if written:
            with self._lock:
                for _ in range(min(len(events), len(self._waiting))):
                    self._waiting.popleft()
        try:
            replace_text(self._folder / NOW, json.dumps(now, ensure_ascii=False) + "\n")
        except OSError:
            written = False
        if not written and not self._failed:
            self._failed = True
            with contextlib.suppress(OSError, ValueError):  # nobody reads what is said any more
                self._inner.warn(
                    f"Cannot write {self._folder}: the run goes on, but `siked watch` and trackers do not see what it "
                    "does."
                )

    def _now(self) -> dict[str, Any]:
        spent = None
        if self._spent is not None:
            told, currency, when = self._spent
            later = time.monotonic() - when if self._state == "working" else 0.0
            spent = {**asdict(told + Spent(seconds=later)), "currency": currency}
        return {
            "format": FORMAT,
            "state": self._state,
            "why": self._why,
            "stages": [clock.now().as_dict() for clock in self._open],
            "spent": spent,
            "messages": list(self._messages),
        }


class _Written:
    """The progress of a stage that is written down."""

    def __init__(self, journal: Journal, inner: Progress, clock: StageClock) -> None:
        self.summary = ""
        self._journal, self._inner, self._clock = journal, inner, clock

    def advance(self, amount: int = 1) -> None:
        self._clock.advance(amount)
        self._inner.advance(amount)
        self._journal.changed()

    def describe(self, text: str) -> None:
        self._clock.describe(text)
        self._inner.describe(text)
        self._journal.changed()

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        kind, _, rest = self._clock.now().name.partition(" ")
        self._journal.add_figures(f"{kind}/{rest}" if rest else kind, step, values)
        self._inner.measure(step, values)

    def finish(self, summary: str) -> None:
        self.summary = summary
        self._inner.finish(summary)


def replace_text(path: Path, text: str) -> None:
    """Replace a small file whole, without waiting until the disk has it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def read_now(run: Path) -> dict[str, Any] | None:
    """What a run's journal says that it is doing; None where there is none that can be read."""
    try:
        found = json.loads((run / FOLDER / NOW).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None
