"""One step of everything on a few problems, before anything is spent.

The teacher is asked first in a run, so what it cannot do shows at once. What comes hours later is tried here: each
strategy's verifier judges a worked example, the student is trained for one optimiser step, as the recipe launches it,
and the student that comes out is asked a few questions by the generator that rounds will sample it with.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from siked_core.contracts import Request
from siked_core.errors import SikedError
from siked_core.finished import Finished
from siked_core.keys import digest, seed_of
from siked_core.launch import train_as_launched
from siked_core.models import load_tokenizer
from siked_core.prompts import worked_examples
from siked_core.records import Claim, Problem, Rationale, Sampling, Status
from siked_core.reporting import SilentProgress
from siked_core.run import Run
from siked_core.stages.prepare import problems
from siked_core.stages.rollout import student_generator
from siked_core.stages.train import original_student
from siked_core.student import prepare_tokenizer, resolve_model
from siked_core.training import row_encoder, training_row
from siked_core.training_job import TrainingJob

PROBLEMS = 4
TOKENS = 16
"""That each answer may have: it is not read."""
FOLDER = "rehearsal-"
"""Begins the name of a folder in the run's directory, while it lasts."""


def rehearse_once(run: Run) -> None:
    """Rehearse, unless the recipe leaves that out, or it has been done and nothing that it rests on has changed.

    Raises:
        SikedError: as `rehearse` does.
    """
    finished = Finished(run, "rehearsal", given=original_student(run))
    if run.recipe.rehearsal and finished.outcome() is None:
        for left in run.path.glob(f"{FOLDER}*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        rehearse(run)
        finished.keep({})


def rehearse(run: Run) -> None:
    """Judge, train and sample a little.

    Raises:
        SikedError: what the run would have failed with, with what was being tried in front.
    """
    folder = run.path / f"{FOLDER}{os.getpid()}"
    with run.reporter.stage("rehearsal", 3, "steps") as progress:
        try:
            for what, step in (("judging", _judge), ("training", _train), ("sampling", _sample)):
                progress.describe(what)
                try:
                    step(run, folder)
                except SikedError as error:
                    raise type(error)(f"Before anything is spent, a trial of {what}: {error}") from error
                progress.advance()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        progress.finish("one step of judging, training and sampling")


def _judge(run: Run, folder: Path) -> None:
    with run.verifiers(scoring=True) as verifiers:
        for name, verifier in verifiers.items():
            for problem, rationale in _worked(run, name):
                (verdict,) = verifier.verify([Claim(problem, rationale)])
                if verdict.status is not Status.CORRECT:
                    run.reporter.warn(
                        f"The verifier '{verifier.name}' does not find the first worked example of '{name}' right "
                        f"({verdict.status.value}: {verdict.why or verdict.answer})."
                    )


def _worked(run: Run, strategy: str) -> Iterator[tuple[Problem, Rationale]]:
    """The first worked example of a strategy's bank, if it has one."""
    for problem, text in worked_examples(run.strategies[strategy]):
        read = run.strategies[strategy].parse(text)
        if isinstance(read, Rationale):
            yield problem, read
            return


def _train(run: Run, folder: Path) -> None:
    recipe, launch = run.recipe.training.of_warm_up, run.recipe.launch
    original = resolve_model(run.recipe.student.model, run.registry)
    tokenizer = load_tokenizer(original)
    prepare_tokenizer(tokenizer, run.recipe.student, run.format)
    encoder = row_encoder(tokenizer, run.format)
    rows = [
        training_row(run.format, strategy, asked, rationale.text)
        for asked in problems(run, "train")[:PROBLEMS]
        for name, strategy in run.strategies.items()
        for rationale in ([one for _, one in _worked(run, name)] or [Rationale(name, asked.answer, asked.answer)])
    ]
    examples = [encoder(row) for row in rows]
    fitting = [one for one in examples if len(one.input_ids) <= recipe.max_length]
    longest = sorted(fitting, key=lambda one: -len(one.input_ids))
    count = recipe.batch_size * recipe.accumulation
    if not longest:
        return  # the preflight has said so
    job = TrainingJob(
        base=original,
        epochs=1,
        recipe=recipe,
        lora=run.recipe.student.lora,
        dtype=run.recipe.student.dtype,
        seed=run.recipe.seed,
        checkpoints=(folder / "checkpoints").absolute(),
        destination=(folder / "student").absolute(),
        launch=launch,
    )
    (folder / "student").mkdir(parents=True)
    step = (longest * count)[:count]
    train_as_launched(job, tokenizer, step, folder=folder / "job", progress=SilentProgress(), warn=run.reporter.warn)


def _sample(run: Run, folder: Path) -> None:
    strategy = next(iter(run.strategies.values()))
    asked = problems(run, "train")[:PROBLEMS]
    forced = [run.format.prompt(strategy.student_question(one), strategy.name) for one in asked]
    free = [run.format.prompt(one.question) for one in asked]
    requests = [
        Request(problem, of, prompt, 0, seed_of(digest([problem.id, number])))
        for number, (of, prompts) in enumerate(((None, free), (strategy, forced)))
        for problem, prompt in zip(asked, prompts, strict=True)
    ]
    if not (folder / "student" / "config.json").exists():
        return
    sampling = Sampling(run.recipe.rollout.temperature, run.recipe.rollout.top_p, TOKENS)
    with closing(student_generator(run, folder / "student")) as generator:
        for _ in generator.generate(requests, sampling):
            pass
