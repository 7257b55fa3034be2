"""The student's own samples of a round, on-policy (arXiv 2410.18574, section 3.2).

*free*: the student writes its own tag; *forced*: it is given each strategy's tag; *both*. K counts samples per
question when it chooses, per question and strategy when the strategy is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from siked_core.contracts import Generator, Strategy
from siked_core.errors import RunError
from siked_core.records import Problem, Sampling
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.generate import Wanted, student_wants
from siked_core.stages.prepare import dealt
from siked_core.stages.rationalise import rationalise
from siked_core.stages.top_up import fill
from siked_core.stopping import base_of


def rollout(run: Run, round: int) -> PoolSummary:
    """Let the student that round N goes on from, that of round N-1 unless it was rolled back, solve the training
    problems, and verify what it wrote: the pool of round N. Where the recipe says so, what it does not solve is asked
    again with a hint.

    Raises:
        RunError: the student of the round before has not been trained.
        CapReached: the next chunk might take the run past one of its caps.
    """
    recipe = run.recipe.rollout
    name, student = f"round-{round}", f"round-{base_of(run, round)}"

    def wants(some: Sequence[Problem], samples: int) -> list[Wanted]:
        return student_wants(run.format, asked_for(run), some, samples)

    summary = fill(
        run,
        name,
        lambda some: wants(some, recipe.samples),
        of=lambda: dealt(run, round),
        stage=f"rollout {name}",
        generator=open_student(run, student),
        sampling=Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens),
        source="student",
        round=round,
        top_up=recipe.top_up,
    )
    again = rationalise(
        run,
        name,
        recipe,
        wants,
        of=lambda: dealt(run, round),
        generator=lambda: open_student(run, student),
        source="student",
        round=round,
    )
    return replace(summary, hinted=again)


def asked_for(run: Run) -> list[Strategy | None]:
    """The strategies that a rollout asks for; None: the student chooses."""
    mode = run.recipe.rollout.mode
    return [*([None] if mode != "forced" else []), *(run.strategies.values() if mode != "free" else ())]


def open_student(run: Run, name: str) -> Generator:
    """The generator that samples from a trained student.

    Raises:
        RunError: there is no such student yet.
    """
    folder = run.student(name)
    if not (folder / "config.json").exists():
        trained = sorted(path.name for path in folder.parent.glob("*") if (path / "config.json").exists())
        raise RunError(
            f"The run {run.path} has no student '{name}' yet (it has {', '.join(trained) or 'none'}). "
            "Run `siked train` first."
        )
    return student_generator(run, folder)


def student_generator(run: Run, folder: Path) -> Generator:
    """The generator that the run samples its students with, for the one in a folder."""
    choice = run.recipe.student.generator
    options = {"model": str(folder), **choice.options}
    plugin = run.registry.get("generator", choice.name)
    if run.recipe.student.dtype != "auto" and "dtype" in plugin.options_type.model_fields:
        options.setdefault("dtype", run.recipe.student.dtype)
    generator: Generator = run.registry.create("generator", choice.name, options)
    return generator
