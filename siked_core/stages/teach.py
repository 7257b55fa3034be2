"""The teacher's pool: every training problem under every strategy (arXiv 2410.18574, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from siked_core.records import Problem, Sampling
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.generate import Wanted
from siked_core.stages.prepare import problems
from siked_core.stages.top_up import fill

POOL = "teacher"


def teach(run: Run) -> PoolSummary:
    """Ask the teacher for what its pool lacks, and verify it.

    Raises:
        CapReached: the next chunk might take the run past one of its caps.
    """
    recipe = run.recipe.teacher

    def wants(some: Sequence[Problem]) -> list[Wanted]:
        return [
            Wanted(problem, strategy, prompt, number)
            for strategy in run.strategies.values()
            for problem in some
            for prompt in [strategy.teacher_prompt(problem)]
            for number in range(recipe.samples)
        ]

    return fill(
        run,
        POOL,
        wants,
        of=lambda: problems(run, "train"),
        stage="teach",
        generator=run.registry.create("generator", recipe.generator.name, recipe.generator.options),
        sampling=Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens),
        source="teacher",
        round=0,
        top_up=recipe.top_up,
    )
