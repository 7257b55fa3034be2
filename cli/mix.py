"""`siked mix`: choose what a round's student is trained on."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, Plain, Quiet, Round, RunName, Runs


def command(
    run: RunName,
    round_: Round,
    mixing: Annotated[
        str | None,
        typer.Option(
            "--mixing", metavar="NAME", help="Another mixing policy, this once: the run's recipe stays as it is."
        ),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> None:
    """Mix the teacher's and the student's verified samples for a round."""
    from siked_cli.attached import open_run
    from siked_cli.summaries import mixture_lines
    from siked_core.stages.mix import mix

    changes = {} if mixing is None else {"mixing.policy": mixing}
    with open_run(run, runs, no_plugin, json, quiet, plain, changes) as (opened, output):
        summary = mix(opened, round_)
        output.document({"run": str(opened.path), "round": round_, **asdict(summary)})
        output.show(*mixture_lines(round_, summary))
