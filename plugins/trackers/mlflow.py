"""MLflow, by its client: the light `mlflow-skinny`, which speaks to a server or writes a data base of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from siked_core import Figures, Options, TrackedRun, Tracker, hookimpl
from siked_plugins.trackers.clients import need

PARAMETERS, METRICS = 100, 1000
"""As many as MLflow takes at once."""
LONGEST, LONGEST_NAME = 6000, 250
"""Characters of a parameter, and of a name."""


class MlflowOptions(Options):
    uri: str | None = Field(
        None, description="where: http://HOST:5000, sqlite:///FILE; by default MLFLOW_TRACKING_URI, or MLflow's own"
    )
    experiment: str = Field("siked", min_length=1, description="the experiment there")


class Mlflow(Tracker):
    """MLflow: a tracking server, or a file of its own (MLFLOW_TRACKING_URI)."""

    name = "mlflow"
    options_type = MlflowOptions
    _client: Any = None

    def check_machine(self) -> None:
        need(self.name, "mlflow")

    def open(self, run: TrackedRun) -> str:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self._client = MlflowClient(tracking_uri=self.options.uri)
        if run.id is not None:
            self._id = run.id
            self._client.update_run(run.id, status="RUNNING")
            return run.id
        found = self._client.get_experiment_by_name(self.options.experiment)
        experiment = found.experiment_id if found else self._client.create_experiment(self.options.experiment)
        made = self._client.create_run(experiment, start_time=int(1000 * run.created), run_name=run.name)
        self._id = str(made.info.run_id)
        parameters = [Param(_name(name), str(value)[:LONGEST]) for name, value in run.config.items()]
        for start in range(0, len(parameters), PARAMETERS):
            self._client.log_batch(self._id, params=parameters[start : start + PARAMETERS])
        return self._id

    def log(self, figures: Sequence[Figures]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(_name(name), value, int(1000 * one.t), one.step)
            for one in figures
            for name, value in one.named.items()
        ]
        for start in range(0, len(metrics), METRICS):
            self._client.log_batch(self._id, metrics=metrics[start : start + METRICS])

    def finish(self, summary: Mapping[str, float | str]) -> None:
        for name, value in summary.items():
            if isinstance(value, str):
                self._client.set_tag(self._id, _name(name), value)
            else:
                self._client.log_metric(self._id, _name(name), value)
        self._client.set_terminated(self._id, "FINISHED")

    def close(self) -> None:
        if self._client is not None and self._client.get_run(self._id).info.status == "RUNNING":
            self._client.set_terminated(self._id, "KILLED")


def _name(text: str) -> str:
    """As MLflow allows it, for which a name is a path that could be written in no shorter way."""
    parts = re.sub(r"[^\w./ :-]", "_", text).split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))[:LONGEST_NAME].strip("/") or "_"


@hookimpl
def siked_trackers() -> list[type[Tracker]]:
    return [Mlflow]
