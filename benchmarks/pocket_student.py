"""A run of the pocket world up to a trained student, for benchmarks of what comes after: teacher, mixture, warm-up.

It is made by the stages that a run has, under `runs/`, and found there again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from siked_core.recipe import resolve
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.stages.generate import Wanted, student_wants
from siked_core.stages.mix import mix
from siked_core.stages.prepare import dealt
from siked_core.stages.rollout import asked_for
from siked_core.stages.teach import teach
from siked_core.stages.train import train

STRATEGIES = ("cot", "pot", "l2m")
TOO_NEAR = 60
"""Problems more than are used: some are left out for being too near a test problem."""


def begun(runs: Path, warm_up: int, asked: int, preset: str = "pocket") -> Run:
    """A run of the preset, with the mixture of its warm-up.

    Args:
        warm_up: problems that the student is warmed up on.
        asked: problems that it is asked afterwards.
    """
    settings = {
        "strategies": list(STRATEGIES),
        "dataset.options.train": warm_up + asked + TOO_NEAR,
        "rollout.mode": "forced",
        "rollout.samples": 1,
        "rollout.problems": "fresh",
        "rollout.warm_up_problems": warm_up,
        "rollout.problems_per_round": asked,
    }
    recipe = resolve(changes=settings, preset=preset)
    run = start(recipe, Registry.discover(), SilentReporter(), runs=runs, name=f"benchmark-{preset}-{warm_up}-{asked}")
    teach(run)
    mix(run, 0)
    return run


def warmed_up(runs: Path, warm_up: int, asked: int, preset: str = "pocket") -> Run:
    """The same, with the student."""
    run = begun(runs, warm_up, asked, preset)
    train(run, 0)
    return run


def rollout_wants(run: Run) -> Sequence[Wanted]:
    """What the first round asks its student."""
    return student_wants(run.format, asked_for(run), dealt(run, 1), run.recipe.rollout.samples)
