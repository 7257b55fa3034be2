"""A run's directory: its lock, its recipe, what is done in it.

runs/pocket-001/
  recipe.yaml                 the resolved recipe
  manifest.json               versions, stage states, times; `finished` once the report is written
  run.lock                    who works on it; gone when nobody does (siked_core.lock)
  problems/DATASET-SPLIT.parquet   what was loaded, so that a run never changes its data
  pools/teacher, pools/round-1 ... sampled completions (siked_core.pool.SAMPLES);
                                  pools/evaluations/STUDENT/DATASET-SPLIT for evaluations
  verdicts/teacher, ...            what became of them (siked_core.pool.VERDICTS)
                                  (both may be at a URL instead: siked_core.store)
  mixtures/round-0.parquet         what a student was trained on
  students/round-0, ...            Hugging Face folders
  evaluations/STUDENT/DATASET-SPLIT  completions and verdicts of an evaluation
  scorecards/*.json, report.json
  journal/                         what it is doing, for whoever watches (siked_core.journal)
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from siked_core.contracts import Generator, Strategy, Verifier
from siked_core.errors import CapReached, RunError, SikedError, StoreError
from siked_core.files import unwritable, write_text
from siked_core.format import StudentFormat
from siked_core.journal import Journal
from siked_core.leftovers import discard, tidy
from siked_core.lock import Lock
from siked_core.manifest import FORMAT, read_manifest, write_manifest
from siked_core.numbered import fresh, unfinished
from siked_core.permission import permitted
from siked_core.place import LocalPlace, Place
from siked_core.pool import SAMPLES, VERDICTS, Pool
from siked_core.provenance import changes, made_with
from siked_core.recipe import Recipe, differences, read_text_option, validate
from siked_core.registry import Registry
from siked_core.remote import open_place
from siked_core.reporting import Reporter
from siked_core.store import POOLS_AT, UNSENT, Claim, claimed, place_of, take_over, url_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class Run:
    """An open run. Stages take it and nothing else."""

    path: Path
    recipe: Recipe
    registry: Registry
    reporter: Reporter
    resumed: bool = False
    keep_going: bool = False
    """Set aside, and count, what a verifier fails on, instead of stopping."""
    asked: set[type[Generator]] = field(default_factory=set)  # siked_core.asking
    journal: Journal | None = None
    """Where it writes down what it does; None where it was opened without its lock."""
    _lock: Lock | None = None
    _claim: Claim | None = None
    _pools: dict[str, Pool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.name

    # What the recipe names, made once.

    @cached_property
    def strategies(self) -> dict[str, Strategy]:
        """The run's strategies by name, in the recipe's order."""
        return {
            choice.name: self.registry.create("strategy", choice.name, choice.options)
            for choice in self.recipe.strategies
        }

    def verifier_of(self, strategy: str) -> tuple[str, dict[str, Any]]:
        """Name and options of the verifier that judges a strategy. One with an option `verifier`, because it has
        another's work done elsewhere, is given the strategy's own, unless the recipe names one."""
        own = self.strategies[strategy].verifier
        choice = self.recipe.verifiers.get(strategy)
        if choice is None:
            return own, {}
        if "verifier" in self.registry.get("verifier", choice.name).options_type.model_fields:
            return choice.name, {"verifier": own, **choice.options}
        return choice.name, choice.options

    @contextmanager
    def verifiers(
        self, scoring: bool = False, create: Callable[..., Any] | None = None
    ) -> Iterator[dict[str, Verifier]]:
        """A verifier for each strategy; those of one name and options are one object. Closed at the end.

        Args:
            scoring: only verifiers whose verdicts may score a student.
            create: makes what a verifier works with, e.g. a generator that judges; by default the registry does.
        """
        made: dict[str, Verifier] = {}

        def make(name: str, options: dict[str, Any]) -> Verifier:
            identity = json.dumps([name, options], sort_keys=True, default=str)
            if identity not in made:
                if self.recipe.allow_unsafe_exec:
                    options = permitted(self.registry, name, options, unsafe=True)
                made[identity] = self.registry.create("verifier", name, options)
            return made[identity]

        try:
            chosen = {strategy: make(*self.verifier_of(strategy)) for strategy in self.strategies}
            own = {
                name: chosen[name] if chosen[name].scores else make(strategy.verifier, {})
                for name, strategy in self.strategies.items()
            }
            for verifier in set(chosen.values()):
                verifier.bind(own, create or self.registry.create)
            yield own if scoring else chosen
        finally:
            for verifier in made.values():
                verifier.close()

    @cached_property
    def format(self) -> StudentFormat:
        """How its students are spoken to. Read once: the instruction may be a file, and every row asks."""
        instruction = read_text_option(self.recipe.student.instruction, "student's instruction")
        thinks = bool(self.recipe.reasoning and self.recipe.reasoning.keep)
        return StudentFormat.build(self.recipe.strategy_names, self.recipe.student.tag, instruction, thinks)

    # Where things are.

    @cached_property
    def place(self) -> Place:
        """What `pools/` and `verdicts/` are in: this run's directory, or a folder at a URL."""
        return place_of(self.path)

    def pool(self, name: str) -> Pool:
        return self._pools.setdefault(f"pools/{name}", Pool(self.place / "pools" / name, SAMPLES))

    def verdicts(self, name: str) -> Pool:
        return self._pools.setdefault(f"verdicts/{name}", Pool(self.place / "verdicts" / name, VERDICTS))

    def wanted(self, name: str) -> Path:
        """The keys of the samples that belong to a pool under the present recipe; a pool may hold more."""
        return self.path / "wanted" / f"{name}.parquet"

    def review(self, pool: str) -> Path:
        """The problems on which a pool's samples do not agree, where they are judged together."""
        return self.path / "reviews" / f"{pool}.jsonl"

    def mixture(self, name: str) -> Path:
        return self.path / "mixtures" / f"{name}.parquet"

    def student(self, name: str) -> Path:
        return self.path / "students" / name

    # What is done.

    @property
    def manifest(self) -> dict[str, Any]:
        return read_manifest(self.path)

    @contextmanager
    def timed(self, stage: str) -> Iterator[dict[str, Any]]:
        """Record a stage in the manifest: running, then done with the notes of the block. If it fails, its seconds."""
        notes: dict[str, Any] = {}
        earlier = self.manifest["stages"].get(stage, {})
        self.record(stage, {**earlier, "state": "running"})
        started = time.monotonic()

        def so_far() -> float:
            return round(float(earlier.get("seconds", 0.0)) + time.monotonic() - started, 3)

        try:
            yield notes
        except BaseException:
            with contextlib.suppress(SikedError):  # a full disk, say, is what it ended by
                self.record(stage, {**self.manifest["stages"][stage], "seconds": so_far()})
            raise
        seconds = so_far()
        # A stage that finds everything done does not add to the time that doing it took.
        if earlier.get("state") == "done" and not notes.get("worked", True):
            seconds = earlier["seconds"]
        notes.pop("worked", None)
        self.record(stage, {**earlier, **notes, "state": "done", "seconds": seconds})

    def finish(self) -> None:
        write_manifest(self.path, {**self.manifest, "finished": True})

    def record(self, stage: str, entry: dict[str, Any]) -> None:
        """Write a stage's entry into the manifest, over the one that it has."""
        manifest = self.manifest
        write_manifest(self.path, {**manifest, "stages": {**manifest["stages"], stage: entry}})

    def close(self, failed: bool = False) -> None:
        """Let others have it.

        Args:
            failed: a store did not answer; it is not asked again only to tell it so.
        """
        if self.journal is not None:
            self.journal.close("resting")
        for generators in self.asked:
            generators.release()
        if self._claim is not None:
            with contextlib.suppress(RunError):
                self._claim.release(unasked=failed)
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.journal is not None:
                self.journal.close(*how_ended(self.path, error))
        finally:
            if not self.resumed:
                discard(self.path, error)
            self.close(failed=isinstance(error, StoreError))
            with contextlib.suppress(OSError):
                self.path.rmdir()  # where a mistake left nothing in it


