"""A mixture's texts through the recipe's transforms, one after another, each looked at before the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from siked_core.contracts_training import MixtureRow, Transform, TransformContext
from siked_core.errors import PluginError
from siked_core.records import Problem, Unreadable
from siked_core.run import Run
from siked_core.stages.prepare import problems

if TYPE_CHECKING:
    import polars as pl


def transformed(run: Run, name: str, round: int, mixture: pl.DataFrame) -> pl.DataFrame:
    """A mixture as the recipe's transforms leave it; as it is where there are none.

    Args:
        name: of the mixture, for messages.
        mixture: with the columns of `MixtureRow`, but `merged`, and `problem_id` for its problem.

    Returns:
        The same columns, and `merged` where there are transforms.

    Raises:
        PluginError: a transform returned what it may not.
    """
    import polars as pl

    if not run.recipe.mixing.transforms:
        return mixture
    known = {problem.id: problem for problem in problems(run, "train")}
    context = TransformContext(round, run.strategies, run.recipe.seed * 1000 + round)
    rows = [_row(found, known) for found in mixture.iter_rows(named=True)]
    for choice in run.recipe.mixing.transforms:
        transform: Transform = run.registry.create("transform", choice.name, choice.options)
        made = list(transform.transform(rows, context))
        check(transform.name, rows, made)
        if made == rows:
            run.reporter.warn(f"The transform '{transform.name}' changed nothing in {name}.")
        rows = made
    unreadable = [row for row in rows if isinstance(run.strategies[row.strategy].parse(row.rationale), Unreadable)]
    if unreadable:
        some = unreadable[0]
        run.reporter.warn(
            f"{len(unreadable):,} of {len(rows):,} texts in {name} cannot be read by their strategies after the "
            f"transforms, the first for {some.problem.id} under {some.strategy}: a student that learns to write so "
            "cannot be judged."
        )
    columns = {
        "key": [row.key for row in rows],
        "problem_id": [row.problem.id for row in rows],
        "strategy": [row.strategy for row in rows],
        "source": [row.source for row in rows],
        "round": [row.round for row in rows],
        "weight": [float(row.weight) for row in rows],
        "rationale": [row.rationale for row in rows],
        "hinted": [row.hinted for row in rows],
    }
    table = pl.DataFrame(columns, schema={column: mixture.schema[column] for column in columns})
    merged = pl.Series("merged", [list(row.merged) for row in rows], dtype=pl.List(pl.String))
    return table.with_columns(merged)


def _row(found: Mapping[str, object], known: Mapping[str, Problem]) -> MixtureRow:
    values = dict(found)
    problem = known[str(values.pop("problem_id"))]
    return MixtureRow(problem=problem, **values)  # type: ignore[arg-type]


def check(name: str, given: Sequence[MixtureRow], made: Iterable[MixtureRow]) -> None:
    """A transform is a stranger's code: what it returns is looked at before anything is trained on it.

    Raises:
        PluginError: a row is not what `Transform.transform` allows; names the first.
    """
    by_key = {row.key: row for row in given}
    for place, row in enumerate(made):
        where = f"The transform '{name}' returned, as row {place},"
        if not isinstance(row, MixtureRow):
            raise PluginError(f"{where} {type(row).__name__}, not a siked_core.MixtureRow.")
        of = by_key.get(row.key)
        if of is None:
            raise PluginError(f"{where} the key '{row.key}', which is none of a row that it was given.")
        if row.problem.id != of.problem.id:
            raise PluginError(f"{where} the problem '{row.problem.id}' for a sample of '{of.problem.id}'.")
        if row.strategy != of.strategy:
            raise PluginError(f"{where} the strategy '{row.strategy}' for a sample of '{of.strategy}'.")
        if strange := [key for key in row.merged if key not in by_key]:
            raise PluginError(f"{where} '{strange[0]}' as merged, which is none of a row that it was given.")
        if not isinstance(row.rationale, str) or not row.rationale.strip():
            raise PluginError(f"{where} no text for '{row.problem.id}'; leave a row out that is not to be trained on.")
        if not (math.isfinite(row.weight) and row.weight >= 0):
            raise PluginError(f"{where} the weight {row.weight}, which is not a finite number of 0 or more.")
