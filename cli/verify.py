"""`siked verify`: judge what was sampled, again or for the first time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from siked_cli.options import (
    DEFAULT_RUNS,
    AllowUnsafeExec,
    Json,
    KeepGoing,
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
from siked_cli.recipe_command import pairs


def command(
    run: RunName,
    pool: Annotated[
        str, typer.Option("--pool", metavar="NAME", help="teacher, round-1, round-2, ..., or all.")
    ] = "all",
    verifier: Annotated[
        list[str] | None,
        typer.Option(
            "--verifier",
            metavar="S=NAME",
            help="Judge a strategy by another verifier, this once: the run's recipe stays as it is. Repeatable.",
        ),
    ] = None,
    keep_going: KeepGoing = False,
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
    """Judge the samples of a run. What the same verifier has judged before is not judged again."""
    from siked_cli.attached import known_pools, open_run
    from siked_cli.summaries import pool_lines
    from siked_core.errors import RunError, unknown
    from siked_core.stages.verify import verify

    changes = {f"verifiers.{strategy}": name for strategy, name in pairs(verifier or (), "--verifier").items()}
    kept = caps(max_cost, max_tokens, max_hours)
    with open_run(
        run, runs, no_plugin, json, quiet, plain, changes, kept=kept, allow_unsafe_exec=allow_unsafe_exec
    ) as (opened, output):
        opened.keep_going = keep_going
        pools = known_pools(opened.path)
        if not pools:
            raise RunError(f"The run {opened.path} holds no samples yet: siked teach --run {run}.")
        if pool not in (*pools, "all"):
            raise RunError(unknown("pool", pool, (*pools, "all")))
        summaries = {name: verify(opened, name) for name in (pools if pool == "all" else [pool])}
        output.document({"run": str(opened.path), "pools": {name: asdict(one) for name, one in summaries.items()}})
        for name, summary in summaries.items():
            output.show(*pool_lines(name, summary))
