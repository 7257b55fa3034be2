"""The problems of a run: loaded once, split once, then read from the run's own directory.

Selection and stopping use the validation split; the test split is scored once, at the end. Where a data set has no
validation split, one is held out of its training problems: which ones depends on their ids alone, so it stays the
same when more problems are used.

Training problems that are too near a test problem, of the run's data set or of another that is evaluated, are left
out before anything else (`siked_core.decontamination`), and listed with what they are too near in
`problems/contaminated.jsonl`. Test problems are compared with all of them, whatever limits the recipe sets.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from siked_core.contracts import Dataset
from siked_core.decontamination import Match, too_near
from siked_core.errors import DataError, RecipeError, RunError, unknown
from siked_core.files import content_of, write_text
from siked_core.keys import digest
from siked_core.pool import read_parquet, write_parquet
from siked_core.recipe import Recipe
from siked_core.recipe_choice import PluginChoice
from siked_core.records import Excluded, Loaded, Problem
from siked_core.registry import Registry
from siked_core.run import Run

HELD_OUT_SHARE = 0.2
"""At most this share of the training problems is held out for validation."""
CONTAMINATED = "problems/contaminated.jsonl"
"""In a run's directory: the training problems that were left out for being too near a test problem, a line each."""


def problems(run: Run, split: str, dataset: str | None = None) -> tuple[Problem, ...]:
    """The problems of a split ("train", "validation", "test") of the run's data set, or of another one.

    Raises:
        DataError: the data set cannot be read, or the split is empty.
        RecipeError: the data set is not one of this run's.
    """
    return tuple(problem for problem in _read(_there(run, split, dataset)) if isinstance(problem, Problem))


def first_problem(run: Run, split: str, dataset: str | None = None) -> Problem:
    """The first of `problems`, which takes no time for the others."""
    path = _there(run, split, dataset)
    return _first(path, str(content_of(path)))


def problems_file(run: Run, split: str, dataset: str | None = None) -> Path:
    """Where the problems of a split are kept, once they have been loaded."""
    choice = _choice(run, dataset)
    settings = digest(
        {
            "dataset": choice.model_dump(mode="json"),
            "data": run.recipe.data.model_dump(mode="json"),
            "evaluate": [other.model_dump(mode="json") for other in run.recipe.evaluate],
        }
    )
    return run.path / "problems" / f"{choice.name}-{split}-{settings[:8]}.parquet"


def _there(run: Run, split: str, dataset: str | None) -> Path:
    """The same, now that they have been loaded."""
    path, choice = problems_file(run, split, dataset), _choice(run, dataset)
    if not path.exists():
        with run.reporter.stage(f"read {choice.name} {split}", 1, "split") as progress:
            parts = _load(run, choice, split)
            for name, part in parts.items():
                _store(part, problems_file(run, name, dataset))
            progress.advance()
            count = len(parts[split].excluded)
            progress.finish(f"{len(parts[split].problems):,} problems" + (f", {count:,} left out" if count else ""))
        for excluded in parts[split].excluded[:1]:
            run.reporter.note(f"{choice.name} {split}: {count:,} left out, for example {excluded.id}: {excluded.why}")
    return path