def how_ended(run: Path, error: BaseException | None) -> tuple[str, str]:
    """How the work on a run has ended, as its journal names it, and why."""
    if error is None:
        return ("finished" if read_manifest(run, missing_ok=True).get("finished") else "resting"), ""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
        return "interrupted", ""
    return ("paused" if isinstance(error, CapReached) else "failed"), f"{error}".partition("\n")[0] or repr(error)


def start(
    recipe: Recipe,
    registry: Registry,
    reporter: Reporter,
    *,
    runs: Path = Path("runs"),
    name: str | None = None,
    fork: bool = False,
) -> Run:
    """Open the run that a recipe belongs to, or make it.

    Without a name, an unfinished run with the identical resolved recipe is resumed, otherwise a fresh numbered
    directory is made. With a name, that run is made or continued.

    Args:
        fork: where the named run has another recipe, make a new run from it: every sample, verdict and student
            that is still valid under the new recipe is reused (they are found by their keys). An unfinished fork of
            that run with this very recipe is resumed.

    Raises:
        RunError: the named run has another recipe and `fork` is not set; another process has it open; the
            directory cannot be written.
    """
    if name is None:
        path = unfinished(runs, recipe.dataset.name, recipe, reporter)
        if path is not None:
            return _open(path, recipe, registry, reporter, resumed=True)
        return _make(fresh(runs, recipe.dataset.name, recipe), recipe, registry, reporter)
    if not name.strip():
        raise RunError("--run is empty. Give the run a name, e.g. --run mine, or leave the option out.")
    path = locate(name, runs)
    if not (path / "manifest.json").exists():
        # A run that was killed while it was made has no more than these, and is made again.
        held = {entry.name for entry in path.glob("[!.]*")} - {"run.lock", "recipe.yaml"} if path.exists() else set()
        if held & {"pools", "verdicts", "students"}:
            raise RunError(f"The run {path} has lost its manifest. `siked run repair {path}` makes it anew.")
        if held:
            raise RunError(f"{path} exists and is not a run of siked. Choose another --run, or empty it.")
        return _make(path, recipe, registry, reporter)
    changed = differences(_stored(path), recipe)
    if not changed:
        return _open(path, recipe, registry, reporter, resumed=True)
    if not fork:
        shown = "; ".join(changed[:6]) + ("; ..." if len(changed) > 6 else "")
        raise RunError(
            f"The run {path} has another recipe ({shown}). Add --fork to start a new run that reuses what is "
            "still valid, or choose another --run."
        )
    begun = unfinished(path.parent, path.name, recipe, reporter, forked_from=path.name)
    if begun is not None:
        return _open(begun, recipe, registry, reporter, resumed=True)
    run = _make(fresh(path.parent, path.name, recipe), recipe, registry, reporter, source=path)
    reporter.note(f"Forked {path} into {run.path}.")
    return run


