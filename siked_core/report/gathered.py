"""Everything that a report is made of, read from a run once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_core import tidy
from siked_core.loop import report
from siked_core.report.palette import strategy_colours
from siked_core.run import Run
from siked_core.tidy.scored import scorecards
from siked_core.tidy.solving import SOLVABILITY

if TYPE_CHECKING:
    import polars as pl

SAMPLES = 50_000
"""Single samples that a page holds by default."""


@dataclass(frozen=True)
class Gathered:
    """A run's tables (`siked_core.tidy`), and what a page says beside them."""

    run: Run
    finished: Mapping[str, Any] | None
    """What the run reported; None while it is not finished."""
    colours: Mapping[str, str]
    """Strategy -> its colour in every figure."""
    selector: str
    accuracies: pl.DataFrame
    shares: pl.DataFrame
    solvability: pl.DataFrame
    solved: pl.DataFrame
    mixtures: pl.DataFrame
    rounds: pl.DataFrame
    yields: pl.DataFrame
    verdicts: pl.DataFrame
    stages: pl.DataFrame
    predictions: pl.DataFrame
    samples: pl.DataFrame
    drawn: int
    """Samples that the run has; the page may hold fewer."""
    notes: tuple[str, ...]
    """What could not be read, in a line each."""

    @property
    def name(self) -> str:
        """The run's; what is no text in it (a directory's name may be any bytes) is a question mark."""
        return self.run.name.encode("utf-8", "replace").decode("utf-8")

    @property
    def dataset(self) -> str:
        """The run's own."""
        return self.run.recipe.dataset.name


def gather(run: Run, limit: int = SAMPLES) -> Gathered:
    """Read a run, finished or not. Nothing is written.

    Args:
        limit: single samples at the most.

    Raises:
        RunError: something in it is damaged.
    """
    notes: list[str] = []
    attempts = tidy.attempts(run, notes.append)
    mixtures = tidy.mixtures(run)
    solvability = tidy.solvability(run, attempts)
    cards = scorecards(run)
    return Gathered(
        run=run,
        finished=report(run),
        colours=strategy_colours(run.recipe.strategy_names),
        selector=cards[0].selector if cards else run.recipe.evaluation.selector.name,
        accuracies=tidy.accuracies(run),
        shares=tidy.shares(run),
        solvability=solvability.select(*SOLVABILITY),
        solved=tidy.solved(solvability),
        mixtures=mixtures,
        rounds=tidy.rounds(mixtures, attempts),
        yields=tidy.yields(attempts),
        verdicts=tidy.verdicts(attempts),
        stages=tidy.stages(run),
        predictions=tidy.predictions(run),
        samples=tidy.samples(run, attempts, limit),
        drawn=attempts.height,
        notes=tuple(notes),
    )
