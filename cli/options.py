"""The options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siked_cli import completions

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run: its name under --runs, or its directory.", autocompletion=completions.runs
    ),
]
Round = Annotated[int, typer.Option("--round", min=0, help="Which round; 0 is the warm-up.")]
Runs = Annotated[Path, typer.Option("--runs", envvar="SIKED_RUNS", help="Where runs are kept.", rich_help_panel="Run")]
NoPlugin = Annotated[
    list[str] | None,
    typer.Option(
        "--no-plugin",
        metavar="NAME",
        autocompletion=completions.plugins,
        help="Switch a plugin off: its name, kind:name, its entry point or its distribution. Repeatable; "
        "SIKED_DISABLE_PLUGINS holds a comma-separated list of more.",
        rich_help_panel="Run",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Write the result as one JSON document to stdout.", rich_help_panel="Output"),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show the result and nothing else.", rich_help_panel="Output")
]
Plain = Annotated[
    bool,
    typer.Option(
        "--plain", help="Plain lines instead of the live view, as where there is no terminal.", rich_help_panel="Output"
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going",
        help="Where a verifier itself fails on a sample, set the sample aside and say so, instead of stopping.",
        rich_help_panel="Run",
    ),
]
AllowUnsafeExec = Annotated[
    bool,
    typer.Option(
        "--allow-unsafe-exec",
        help="Run model-written programs even where this machine cannot cage them (macOS, no seccomp). Such a program "
        "can read, change, delete and send anything that you can. A run that is made with it says so in its recipe "
        "(`allow_unsafe_exec`).",
        rich_help_panel="Run",
    ),
]
CAPS = "Recipe: money and time"
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        help="Pause before more than this is spent, in the prices' currency. (`caps.cost`)",
        rich_help_panel=CAPS,
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        help="Pause before more tokens than this are generated, prompts included. (`caps.tokens`)",
        rich_help_panel=CAPS,
    ),
]
MaxHours = Annotated[
    float | None,
    typer.Option(
        "--max-hours", help="Pause before the stages have worked longer than this. (`caps.hours`)", rich_help_panel=CAPS
    ),
]
Samples = Annotated[
    int,
    typer.Option(
        "--samples",
        min=0,
        help="Single samples that the page holds; of more, a random draw. The figures always count all.",
        rich_help_panel="Output",
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Open the page in a browser.", rich_help_panel="Output")]
DEFAULT_RUNS = Path("runs")
HELD = 50_000
"""Single samples that a page holds by default: `siked_core.report.gathered.SAMPLES`."""


def caps(cost: float | None, tokens: int | None, hours: float | None) -> dict[str, float]:
    """The recipe keys that were given, with their values: the rest of a run's caps stay as they are."""
    given = {"caps.cost": cost, "caps.tokens": tokens, "caps.hours": hours}
    return {key: value for key, value in given.items() if value is not None}
