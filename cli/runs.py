"""`siked runs`: what is in the folder of runs."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import Any

from siked_cli.options import DEFAULT_RUNS, Json, Runs
from siked_cli.output import Output
from siked_core import figures
from siked_core.manifest import read_manifest


def command(runs: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """List the runs: what each is, how far it got, how accurate its student is, how large it is."""
    from rich.table import Table
    from rich.text import Text

    found = [_describe(path, spending=json) for path in sorted(runs.glob("*/manifest.json"))]
    output = Output(json=json)
    output.document(found)
    if not found:
        output.show(f"There is no run under {runs}. Start one: siked distill")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "state", "data set", "student", "strategies"):
        table.add_column(name, no_wrap=name == "run")
    for name in ("seed", "accuracy", "made", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            Text(one["run"], style="bold"),
            one["state"] if one["last_stage"] is None else f"{one['state']}, {one['last_stage']}",
            one["dataset"],
            one["student"],
            ",".join(one["strategies"]),
            figures.NOTHING if one["seed"] is None else str(one["seed"]),
            _accuracy(one["accuracy"]),
            one["created"][:16].replace("T", " "),
            figures.size(one["bytes"]),
        )
    output.show(table)
    if any(one["accuracy"] and one["accuracy"]["split"] != "test" for one in found):
        output.show("Accuracies in brackets are of the validation split: the run is not finished.")


def _accuracy(found: dict[str, Any] | None) -> str:
    if found is None:
        return figures.NOTHING
    from siked_core.scorecard import Score

    shown = figures.accuracy(Score.from_dict(found))
    return shown if found["split"] == "test" else f"({shown})"


def _describe(manifest: Path, spending: bool) -> dict[str, Any]:
    """One run, from its files. A damaged one is listed as such: it must not hide the others."""
    from siked_core.errors import SikedError

    run = manifest.parent
    try:
        content = read_manifest(run)
        recipe = content["recipe"]
        stages = content["stages"]
        under_way = [name for name, stage in stages.items() if stage.get("state") == "running"]
        done = [name for name, stage in stages.items() if stage.get("state") == "done"]
        return {
            "run": run.name,
            "state": _state(run, content["finished"]),
            "created": content["created"],
            "preset": recipe["preset"],
            "dataset": recipe["dataset"]["name"],
            "student": recipe["student"]["model"],
            "strategies": [choice["name"] for choice in recipe["strategies"]],
            "seed": recipe["seed"],
            "last_stage": None if content["finished"] else (under_way or done or [None])[-1],
            "stages_done": done,
            "seconds": round(sum(stage.get("seconds", 0.0) for stage in stages.values()), 3),
            "accuracy": _best(run, recipe["dataset"]["name"]),
            "bytes": _bytes(run),
            "pools_at": content.get("pools_at"),
            **({"spending": _spending(run, recipe)} if spending else {}),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SikedError) as error:
        return {
            "run": run.name,
            "state": _unreadable(error),
            "created": "",
            "preset": "",
            "dataset": "",
            "student": "",
            "strategies": [],
            "seed": None,
            "last_stage": None,
            "stages_done": [],
            "seconds": 0.0,
            "accuracy": None,
            "bytes": _bytes(run),
            "pools_at": None,
        }


def _unreadable(error: Exception) -> str:
    from siked_core.errors import FormatError

    if isinstance(error, FormatError):
        return "another siked's: see siked run migrate"
    return f"damaged: {error}"


def _state(run: Path, finished: bool) -> str:
    """ "running" while a process has the run open, as far as can be told from here."""
    from siked_core.lock import holder

    if holder(run / "run.lock") is not None:
        return "running"
    return "finished" if finished else "unfinished"


def _best(run: Path, dataset: str) -> dict[str, Any] | None:
    """The chosen student's test accuracy on the run's own data set; of an unfinished run the best on validation."""
    cards = [json_text.loads(path.read_text(encoding="utf-8")) for path in sorted((run / "scorecards").glob("*.json"))]
    mine = [card for card in cards if card["dataset"] == dataset]
    if (run / "report.json").exists():
        student = f"round-{json_text.loads((run / 'report.json').read_text(encoding='utf-8'))['chosen_round']}"
        mine = [card for card in mine if card["student"] == student and card["split"] == "test"]
    else:
        mine = [card for card in mine if card["split"] == "validation"]
    if not mine:
        return None
    best = max(mine, key=lambda card: card["score"]["accuracy"])
    return {"student": best["student"], "split": best["split"], **best["score"]}


def _bytes(run: Path) -> int:
    """What its directory takes on disk; a file that a fork shares with its origin counts in both."""
    total = 0
    for path in run.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # it went away between the two
            continue
    return total


def _spending(run: Path, recipe: dict[str, Any]) -> dict[str, Any] | None:
    """What it has spent so far, altogether; None where its samples are in a store that does not answer."""
    from siked_core.errors import StoreError
    from siked_core.recipe import validate
    from siked_core.spending import document

    try:
        found = document(run, validate(recipe))
    except StoreError:
        return None
    return {"currency": found["currency"], "free": found["free"], **found["total"]}
