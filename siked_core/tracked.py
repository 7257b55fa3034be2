"""What of a run goes to trackers: the figures of its rounds, its recipe without secrets, what it came to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from siked_core.contracts_tracking import Figures
from siked_core.events import Event, figures_in
from siked_core.remote import SECRET, has_password

ROUND, SPENT = "round", "spent"
"""Series; see `Figures`."""
HIDDEN = "(kept back)"
Document = Mapping[str, Any]


def round_values(one: Document) -> dict[str, float]:
    """The figures of a round.

    Args:
        one: `RoundReport.as_dict`, as it stands in `report.json`.
    """
    card, pool, mixture = one["validation"], one["pool"], one["mixture"]
    values: dict[str, Any] = {
        **_scored("validation", card["score"]),
        "mixture/alpha": mixture["alpha"],
        "mixture/rows": mixture["rows"],
        "pool/samples": pool["samples"],
        "pool/yield": _share(pool["correct"], pool["samples"]),
        "pool/solved": _share(pool["problems_solved"], pool["problems"]),
        "pool/tokens_in": pool["prompt_tokens"],
        "pool/tokens_out": pool["completion_tokens"],
        "training_tokens": one["training_tokens"],
        "oracle": card["oracle"] and card["oracle"]["accuracy"],
    }
    for name, counts in pool["by_strategy"].items():
        values[f"yield/{_plain(name)}"] = _share(counts["correct"], counts["samples"])
    for strategy in card["strategies"]:
        name, forced = strategy["strategy"], strategy["forced"]
        values[f"share/{name}"] = strategy["share"]
        values[f"accuracy/{name}"] = strategy["chosen"]["accuracy"] if strategy["chosen"]["total"] else None
        values[f"forced/{name}"] = forced and forced["accuracy"]
    for name in ("entropy", "coverage", "paths"):
        values[f"diversity/{name}"] = one["diversity"][name]
    for stage, seconds in one["seconds"].items():
        values[f"seconds/{stage}"] = seconds
    return {name: float(value) for name, value in values.items() if value is not None}


def summary(report: Document) -> dict[str, float | str]:
    """What a finished run came to.

    Args:
        report: `RunReport.as_dict`.
    """
    chosen = f"round-{report['chosen_round']}"
    found: dict[str, float | str] = {"chosen_round": float(report["chosen_round"]), "stopped": str(report["stopped"])}
    for card in report["test"]:
        name = card["dataset"] if card["student"] == chosen else f"{card['dataset']}/{card['student']}"
        found |= _scored(f"test/{name}", card["score"])
    for name, value in report.get("spending", {}).get("total", {}).items():
        found[f"spent/{name}"] = float(value)
    return found


def config(recipe: Document) -> dict[str, Any]:
    """A recipe as dotted keys and plain values; what looks like a secret is kept back.

    Recipes are published, and siked refuses secrets where it knows of them; options of plugins it does not know. The
    trackers themselves are left out.
    """
    return {name: value for name, value in _flat(recipe) if not name.startswith("track")}


def all_figures(run: Path, events: Iterable[Event]) -> list[Figures]:
    """What some events hold; of a run that kept no journal, what its report tells of its rounds."""
    found = figures_in(events)
    if any(one.series == ROUND for one in found):
        return found
    report = read_report(run)
    made = (run / "report.json").stat().st_mtime if report else 0.0
    rounds = report["rounds"] if report else ()
    return [*found, *(Figures(ROUND, one["round"], round_values(one), made) for one in rounds)]


def read_report(run: Path) -> dict[str, Any] | None:
    """A finished run's report, or None where there is none."""
    try:
        found = json.loads((run / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _scored(name: str, score: Document) -> dict[str, float]:
    return {f"{name}/{part}": float(score[part]) for part in ("accuracy", "low", "high")}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _plain(name: str) -> str:
    """A name without what MLflow and others refuse in one."""
    return name.strip("()").replace(" ", "-")


def _flat(content: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
        return
    secret = isinstance(content, str) and (SECRET.search(name.rpartition(".")[2]) or has_password(content))
    if isinstance(content, list):
        yield from _listed(content, name)
    else:
        yield name, HIDDEN if secret and content else content


def _listed(content: list[Any], name: str) -> Iterable[tuple[str, Any]]:
    """A list as one value where it is plain, else item by item; plugins by their names."""
    if not any(isinstance(item, Mapping | list) for item in content):
        texts = [str(item) for item in content]
        hidden = any(has_password(text) for text in texts) or (texts and SECRET.search(name.rpartition(".")[2]))
        yield name, HIDDEN if hidden else ",".join(texts)
        return
    for place, item in enumerate(content):
        known = item.get("name", place) if isinstance(item, Mapping) else place
        yield from _flat(item, f"{name}.{known}")
