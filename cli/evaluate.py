"""`siked evaluate`: score a student of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from siked_cli.options import (
    DEFAULT_RUNS,
    AllowUnsafeExec,
    Json,
    MaxCost,
    MaxHours,
    MaxTokens,
    NoPlugin,
    Plain,
    Quiet,
    RunName,
    Runs,
    caps,
)


def command(
    run: RunName,
    student: Annotated[
        str | None,
        typer.Option("--student", metavar="NAME", help="round-0, round-1, ..., only-cot. Default: the latest round."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Default: what the run trains on.")
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="SPLIT", help="validation or test. Choose rounds by validation only.")
    ] = "validation",
    allow_unsafe_exec: AllowUnsafeExec = False,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_hours: MaxHours = None,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> None:
    """Measure a student of a run, greedily, one sample a question."""
    from siked_cli.attached import known_students, open_run
    from siked_core.errors import RunError, unknown
    from siked_core.stages.evaluate import evaluate

    if split not in ("validation", "test"):
        raise RunError(unknown("split", split, ("validation", "test")))
    kept = caps(max_cost, max_tokens, max_hours)
    with open_run(run, runs, no_plugin, json, quiet, plain, kept=kept, allow_unsafe_exec=allow_unsafe_exec) as (
        opened,
        output,
    ):
        students = known_students(opened.path)
        if not students:
            raise RunError(f"The run {opened.path} has no student yet: siked train {run} --round 0.")
        chosen = student or students[-1]
        if chosen not in students:
            raise RunError(unknown("student", chosen, students))
        card = evaluate(opened, chosen, dataset or opened.recipe.dataset.name, split)
        output.document({"run": str(opened.path), **card.as_dict()})
        if not output.json:
            from siked_cli.tables import scorecard_tables

            output.show(*scorecard_tables(card, output.console.width))
