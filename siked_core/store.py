"""Where a run's samples and verdicts are: in its directory, or in a folder of its own at the recipe's URL.

The manifest says which folder that is, so a run's directory may be moved or renamed. Who works there says so in an
object beside the samples (`Claim`): a run's lock is in its directory, and does not reach another copy of it, or another
run of the same name, on another machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from siked_core.errors import RunError, SikedError
from siked_core.lock import Owner
from siked_core.manifest import read_manifest
from siked_core.place import LocalPlace, Place
from siked_core.recipe_storage import StorageRecipe
from siked_core.remote import RemotePlace, open_place
from siked_core.reporting import Reporter

POOLS_AT = "pools_at"
"""The manifest's entry for the folder at a URL; absent where the run keeps its samples itself."""
UNSENT = "unsent"
"""The folder of a run in which files wait that a store does not hold yet."""
KEPT = ("pools", "verdicts")
"""The folders that may be elsewhere."""
_CLAIM = "in-use.json"


def url_of(storage: StorageRecipe, run: Path) -> str | None:
    """The folder of a new run at its recipe's URL; None where the run keeps its samples itself."""
    if storage.pools is None:
        return None
    return f"{storage.pools.rstrip('/')}/{re.sub(r'[^A-Za-z0-9._-]', '-', run.resolve().name)}"


def place_of(run: Path) -> Place:
    """The folder that a run's `pools/` and `verdicts/` are in.

    Raises:
        StoreError: the URL's protocol is not known here.
    """
    url, options = _stored(run)
    return LocalPlace(run) if url is None else open_place(url, options, run / UNSENT)


def take_over(source: Place, target: Place) -> None:
    """Have in one place what another has: samples and verdicts are found by their keys. Within a store they are copied
    there, within a file system they are linked.

    Raises:
        RunError: one of the places cannot be read or written.
    """
    for part in KEPT:
        old, new = source / part, target / part
        if isinstance(old, LocalPlace) and isinstance(new, LocalPlace):
            old.link(new.path)
            continue
        there = set(new.names())
        names = [name for name in old.names() if name not in there]
        if isinstance(old, RemotePlace) and isinstance(new, RemotePlace) and old.system is new.system:
            waiting = set(old.unsent())
            new.copy_from(old, [name for name in names if name not in waiting])
            names = [name for name in names if name in waiting]
        for name, content in zip(names, old.read(names), strict=True):
            new.write(name, content)


class Claim:
    """Says at a place who works on what is there."""

    _held: ClassVar[set[str]] = set()
    """The tokens of this process's own claims."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._owner = Owner.me()

    def take(self, warn: Callable[[str], None]) -> None:
        """Say so, once nobody else does.

        Raises:
            RunError: a living process of this machine works there, or the place cannot be written.
        """
        content = json.dumps(asdict(self._owner)).encode()
        while not self._place.create(_CLAIM, content):
            owner = self._holder()
            if owner is None:
                self._place.remove(_CLAIM)
                continue
            if not owner.is_here:
                warn(
                    f"{self._place} was left in use by process {owner.pid} on {owner.host}. If that one still works "
                    "there, end it: both would pay for the same samples."
                )
            elif owner.token in self._held or (owner.lives and owner.pid != self._owner.pid):
                raise RunError(
                    f"Another run uses {self._place} (process {owner.pid} on {owner.host}). Wait for it to end, or "
                    "choose another --run or --pools."
                )
            self._place.remove(_CLAIM)
        self._held.add(self._owner.token)

    def release(self, unasked: bool = False) -> None:
        """Work there no longer.

        Args:
            unasked: the place does not answer, so it is not told; whoever comes next finds that nobody works there.

        Raises:
            RunError: the place cannot be written.
        """
        self._held.discard(self._owner.token)
        if unasked:
            return
        owner = self._holder()
        if owner is not None and owner.token == self._owner.token:
            self._place.remove(_CLAIM)

    def _holder(self) -> Owner | None:
        """Whoever says so; None where nobody does, or it cannot be understood."""
        try:
            (content,) = self._place.read([_CLAIM])
            return Owner(**json.loads(content))
        except (ValueError, TypeError):
            return None


def claimed(run: Path, place: Place, reporter: Reporter) -> Claim | None:
    """Where a run's samples are elsewhere: say there that this process works on them, and send what waits.

    Raises:
        RunError: another process of this machine works there, or the place cannot be used.
    """
    if place == LocalPlace(run):
        return None
    claim = Claim(place)
    claim.take(reporter.warn)
    sent = place.send_waiting() if isinstance(place, RemotePlace) else 0
    if sent:
        reporter.note(f"{sent:,} files that had waited in {run / UNSENT} were sent to {place}.")
    return claim


def _stored(run: Path) -> tuple[str | None, Mapping[str, Any]]:
    """URL and options of a run; from its recipe where the manifest is lost, as a repair then makes the manifest."""
    try:
        manifest = read_manifest(run)
        return manifest.get(POOLS_AT), manifest["recipe"].get("storage", {}).get("options", {})
    except (SikedError, KeyError, AttributeError):
        storage = _of_recipe(run)
        return url_of(storage, run), storage.options


def _of_recipe(run: Path) -> StorageRecipe:
    import yaml

    try:
        content = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
        return StorageRecipe.model_validate(content.get("storage", {}))
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return StorageRecipe()
