"""Runs that are known by a number: which one is to be continued, and which number is free."""

from __future__ import annotations

import re
from pathlib import Path

from siked_core.errors import SikedError
from siked_core.manifest import read_manifest
from siked_core.recipe import Recipe, validate
from siked_core.remote import open_place
from siked_core.reporting import Reporter
from siked_core.store import UNSENT


def unfinished(
    folder: Path, stem: str, recipe: Recipe, reporter: Reporter, forked_from: str | None = None
) -> Path | None:
    """The latest numbered run of this very recipe that is not finished. One that cannot be read hides no other."""
    pattern = re.compile(re.escape(stem) + r"-\d{3,}")
    found = sorted(path.parent for path in folder.glob("*/manifest.json") if pattern.fullmatch(path.parent.name))
    for path in reversed(found):
        try:
            manifest = read_manifest(path)
            same = validate(manifest["recipe"]) == recipe and manifest.get("forked_from") == forked_from
        except SikedError as error:
            reporter.warn(f"Passing over {path}: {error}")
            continue
        if same and not manifest["finished"]:
            return path
    return None


def fresh(runs: Path, stem: str, recipe: Recipe) -> Path:
    """The next number that neither a run of this folder has, nor one that keeps its samples at the same URL."""
    names = [path.name for path in runs.glob(f"{stem}-*")]
    if recipe.storage.pools is not None:
        names += open_place(recipe.storage.pools, recipe.storage.options, runs / UNSENT).entries()
    pattern = re.compile(re.escape(stem) + r"-(\d{3,})")
    taken = [int(match[1]) for name in names if (match := pattern.fullmatch(name))]
    return runs / f"{stem}-{max(taken, default=0) + 1:03d}"
