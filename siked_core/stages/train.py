"""Training a student on a mixture: the warm-up (round 0), a round, or a single-strategy baseline.

*continue* trains on from the previous round's student (its LoRA adapter merged, a fresh one added); *restart* from
the original one (arXiv 2410.18574, the ablation).
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from siked_core.card import write_card
from siked_core.contracts import Objective, ObjectiveContext
from siked_core.errors import RunError
from siked_core.files import sync, unwritable, write_text
from siked_core.finished import Finished
from siked_core.keys import digest
from siked_core.meter import Meter
from siked_core.models import SIDE_FILE, fingerprint, hash_files, load_tokenizer, read_side_file
from siked_core.pool import read_parquet
from siked_core.recipe import read_text_option
from siked_core.recipe_student import TrainingRecipe
from siked_core.run import Run
from siked_core.stages.prepare import problems
from siked_core.student import prepare_tokenizer, resolve_model

_NO_PART = {"checkpoint_steps", "epochs", "warm_up_epochs", "warm_up_learning_rate"}
"""Settings of training that have no part in a student's weights as they stand: see `TrainingRecipe.of_warm_up`."""


def train(run: Run, round: int, baseline: str | None = None, tokens: int | None = None) -> Path:
    """Train the student of a round on its mixture; returns its folder. A student that is there is not trained again.

    Args:
        baseline: round 0 only: the student of this name (`combined`, `only-NAME`), on the mixture of this name.
        tokens: a baseline only: train for so many tokens, not for the recipe's epochs.

    Raises:
        RunError: the mixture or the previous student is missing; no row fits into `training.max_length`.
        ModelError: the student cannot be loaded, or lacks a chat template or pad token.
        CapReached: the run's hours are used up, or would be before the next checkpoint.
    """
    name = baseline or f"round-{round}"
    folder = run.student(name)
    recipe = run.recipe.training.of_warm_up if round == 0 else run.recipe.training
    _need_mixture(run, name)
    original = resolve_model(run.recipe.student.model, run.registry)
    base = original
    if round > 0 and recipe.start == "continue":
        base = str(run.student(f"round-{round - 1}"))
        if not (Path(base) / "config.json").exists():
            raise RunError(f"The run {run.path} has no student 'round-{round - 1}' yet. Train round {round - 1} first.")
    given = [original_student(run), fingerprint(base), tokens]
    finished = Finished(run, f"train {name}", files=[run.mixture(name), folder / SIDE_FILE], given=given)
    if finished.outcome() is not None:
        _check_whole(folder)
        return folder
    rows = _mixture(run, name)
    seed = run.recipe.seed * 1000 + round
    tokenizer = load_tokenizer(original)
    prepare_tokenizer(tokenizer, run.recipe.student, run.format)
    made_from = {
        "mixture": digest(rows),
        "base": fingerprint(base),
        "training": recipe.model_dump(mode="json", exclude=_NO_PART | ({"args"} if not recipe.args else set())),
        "epochs": recipe.epochs if tokens is None else None,
        "tokens": tokens,
        "seed": seed,
        "lora": run.recipe.student.lora.model_dump(mode="json") if run.recipe.student.lora else None,
        "dtype": run.recipe.student.dtype,
        "tag": run.format.tag,
        "chat_template": tokenizer.chat_template,
        "plugins": _versions(run, rows),
    }
    key = digest(made_from)
    with run.timed(f"train {name}") as notes:
        if (folder / SIDE_FILE).exists() and read_side_file(folder)["training_key"] == key:
            _check_whole(folder)
            _write_side(
                folder, {**read_side_file(folder), **_speaks(run)}
            )  # what has no part in its weights may change
            notes["worked"] = False
        else:
            _train(run, name, rows, base=base, tokenizer=tokenizer, recipe=recipe, tokens=tokens, seed=seed, key=key)
    finished.keep({})
    return folder


def original_student(run: Run) -> list[str | None]:
    """What decides the student's tokenizer and first weights, as plain values."""
    student = run.recipe.student
    model = resolve_model(student.model, run.registry)
    template = student.chat_template and read_text_option(student.chat_template, "chat template")
    return [hash_files(Path(model)) if Path(model).is_dir() else fingerprint(model), template]


