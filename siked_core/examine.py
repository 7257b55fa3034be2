"""Looking a run's directory over: what is damaged, what is missing, what was left unfinished.

Nothing is changed, nothing heavy is loaded, and no plugin is needed, so a run can be looked over on any machine. Files
are compared with the digests that were written with them, samples and verdicts with what the run's stages say is done.
Those that are kept at a URL are fetched for it; where the store does not answer, nothing is said of the run at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core import checkpoints
from siked_core.errors import FormatError, SikedError, StoreError
from siked_core.manifest import NAME, read_manifest
from siked_core.models import hash_files, read_side_file
from siked_core.pool import SAMPLES, VERDICTS, Pool, read_parquet
from siked_core.recipe import validate
from siked_core.spending import stage_of
from siked_core.store import KEPT, place_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a run, or worth knowing about it."""

    path: str
    """Of the file or folder, relative to the run."""
    what: str
    """What is wrong with it: the rest of a sentence that begins with the path."""
    then: str
    """What the next command will do about it."""
    stages: tuple[str, ...] = ()
    """What is not done after all."""
    wrong: bool = True
    """False where nothing is damaged or lost."""
    set_aside: bool = False
    """Whether a repair takes the file or folder out of the way."""

    @property
    def line(self) -> str:
        return f"{self.path}: {self.what}. {self.then}"


def examine(run: Path) -> list[Finding]:
    """Everything that is wrong in a run's directory, in the order of its stages.

    Raises:
        FormatError: another version of siked made it, so that nothing can be said of it here.
    """
    manifest, findings = _manifest(run)
    for look in (_problems, _pools, _tables, _students, _checkpoints, _results):
        findings += look(run, manifest)
    return findings


def sound_samples(run: Path, pool: str) -> set[str]:
    """The keys of a pool's samples that can be read."""
    return _keys(Pool(place_of(run) / "pools" / pool, SAMPLES))


def _keys(pool: Pool) -> set[str]:
    keys: set[str] = set()
    for shard in pool.shards():
        try:
            keys.update(pool.shard(shard).get_column("key"))
        except StoreError:
            raise
        except SikedError:
            continue
    return keys


def _manifest(run: Path) -> tuple[dict[str, Any], list[Finding]]:
    findings: list[Finding] = []
    if not (run / NAME).exists():
        return {}, [Finding(NAME, "it is missing", "A repair makes it anew from recipe.yaml.", set_aside=True)]
    try:
        manifest = read_manifest(run)
        validate(manifest["recipe"])
    except FormatError:
        raise
    except (SikedError, KeyError) as error:
        then = "A repair makes it anew from recipe.yaml; what is done is then found by its keys."
        return {}, [Finding(NAME, _reason(error), then, set_aside=True)]
    try:
        import yaml

        stored = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
        if stored != manifest["recipe"]:
            raise ValueError("it is not the recipe that the manifest holds")
    except (OSError, ValueError, yaml.YAMLError) as error:
        then = "A repair makes it anew from the manifest."
        findings.append(Finding("recipe.yaml", _reason(error), then, set_aside=True))
    return manifest, findings