def attach(
    name_or_path: str | Path, registry: Registry, reporter: Reporter, *, runs: Path = Path("runs"), lock: bool = True
) -> Run:
    """Open an existing run with its stored recipe.

    Raises:
        RunError: there is no such run, or another process has it open.
    """
    path = locate(str(name_or_path), runs)
    if not (path / "manifest.json").exists():
        known = ", ".join(sorted(entry.parent.name for entry in runs.glob("*/manifest.json"))) or "none"
        raise RunError(f"There is no run at {path}. Runs under {runs}: {known}.")
    return _open(path, _stored(path), registry, reporter, resumed=True, lock=lock)


def locate(name: str, runs: Path) -> Path:
    """A run by its name under `runs`, or by its path."""
    if _NAME.fullmatch(name) and not (Path(name) / "manifest.json").exists():
        return runs / name
    return Path(name)


def _open(
    path: Path, recipe: Recipe, registry: Registry, reporter: Reporter, *, resumed: bool, lock: bool = True
) -> Run:
    held = None
    if lock:
        held = Lock(path / "run.lock", reporter.note)
        held.acquire()
    journal = Journal(path, reporter) if lock else None
    run = Run(path, recipe, registry, journal or reporter, resumed=resumed, journal=journal, _lock=held)
    if lock and resumed:
        try:
            run._claim = claimed(path, run.place, reporter)
            tidy(path)
            _note_versions(run)
        except BaseException:
            run.close()
            raise
    return run


def _make(path: Path, recipe: Recipe, registry: Registry, reporter: Reporter, source: Path | None = None) -> Run:
    """Make a run; a fork takes over what `source` has. The manifest is written last: with it, the run is whole."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None
    url = url_of(recipe.storage, path)
    place = LocalPlace(path) if url is None else open_place(url, recipe.storage.options, path / UNSENT)
    run = _open(path, recipe, registry, reporter, resumed=False)
    try:
        run._claim = claimed(path, place, reporter)
        if source is not None:
            _reuse(source, path, place)
        elif url is not None and any(name.startswith("pools/") for name in place.names()):
            reporter.note(f"{place} has samples of an earlier run of this name: what fits is not paid for again.")
        write_text(path / "recipe.yaml", recipe.to_yaml())
        write_manifest(
            path,
            {
                "format": FORMAT,
                "finished": False,
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "forked_from": source.name if source is not None else None,
                "recipe": recipe.model_dump(mode="json"),
                **({} if url is None else {POOLS_AT: url}),
                **made_with(recipe, registry),
                "stages": {},
            },
        )
    except BaseException:
        run.close()
        with contextlib.suppress(OSError):
            path.rmdir()  # where nothing has come into it
        raise
    return run


def _note_versions(run: Run) -> None:
    """Say what is another than when the run was last worked on, and keep it with the run."""
    now = made_with(run.recipe, run.registry)
    changed = changes(run.manifest, now)
    if changed:
        run.reporter.warn(
            f"The run {run.path} was made with other versions ({'; '.join(changed)}). What is there is kept; what "
            "another version of a plugin would make otherwise is made again."
        )
        write_manifest(run.path, {**run.manifest, "continued": [*run.manifest.get("continued", []), now]})


def _stored(path: Path) -> Recipe:
    return validate(read_manifest(path)["recipe"])


def _reuse(old: Path, new: Path, place: Place) -> None:
    """Take over what is found by key: pools, verdicts, students. What no longer fits is simply not found."""
    take_over(place_of(old), place)
    for part in ("imports", "students", "objectives"):
        LocalPlace(old / part).link(new / part)
