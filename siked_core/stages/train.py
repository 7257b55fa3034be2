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

from siked_core.asking import make_room
from siked_core.card import facts_of, write_card
from siked_core.contracts import Kind
from siked_core.errors import RunError
from siked_core.files import sync, unwritable, write_text
from siked_core.finished import Finished
from siked_core.keys import digest
from siked_core.meter import Meter
from siked_core.models import SIDE_FILE, fingerprint, hash_files, load_tokenizer, read_side_file
from siked_core.pool import read_parquet
from siked_core.recipe import read_text_option
from siked_core.recipe_student import TrainingRecipe
from siked_core.replay_data import identity, replayed_beside
from siked_core.run import Run
from siked_core.stages import objective
from siked_core.stages.prepare import problems
from siked_core.stopping import base_of
from siked_core.student import prepare_tokenizer, resolve_model

_NO_PART = {"checkpoint_steps", "epochs", "warm_up_epochs", "tokens_per_round", "warm_up_learning_rate", "replay"}
"""Settings of training that have no part in a student's weights as they stand: see `TrainingRecipe.of_warm_up`, and
`replay_data.identity`, as the content of a file counts and not its name."""


def train(run: Run, round: int, baseline: str | None = None, tokens: int | None = None) -> Path:
    """Train the student of a round on its mixture; returns its folder. A student that is there is not trained again.

    Args:
        baseline: round 0 only: the student of this name (`combined`, `only-NAME`), on the mixture of this name.
        tokens: a baseline only: train for so many tokens, not for what the recipe says.

    Raises:
        RunError: the mixture or the previous student is missing; no row fits into `training.max_length`.
        ModelError: the student cannot be loaded, or lacks a chat template or pad token.
        CapReached: the run's hours are used up, or would be before the next checkpoint.
    """
    name = baseline or f"round-{round}"
    folder = run.student(name)
    recipe = run.recipe.training.of_warm_up if round == 0 else run.recipe.training
    tokens = tokens or recipe.tokens_per_round
    _need_mixture(run, name)
    original = resolve_model(run.recipe.student.model, run.registry)
    base = original
    if round > 0 and recipe.start == "continue":
        before = base_of(run, round)
        base = str(run.student(f"round-{before}"))
        if not (Path(base) / "config.json").exists():
            raise RunError(f"The run {run.path} has no student 'round-{before}' yet. Train round {before} first.")
    given = [original_student(run), fingerprint(base), tokens, identity(recipe.replay)]
    pools = objective.pools_read(run, round)
    finished = Finished(run, f"train {name}", pools=pools, files=[run.mixture(name), folder / SIDE_FILE], given=given)
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
        "lora": run.recipe.student.lora.model_dump(mode="json", exclude_none=True) if run.recipe.student.lora else None,
        "dtype": run.recipe.student.dtype,
        "tag": run.format.tag,
        "chat_template": tokenizer.chat_template,
        "plugins": _versions(run, rows),
        **identity(recipe.replay),
        **objective.identity(run, round, sorted({row["problem_id"] for row in rows})),
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
            _train(
                run,
                name,
                rows,
                round=round,
                base=base,
                tokenizer=tokenizer,
                recipe=recipe,
                tokens=tokens,
                seed=seed,
                key=key,
            )
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
    round: int,
    base: str,
    tokenizer: Any,
    recipe: TrainingRecipe,
    tokens: int | None,
    seed: int,
    key: str,
) -> None:
    from siked_core.launch import train_as_launched
    from siked_core.training import row_encoder, training_row
    from siked_core.training_job import TrainingJob

    epochs = recipe.epochs
    known = {problem.id: problem for problem in problems(run, "train")}
    training_rows = [
        training_row(
            run.format,
            run.strategies[row["strategy"]],
            known[row["problem_id"]],
            row["rationale"],
            row["weight"],
            row["key"],
        )
        for row in rows
    ]
    encoder = row_encoder(tokenizer, run.format)
    replayed = replayed_beside(run, len(training_rows), seed)
    if tokens is not None:
        epochs = tokens / (sum(len(encoder(row).input_ids) for row in training_rows) + replayed.tokens)
    made = objective.examples_of(
        run,
        training_rows,
        round=round,
        student=name,
        key=key,
        base=base,
        tokenizer=tokenizer,
        encoder=encoder,
        epochs=math.ceil(epochs),
        seed=seed,
    )
    examples = [one for one in made if len(one.input_ids) <= recipe.max_length]
    too_long = sum(len(one.input_ids) > recipe.max_length for one in made[: len(training_rows)])
    if not examples:
        raise RunError(f"No row of the mixture {name} fits into training.max_length = {recipe.max_length} tokens.")
    if too_long:
        run.reporter.warn(f"{too_long:,} of {len(training_rows):,} rows of {name} are longer than training.max_length.")
    everything = [*examples, *replayed.examples]
    steps = math.ceil(math.ceil(len(everything) / (recipe.batch_size * recipe.accumulation)) * epochs)
    folder = run.student(name)
    # A checkpoint belongs to one training key: what another recipe left behind is not resumed.
    # One of weights in shards is read by the strategy that wrote it, and by no other.
    of_key, shards = run.path / "checkpoints" / f"{name}-{key[:12]}", run.recipe.launch.shards
    checkpoints = of_key.with_name(f"{of_key.name}-{shards}") if shards else of_key
    making = folder.with_name(f".{name}.tmp")
    meter = Meter(run, f"train {name}")
    meter.check()
    make_room(run)
    try:
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        with run.reporter.stage(f"train {name}", steps, "steps") as progress:
            trained = train_as_launched(
                TrainingJob(
                    base=base,
                    epochs=epochs,
                    recipe=recipe,
                    lora=run.recipe.student.lora,
                    dtype=run.recipe.student.dtype,
                    seed=seed,
                    checkpoints=checkpoints.absolute(),
                    destination=making.absolute(),
                    launch=run.recipe.launch,
                ),
                tokenizer,
                everything,
                folder=of_key.with_name(f"{of_key.name}.job"),
                progress=progress,
                at_checkpoint=meter.at_checkpoint,
                warn=run.reporter.warn,
            )
            merged = "" if trained.merge_difference is None else f", merged within {trained.merge_difference:.0e}"
            told = f"{len(examples):,} rows{replayed.told}, {trained.tokens:,} tokens"
            progress.finish(f"{told}, mean loss {trained.loss:.3f}{merged}")
        side = {
            "format": 1,
            "student": name,
            "base_model": run.recipe.student.model,
            **_speaks(run),
            "training_key": key,
            "fingerprint": hash_files(making),
            "rows": len(training_rows) - too_long,
            "rows_too_long": too_long,
            **replayed.as_dict(),
            "training_tokens": trained.tokens,
            "steps": trained.steps,
            "loss": trained.loss,
            **({} if trained.merge_difference is None else {"merge_difference": trained.merge_difference}),
        }
        _write_side(making, side)
        write_card(making, facts_of(run, name, scored=False))
        shutil.rmtree(folder, ignore_errors=True)
        for path in making.iterdir():
            sync(path)
        making.rename(folder)
        sync(folder.parent)
        for left in of_key.parent.glob(f"{of_key.name}*"):
            shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise unwritable(folder, error) from None


