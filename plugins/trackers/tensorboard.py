"""TensorBoard: event files in the run's directory, by `torch.utils.tensorboard.SummaryWriter`.

A series' step is TensorBoard's step, so the rounds of a run, and the trainings of its students, lie over one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from siked_core import Figures, Options, TrackedRun, Tracker, hookimpl
from siked_plugins.trackers.clients import need


class TensorBoardOptions(Options):
    folder: Path | None = Field(
        None, description="where event files go, into a folder of the run's name; by default into the run's directory"
    )


class TensorBoard(Tracker):
    """TensorBoard event files, in the run's directory or a folder of yours.

    `tensorboard --logdir runs` shows those of all runs.
    """

    name = "tensorboard"
    options_type = TensorBoardOptions
    _writer: Any = None

    def check_machine(self) -> None:
        need(self.name, "tensorboard")

    def open(self, run: TrackedRun) -> str:
        from torch.utils.tensorboard import SummaryWriter

        folder = str(run.folder if self.options.folder is None else self.options.folder.resolve() / run.name)
        self._writer = SummaryWriter(run.id or folder)
        if run.id is None:
            rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in run.config.items()]
            self._writer.add_text("recipe", "\n".join(["| key | value |", "|---|---|", *rows]), walltime=run.created)
        return run.id or folder

    def log(self, figures: Sequence[Figures]) -> None:
        for one in figures:
            for name, value in one.named.items():
                self._writer.add_scalar(name, value, one.step, walltime=one.t)
        self._writer.flush()

    def finish(self, summary: Mapping[str, float | str]) -> None:
        rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in summary.items()]
        self._writer.add_text("report", "\n".join(["| | |", "|---|---|", *rows]))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _cell(value: object) -> str:
    """A value in a table of Markdown."""
    return " ".join(str(value).replace("|", "\\|").split())


@hookimpl
def siked_trackers() -> list[type[Tracker]]:
    return [TensorBoard]
