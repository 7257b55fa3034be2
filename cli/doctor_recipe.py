"""`siked doctor RECIPE`: what a run of it would fail at, or lose, hours later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from siked_cli.either import either
from siked_cli.output import Output

WOULD_FAIL = 2
MARKS = {"fine": ("ok", "green"), "warning": ("warning", "yellow"), "error": ("error", "red")}


def examine(
    source: str | None,
    preset: str | None,
    assignments: Sequence[str],
    runs: Path,
    no_plugin: Sequence[str] | None,
    output: Output,
    rehearsal: bool = False,
) -> None:
    """Show what the preflight finds, and end with exit code 2 if a run would fail.

    Args:
        source: a run's name or directory, or a recipe file; None is the preset alone.
        rehearsal: where it finds no error, also judge, train and sample a little.
    """
    from rich.table import Table
    from rich.text import Text

    from siked_core.preflight import preflight, worst

    with either(source, preset, assignments, runs, no_plugin, output) as run:
        findings = preflight(run)
        if rehearsal and worst(findings) != "error":
            from siked_core.preflight import Finding
            from siked_core.rehearsal import rehearse

            rehearse(run)
            findings.append(Finding("fine", "rehearsal", "One step of judging, training and sampling went well."))
    level = worst(findings)
    output.document([one.as_dict() for one in findings])
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in findings:
        mark, style = MARKS[one.level]
        table.add_row(Text(mark, style=style), Text(one.what, style="bold"), one.says)
    said = {
        "fine": "Nothing speaks against it.",
        "warning": "It would run, and lose what the warnings tell.",
        "error": "It would fail.",
    }
    output.show(table, Text(f"\n{said[level]}", style=MARKS[level][1]))
    if level == "error":
        raise typer.Exit(WOULD_FAIL)