def dealt(run: Run, round: int) -> tuple[Problem, ...]:
    """The training problems that a round samples and is trained on: all of them, or its part (`rollout.problems`).

    The parts follow one another in the data set's order, and are as large as each other, to one problem. Parts of a
    size that the recipe gives are cut in the order in which a higher `data.limit` adds problems, so that neither more
    problems nor more rounds change one; where there are too few problems for them, all parts shrink alike.

    Raises:
        RunError: there are too few problems.
    """
    every = problems(run, "train")
    parts = run.recipe.stopping.rounds + 1
    if run.recipe.rollout.problems == "all" or round >= parts:
        return every
    size = run.recipe.rollout.problems_per_round
    if size is not None:
        first = run.recipe.rollout.warm_up_problems or size
        ends = [0, *(first + number * size for number in range(parts))]
        if len(every) < ends[-1]:
            ends = [len(every) * end // ends[-1] for end in ends]
        if ends[round + 1] > ends[round]:
            return _subset(every, ends[round + 1], after=ends[round])
    if size is not None or len(every) < parts:
        raise RunError(
            f"rollout.problems is fresh, and {len(every)} training problems cannot be dealt to round 0 and "
            f"{parts - 1} rounds. Use more problems or fewer rounds, or rollout.problems=all."
        )
    return every[len(every) * round // parts : len(every) * (round + 1) // parts]


def loaded(run: Run) -> dict[str, Loaded]:
    """What the run has read so far, by "DATASET-SPLIT"."""
    found = {}
    for path in sorted((run.path / "problems").glob("*.parquet")):
        entries = _read(path)
        found[path.stem.rsplit("-", 1)[0]] = Loaded(
            tuple(entry for entry in entries if isinstance(entry, Problem)),
            tuple(entry for entry in entries if isinstance(entry, Excluded)),
        )
    return found


def excluded(run: Run) -> dict[str, int]:
    """How many problems of each file were left out."""
    files = {path.stem.rsplit("-", 1)[0]: path for path in sorted((run.path / "problems").glob("*.parquet"))}
    counts = {name: read_parquet(path).get_column("excluded").count() for name, path in files.items()}
    return {name: count for name, count in counts.items() if count}


def contaminated(run: Run) -> dict[str, str]:
    """The training problems that were left out for being too near a test problem, each with that test problem's id."""
    path = run.path / CONTAMINATED
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {line["problem_id"]: line["test_id"] for line in lines}


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
        parts = {split: dataset.load(split)}
    elif split == "validation" and "train" in available:
        parts = {"train": dataset.load("train")}
    else:
        raise DataError(
            f"The data set '{choice.name}' has no {split} split (it has {', '.join(available) or 'none'}). Map one "
            f"with dataset.options.splits, or choose another data set."
        )
    if "train" in parts:
        parts["train"] = _decontaminated(run, parts["train"], choice.name)
    if "train" in parts and "validation" not in available:
        whole = parts["train"]
        count = min(data.validation, max(1, int(len(whole.problems) * HELD_OUT_SHARE)))
        held_out = _subset(whole.problems, count)
        ids = {problem.id for problem in held_out}
        rest = tuple(problem for problem in whole.problems if problem.id not in ids)
        parts = {"train": Loaded(rest, whole.excluded), "validation": Loaded(held_out)}
    used = {name: _limited(part, limits[name], choice.name, name) for name, part in parts.items()}
    return {name: Loaded(dataset.complete(part.problems), part.excluded) for name, part in used.items()}


def _decontaminated(run: Run, train: Loaded, dataset: str) -> Loaded:
    """The training split without what is too near a test problem; that is excluded, and listed."""
    data = run.recipe.data
    if data.decontaminate == "none":
        return train
    tests = {}
    for choice in (*run.recipe.evaluate, run.recipe.dataset):
        plugin = make_dataset(run.recipe, run.registry, choice)
        if "test" in plugin.splits():
            tests[choice.name] = plugin.load("test").problems
    matches = too_near(train.problems, tests, data.decontaminate, data.ngram, data.ngram_overlap)
    path = run.path / CONTAMINATED
    write_text(path, "".join(f"{json.dumps(_listed(match), ensure_ascii=False)}\n" for match in matches))
    if not matches:
        return train
    run.reporter.note(
        f"{len(matches):,} of {len(train.problems):,} training problems of {dataset} are left out, because a test "
        f"problem is too near (data.decontaminate is {data.decontaminate}). They are listed in {path}."
    )
    why = {match.problem.id: f"it is too near the test problem {match.test.id} ({match.how})" for match in matches}
    kept = tuple(problem for problem in train.problems if problem.id not in why)
    if not kept:
        raise DataError(
            f"Every training problem of the data set '{dataset}' is too near a test problem ({path}). Map other "
            "splits with dataset.options.splits, or set data.decontaminate to none."
        )
    return Loaded(kept, (*train.excluded, *(Excluded(name, reason) for name, reason in why.items())))


def _listed(match: Match) -> dict[str, Any]:
    return {
        "problem_id": match.problem.id,
        "test_id": match.test.id,
        "dataset": match.dataset,
        "how": match.how,
        "overlap": round(match.overlap, 4),
        "question": match.problem.question,
        "test_question": match.test.question,
    }


def _limited(part: Loaded, limit: int | None, dataset: str, split: str) -> Loaded:
    if not part.problems:
        raise DataError(f"The {split} split of the data set '{dataset}' is empty: it has no usable problem.")
    twins = [name for name, count in Counter(problem.id for problem in part.problems).items() if count > 1]
    if twins:
        raise DataError(f"The data set '{dataset}' has two problems with the id '{twins[0]}'.")
    return Loaded(_subset(part.problems, limit or len(part.problems)), part.excluded)


def _subset(problems: tuple[Problem, ...], count: int, after: int = 0) -> tuple[Problem, ...]:
    """So many of the problems, chosen by the hash of their ids, in their own order; without the first `after` of them.

    A larger subset holds every smaller one, so raising a limit keeps all problems that were used before.
    """
    chosen = {problem.id for problem in sorted(problems, key=lambda problem: _place(problem.id))[after:count]}
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


def _store(part: Loaded, path: Path) -> None:
    import polars as pl

    entries: list[Problem | Excluded] = [*part.problems, *part.excluded]
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


@lru_cache(maxsize=16)  # every stage asks for one
def _first(path: Path, content: str) -> Problem:
    first: Problem = _adapter().validate_json(read_parquet(path).get_column("record")[0])
    return first


def _read(path: Path) -> list[Problem | Excluded]:
    return [_adapter().validate_json(text) for text in read_parquet(path).get_column("record")]
