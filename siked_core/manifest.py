"""A run's manifest: its recipe, what it was made with, what is done. One JSON file with a digest, replaced whole.

It also holds outcomes: what something came to that takes long to work out, each with a digest of all that it rests on.
One is taken for true only while that digest is the same, so it cannot disagree with what is on disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from siked_core.errors import FormatError, RunError
from siked_core.files import write_text
from siked_core.keys import digest

FORMAT = 1
"""The number of a run directory's layout. A run of an older one is refused until it is migrated (siked_core.migration),
one of a newer one altogether. To be raised with every change that the siked before it would read wrongly."""
NAME = "manifest.json"
MIGRATING = "migrating"
"""The manifest's entry for a migration that is under way, as below."""
MIGRATED = "migrated"
"""The manifest's entry for a run's migrations: of each `{"from", "to", "kept", "siked"}`, that is two formats, the
folder of what was replaced, and the version that did it."""
_UNNUMBERED = 1
"""The format of a manifest that does not tell its number."""
_OUTCOMES = "outcomes"
"""What -> the digest of what it rests on, and what it came to (plain values)."""


def read_manifest(run: Path, missing_ok: bool = False) -> dict[str, Any]:
    """The manifest of a run directory; empty where there is none and that is allowed.

    Raises:
        FormatError: another version of siked made it.
        RunError: there is none, or it is damaged.
    """
    if missing_ok and not (run / NAME).exists():
        return {}
    manifest = read_any(run)
    if MIGRATING in manifest:
        raise FormatError(f"A migration of the run {run} was interrupted. `siked run migrate {run}` finishes it.")
    number = format_of(manifest)
    if number < FORMAT:
        raise FormatError(
            f"The run {run} is in format {number}, of siked {_siked_of(manifest)}; this siked works in format {FORMAT}."
            f" `siked run migrate {run}` brings it there, and keeps a copy of what it replaces."
        )
    return manifest


def read_any(run: Path) -> dict[str, Any]:
    """The manifest of a run of this format or an older one.

    Raises:
        FormatError: the format is newer.
        RunError: there is none, or it is damaged.
    """
    file = run / NAME
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        stored = manifest.pop("digest", None)
        number = format_of(manifest)
    except FileNotFoundError:
        raise RunError(f"There is no run at {run}.") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"The manifest {file} cannot be read: {error}. `siked run repair {run}` makes it anew from recipe.yaml."
        ) from None
    if number > FORMAT:
        from siked_core import __version__

        raise FormatError(
            f"The run {run} is in format {number}, which this siked ({__version__}) does not know: siked "
            f"{_siked_of(manifest)} wrote it. Install that version or a later one to go on with the run."
        )
    if stored is not None and stored != digest(manifest):
        raise RunError(
            f"The manifest {file} is damaged: its content is not what was written. `siked run repair {run}` makes it "
            "anew from recipe.yaml."
        )
    return manifest


def format_of(manifest: Mapping[str, Any]) -> int:
    """The number of the format that a manifest tells.

    Raises:
        ValueError: it tells something that is no such number.
    """
    number = manifest.get("format", _UNNUMBERED)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"its format is {number!r}, not a number from 1")
    return number


def _siked_of(manifest: Mapping[str, Any]) -> str:
    """The version of siked that last gave a run its format."""
    try:
        if manifest.get(MIGRATED):
            return str(manifest[MIGRATED][-1]["siked"])
        last = (manifest.get("continued") or [manifest])[-1]
        return str(last["versions"]["siked"])
    except (KeyError, TypeError, AttributeError, IndexError):
        return "of a version that is not known"


def write_manifest(run: Path, manifest: dict[str, Any]) -> None:
    """Replace the manifest.

    Raises:
        RunError: the disk is full or the directory cannot be written.
    """
    content = {**manifest, "digest": digest(manifest)}
    # Written again and again while a stage works; json takes six times as long to indent it.
    write_text(run / NAME, to_json(content, indent=2, inf_nan_mode="constants").decode() + "\n")


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
