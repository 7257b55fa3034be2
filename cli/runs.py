"""`siked runs`: what is in the folder of runs."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Any

from siked_cli.options import DEFAULT_RUNS, Json, Runs
from siked_cli.output import Output


def command(runs: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """List the runs: what each is, how far it got, whether it is finished."""
    from rich.table import Table
    from rich.text import Text

    found = [_describe(path) for path in sorted(runs.glob("*/manifest.json"))]
    output = Output(json=json)
    output.document(found)
    if not found:
        output.show(f"There is no run under {runs}. Start one: siked distill")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "state", "preset", "data set", "strategies"):
        table.add_column(name, no_wrap=name == "run")
    table.add_column("last stage")
    for one in found:
        table.add_row(
            Text(one["run"], style="bold"),
            one["state"],
            one["preset"],
            one["dataset"],
            ",".join(one["strategies"]),
            one["stages_done"][-1] if one["stages_done"] else "-",
        )
    output.show(table)


def _describe(manifest: Path) -> dict[str, Any]:
    """One run, from its manifest. A damaged one is listed as such: it must not hide the others."""
    try:
        content = json_text.loads(manifest.read_text(encoding="utf-8"))
        recipe = content["recipe"]
        return {
            "run": manifest.parent.name,
            "state": "finished" if content["finished"] else "unfinished",
            "created": content["created"],
            "preset": recipe["preset"],
            "dataset": recipe["dataset"]["name"],
            "strategies": [choice["name"] for choice in recipe["strategies"]],
            "stages_done": [name for name, stage in content["stages"].items() if stage.get("state") == "done"],
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        return {
            "run": manifest.parent.name,
            "state": f"damaged: {error}",
            "created": "",
            "preset": "",
            "dataset": "",
            "strategies": [],
            "stages_done": [],
        }
