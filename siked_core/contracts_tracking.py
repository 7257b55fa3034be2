"""What a tracker must be able to do: show a run's figures elsewhere, in TensorBoard, on a server.

A tracker works in a process of its own beside the run, and is handed what the run has written down. So it may take its
time, wait for a server, print, fail, or hang: the run goes on. What it is handed comes once, in order, also when a run
was killed and goes on; what it could not send, `siked track` sends later.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from siked_core.plugin import Kind, Plugin


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers that belong to a step of a series: a training's loss at an optimiser step, a round's accuracy."""

    series: str
    """`round`, whose steps are the rounds from 0 on; `spent`, what was spent up to the end of each; or `train/STUDENT`,
    whose steps are the optimiser's, from 1 on."""
    step: int
    values: Mapping[str, float]
    t: float
    """When, in seconds since 1970."""

    @property
    def named(self) -> dict[str, float]:
        """The values by their whole names: `train/round-0/loss`."""
        return {f"{self.series}/{name}": value for name, value in self.values.items()}


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run that is to be tracked."""

    name: str
    folder: Path
    """A folder of the run's directory that is this tracker's own, for what it keeps."""
    config: Mapping[str, Any]
    """The run's recipe, as dotted keys and plain values, without what looks like a secret."""
    created: float
    """When the run was made, in seconds since 1970."""
    id: str | None = None
    """What `open` returned when this run was last tracked here; None the first time."""


class Tracker(Plugin):
    """Shows a run's figures elsewhere. It changes nothing of what a run makes."""

    kind: ClassVar[Kind] = "tracker"

    @abstractmethod
    def open(self, run: TrackedRun) -> str:
        """Begin to track a run, or go on with the one that `run.id` names: by what it is known there. Called once,
        before anything else. What it is given is not secret, but what it adds may be: log no environment, no command
        line, no code.

        Raises:
            Exception: whatever hinders it. The run goes on, and is told of it in one line.
        """

    @abstractmethod
    def log(self, figures: Sequence[Figures]) -> None:
        """Send figures, in order, each series' steps rising. When it returns they are where they belong, as far as the
        tracker's client can tell.

        Raises:
            Exception: they could not be sent. These, and all that follow, are sent when the run is tracked again.
        """

    def finish(self, summary: Mapping[str, float | str]) -> None:
        """The run has finished: what it came to. Called after the last `log`; again if a finished run is sent again."""

    def close(self) -> None:
        """Nothing more comes for now. Called whatever happened, once `open` has returned."""
