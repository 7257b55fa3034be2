"""What a finished stage came to, so that the same command, given again, makes no key and reads no sample.

The manifest holds what a stage came to with a digest of all that this rests on: the recipe, siked's code and versions
and its plugins', the judges, whatever the stage adds (the keys of one problem's samples, made as all are), the names
and sizes of its pools' shards, and the content of the files that it reads or writes. While the digest of what is there
stays the same, so does the outcome. Where anything is another, the stage is done as though nothing had been kept, and
finds by key what is there: a digest that holds more than what decides costs time, one that held less would be wrong.

What was there before a stage began is taken then, what it made, when it is done: something that is changed while a
stage works makes it work again. A shard's name has its digest in it, so a shard that is lost, torn, added or another
shows in names and sizes; a byte that flipped in one, to whoever reads it and to `siked run check`.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import siked_core
from siked_core.contracts import Plugin
from siked_core.files import content_of
from siked_core.imported import POOL, imports_file
from siked_core.keys import digest
from siked_core.manifest import recalled, remember
from siked_core.mixing import with_what_it_builds_on
from siked_core.provenance import versions
from siked_core.recipe import CHANGEABLE
from siked_core.recipe_check import choices
from siked_core.run import Run
from siked_core.stages.evidence import present_judges
from siked_core.stages.generate import is_evaluation, split_of
from siked_core.stages.prepare import problems_file

LARGEST = 1 << 20
"""Bytes of the largest file of a package that is taken for code, or for the text that code works with; weights are
larger."""


class Finished:
    """Whether a stage is, and what it came to.

    Args:
        stage: what the record is known by, as the run's manifest names the stage.
        pools: the stage reads or fills their samples and verdicts, and what belongs to them.
        files: of the run, beside those: it reads or writes them.
        given: plain values, of all else that decides what the stage would do.
    """

    def __init__(
        self, run: Run, stage: str, *, pools: Sequence[str] = (), files: Sequence[Path] = (), given: Any = None
    ) -> None:
        self._run, self._stage, self._pools = run, stage, pools
        self._files = [*files, *(path for pool in pools for path in _files_of(run, pool))]
        self._given = digest([given, _judges(run, pools), _recipe(run), list(_code(run))])

    def outcome(self) -> dict[str, Any] | None:
        """What the stage came to; None where it has to be done."""
        manifest = self._run.manifest
        state = manifest["stages"].get(self._stage, {}).get("state")
        if state not in (None, "done"):  # something ended it, or a repair undid it
            return None
        found = recalled(manifest, self._stage, self._rests_on())
        if found is not None and state:
            self._run.reporter.note(f"{self._stage}: finished before, and nothing that it rests on has changed.")
        return found

    def keep(self, outcome: Mapping[str, Any]) -> None:
        """The stage is done, and came to this.

        Raises:
            RunError: the manifest cannot be written.
        """
        remember(self._run.path, self._stage, self._rests_on(), outcome)

    def _rests_on(self) -> str:
        run = self._run
        places = {f"{part}/{pool}": table(pool).place for pool in self._pools
                  for part, table in (("pools", run.pool), ("verdicts", run.verdicts))}  # fmt: skip
        shards = {name: place.sizes() for name, place in places.items()}
        files = {path.relative_to(run.path).as_posix(): content_of(path) for path in self._files}
        return digest([self._given, shards, files])


def _files_of(run: Run, pool: str) -> Iterator[Path]:
    """The files of a run that belong to a pool."""
    dataset, split = split_of(run, pool)
    yield problems_file(run, split, dataset)
    yield run.wanted(pool)
    yield run.review(pool)
    if pool == POOL:
        yield imports_file(run)


def _judges(run: Run, pools: Sequence[str]) -> list[Any]:
    """What judges pools, as their verdicts are known by it, and the code of it."""
    found = []
    for scoring in sorted({is_evaluation(pool) for pool in pools}):
        with run.verifiers(scoring=scoring) as verifiers:
            code = {name: _code_of(type(verifier)) for name, verifier in verifiers.items()}
            found.append([present_judges(run, verifiers), code])
    return found


def _recipe(run: Run) -> list[Any]:
    """The recipe as it is for this command, with what it names as a file."""
    return [run.recipe.model_dump(mode="json", exclude=set(CHANGEABLE)), asdict(run.format)]


def _code(run: Run) -> Iterator[Any]:
    """Versions, and for every plugin that the recipe names its own, its code, and the files that its options name."""
    yield _versions()
    yield _package(Path(siked_core.__file__).parent)
    for _, kind, choice in choices(run.recipe):
        named = run.registry.create(kind, choice.name, choice.options)
        for plugin in dict.fromkeys((*with_what_it_builds_on(named, run.registry), named.original)):
            yield [kind, plugin.name, plugin.version, _code_of(type(plugin)), *_named_files(plugin)]
    student = run.registry.get("generator", run.recipe.student.generator.name)
    yield [student.name, student.version, _code_of(student)]


@cache  # of what a process has imported
def _versions() -> dict[str, str]:
    return versions()


def _named_files(plugin: Plugin) -> Iterator[list[Any]]:
    """The content of the files that options name. A generator's may be large; its fingerprint tells of them."""
    if plugin.kind != "generator":
        for name in type(plugin.options).model_fields:
            value = getattr(plugin.options, name)
            if isinstance(value, Path):
                yield [name, content_of(value)]


def _code_of(plugin: type) -> list[str]:
    """Hashes of the packages that a class and its bases are from."""
    return sorted({_source(base) for base in plugin.__mro__ if base.__module__ not in ("builtins", "abc", "typing")})


def _source(plugin: type) -> str:
    try:
        path = Path(inspect.getfile(plugin))
    except (TypeError, OSError):
        return secrets.token_hex()  # typed in, not written down: who knows whether it is the same
    while (path.parent / "__init__.py").exists():
        path = path.parent
    return _package(path)


@lru_cache(maxsize=64)  # as it was when it was first used: what a process has imported does not change
def _package(path: Path) -> str:
    """A hash of the files of a package, or of a module that is in none."""
    found = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    small = [one for one in found if "__pycache__" not in one.parts and one.stat().st_size <= LARGEST]
    return digest([[one.relative_to(path).as_posix(), content_of(one)] for one in small])
