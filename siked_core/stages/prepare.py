"""The problems of a run: loaded once, split once, then read from the run's own directory.

Selection and stopping use the validation split; the test split is scored once, at the end. Where a data set has no
validation split, one is held out of its training problems: which ones depends on their ids alone, so it stays the
same when more problems are used.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from siked_core.contracts import Dataset
from siked_core.errors import DataError, RecipeError, unknown
from siked_core.keys import digest
from siked_core.pool import write_parquet
from siked_core.recipe import PluginChoice, Recipe
from siked_core.records import Excluded, Loaded, Problem
from siked_core.registry import Registry
from siked_core.run import Run

HELD_OUT_SHARE = 0.2
"""At most this share of the training problems is held out for validation."""


def problems(run: Run, split: str, dataset: str | None = None) -> tuple[Problem, ...]:
    """The problems of a split ("train", "validation", "test") of the run's data set, or of another one.

    Raises:
        DataError: the data set cannot be read, or the split is empty.
        RecipeError: the data set is not one of this run's.
    """
    choice = _choice(run, dataset)
    settings = digest({"dataset": choice.model_dump(mode="json"), "data": run.recipe.data.model_dump(mode="json")})
    path = run.path / "problems" / f"{choice.name}-{split}-{settings[:8]}.parquet"
    if not path.exists():
        with run.reporter.stage(f"read {choice.name} {split}", 1, "split") as progress:
            loaded = _load(run, choice, split)
            for name, part in loaded.items():
                _store(part, path.with_name(f"{choice.name}-{name}-{settings[:8]}.parquet"))
            progress.advance()
            count = len(loaded[split].excluded)
            progress.finish(f"{len(loaded[split].problems):,} problems" + (f", {count:,} left out" if count else ""))
        for excluded in loaded[split].excluded[:1]:
            run.reporter.note(f"{choice.name} {split}: {count:,} left out, for example {excluded.id}: {excluded.why}")
    return tuple(problem for problem in _read(path) if isinstance(problem, Problem))


def excluded(run: Run) -> dict[str, int]:
    """How many problems of each file were left out."""
    counts = {}
    for path in sorted((run.path / "problems").glob("*.parquet")):
        count = sum(isinstance(entry, Excluded) for entry in _read(path))
        if count:
            counts[path.stem.rsplit("-", 1)[0]] = count
    return counts


def _choice(run: Run, dataset: str | None) -> PluginChoice:
    choices = {choice.name: choice for choice in (*run.recipe.evaluate, run.recipe.dataset)}
    name = dataset or run.recipe.dataset.name
    if name not in choices:
        raise RecipeError(unknown("data set of this run", name, choices))
    return choices[name]


def _load(run: Run, choice: PluginChoice, split: str) -> dict[str, Loaded]:
    """The split that is asked for; with it, the one that comes out of the same reading."""
    dataset = make_dataset(run.recipe, run.registry, choice)
    data, available = run.recipe.data, dataset.splits()
    limits = {"train": data.limit, "validation": data.validation_limit, "test": data.test_limit}
    if split in available:
        loaded = {split: dataset.load(split)}
    elif split == "validation" and "train" in available:
        loaded = {"train": dataset.load("train")}
    else:
        raise DataError(
            f"The data set '{choice.name}' has no {split} split (it has {', '.join(available) or 'none'}). Map one "
            f"with dataset.options.splits, or choose another data set."
        )
    if "train" in loaded and "validation" not in available:
        whole = loaded["train"]
        count = min(data.validation, max(1, int(len(whole.problems) * HELD_OUT_SHARE)))
        held_out = _subset(whole.problems, count)
        ids = {problem.id for problem in held_out}
        rest = tuple(problem for problem in whole.problems if problem.id not in ids)
        loaded = {"train": Loaded(rest, whole.excluded), "validation": Loaded(held_out)}
    return {name: _limited(part, limits[name], choice.name, name) for name, part in loaded.items()}


def _limited(loaded: Loaded, limit: int | None, dataset: str, split: str) -> Loaded:
    if not loaded.problems:
        raise DataError(f"The {split} split of the data set '{dataset}' is empty: it has no usable problem.")
    twins = [name for name, count in Counter(problem.id for problem in loaded.problems).items() if count > 1]
    if twins:
        raise DataError(f"The data set '{dataset}' has two problems with the id '{twins[0]}'.")
    return Loaded(_subset(loaded.problems, limit or len(loaded.problems)), loaded.excluded)


def _subset(problems: tuple[Problem, ...], count: int) -> tuple[Problem, ...]:
    """So many of the problems, chosen by the hash of their ids, in their own order.

    A larger subset holds every smaller one, so raising a limit keeps all problems that were used before.
    """
    chosen = {problem.id for problem in sorted(problems, key=lambda problem: _place(problem.id))[:count]}
    return tuple(problem for problem in problems if problem.id in chosen)


def make_dataset(recipe: Recipe, registry: Registry, choice: PluginChoice) -> Dataset:
    """The data set plugin, given the recipe's `data.path` where it takes a `path` and has none of its own."""
    options = dict(choice.options)
    plugin = registry.get("dataset", choice.name)
    if recipe.data.path is not None and "path" in plugin.options_type.model_fields:
        options.setdefault("path", str(recipe.data.path))
    made: Dataset = registry.create("dataset", choice.name, options)
    return made


def _place(identifier: str) -> bytes:
    return hashlib.blake2b(identifier.encode(), digest_size=8).digest()


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Problem | Excluded)


def _store(loaded: Loaded, path: Path) -> None:
    import polars as pl

    entries: list[Problem | Excluded] = [*loaded.problems, *loaded.excluded]
    rows = [
        {
            "id": entry.id,
            "question": getattr(entry, "question", None),
            "answer": getattr(entry, "answer", None),
            "family": getattr(entry, "family", None),
            "excluded": getattr(entry, "why", None),
            "record": _adapter().dump_json(entry).decode(),
        }
        for entry in entries
    ]
    schema = dict.fromkeys(("id", "question", "answer", "family", "excluded", "record"), pl.String)
    write_parquet(pl.DataFrame(rows, schema=schema), path)


def _read(path: Path) -> list[Problem | Excluded]:
    import polars as pl

    return [_adapter().validate_json(text) for text in pl.read_parquet(path).get_column("record")]
