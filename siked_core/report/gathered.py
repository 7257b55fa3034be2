"""Everything that a report is made of, read from a run once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_core import tidy
from siked_core.loop import report
from siked_core.report.palette import strategy_colours
from siked_core.run import Run
from siked_core.scorecard import ORACLE
from siked_core.tidy.scored import scorecards

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
    """Of the scores those of whole answers to all questions of a split, with the oracle's accuracy beside."""
    shares: pl.DataFrame
    solvability: pl.DataFrame
    solved: pl.DataFrame
    composition: pl.DataFrame
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
    composition = tidy.composition(run)
    solvability = tidy.solvability(run, attempts)
    cards = scorecards(run)
    return Gathered(
        run=run,
        finished=report(run),
        colours=strategy_colours(run.recipe.strategy_names),
        selector=cards[0].selector if cards else run.recipe.evaluation.selector.name,
        accuracies=_accuracies(tidy.scores(run)),
        shares=tidy.shares(run),
        solvability=solvability,
        solved=tidy.solved(solvability),
        composition=composition,
        rounds=tidy.rounds(run, composition, attempts),
        yields=tidy.yields(attempts),
        verdicts=tidy.verdicts(attempts),
        stages=tidy.stages(run),
        predictions=tidy.predictions(run),
        samples=tidy.samples(run, attempts, limit),
        drawn=attempts.height,
        notes=tuple(notes),
    )


def _accuracies(scores: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    place = ["student", "dataset", "split"]
    whole = scores.filter(pl.col("family").is_null() & (pl.col("total") > 0))
    oracle = whole.filter(pl.col("way") == ORACLE).select(*place, oracle="accuracy")
    answers = whole.filter(pl.col("way") == "answer").drop("strategy", "way", "family")
    return answers.join(oracle, on=place, how="left", maintain_order="left")
