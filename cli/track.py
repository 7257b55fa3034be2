"""`siked track`: send a run's figures to a tracker, afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, Quiet, RunName, Runs
from siked_cli.output import Output
from siked_cli.switches import open_registry

To = Annotated[str, typer.Option("--to", metavar="NAME", help="Which tracker: siked plugins list tracker.")]
Option = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the tracker, e.g. project=mine. Repeatable."),
]
Again = Annotated[
    bool, typer.Option("--again", help="Send everything anew, as another run of the tracker's, instead of what is new.")
]


def command(
    run: RunName,
    to: To,
    option: Option = None,
    again: Again = False,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Send a run's figures to TensorBoard, Weights & Biases, MLflow, trackio or another tracker.

    They come from the run's own files, so this works for a run that was not tracked, or whose tracker was away. What
    was sent before is not sent again. With `siked distill --track NAME` it happens while the run works.
    """
    from siked_core.layers import assigned
    from siked_core.manifest import read_manifest
    from siked_core.recipe import validate
    from siked_core.run import locate
    from siked_core.trackers import send

    path = locate(run, runs)
    recipe = validate(read_manifest(path)["recipe"])
    registry = open_registry(no_plugin)
    options = next((choice.options for choice in recipe.track if choice.name == to), {})
    options = {**options, **assigned(option or ())}
    registry.create("tracker", to, options).check_machine()
    output = Output(json=json, quiet=quiet)
    output.reporter.note(f"Sending what {to} does not have yet of {path} ...")
    found = send(path, registry.get("tracker", to), options, again=again)
    output.document({"run": str(path), "tracker": to, **found})
    output.show(f"{path} is {found['id']} in {to}: {found['sent']:,} steps were sent.")
