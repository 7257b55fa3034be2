"""A run's manifest: its recipe, what it was made with, what is done. One JSON file with a digest, replaced whole.

It also holds outcomes: what something came to that takes long to work out, each with a digest of all that it rests on.
One is taken for true only while that digest is the same, so it cannot disagree with what is on disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.keys import digest

FORMAT = 1
"""Of a run directory's layout. A run of another format is refused."""
NAME = "manifest.json"
_OUTCOMES = "outcomes"
"""What -> the digest of what it rests on, and what it came to (plain values)."""


def read_manifest(run: Path, missing_ok: bool = False) -> dict[str, Any]:
    """The manifest of a run directory; empty where there is none and that is allowed.

    Raises:
        RunError: there is none, it is damaged, or another version of siked made it.
    """
    file = run / NAME
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        stored = manifest.pop("digest", None)
    except FileNotFoundError:
        if missing_ok:
            return {}
        raise RunError(f"There is no run at {run}.") from None
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(
            f"The manifest {file} cannot be read: {error}. `siked run repair {run}` makes it anew from recipe.yaml."
        ) from None
    if manifest.get("format") != FORMAT:
        made_with = manifest.get("versions", {}).get("siked", "another version")
        raise RunError(
            f"The run {run} was made by siked {made_with}, in format {manifest.get('format')}; this siked reads format "
            f"{FORMAT}. Continue it with that version, or start a new run."
        )
    if stored is not None and stored != digest(manifest):
        raise RunError(
            f"The manifest {file} is damaged: its content is not what was written. `siked run repair {run}` makes it "
            "anew from recipe.yaml."
        )
    return manifest


def write_manifest(run: Path, manifest: dict[str, Any]) -> None:
    """Replace the manifest.

    Raises:
        RunError: the disk is full or the directory cannot be written.
    """
    content = {**manifest, "digest": digest(manifest)}
    write_text(run / NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def recalled(manifest: Mapping[str, Any], what: str, rests_on: str) -> dict[str, Any] | None:
    """What something came to, if it rested on the same; None where that is not known."""
    found = manifest.get(_OUTCOMES, {}).get(what)
    return found["outcome"] if found is not None and found["rests_on"] == rests_on else None


def remember(run: Path, what: str, rests_on: str, outcome: Mapping[str, Any]) -> None:
    """Keep what something came to, over what it came to before.

    Raises:
        RunError: the manifest cannot be written.
    """
    manifest = read_manifest(run)
    outcomes = {**manifest.get(_OUTCOMES, {}), what: {"rests_on": rests_on, "outcome": dict(outcome)}}
    write_manifest(run, {**manifest, _OUTCOMES: outcomes})
