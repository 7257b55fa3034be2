"""A run's quote beside what the run then took."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siked_core.hint import hinted
from siked_core.recipe import Recipe
from siked_core.spending import QUOTE, Spent, by_stage, pools, stage_of
from siked_core.store import KEPT, place_of

Key = tuple[int | None, str]
"""A quote's step: its round and its name."""
_ROUND = re.compile(r"round-(\d+)")


def predicted(run: Path) -> dict[str, Any] | None:
    """The run's latest quote (`siked_core.quote.quote`), or None where there is none."""
    path = run / QUOTE / "quote.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def against(run: Path, recipe: Recipe) -> list[dict[str, Any]]:
    """For each step that was quoted and taken, and each of its quantities: what was expected, what it was, and whether
    that lies in the interval. Seconds are those that were left after the pilot."""
    found = predicted(run)
    if found is None:
        return []
    spent, kept = _spent(run, recipe), _kept(run)
    lines = []
    for step in found["steps"]:
        key = (step["round"], step["step"])
        if key in spent:
            took = {name: getattr(spent[key], name) for name in ("tokens_in", "tokens_out", "cost", "seconds")}
            lines += _lines(key, step, {**took, "bytes": kept[key]})
    return lines


def _lines(key: Key, said: Mapping[str, Any], took: Mapping[str, float]) -> list[dict[str, Any]]:
    lines = []
    for name, actual in took.items():
        figure = said[name]
        if figure["expected"] or actual:
            # What was quoted without an interval, as the size of a student, is met by one part in a hundred.
            inside = figure["low"] <= actual <= figure["high"] or math.isclose(actual, figure["expected"], rel_tol=0.01)
            line = {"round": key[0], "step": key[1], "quantity": name, **figure, "actual": actual, "inside": inside}
            lines.append(line)
    return lines


def step_of(stage: str) -> Key | None:
    """The step of a quote that a stage of the manifest belongs to; None where it belongs to none."""
    kind, _, rest = stage.partition(" ")
    number = _ROUND.search(rest)
    round = int(number[1]) if number else None
    if stage in ("teach", "rationalise teacher", "verify teacher", f"verify {hinted('teacher')}"):
        return 0, "teach"
    if kind == "evaluate" or rest.startswith("evaluations/"):
        return (round, "evaluate") if rest.endswith("validation") and round is not None else (None, "test")
    if kind in ("rollout", "rationalise", "verify"):
        return round, "rollout"
    if kind in ("mix", "train"):
        return (round, "train") if round is not None else (None, "baselines")
    return None


def _spent(run: Path, recipe: Recipe) -> dict[Key, Spent]:
    found: dict[Key, Spent] = defaultdict(Spent)
    for stage, one in by_stage(run, recipe).items():
        key = step_of(stage)
        if key is not None:
            found[key] += one
    return found


def _kept(run: Path) -> dict[Key, int]:
    """Step -> bytes of what it left on disk, or at a URL."""
    found: dict[Key, int] = defaultdict(int)
    place = place_of(run)
    for pool in pools(run):
        key = step_of(stage_of(pool))
        if key is not None:
            found[key] += sum((place / part / pool).size() for part in KEPT)
    for student in (run / "students").glob("[!.]*"):
        key = step_of(f"train {student.name}")
        if key is not None:
            found[key] += size(student)
    return found


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
