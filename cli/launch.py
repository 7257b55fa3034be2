"""`siked launch slurm`: a batch script that runs a whole run on several machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Json, Runs
from siked_cli.recipe_command import Preset, Set, resolve_file

app = typer.Typer(no_args_is_help=True, help="Write what starts a run on several machines.")
ASKED = "What is asked of Slurm"


@app.callback()
def _launch() -> None:
    """Write what starts a run on several machines."""


@app.command("slurm")
def slurm(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[RECIPE.yaml]", help="A recipe; what it leaves open comes from the preset."),
    ] = None,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="How many nodes.", rich_help_panel=ASKED)] = 1,
    gpus: Annotated[
        int,
        typer.Option("--gpus", min=0, help="GPUs of each node; each has a process.", rich_help_panel=ASKED),
    ] = 0,
    cpus: Annotated[
        int | None, typer.Option("--cpus", min=1, help="Cores of each node.", rich_help_panel=ASKED)
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="Memory of each node: 64G.", rich_help_panel=ASKED)
    ] = None,
    partition: Annotated[
        str | None, typer.Option("--partition", metavar="NAME", help="The partition.", rich_help_panel=ASKED)
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NAME", help="Whose account.", rich_help_panel=ASKED)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time",
            metavar="LIMIT",
            help="How long at a time: 24:00:00. A run that takes longer is queued again and goes on.",
            rich_help_panel=ASKED,
        ),
    ] = None,
    lines: Annotated[
        list[str] | None,
        typer.Option(
            "--line",
            metavar="TEXT",
            help="A further line: '#SBATCH --qos=long', or what is done before siked starts, 'module load cuda'. "
            "Repeatable.",
            rich_help_panel=ASKED,
        ),
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Start a Ray cluster over the nodes, for generators that use one.")
    ] = False,
    preset: Preset = None,
    set_: Set = None,
    name: Annotated[
        str | None,
        typer.Option("--run", metavar="NAME", help="The run to make or continue; by default it is named for the file."),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the script to a file, not to the standard output."),
    ] = None,
    json: Json = False,
) -> None:
    """Write the script with which sbatch runs a whole `siked distill` on one or several nodes.

    The student is trained on all of them. The same job, queued again, goes on where it stopped. The folder that this is
    called in, the run's and Python's must be the same on every node.
    """
    import sys

    from siked_cli.output import Output
    from siked_core.files import write_text
    from siked_core.launch_slurm import SlurmJob, script

    launch = [f"launch.machines={nodes}", f"launch.processes={max(1, gpus)}"]
    given = [*(set_ or ()), *launch]
    recipe = resolve_file(file, {}, given, preset)
    run = name or (file.stem if file else recipe.preset.replace(",", "-"))
    asked = [word for value in given for word in ("--set", value)]
    start = [*([str(file.absolute())] if file else []), *(["--preset", preset] if preset else [])]
    command = [sys.executable, "-m", "siked_cli", "distill", *start, *asked, "--run", run]
    text = script(
        SlurmJob(
            name=run,
            nodes=nodes,
            command=[*command, "--runs", str(runs.absolute()), "--plain"],
            folder=str(Path.cwd()),
            gpus=gpus,
            cpus=cpus,
            memory=memory,
            partition=partition,
            account=account,
            time=time,
            lines=lines or (),
            ray=ray,
        )
    )
    told = Output(json=json)
    if output is not None:
        write_text(output, text)
        told.show(f"Submit it: sbatch {output}")
    elif not json:
        typer.echo(text, nl=False)
    told.document({"run": run, "nodes": nodes, "processes": recipe.launch.world, "script": text})
