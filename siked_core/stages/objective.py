"""What a training's objective is given, and what of it is part of what keys the student."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core.contracts import Objective, ObjectiveContext, TrainingExample, TrainingRow
from siked_core.errors import PluginError
from siked_core.keys import digest
from siked_core.models import SIDE_FILE, choose_device, choose_dtype, load_weights, read_side_file
from siked_core.run import Run
from siked_core.stages.mix import judged, pools_of

if TYPE_CHECKING:
    import polars as pl


def objective_of(run: Run) -> Objective:
    """The recipe's objective, made."""
    choice = run.recipe.training.objective
    made: Objective = run.registry.create("objective", choice.name, choice.options)
    return made


def pools_read(run: Run, round: int) -> list[str]:
    """The pools that decide what the objective makes of a mixture, beside the mixture itself."""
    return pools_of(round) if objective_of(run).reads_samples else []


def identity(run: Run, round: int, problems: Sequence[str]) -> dict[str, Any]:
    """What the objective knows beside its rows, its options and its version; nothing for most.

    Args:
        problems: the ids of the rows' problems.
    """
    if not objective_of(run).reads_samples:
        return {}
    table = _judged(run, round, problems).select("key", "status", "rationale_hash")
    return {"samples": digest([list(row) for row in table.iter_rows()])}


def folder_of(run: Run, student: str, key: str) -> Path:
    """Where the objective of a training keeps what it computed. It is named by the training's key, and by nothing that
    may be another when the training is resumed."""
    return run.path / "objectives" / f"{student}-{key[:12]}"


def folder_of_trained(run: Run, student: str) -> Path | None:
    """The same of a student that is there; None where it is not, or where its objective kept nothing."""
    if not (run.student(student) / SIDE_FILE).exists():
        return None
    folder = folder_of(run, student, read_side_file(run.student(student))["training_key"])
    return folder if folder.is_dir() else None


def examples_of(
    run: Run,
    rows: Sequence[TrainingRow],
    *,
    round: int,
    student: str,
    key: str,
    base: str,
    tokenizer: Any,
    encoder: Callable[[TrainingRow], TrainingExample],
    epochs: int,
    seed: int,
) -> list[TrainingExample]:
    """What the recipe's objective makes of a mixture's rows: one example each, in order, and perhaps more.

    Args:
        base: the model that the training starts from.

    Raises:
        PluginError: it returned what it may not.
    """
    folder = folder_of(run, student, key)
    ids = sorted({row.problem.id for row in rows if row.problem is not None})

    def load_student() -> Any:
        device = choose_device()
        return load_weights(base, choose_dtype(run.recipe.student.dtype, device, base)).to(device)

    objective = objective_of(run)
    context = ObjectiveContext(
        tokenizer,
        run.recipe.training.max_length,
        epochs,
        seed,
        encoder,
        folder=folder,
        load_student=load_student,
        stage=run.reporter.stage,
    )
    if objective.reads_samples:
        context = _with_samples(run, round, ids, context)
    examples = objective.examples(rows, context)
    check(objective.name, len(rows), examples)
    return examples


def _with_samples(run: Run, round: int, ids: Sequence[str], context: ObjectiveContext) -> ObjectiveContext:
    from dataclasses import replace

    return replace(context, samples=lambda: _samples(run, round, ids))


def check(name: str, rows: int, examples: Sequence[TrainingExample]) -> None:
    """An objective is a stranger's code: what it returns is looked at before anything is trained on it.

    Raises:
        PluginError: there is not one example for each row at least, or its parts do not have one length.
    """
    if len(examples) < rows:
        raise PluginError(f"The objective '{name}' made {len(examples):,} examples of {rows:,} rows.")
    for place, one in enumerate(examples):
        length = len(one.input_ids)
        lengths = {len(one.labels), *(len(part) for part in (one.weights, *one.epoch_weights) if part)}
        if lengths != {length}:
            raise PluginError(f"The objective '{name}' made an example (row {place}) whose parts have other lengths.")
        numbers = (one.preference.reference, one.preference.beta, one.preference.weight) if one.preference else ()
        if not all(math.isfinite(number) for number in numbers):
            raise PluginError(f"The objective '{name}' made a preference (row {place}) that is not of finite numbers.")


def _judged(run: Run, round: int, problems: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    names = ("problem_id", "strategy", "source", "status")
    table = judged(run, round).with_columns(pl.col(names).cast(pl.String))
    return table.filter(pl.col("problem_id").is_in(list(problems))).sort("key")


def _samples(run: Run, round: int, problems: Sequence[str]) -> pl.DataFrame:
    """`ObjectiveContext.samples`."""
    import polars as pl

    kept = ["key", "problem_id", "strategy", "source", "round", "draw", "status"]
    table = _judged(run, round, problems)
    keys = table.get_column("key").implode()
    texts, rationales = [], []
    for pool in pools_of(round):
        mine = pl.col("key").is_in(keys)
        texts.append(run.pool(pool).scan(["key", "text"]).filter(mine).collect(engine="streaming"))
        found = run.verdicts(pool).scan(["key", "rationale_hash", "rationale"]).filter(mine)
        rationales.append(found.collect(engine="streaming"))
    read = pl.concat(rationales).unique(["key", "rationale_hash"], keep="last", maintain_order=True)
    written = pl.concat(texts).unique("key", keep="last", maintain_order=True)
    return (
        table.join(written, on="key", how="left", maintain_order="left")
        .join(read, on=["key", "rationale_hash"], how="left", maintain_order="left")
        .select(*kept, "text", "rationale")
    )
