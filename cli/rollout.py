"""`siked rollout`: let a student sample."""

from __future__ import annotations

from dataclasses import asdict

from siked_cli.options import (
    DEFAULT_RUNS,
    Json,
    MaxCost,
    MaxHours,
    MaxTokens,
    NoPlugin,
    Plain,
    Quiet,
    Round,
    RunName,
    Runs,
    caps,
)


def command(
    run: RunName,
    round_: Round,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_hours: MaxHours = None,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> None:
    """Draw the samples of a round (1, 2, ...) with the student of the round before."""
    from siked_cli.attached import open_run
    from siked_cli.summaries import pool_lines
    from siked_core.errors import RunError
    from siked_core.stages.rollout import rollout

    if round_ < 1:
        raise RunError("--round must be 1 or more: round 0 is the warm-up, before the student has written anything.")
    kept = caps(max_cost, max_tokens, max_hours)
    with open_run(run, runs, no_plugin, json, quiet, plain, kept=kept) as (opened, output):
        summary = rollout(opened, round_)
        output.document({"run": str(opened.path), "pool": f"round-{round_}", **asdict(summary)})
        output.show(*pool_lines(f"round-{round_}", summary))
