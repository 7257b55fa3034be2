"""`siked teach`: the teacher's pool, of a new run or an existing one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from siked_cli.output import Output
from siked_cli.recipe_command import recipe_command

if TYPE_CHECKING:
    from siked_core.run import Run


def _teach(run: Run, output: Output) -> None:
    from siked_cli.summaries import pool_lines
    from siked_core.stages.teach import teach

    summary = teach(run)
    output.document({"run": str(run.path), "pool": "teacher", **asdict(summary)})
    output.show(*pool_lines("teacher", summary), f"Next: siked mix {run.path} --round 0")


command = recipe_command(
    _teach,
    """Let the teacher answer every question under every strategy: the first stage of a run.

    It takes the options of `siked distill` and makes the run that they describe, or continues it.
    """,
)
