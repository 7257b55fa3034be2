"""Sends a run's figures to a tracker: each once, also where the run, or the sending, was killed and goes on.

How far it has come is kept in `RUN/trackers/NAME.json`, with what the tracker calls the run. It is written before a
batch is sent and set back if that fails, so a kill in between may lose a batch to the tracker and never doubles one.
The run's own files have everything, and `siked track --again` sends it all anew, as another run of the tracker's.
"""

from __future__ import annotations

import calendar
import json
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core.contracts_tracking import Figures, TrackedRun, Tracker
from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.lock import Lock
from siked_core.manifest import read_manifest
from siked_core.tracked import config, read_report, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "trackers"
BATCH = 500
"""Figures that are sent at once."""


class Sender:
    """Sends to one tracker. Made by `sending`."""

    def __init__(self, run: Path, tracker: Tracker, state: dict[str, Any]) -> None:
        self._run, self._tracker = run, tracker
        self._state = state
        self.sent = 0

    @property
    def id(self) -> str:
        """What the tracker calls the run."""
        return str(self._state["id"])

    def send(self, figures: Sequence[Figures]) -> None:
        """Send those that are new.

        Raises:
            Exception: whatever the tracker does.
        """
        reached: dict[str, int] = self._state["sent"]
        fresh = [one for one in figures if one.step > reached.get(one.series, -1)]
        for start in range(0, len(fresh), BATCH):
            batch = fresh[start : start + BATCH]
            before = dict(reached)
            for one in batch:
                reached[one.series] = max(one.step, reached.get(one.series, -1))
            self._keep()
            try:
                self._tracker.log(batch)
            except BaseException:
                self._state["sent"] = before
                self._keep()
                raise
            self.sent += len(batch)

    def finish(self) -> None:
        """Send what the run came to, if it has finished."""
        report = read_report(self._run)
        if report is not None and read_manifest(self._run)["finished"]:
            self._tracker.finish(summary(report))

    def _keep(self) -> None:
        write_text(state_file(self._run, self._tracker.name), json.dumps(self._state, indent=2) + "\n")


@contextmanager
def sending(run: Path, tracker: Tracker, *, again: bool = False) -> Iterator[Sender]:
    """A tracker that is open for a run, and closed at the end.

    Args:
        again: as another run of the tracker's, from the beginning.

    Raises:
        RunError: somebody else is sending to it, or the state cannot be read or written.
        Exception: whatever the tracker does.
    """
    file = state_file(run, tracker.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = Lock(file.with_suffix(".lock"))
    try:
        lock.acquire()
    except RunError:
        raise RunError(
            f"The figures of {run} are being sent to {tracker.name} just now, by the run itself or by another "
            "`siked track`."
        ) from None
    try:
        state = {} if again else read_state(run, tracker.name)
        manifest = read_manifest(run)
        folder = file.parent / tracker.name
        folder.mkdir(exist_ok=True)
        sender = Sender(run, tracker, {"id": None, "sent": {}, **state})
        sender._state["id"] = tracker.open(
            TrackedRun(
                run.resolve().name,
                folder.resolve(),
                config(manifest["recipe"]),
                _made(manifest.get("created", "")),
                sender._state["id"],
            )
        )
        try:
            sender._keep()
            yield sender
        finally:
            tracker.close()
    finally:
        lock.release()


def state_file(run: Path, tracker: str) -> Path:
    return run / FOLDER / f"{tracker}.json"


def read_state(run: Path, tracker: str) -> dict[str, Any]:
    """How far a tracker is.

    Raises:
        RunError: it cannot be read.
    """
    path = state_file(run, tracker)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. Remove it, and everything is sent anew.") from None
    return found


def _made(created: str) -> float:
    try:
        return float(calendar.timegm(time.strptime(created, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return time.time()
