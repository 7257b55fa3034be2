"""Making a damaged run usable again: what is unsound is set aside, and nothing that is sound is touched or deleted.

What was set aside lies under `set-aside/N/` at the place it had, at a URL where it was at one. The next command makes
again what it held.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from siked_core.errors import RunError, SikedError, StoreError
from siked_core.examine import Finding, examine, sound_samples, stages_of
from siked_core.files import write_text
from siked_core.lock import Lock
from siked_core.manifest import FORMAT, NAME, read_manifest, write_manifest
from siked_core.place import LocalPlace, Place
from siked_core.pool import beside, expected_digests, read_parquet
from siked_core.recipe import Recipe, validate
from siked_core.reporting import SilentReporter
from siked_core.store import KEPT, POOLS_AT, claimed, place_of, url_of

FOLDER = "set-aside"


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done to a run."""

    findings: tuple[Finding, ...]
    folder: str
    """Where the unsound lies now, e.g. "RUN/set-aside/1"; empty where nothing had to be moved."""
    again: tuple[str, ...]
    """What the next command makes again, a line each."""


def repair(run: Path) -> Repair:
    """Set aside what is unsound in a run, and have its stages done again as far as they are touched.

    Raises:
        FormatError: another version of siked made the run.
        RunError: another process has the run open; neither manifest nor recipe can be read; the directory cannot be
            written.
    """
    lock = Lock(run / "run.lock")
    lock.acquire()
    claim = None
    try:
        place = place_of(run)
        claim = claimed(run, place, SilentReporter())
        findings = examine(run)
        recipe = _recipe(run, findings)
        number = _fresh(run, place)
        folders = {_move(run, place, finding.path, number) for finding in findings if finding.set_aside}
        _write(run, recipe, findings)
        return Repair(tuple(findings), " and ".join(sorted(folders)), tuple(_again(run, findings)))
    finally:
        if claim is not None:
            with contextlib.suppress(StoreError):
                claim.release()
        lock.release()


def _recipe(run: Path, findings: list[Finding]) -> Recipe:
    """The run's recipe, from the manifest or else from recipe.yaml."""
    damaged = next((finding for finding in findings if finding.path == NAME), None)
    if damaged is None:
        return validate(read_manifest(run)["recipe"])
    try:
        return validate(yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError, SikedError) as error:
        raise RunError(
            f"The run {run} cannot be repaired: its manifest is damaged, and recipe.yaml cannot be used ({error}). Its "
            "pools, verdicts and students are untouched."
        ) from None


def _write(run: Path, recipe: Recipe, findings: list[Finding]) -> None:
    """The manifest and recipe.yaml, where they were damaged; and that the stages that lost something are not done."""
    paths = {finding.path for finding in findings}
    if "recipe.yaml" in paths:
        write_text(run / "recipe.yaml", recipe.to_yaml())
    manifest: dict[str, Any] = (
        {"format": FORMAT, "created": "", "forked_from": None, "recipe": recipe.model_dump(mode="json"), "stages": {}}
        if NAME in paths
        else read_manifest(run)
    )
    url = url_of(recipe.storage, run)
    if url is not None:
        manifest.setdefault(POOLS_AT, url)
    if any(finding.wrong for finding in findings):
        for stage in {stage for finding in findings for stage in finding.stages} & manifest["stages"].keys():
            manifest["stages"][stage] = {**manifest["stages"][stage], "state": "incomplete"}
        write_manifest(run, {**manifest, "finished": False})


def _fresh(run: Path, place: Place) -> int:
    names = {name for one in (LocalPlace(run), place) for name in (one / FOLDER).entries() if name.isdigit()}
    return max(map(int, names), default=0) + 1


def _move(run: Path, place: Place, path: str, number: int) -> str:
    """Set aside what is at a path of the run, with the hidden file that holds its digest: into which folder."""
    new = f"{FOLDER}/{number}/{path}"
    if path.partition("/")[0] in KEPT:
        place.move(path, new)
        return place.file(f"{FOLDER}/{number}")
    here = LocalPlace(run)
    here.move(path, new)
    here.move(beside(Path(path)).as_posix(), beside(Path(new)).as_posix())
    return here.file(f"{FOLDER}/{number}")


def _again(run: Path, findings: list[Finding]) -> list[str]:
    """What has to be made again, counted where it can be."""
    lines = []
    counted = set()
    for finding in findings:
        if not finding.wrong:
            continue
        pool = _pool(finding)
        if pool is None:
            lines.append(f"{finding.path}: {finding.then}")
        elif pool not in counted:
            counted.add(pool)
            lines.append(_lacking(run, pool) or f"{finding.path}: {finding.then}")
    return lines


def _pool(finding: Finding) -> str | None:
    """The pool whose samples a finding has lost."""
    folder, _, rest = finding.path.partition("/")
    if folder != "pools":
        return None
    return rest.rpartition("/")[0] if rest.endswith(".parquet") else rest


def _lacking(run: Path, pool: str) -> str:
    path = run / "wanted" / f"{pool}.parquet"
    if not path.exists() or not expected_digests(path):
        return ""
    wanted = set(read_parquet(path).get_column("key"))
    lacking = len(wanted - sound_samples(run, pool))
    return f"pools/{pool}: {lacking:,} of {len(wanted):,} samples are drawn again, by `{stages_of(pool)[0]}`."
