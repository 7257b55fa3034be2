"""`siked train`: train a round's student on its mixture."""

from __future__ import annotations

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
    """Train the student of a round on that round's mixture."""
    from siked_cli.attached import open_run
    from siked_core.stages.train import train

    kept = caps(max_cost, max_tokens, max_hours)
    with open_run(run, runs, no_plugin, json, quiet, plain, kept=kept) as (opened, output):
        student = train(opened, round_)
        output.document({"run": str(opened.path), "round": round_, "student": str(student)})
        output.show(f"The student of round {round_} is at {student}", f'Try: siked solve {student} "a question"')
