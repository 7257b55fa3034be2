"""The trackers of a run while it works: a process each, so that none of them can hold it up or take it down."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from siked_core.errors import RunError, SikedError
from siked_core.plugin import Plugin
from siked_core.recipe_choice import PluginChoice
from siked_core.run import Run
from siked_core.sending import FOLDER

WAIT_S = 30.0
"""So long a run that has ended waits for its trackers."""
LAST_S = 60.0
"""So long a tracker may take for the rest by itself, when nobody waits for it any more."""
HURRY_S = 2.0
"""The same where it was interrupted; what is left they send by themselves."""


@contextmanager
def tracking(run: Run) -> Iterator[None]:
    """Have the recipe's trackers follow the run."""
    started = [one for choice in run.recipe.track if (one := _start(run, choice)) is not None]
    wait_s = HURRY_S
    try:
        yield
        wait_s = WAIT_S
    finally:
        if started and run.journal is not None:
            run.journal.flush()
        until = time.monotonic() + wait_s
        for one in started:
            one.release()
        for one in started:
            one.wait(until, patient=wait_s == WAIT_S)


class _Beside:
    """The process of one tracker."""

    def __init__(self, run: Run, name: str, process: subprocess.Popen[str]) -> None:
        self._run, self._name, self._process = run, name, process
        self._heard = threading.Thread(target=self._listen, daemon=True)
        self._heard.start()

    def release(self) -> None:
        """Tell it that the run has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self, until: float, patient: bool) -> None:
        """Wait until it has ended, or until a moment."""
        try:
            self._process.wait(max(0.1, until - time.monotonic()))
            self._heard.join(1)
        except subprocess.TimeoutExpired:
            if patient:
                _warn(self._run, self._name, f"it has not taken everything within {WAIT_S:.0f} s")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if "failed" in told:
                    _warn(self._run, self._name, told["failed"])


def send(run: Path, plugin: type[Plugin], options: Mapping[str, Any], *, again: bool = False) -> dict[str, Any]:
    """Send a run's figures to a tracker now: what it calls the run (`id`), and how many steps it was sent (`sent`).

    Args:
        again: everything, as another run of the tracker's.

    Raises:
        RunError: it did not take them.
    """
    process = _process(run, plugin, options, again=again, last_s=None)
    try:
        out, _ = process.communicate()
    except BaseException:
        process.kill()
        raise
    told = json.loads(out or '{"failed": "its process ended without a word"}')
    if "failed" in told:
        raise RunError(
            f"The tracker {plugin.name} did not take the figures of {run}: {told['failed'].rstrip('.')}. They are kept "
            f"in the run, and the same command sends them. What its client wrote: {run / FOLDER / plugin.name}.log."
        )
    found: dict[str, Any] = told["done"]
    return found


def _start(run: Run, choice: PluginChoice) -> _Beside | None:
    try:
        process = _process(run.path, run.registry.get("tracker", choice.name), choice.options)
    except (OSError, SikedError) as error:
        _warn(run, choice.name, str(error))
        return None
    return _Beside(run, choice.name, process)


def _process(
    run: Path,
    plugin: type[Plugin],
    options: Mapping[str, Any],
    *,
    again: bool = False,
    last_s: float | None = LAST_S,
) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "siked_core.tracker_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C is for siked
    )
    assert process.stdin is not None
    told = {
        "run": str(run.absolute()),
        "name": plugin.name,
        "module": plugin.__module__,
        "class": plugin.__qualname__,
        "options": dict(options),
        "path": sys.path,
        "again": again,
        "last_s": last_s,
    }
    process.stdin.write(json.dumps(told) + "\n")
    process.stdin.flush()
    return process


def _warn(run: Run, name: str, why: str) -> None:
    run.reporter.warn(
        f"The tracker {name} does not follow this run: {why.rstrip('.')}. The run goes on, and everything is in its "
        f"directory: `siked track {run.path} --to {name}` sends it later."
    )