def _problems(run: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    for path in sorted((run / "problems").glob("*.parquet")):
        yield from _table(run, path, "It is read again from where the data came from.", ())


def _pools(run: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    """Damaged shards, and samples and verdicts that a finished stage should have."""
    place = place_of(run)
    for name in _pool_names(run):
        drawn, judged = stages_of(name)
        samples, verdicts = Pool(place / "pools" / name, SAMPLES), Pool(place / "verdicts" / name, VERDICTS)
        torn = False
        for folder, pool, stages, then in (
            ("pools", samples, (drawn, judged), "The samples that only it holds are drawn again."),
            ("verdicts", verdicts, (judged,), "What it judged is judged again."),
        ):
            for shard in pool.shards():
                try:
                    pool.shard(shard)
                except StoreError:
                    raise
                except SikedError as error:
                    torn = True
                    yield Finding(f"{folder}/{name}/{shard}", _reason(error), then, stages, set_aside=True)
        path = run / "wanted" / f"{name}.parquet"
        if not path.exists() or torn:
            continue  # what is missing is then told by the shard, or nobody has said what should be there
        try:
            wanted = set(read_parquet(path).get_column("key"))
        except SikedError:
            continue
        there, seen = _keys(samples), _keys(verdicts)
        left_out = manifest.get("stages", {}).get(judged, {}).get("set_aside", 0)
        lacking, unjudged = len(wanted - there), len((wanted & there) - seen) - left_out
        if lacking and _done(manifest, drawn):
            what = f"{lacking:,} of {len(wanted):,} samples are missing"
            yield Finding(f"pools/{name}", what, "They are drawn again.", (drawn, judged))
        if unjudged > 0 and _done(manifest, judged):
            what = f"{unjudged:,} of {len(wanted & there):,} samples have no verdict"
            yield Finding(f"verdicts/{name}", what, "They are judged again.", (judged,))


def _tables(run: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    for path in sorted((run / "wanted").rglob("*.parquet")):
        name = path.relative_to(run / "wanted").with_suffix("").as_posix()
        then = "Which samples belong to the pool is worked out again; none is drawn again for it."
        yield from _table(run, path, then, stages_of(name))
    for path in sorted((run / "mixtures").glob("*.parquet")):
        yield from _table(run, path, "It is mixed again from the verdicts.", (f"mix {path.stem}",))
    for path in sorted((run / "imports").glob("*.parquet")):
        yield from _table(run, path, "Bring what it held in again, with `siked import`.", ())
    for path in sorted((run / "audits").glob("*.parquet")):
        yield from _table(run, path, "Make it again with `siked audit`.", ())


def _students(run: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    for folder in sorted(path for path in (run / "students").glob("*") if path.is_dir()):
        if folder.name.startswith("."):
            continue  # one that was being written
        try:
            side = read_side_file(folder)
            why = "" if hash_files(folder) == side["fingerprint"] else "its files are not what was written"
        except (SikedError, OSError, KeyError, TypeError) as error:
            why = _reason(error)
        if why:
            then = "It is trained again from its mixture."
            yield Finding(f"students/{folder.name}", why, then, (f"train {folder.name}",), set_aside=True)
    for stage in manifest.get("stages", {}):
        name = stage.removeprefix("train ")
        if name != stage and _done(manifest, stage) and not (run / "students" / name).exists():
            yield Finding(f"students/{name}", "it is missing", "It is trained again from its mixture.", (stage,))


def _checkpoints(run: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    for training in sorted(path for path in (run / "checkpoints").glob("*") if path.is_dir()):
        for checkpoint in checkpoints.in_order(training):
            why = checkpoints.fault(checkpoint)
            if why:
                yield Finding(
                    checkpoint.relative_to(run).as_posix(),
                    why,
                    "Training goes on from the one before it, or from the start where there is none.",
                    wrong=(checkpoint / checkpoints.SEAL).exists(),
                    set_aside=True,
                )


def _results(run: Path, manifest: dict[str, Any]) -> Iterator[Finding]:
    then = "It is worked out again from the verdicts."
    cards: dict[str, Any] = {}
    report: dict[str, Any] | None = None
    for path in sorted((run / "scorecards").glob("*.jsonl")):
        try:
            for line in path.read_text(encoding="utf-8").splitlines():
                json.loads(line)
        except (OSError, ValueError) as error:
            yield Finding(path.relative_to(run).as_posix(), _reason(error), then, set_aside=True)
    for path in [*sorted((run / "scorecards").glob("*.json")), *run.glob("report.json")]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            yield Finding(path.relative_to(run).as_posix(), _reason(error), then, set_aside=True)
            continue
        if path.name == "report.json":
            report = content
        else:
            cards[path.name] = content
    if report is not None:
        for card in [*(one.get("validation") for one in report.get("rounds", [])), *report.get("test", [])]:
            try:
                name = f"{card['student']}.{card['dataset']}-{card['split']}.json"
            except (KeyError, TypeError):
                yield Finding("report.json", "it is not what was written", then, set_aside=True)
                return
            if name in cards and cards[name] != card:
                yield Finding("report.json", f"it does not say the same as scorecards/{name}", then, set_aside=True)
    if manifest.get("finished") and not (run / "report.json").exists():
        yield Finding("report.json", "it is missing", then)


def stages_of(pool: str) -> tuple[str, str]:
    """The stages that draw and that judge a pool, by the names that the manifest has for them."""
    return stage_of(pool), f"verify {pool}"


def _pool_names(run: Path) -> list[str]:
    """Every pool of which there is something, or of which it is known what should be there."""
    wanted = run / "wanted"
    known = {path.relative_to(wanted).with_suffix("").as_posix() for path in wanted.rglob("*.parquet")}
    for part in KEPT:
        names = (place_of(run) / part).names()
        known |= {name.rpartition("/")[0] for name in names if name.endswith(".parquet")}
    return sorted(known)


def _table(run: Path, path: Path, then: str, stages: tuple[str, ...]) -> Iterator[Finding]:
    try:
        read_parquet(path)
    except SikedError as error:
        yield Finding(path.relative_to(run).as_posix(), _reason(error), then, stages, set_aside=True)


def _done(manifest: dict[str, Any], stage: str) -> bool:
    return bool(manifest.get("stages", {}).get(stage, {}).get("state") == "done")


def _reason(error: BaseException) -> str:
    """The part of an error that tells what is wrong: the path stands before it, and the remedy after it."""
    text = " ".join(str(error).split())
    if isinstance(error, SikedError):
        text = text.partition(" is damaged: ")[2] or text.partition(" cannot be read: ")[2] or text
        text = text.partition(" `siked run repair")[0]
    if isinstance(error, KeyError):
        text = f"it lacks {text}"
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return text.removesuffix(".")
