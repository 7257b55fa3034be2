"""Weights & Biases, by its client.

Every series has its own step as its horizontal axis (`define_metric`); W&B's own step only counts messages. What the
client would add by itself is switched off: the terminal's output, the command line, the code, the machine's load.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from siked_core import Figures, Options, TrackedRun, Tracker, hookimpl
from siked_plugins.trackers.clients import need


class WandbOptions(Options):
    project: str = Field("siked", min_length=1, description="the project there")
    entity: str | None = Field(None, description="user or team; by default the client's own")
    group: str | None = Field(None, description="runs that belong together, as those of several seeds")


class WeightsAndBiases(Tracker):
    """Weights & Biases; the client's own settings count (`wandb login`, WANDB_MODE=offline)."""

    name = "wandb"
    options_type = WandbOptions
    _run: Any = None

    def check_machine(self) -> None:
        need(self.name, "wandb")

    def open(self, run: TrackedRun) -> str:
        import wandb

        self._run = wandb.init(
            project=self.options.project,
            entity=self.options.entity,
            group=self.options.group,
            name=run.name,
            id=run.id or secrets.token_hex(4),
            resume="allow",
            dir=str(run.folder),
            config=dict(run.config),
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )
        self._axes: set[str] = set()
        return str(self._run.id)

    def log(self, figures: Sequence[Figures]) -> None:
        for one in figures:
            axis = f"{one.series}/step"
            if one.series not in self._axes:
                self._axes.add(one.series)
                self._run.define_metric(axis, hidden=True)
                self._run.define_metric(f"{one.series}/*", step_metric=axis)
            self._run.log({**one.named, axis: one.step})

    def finish(self, summary: Mapping[str, float | str]) -> None:
        self._run.summary.update(dict(summary))

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()


@hookimpl
def siked_trackers() -> list[type[Tracker]]:
    return [WeightsAndBiases]
