"""Bringing a run that an older siked made into today's format, with a copy of all that this replaces.

It is done by `siked run migrate` and never by the way: looking at a run must not change it, and whoever shares the run
may still work with the older siked. A migration knows one step, from a format to the next; those between a run's format
and today's are done one after another.

A step is done so that a kill at any moment loses nothing:

1. What will be replaced is taken into `RUN/migrated/N/`, linked or copied.
2. The manifest says that a step is under way. From here on no siked works on the run but to finish the step.
3. The files are replaced, each whole. A step that begins again first puts back what it had replaced, so that it always
   reads what the older siked wrote.
4. The manifest tells the new format.

To go back to the older siked, put the content of `RUN/migrated/N/` back, the manifest last.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from siked_core.errors import RunError
from siked_core.files import replacing, unwritable
from siked_core.lock import Lock
from siked_core.manifest import FORMAT, MIGRATED, MIGRATING, NAME, format_of, read_any, write_manifest
from siked_core.spending import QUOTE

FOLDER = "migrated"


@dataclass(frozen=True, slots=True)
class Change:
    """What one step makes of a run."""

    manifest: Mapping[str, Any]
    """The manifest as the newer format has it; its number is set by whoever does the step."""
    files: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)
    """What writes a file of the run's directory anew, at the path that it is given, by the file's name relative to the
    run. What it needs of the file that it replaces is to be read before, when the change is made."""


Step = Callable[[Path, Mapping[str, Any]], Change]
"""Makes a change of a run's directory and its manifest, and changes nothing itself."""
MIGRATIONS: Mapping[int, Step] = {}
"""Format -> the step to the next one. Empty while format 1 is the only one that there was."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What was done to a run."""

    before: int
    """The format that it had, or began with where an earlier command was interrupted."""
    after: int
    kept: tuple[str, ...] = ()
    """Where what was replaced lies now, e.g. "RUN/migrated/1"."""


def migrate(run: Path) -> Migration:
    """Bring a run, and its pilot where it has one, from an older format to this siked's.

    Raises:
        FormatError: the run's format is newer.
        RunError: there is no run, or its manifest is damaged; another process has it open; it cannot be written; a
            format lies between for which there is no step.
    """
    read_any(run)
    lock = Lock(run / "run.lock")
    lock.acquire()
    try:
        # The pilot first: after a kill between the two the run still tells that there is something to do.
        if (run / QUOTE / NAME).exists():
            _migrate(run / QUOTE)
        return _migrate(run)
    finally:
        lock.release()


def _migrate(run: Path) -> Migration:
    manifest = read_any(run)
    before = manifest[MIGRATING]["from"] if MIGRATING in manifest else format_of(manifest)
    missing = [number for number in range(before, FORMAT) if number not in MIGRATIONS]
    if missing:
        raise RunError(
            f"The run {run} is in format {before}, and this siked has no way from format {missing[0]} to "
            f"{missing[0] + 1}. Bring it nearer with an older siked first, or start a new run."
        )
    return Migration(before, FORMAT, tuple(_step(run, number) for number in range(before, FORMAT)))


def _step(run: Path, number: int) -> str:
    """Take a run from format `number` to the next, or finish doing so: where what was replaced lies now."""
    from siked_core import __version__

    manifest = read_any(run)
    begun = MIGRATING in manifest
    kept = run / (manifest[MIGRATING]["kept"] if begun else f"{FOLDER}/{_fresh(run / FOLDER)}")
    if begun:
        names = [path.relative_to(kept).as_posix() for path in sorted(kept.rglob("*")) if path.is_file()]
        _take(kept, run, [name for name in names if name != NAME])
        manifest = read_any(kept)
    change = MIGRATIONS[number](run, manifest)
    record = {"from": number, "to": number + 1, "kept": kept.relative_to(run).as_posix(), "siked": __version__}
    if not begun:
        _take(run, kept, [*(name for name in sorted(change.files) if (run / name).exists()), NAME])
        write_manifest(run, {**manifest, "format": number + 1, MIGRATING: record})
    for name, write in sorted(change.files.items()):
        with replacing(run / name) as draft:
            write(draft)
    done = [*manifest.get(MIGRATED, []), record]
    write_manifest(run, {**change.manifest, "format": number + 1, MIGRATED: done})
    return str(kept)


def _fresh(folder: Path) -> int:
    taken = [int(path.name) for path in folder.glob("*") if path.name.isdigit()]
    return max(taken, default=0) + 1


def _take(source: Path, target: Path, names: list[str]) -> None:
    """Have files of one folder in another as well, each whole: linked where the file system can, else copied. Files of
    a run are replaced and never written into, so a link keeps what it had.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
    """
    for name in names:
        with replacing(target / name) as draft:
            draft.unlink(missing_ok=True)  # of a process of the same number that was killed
            try:
                os.link(source / name, draft)
            except OSError:
                try:
                    shutil.copy2(source / name, draft)
                except OSError as error:
                    raise unwritable(target / name, error) from None
