"""`siked solve`: ask a trained student."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, AllowUnsafeExec, Json, NoPlugin, Runs
from siked_cli.output import Output, warn_of_unsafe_exec
from siked_cli.switches import open_registry


def command(
    student: Annotated[
        str, typer.Argument(metavar="RUN|MODEL", help="A run (its chosen student), or a student's folder.")
    ],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help='The question, or "-" to read it from stdin.')],
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", metavar="NAME", help="The strategy to use, whatever the selector."),
    ] = None,
    selector: Annotated[
        str | None,
        typer.Option(
            "--selector",
            metavar="NAME",
            help="How the answer is chosen: self, cascade, vote, two_tier, ... Default: as the student was evaluated.",
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, metavar="N", help="Votes of each strategy, where there is a vote.")
    ] = None,
    allow_unsafe_exec: AllowUnsafeExec = False,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Solve a question: show the strategy that was chosen, its rationale, and the executed answer."""
    from siked_core.errors import DataError
    from siked_core.recipe_choice import PluginChoice
    from siked_core.solve import solve

    text = (sys.stdin.read() if question == "-" else question).strip()
    if not text:
        raise DataError("The question is empty.")
    folder = _folder(student, runs)
    output = Output(json=json)
    warn_of_unsafe_exec(allow_unsafe_exec, output)
    registry = open_registry(no_plugin)
    (solution,) = solve(
        folder,
        [text],
        registry,
        strategy=strategy,
        selector=PluginChoice(name=selector) if selector else None,
        samples=samples,
        allow_unsafe_exec=allow_unsafe_exec,
    )
    output.document(asdict(solution))
    if not output.json:
        from siked_cli.summaries import solution_lines

        output.show(*solution_lines(solution))


def _folder(name: str, runs: Path) -> Path:
    from siked_core.errors import RunError, unknown
    from siked_core.run import locate

    for folder in (Path(name), locate(name, runs)):
        if folder.is_dir():
            return folder
    known = sorted(path.parent.name for path in runs.glob("*/manifest.json"))
    raise RunError(f"{unknown('run', name, known)} Or give the folder of a student.")
