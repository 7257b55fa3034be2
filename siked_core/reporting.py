"""What a stage tells whoever watches. A stage speaks; it never asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from siked_core.spending import Spent


class Progress(Protocol):
    """The progress of one stage."""

    def advance(self, amount: int = 1) -> None:
        """So many more units are done."""

    def describe(self, text: str) -> None:
        """A short text beside the bar: a loss, a yield."""

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        """Figures of a step, counted from 1: a training's loss. They are kept with the run, and not shown."""

    def finish(self, summary: str) -> None:
        """What came out, in one line: shown when the stage ends."""


class Reporter(Protocol):
    """Where stages report to: a live view, plain lines, JSON lines, or nothing."""

    def stage(self, name: str, total: int, unit: str) -> AbstractContextManager[Progress]:
        """Open a stage: `with reporter.stage("teach", 1200, "samples") as progress: ...`."""

    def note(self, text: str) -> None:
        """Something worth knowing."""

    def warn(self, text: str) -> None:
        """Something that the user should look at."""

    def spent(self, spent: Spent, currency: str) -> None:
        """What the run has spent up to now, to be kept in sight. Without a currency nothing has a price."""


class SilentProgress:
    def advance(self, amount: int = 1) -> None:
        pass

    def describe(self, text: str) -> None:
        pass

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def finish(self, summary: str) -> None:
        pass


class SilentReporter:
    """Says nothing: `-q`, and the default of library calls."""

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
        yield SilentProgress()

    def note(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def spent(self, spent: Spent, currency: str) -> None:
        pass
