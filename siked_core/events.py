"""A run's events: a file to which lines of JSON are appended, and whoever follows it.

A line is whole or it is not there: one that a kill or a full disk has torn is passed over, and the next one begins on a
line of its own. There is one writer, who holds the run's lock. Readers poll, so that they need nothing of a network
file system but that it shows what was written. Nothing that a run makes rests on this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from siked_core.contracts_tracking import Figures

Event = dict[str, Any]
"""`t` (seconds since 1970), `event` (begun, ended, stopped, note, warning, figures, state), and what belongs to it."""
_CHUNK = 1 << 20


class EventWriter:
    """Appends to the file. It never raises what a disk may: it says whether it could."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = True
        """What stands at the file's end may be half a line."""

    def append(self, events: Iterable[Event]) -> bool:
        """Write them, all or, as far as can be told, none: whether they are written."""
        lines = b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)
        if not lines:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                if self._torn and file.tell():
                    lines = b"\n" + lines
                self._torn = True
                self._torn = file.write(lines) != len(lines)
        except OSError:
            return False
        return not self._torn


class EventReader:
    """Follows the file from its beginning: each call of `read` gives what has been added since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def read(self) -> Iterator[Event]:
        """The whole lines that are new. A file that is not there, or cannot be read just now, has none."""
        while True:
            try:
                with self._path.open("rb") as file:
                    file.seek(self._place)
                    chunk = file.read(_CHUNK)
            except OSError:
                return
            whole, newline, _ = chunk.rpartition(b"\n")
            if not newline:
                if len(chunk) < _CHUNK:
                    return
                whole = chunk  # no line of ours is so long
            self._place += len(whole) + len(newline)
            for line in whole.split(b"\n"):
                event = _parsed(line)
                if event is not None:
                    yield event


def _parsed(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def figures_in(events: Iterable[Event]) -> list[Figures]:
    """The figures of some events, each step of each series once: the latest counts, as where a training that was
    killed has taken steps again. In the order in which the series began, and of the steps."""
    latest: dict[str, dict[int, Figures]] = {}
    for event in events:
        if event["event"] != "figures":
            continue
        try:
            values = {str(name): float(value) for name, value in event["values"].items()}
            found = Figures(str(event["series"]), int(event["step"]), values, float(event["t"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        latest.setdefault(found.series, {})[found.step] = found
    return [steps[step] for steps in latest.values() for step in sorted(steps)]