def _train(
    run: Run,
    name: str,
    rows: list[dict[str, Any]],
    *,
    base: str,
    tokenizer: Any,
    recipe: TrainingRecipe,
    tokens: int | None,
    seed: int,
    key: str,
) -> None:
    from siked_core.training import fit, row_encoder, training_row

    epochs = recipe.epochs
    known = {problem.id: problem for problem in problems(run, "train")}
    training_rows = [
        training_row(
            run.format, run.strategies[row["strategy"]], known[row["problem_id"]], row["rationale"], row["weight"]
        )
        for row in rows
    ]
    encoder = row_encoder(tokenizer, run.format)
    if tokens is not None:
        epochs = tokens / sum(len(encoder(row).input_ids) for row in training_rows)
    objective: Objective = run.registry.create("objective", recipe.objective.name, recipe.objective.options)
    context = ObjectiveContext(tokenizer, recipe.max_length, math.ceil(epochs), seed, encoder)
    examples = [one for one in objective.examples(training_rows, context) if len(one.input_ids) <= recipe.max_length]
    too_long = len(training_rows) - len(examples)
    if not examples:
        raise RunError(f"No row of the mixture {name} fits into training.max_length = {recipe.max_length} tokens.")
    if too_long:
        run.reporter.warn(f"{too_long:,} of {len(training_rows):,} rows of {name} are longer than training.max_length.")
    steps = math.ceil(math.ceil(len(examples) / (recipe.batch_size * recipe.accumulation)) * epochs)
    folder = run.student(name)
    # A checkpoint belongs to one training key: what another recipe left behind is not resumed.
    checkpoints = run.path / "checkpoints" / f"{name}-{key[:12]}"
    making = folder.with_name(f".{name}.tmp")
    meter = Meter(run, f"train {name}")
    meter.check()
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        with run.reporter.stage(f"train {name}", steps, "steps") as progress:
            trained = fit(
                base=base,
                tokenizer=tokenizer,
                examples=examples,
                epochs=epochs,
                recipe=recipe,
                lora=run.recipe.student.lora,
                dtype=run.recipe.student.dtype,
                seed=seed,
                checkpoints=checkpoints,
                destination=making,
                progress=progress,
                at_checkpoint=meter.at_checkpoint,
            )
            progress.finish(f"{len(examples):,} rows, {trained.tokens:,} tokens, mean loss {trained.loss:.3f}")
        side = {
            "format": 1,
            "student": name,
            "base_model": run.recipe.student.model,
            **_speaks(run),
            "training_key": key,
            "fingerprint": hash_files(making),
            "rows": len(examples),
            "rows_too_long": too_long,
            "training_tokens": trained.tokens,
            "steps": trained.steps,
            "loss": trained.loss,
        }
        _write_side(making, side)
        write_card(making, run.recipe, None)
        shutil.rmtree(folder, ignore_errors=True)
        for path in making.iterdir():
            sync(path)
        making.rename(folder)
        sync(folder.parent)
        shutil.rmtree(checkpoints, ignore_errors=True)
    except OSError as error:
        raise unwritable(folder, error) from None


def _versions(run: Run, rows: list[dict[str, Any]]) -> dict[str, str]:
    """The versions of the plugins whose code makes rows into tokens: the objective, and the rows' strategies."""
    objective = run.recipe.training.objective.name
    used = sorted({row["strategy"] for row in rows})
    return {
        f"objective:{objective}": run.registry.get("objective", objective).version,
        **{f"strategy:{name}": run.strategies[name].version for name in used},
    }


def _speaks(run: Run) -> dict[str, Any]:
    """How a student of this run is asked and its answers are read."""
    return {
        "strategies": [choice.model_dump(mode="json") for choice in run.recipe.strategies],
        "verifiers": {strategy: list(run.verifier_of(strategy)) for strategy in run.strategies},
        "tag": run.format.tag,
        "max_tokens": run.recipe.evaluation.max_tokens,
        "generator": run.recipe.student.generator.model_dump(mode="json"),
    }


def _write_side(folder: Path, side: dict[str, Any]) -> None:
    text = json.dumps({**side, "digest": digest(side)}, indent=2, ensure_ascii=False) + "\n"
    path = folder / SIDE_FILE
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def _check_whole(folder: Path) -> None:
    """A student that is taken as it is has the weights that were written.

    Raises:
        RunError: it has not.
    """
    if hash_files(folder) != read_side_file(folder)["fingerprint"]:
        raise RunError(
            f"The student {folder} is damaged: its files are not what was written. `siked run repair RUN` sets it "
            "aside; the same command then trains it again."
        )


def _need_mixture(run: Run, name: str) -> None:
    if not run.mixture(name).exists():
        raise RunError(f"The run {run.path} has no mixture '{name}' yet. Run `siked mix` first.")


def _mixture(run: Run, name: str) -> list[dict[str, Any]]:
    columns = ("key", "problem_id", "strategy", "rationale", "weight")
    rows: list[dict[str, Any]] = read_parquet(run.mixture(name)).select(columns).to_dicts()
    return rows
