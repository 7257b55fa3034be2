"""The problems of a run: loaded once, split once, then read from the run's own directory.

Selection and stopping use the validation split; the test split is scored once, at the end. Where a data set has no
validation split, one is held out of its training problems: which ones depends on their ids alone, so it stays the
same when more problems are used.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from siked_core.contracts import Dataset
from siked_core.errors import DataError, RecipeError, unknown
from siked_core.keys import digest
from siked_core.pool import write_parquet
from siked_core.recipe import PluginChoice
from siked_core.records import Excluded, Loaded, Problem
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
    settings = _settings(run, choice)
    path = run.path / "problems" / f"{choice.name}-{split}-{digest(settings)[:8]}.parquet"
    if not path.exists():
        with run.reporter.stage(f"read {choice.name} ({split})", 1, "splits") as progress:
            loaded = _load(run, choice, split)
            _store(loaded, path)
            progress.advance()
            left_out = f", {len(loaded.excluded):,} left out" if loaded.excluded else ""
            progress.finish(f"{len(loaded.problems):,} problems{left_out}")
        if loaded.excluded:
            first = loaded.excluded[0]
            run.reporter.note(
                f"{choice.name} ({split}): {len(loaded.excluded):,} problems are left out, for example {first.id}: "
                f"{first.why}"
            )
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


def _settings(run: Run, choice: PluginChoice) -> dict[str, Any]:
    return {"dataset": choice.model_dump(mode="json"), "data": run.recipe.data.model_dump(mode="json")}


def _load(run: Run, choice: PluginChoice, split: str) -> Loaded:
    dataset = make_dataset(run, choice)
    data, available = run.recipe.data, dataset.splits()
    if split == "test":
        source = "test" if "test" in available else None
        loaded = dataset.load("test") if source else None
        limit = data.test_limit
    elif "validation" in available or "train" not in available:
        loaded = dataset.load(split) if split in available else None
        limit = data.limit if split == "train" else data.validation_limit
    else:
        whole = dataset.load("train")
        ordered = sorted(whole.problems, key=lambda problem: _place(problem.id))
        count = min(data.validation, int(len(ordered) * HELD_OUT_SHARE))
        held_out = {problem.id for problem in ordered[:count]}
        chosen = [problem for problem in whole.problems if (problem.id in held_out) == (split == "validation")]
        loaded = Loaded(tuple(chosen), whole.excluded if split == "train" else ())
        limit = data.limit if split == "train" else data.validation_limit
    if loaded is None:
        raise DataError(
            f"The data set '{choice.name}' has no {split} split (it has {', '.join(available) or 'none'}). Map one "
            f"with dataset.options.splits, or choose another data set."
        )
    kept = loaded.problems
    if limit is not None and limit < len(kept):
        # A subset by hash, in the data's own order: raising the limit keeps every problem that was used before.
        chosen_ids = {problem.id for problem in sorted(kept, key=lambda problem: _place(problem.id))[:limit]}
        kept = tuple(problem for problem in kept if problem.id in chosen_ids)
    if not kept:
        raise DataError(f"The {split} split of the data set '{choice.name}' is empty: it has no usable problem.")
    _refuse_twins(kept, choice.name)
    return Loaded(kept, loaded.excluded)


def make_dataset(run: Run, choice: PluginChoice) -> Dataset:
    """The data set plugin, given the run's `data.path` where it takes a `path` and has none of its own."""
    options = dict(choice.options)
    plugin = run.registry.get("dataset", choice.name)
    if run.recipe.data.path is not None and "path" in plugin.options_type.model_fields:
        options.setdefault("path", str(run.recipe.data.path))
    made: Dataset = run.registry.create("dataset", choice.name, options)
    return made


def _place(identifier: str) -> bytes:
    return hashlib.blake2b(identifier.encode(), digest_size=8).digest()


def _refuse_twins(kept: tuple[Problem, ...], dataset: str) -> None:
    seen: set[str] = set()
    for problem in kept:
        if problem.id in seen:
            raise DataError(f"The data set '{dataset}' has two problems with the id '{problem.id}'.")
        seen.add(problem.id)


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
