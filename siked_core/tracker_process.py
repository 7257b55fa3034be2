"""A tracker beside a run: `python -m siked_core.tracker_process`, one for each tracker, started by `trackers.py`.

It is told on its standard input, in one line of JSON, which run and which tracker; it then follows the run's events and
sends what is new. When its standard input ends, the run has ended or was killed: it sends the rest and ends, within
`last_s` seconds. What came of it, or hindered it, it says in one line of JSON on its standard output; what its
tracker's client prints goes into `RUN/trackers/NAME.log`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from siked_core.contracts_tracking import Tracker
from siked_core.errors import RunError, SikedError
from siked_core.events import EventReader, figures_in
from siked_core.sending import FOLDER, Sender, sending
from siked_core.tracked import all_figures
from siked_core.watching import events_file

LOOK_S = 1.0
LONGEST = 300
"""Characters of what is said of an error."""


def main() -> int:
    """Follow a run; the exit code."""
    told = json.loads(sys.stdin.readline())
    run = Path(told["run"])
    owner = _apart(run / FOLDER / f"{told['name']}.log")
    over = threading.Event()
    threading.Thread(target=_until_over, args=(over, told["last_s"]), daemon=True).start()
    try:
        tracker = _made(told)
        while True:
            try:
                with sending(run, tracker, again=told["again"]) as sender:
                    _follow(run, sender, over)
                _say(owner, done={"id": sender.id, "sent": sender.sent})
                return 0
            except RunError as error:  # one that a killed run has left is sending the rest
                if over.wait(LOOK_S) or "are being sent" not in str(error):
                    raise
    except Exception as error:  # whatever a client raises: the run is told, and goes on
        _say(owner, failed=_said(error))
        return 1


def _say(owner: IO[str], **told: Any) -> None:
    with contextlib.suppress(OSError):  # it may be gone
        owner.write(json.dumps(told) + "\n")
        owner.flush()


def _follow(run: Path, sender: Sender, over: threading.Event) -> None:
    reader = EventReader(events_file(run))
    while not over.is_set():
        sender.send(figures_in(reader.read()))
        over.wait(LOOK_S)
    sender.send(all_figures(run, reader.read()))
    sender.finish()


def _made(told: dict[str, Any]) -> Tracker:
    sys.path[:] = told["path"]
    found: Any = importlib.import_module(told["module"])
    for part in told["class"].split("."):
        found = getattr(found, part)
    tracker: Tracker = found(told["options"])
    tracker.check_machine()
    return tracker


def _apart(log: Path) -> IO[str]:
    """Have everything that is printed in a file; what is returned is the way to whoever started this process."""
    owner = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except OSError:
        file = os.open(os.devnull, os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    return owner


def _until_over(over: threading.Event, last_s: float | None) -> None:
    while os.read(0, 1 << 10):
        pass
    over.set()
    if last_s is None:
        return
    time.sleep(last_s)
    os._exit(1)  # its client hangs, and nobody waits for it any more


def _said(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if isinstance(error, SikedError) else f"{type(error).__name__}: {text}"
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST]


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # whatever threads a client has left