def _versions(run: Run, rows: list[dict[str, Any]]) -> dict[str, str]:
    """The versions of the plugins whose code makes rows into tokens, the objective and the rows' strategies, and what
    the strategies put behind the question."""
    chosen = run.recipe.training.objective.name
    used = sorted({row["strategy"] for row in rows})
    return {
        f"objective:{chosen}": run.registry.get("objective", chosen).version,
        **{f"strategy:{name}": run.strategies[name].version for name in used},
        **{f"suffix:{name}": suffix for name in used if (suffix := run.strategies[name].options.suffix)},
    }


def _speaks(run: Run) -> dict[str, Any]:
    """How a student of this run is asked and its answers are read."""
    spoken = run.recipe.student.generator
    return {
        "strategies": [choice.model_dump(mode="json") for choice in run.recipe.strategies],
        "verifiers": {strategy: _at_hand(run, "verifier", *run.verifier_of(strategy)) for strategy in run.strategies},
        "tag": run.format.tag,
        "reasoning": run.recipe.reasoning.model_dump() if run.recipe.reasoning else None,
        "max_tokens": run.recipe.evaluation.max_tokens,
        "selector": run.recipe.evaluation.selector.model_dump(mode="json"),
        "generator": dict(
            zip(("name", "options"), _at_hand(run, "generator", spoken.name, spoken.options), strict=True)
        ),
    }


def _at_hand(run: Run, kind: Kind, name: str, options: dict[str, Any]) -> list[Any]:
    """A plugin's name and options as a released student is used with them: without what only this run's machines have,
    such as a cluster."""
    needs = {"model": run.recipe.student.model} if kind == "generator" else {}
    original = run.registry.create(kind, name, {**needs, **options}).original
    if original.name == name:
        return [name, options]
    return [original.name, original.options.model_dump(mode="json", exclude_unset=True, exclude=set(needs))]


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
