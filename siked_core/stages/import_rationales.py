"""Rationales that exist already, brought into a run's teacher pool from a file.

They become samples like any other: read by their strategy, judged by its verifier, chosen from by the mixing policy.
A sample is known by problem, strategy, text and teacher, so the same row is never brought in twice. The pool's shard
is written before the list of what was imported; a kill between the two is put right by importing again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from siked_core.decontamination import words
from siked_core.errors import DataError, unknown
from siked_core.files import write_text
from siked_core.imported import COLUMNS, POOL, imported, imports_file
from siked_core.keys import digest
from siked_core.pool import write_parquet
from siked_core.recorded import Column, Recorded, read_recorded
from siked_core.records import Problem
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.prepare import loaded, make_dataset, problems
from siked_core.stages.verify import verify


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file's rows."""

    rows: int
    added: int
    present: int
    """Rows that the pool already held: imported before, or twice in the file."""
    left_out: Mapping[str, int]
    """Why -> rows that cannot be used in this run."""
    left_out_file: str | None
    """Where those rows are listed, with their place in the file."""
    teachers: Mapping[str, int]
    """Who wrote the rows that were used; "" where the file does not say."""
    pool: PoolSummary
    """The whole teacher pool, judged."""


def import_rationales(
    run: Run, file: Path, strategy: str | None = None, columns: Mapping[Column, str] | None = None
) -> Imported:
    """Bring a file's rationales into the teacher pool, and judge it.

    Args:
        file: as `siked_core.recorded` reads it.
        strategy: of rows that name none, neither in a column nor by a tag.
        columns: our column -> theirs.

    Raises:
        DataError: the file cannot be read, or a row is malformed or names no strategy: nothing is imported then.
    """
    if strategy is not None and strategy not in run.strategies:
        raise DataError(unknown("strategy of this run", strategy, run.strategies))
    train = _Training(run)
    used: dict[str, dict[str, Any]] = {}
    left: list[dict[str, str]] = []
    teachers: Counter[str] = Counter()
    rows = 0
    for given in read_recorded(file, columns or {}):
        rows += 1
        row = _with_strategy(run, given, strategy)
        problem = train.find(row)
        why = train.why_not(row) if problem is None else _unknown_strategy(run, row.strategy)
        if problem is None or why:
            left.append(
                {"where": row.where, "why": why, "problem_id": row.problem_id or "", "question": row.question or ""}
            )
            continue
        teachers[row.teacher] += 1
        key = digest({"imported": [problem.id, problem.question, row.strategy, row.completion.text, row.teacher]})
        used.setdefault(key, {"key": key, "problem": problem, "row": row})
    with run.timed(f"import {file.name}") as notes:
        earlier = imported(run)
        known = set(earlier.get_column("key"))
        fresh = [one for key, one in used.items() if key not in known]
        notes["worked"] = bool(fresh)
        _write(run, fresh, file)
        listed = run.path / "imports" / f"{file.stem}.left-out.jsonl"
        if left:
            write_text(listed, "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in left))
    return Imported(
        rows=rows,
        added=len(fresh),
        present=rows - len(left) - len(fresh),
        left_out=dict(Counter(one["why"] for one in left).most_common()),
        left_out_file=str(listed) if left else None,
        teachers=dict(teachers.most_common()),
        pool=verify(run, POOL),
    )


class _Training:
    """The run's training problems, found by id or by question."""

    def __init__(self, run: Run) -> None:
        train = problems(run, "train")
        for split in make_dataset(run.recipe, run.registry, run.recipe.dataset).splits():
            problems(run, split)  # so that a row that belongs to another split can be told so
        self._by_id = {problem.id: problem for problem in train}
        self._by_question = {problem.question.strip(): problem for problem in train}
        self._by_words = {words(problem.question): problem for problem in train}
        self._elsewhere: dict[Any, str] = {}
        for name, part in loaded(run).items():
            if name != f"{run.recipe.dataset.name}-train":
                for problem in part.problems:
                    self._elsewhere |= {problem.id: name, words(problem.question): name}
            self._elsewhere |= {one.id: f"{name}, but left out: {one.why}" for one in part.excluded}

    def find(self, row: Recorded) -> Problem | None:
        if row.problem_id is not None:
            return self._by_id.get(row.problem_id)
        question = row.question or ""
        return self._by_question.get(question) or self._by_words.get(words(question))

    def why_not(self, row: Recorded) -> str:
        if row.problem_id is not None:
            where = self._elsewhere.get(row.problem_id)
            return f"its problem is one of {where}" if where else "its problem_id is not one of the training problems"
        where = self._elsewhere.get(words(row.question or ""))
        return f"its question is one of {where}" if where else "its question is not one of the training problems"


def _with_strategy(run: Run, row: Recorded, strategy: str | None) -> Recorded:
    """The row with a strategy: its own, the one that its text is tagged with, the given one, or the run's only one."""
    tagged, text = run.format.split(row.completion.text)
    only = next(iter(run.strategies)) if len(run.strategies) == 1 else None
    name = row.strategy or tagged or strategy or only
    if name is None:
        raise DataError(
            f"{row.where}: it names no strategy. Give a column strategy, begin the text with a tag "
            f"({run.format.tag_of(next(iter(run.strategies))).strip()}), or name one for all with --strategy."
        )
    if not text.strip():
        raise DataError(f"{row.where}: the rationale is empty.")
    return replace(row, strategy=name, completion=replace(row.completion, text=text))


def _unknown_strategy(run: Run, strategy: str) -> str:
    return "" if strategy in run.strategies else f"the run does not teach its strategy '{strategy}'"


def _write(run: Run, fresh: list[dict[str, Any]], file: Path) -> None:
    import polars as pl

    earlier = imported(run)
    drawn: Counter[tuple[str, str]] = Counter(earlier.select("problem_id", "strategy").iter_rows())
    samples, origins = [], []
    for one in fresh:
        problem, row = one["problem"], one["row"]
        place = (problem.id, row.strategy)
        samples.append(
            {
                "key": one["key"],
                "problem_id": problem.id,
                "requested": row.strategy,
                "strategy": row.strategy,
                "source": "teacher",
                "round": 0,
                "draw": drawn[place],
                "max_tokens": row.completion.completion_tokens,
                **asdict(row.completion),
            }
        )
        drawn[place] += 1
        origin = (one["key"], problem.id, row.strategy, row.teacher, file.name, row.where.rpartition(", ")[2])
        origins.append(dict(zip(COLUMNS, origin, strict=True)))
    run.pool(POOL).append(samples)
    if origins:
        write_parquet(pl.concat([earlier, pl.DataFrame(origins, schema=earlier.schema)]), imports_file(run))
    if not run.wanted(POOL).exists():  # nothing has been asked of a teacher yet: what was imported is the pool
        write_parquet(pl.DataFrame(schema={"key": pl.String}), run.wanted(POOL))
