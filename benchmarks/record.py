"""What a benchmark leaves behind: a file of results that tells how it came about, and that docs/results.md is made of.

    record = Record("sampling", "Sampling", "Rollouts against ...")
    record.table("pocket, mixed lengths", rows)
    record.picture(Picture(table=0, x="way", y="ratio", low="least", high="most"), "Above 1 is faster.")
    record.say(f"{ratio:.2f} times as fast ...")
    record.write()

A file has the exact command, the commit, the versions, the machine, and the day. Nothing in docs/results.md is typed by
hand: its sentences about figures are what a benchmark `say`s, computed from them.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from siked_core.files import write_text
from siked_core.provenance import versions

RESULTS = Path(__file__).with_name("results")
Row = Mapping[str, str | float | None]


@dataclass(frozen=True)
class Picture:
    """How a table is drawn: a bar, or a point, for each row; with `line`, points of a series are joined."""

    table: int
    """Place of the table in the record."""
    x: str
    y: str
    low: str = ""
    """Column of the lower end of an interval, or none."""
    high: str = ""
    series: str = ""
    """Column that tells lines, or colours, apart."""
    line: bool = False
    log: bool = False
    """Whether both axes are logarithmic."""
    reference: float | None = None
    """A y to draw a rule at, as 1 for a ratio."""
    reading: str = ""
    """A sentence on how to read it."""


class Record:
    """The results of one benchmark."""

    def __init__(self, name: str, title: str, about: str) -> None:
        """Name of the file, heading in the page, and what was measured, how, in Markdown."""
        self.name, self.title, self.about = name, title, about
        self._tables: list[dict[str, Any]] = []
        self._pictures: list[Picture] = []
        self._says: list[str] = []
        self._more: dict[str, Any] = {}
        self._began = time.perf_counter()

    def table(self, caption: str, rows: Sequence[Row]) -> int:
        """Add one; a row maps columns to text or to numbers, which are shown as given. Returns its place."""
        self._tables.append({"caption": caption, "rows": [dict(row) for row in rows]})
        return len(self._tables) - 1

    def picture(self, picture: Picture) -> None:
        self._pictures.append(picture)

    def say(self, sentence: str) -> None:
        """What the figures come to, computed from them."""
        self._says.append(sentence)

    def lines(self) -> list[str]:
        """Its tables and sentences, in Markdown."""
        found: list[str] = []
        for table in self._tables:
            found += [*([f"**{table['caption']}**", ""] if table["caption"] else []), *markdown(table["rows"]), ""]
        return found + self._says

    def keep(self, **more: Any) -> None:
        """Raw figures that the page does not show."""
        self._more |= more

    def write(self, folder: Path = RESULTS) -> Path:
        """Into `NAME.json`."""
        document = {
            "title": self.title,
            "about": self.about,
            "command": command(),
            "made": datetime.now(UTC).date().isoformat(),
            "seconds": round(time.perf_counter() - self._began),
            "commit": commit(),
            "versions": versions(),
            "machine": machine(),
            "says": self._says,
            "tables": self._tables,
            "pictures": [asdict(one) for one in self._pictures],
            **self._more,
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path


def markdown(rows: Sequence[Row]) -> list[str]:
    """A table's lines, without columns that are empty throughout."""
    filled = {column for row in rows for column, value in row.items() if value not in (None, "")}
    columns = [column for column in dict.fromkeys(column for row in rows for column in row) if column in filled]
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join('---' for _ in columns)}|"]
    return lines + [f"| {' | '.join(_shown(row.get(column)) for column in columns)} |" for row in rows]


def _shown(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.replace("|", "\\|")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.10g}"


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Columns `median`, `least` and `most`."""
    found = {"median": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def in_turns(ways: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What each way returns (seconds, or a rate), `repeats` times, by turns, so that all meet the same machine.

    Every other turn goes backwards, so that none is always the one that comes after another."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            found[name].append(ways[name]())
    return found


def ratios(over: Sequence[float], under: Sequence[float], digits: int = 2) -> dict[str, float]:
    """The spread of the ratios within turns."""
    return spread([a / b for a, b in zip(over, under, strict=True)], digits)


def command() -> str:
    """What was typed, without the path of the interpreter; of a folder of this machine, its name."""
    script = Path(sys.argv[0])
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return shlex.join(["python", str(Path(script.parent.name) / script.name), *words])


def commit() -> str:
    """Of the checkout, with a + where files differ from it; empty where there is none."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        done = subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":!results")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def machine() -> dict[str, Any]:
    """Processor, cores that may be used, memory, system, and how busy it was."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": round(os.getloadavg()[2], 1),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
