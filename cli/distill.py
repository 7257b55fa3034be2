"""`siked distill`: the whole loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_cli.output import Output
from siked_cli.recipe_command import recipe_command

if TYPE_CHECKING:
    from siked_core.run import Run


def _distill(run: Run, output: Output) -> None:
    from siked_core.loop import distill

    with output.board(run):
        report = distill(run)
    output.document(report.as_dict())
    if not output.json:
        from siked_cli.spending_tables import spending_tables
        from siked_cli.tables import report_tables

        output.show(*report_tables(report, output.console.width), *spending_tables(report.spending))


command = recipe_command(
    _distill,
    """Distil a teacher's reasoning into a student, strategy by strategy, round by round.

    Teach, verify, warm up; then let the student sample, verify, mix, train and evaluate until it stops paying.
    With nothing configured this is the embedded pocket world. The name in brackets is the recipe key that an
    option sets. The same command continues an interrupted run.
    """,
)
