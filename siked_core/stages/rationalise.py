"""What was not solved, asked again with the right answer as a hint (STaR, arXiv 2203.14465).

It follows a teacher's or a student's pool, and fills a pool of its own, `hinted/POOL`, as any pool is filled:
resumable, capped, verified. A rationale that comes of it is trained on as an answer to the question without the hint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from siked_core.contracts import Generator
from siked_core.hint import hinted, told
from siked_core.recipe_sampling import RationaliseRecipe, SamplingRecipe
from siked_core.records import Problem, Sampling, Source, Status
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.attempts import attempts_of
from siked_core.stages.generate import Wanted
from siked_core.stages.top_up import fill

Wants = Callable[[Sequence[Problem], int], list[Wanted]]
"""The samples that are wanted of some problems, so many of each."""


def rationalise(
    run: Run,
    pool: str,
    recipe: SamplingRecipe,
    wants: Wants,
    *,
    of: Callable[[], Sequence[Problem]],
    generator: Callable[[], Generator],
    source: Source,
    round: int,
) -> PoolSummary | None:
    """Ask again what no sample of a pool solves, and verify it; None where the recipe asks for nothing of the kind.

    Raises:
        CapReached: the next chunk might take the run past one of its caps.
    """
    rule = recipe.rationalise
    if rule is None:
        return None
    return fill(
        run,
        hinted(pool),
        lambda some: hinted_wants(wants, rule, some),
        of=of,
        stage=f"rationalise {pool}",
        generator=generator(),
        sampling=Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens),
        source=source,
        round=round,
        only=lambda: _unsolved(run, pool, rule),
        reads=[pool],
    )


def hinted_wants(wants: Wants, rule: RationaliseRecipe, some: Sequence[Problem]) -> list[Wanted]:
    """The same samples, with the answer told in their prompts and nowhere else."""
    known = {problem.id: problem for problem in some}
    asked = wants([told(problem, rule.hint) for problem in some], rule.samples)
    return [replace(item, problem=known[item.problem.id]) for item in asked]


def _unsolved(run: Run, pool: str, rule: RationaliseRecipe) -> Callable[[Wanted], bool]:
    """Whether a sample is of what no sample of the pool solves; without a gold answer there is nothing to tell."""
    import polars as pl

    with run.verifiers() as verifiers:
        table = attempts_of(run, pool, verifiers)
    right = table.filter(pl.col("status") == Status.CORRECT.value)
    solved = set(right.select(pl.col("problem_id", "requested").cast(pl.String)).iter_rows())
    problems = {problem for problem, _ in solved}

    def needed(item: Wanted) -> bool:
        done = item.problem.id in problems if rule.per == "problem" else item.cell in solved
        return bool(item.problem.answer) and not done

    return needed
