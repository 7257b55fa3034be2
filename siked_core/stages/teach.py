"""The teacher's pool: every training problem under every strategy (arXiv 2410.18574, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from siked_core.contracts import Generator
from siked_core.records import Problem, Sampling
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.generate import Wanted, teacher_wants
from siked_core.stages.prepare import problems
from siked_core.stages.rationalise import rationalise
from siked_core.stages.top_up import fill

POOL = "teacher"


def teach(run: Run) -> PoolSummary:
    """Ask the teacher for what its pool lacks, and verify it; where the recipe says so, ask again with a hint what it
    does not solve.

    Raises:
        CapReached: the next chunk might take the run past one of its caps.
    """
    recipe = run.recipe.teacher
    generator = open_teacher(run)

    def wants(some: Sequence[Problem], samples: int) -> list[Wanted]:
        return teacher_wants(run, generator, some, samples)

    summary = fill(
        run,
        POOL,
        lambda some: wants(some, recipe.samples),
        of=lambda: problems(run, "train"),
        stage="teach",
        generator=generator,
        sampling=Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens),
        source="teacher",
        round=0,
        top_up=recipe.top_up,
    )
    again = rationalise(
        run,
        POOL,
        recipe,
        wants,
        of=lambda: problems(run, "train"),
        generator=lambda: open_teacher(run),
        source="teacher",
        round=0,
    )
    return replace(summary, hinted=again)


def open_teacher(run: Run) -> Generator:
    """The generator that the run's recipe has as its teacher."""
    choice = run.recipe.teacher.generator
    made: Generator = run.registry.create("generator", choice.name, choice.options)
    return made
