"""trackio, by its client: a local data base, or a Space on the Hugging Face hub.

Series are told apart by their names; a series' step is trackio's step. A run of the same name goes on.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from siked_core import Figures, Options, TrackedRun, Tracker, hookimpl
from siked_plugins.trackers.clients import need


class TrackioOptions(Options):
    project: str = Field("siked", min_length=1, description="the project there")
    space_id: str | None = Field(None, description="a Space on the hub, USER/NAME; by default on this machine")


class Trackio(Tracker):
    """trackio: dashboards on this machine (`trackio show`), or in a Space on the hub."""

    name = "trackio"
    options_type = TrackioOptions
    _run: Any = None

    def check_machine(self) -> None:
        need(self.name, "trackio")

    def open(self, run: TrackedRun) -> str:
        import trackio

        name = run.id or f"{run.name}-{secrets.token_hex(3)}"
        self._run = trackio.init(
            project=self.options.project,
            name=name,
            space_id=self.options.space_id,
            config=dict(run.config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return name

    def log(self, figures: Sequence[Figures]) -> None:
        for one in figures:
            self._run.log(one.named, step=one.step)

    def finish(self, summary: Mapping[str, float | str]) -> None:
        self._run.log({f"report/{name}": value for name, value in summary.items()})

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()


@hookimpl
def siked_trackers() -> list[type[Tracker]]:
    return [Trackio]
