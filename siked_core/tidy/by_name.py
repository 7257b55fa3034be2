"""Any of a run's tables by its name, for who does not hold those that it is made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from siked_core.errors import RunError
from siked_core.run import Run
from siked_core.tidy.answered import questions
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.course import predictions, rounds, stages
from siked_core.tidy.drawn import attempts, verdicts, yields
from siked_core.tidy.mixed import composition, mixtures
from siked_core.tidy.scored import scores, shares
from siked_core.tidy.solving import solvability, solved
from siked_core.tidy.texts import samples

if TYPE_CHECKING:
    import polars as pl

_OF_RUN: dict[str, Callable[[Run], pl.DataFrame]] = {
    "scores": scores,
    "mixtures": mixtures,
    "questions": questions,
    "composition": composition,
    "shares": shares,
    "stages": stages,
    "predictions": predictions,
}
_OF_ATTEMPTS: dict[str, Callable[[Run, pl.DataFrame], pl.DataFrame]] = {
    "rounds": lambda run, tried: rounds(run, composition(run), tried),
    "samples": samples,
    "attempts": lambda _, tried: tried,
    "yields": lambda _, tried: yields(tried),
    "verdicts": lambda _, tried: verdicts(tried),
    "solvability": solvability,
    "solved": lambda run, tried: solved(solvability(run, tried)),
}


def table(
    run: Run, name: str, tell: Callable[[str], None] = lambda _: None, *, evaluations: bool = False
) -> pl.DataFrame:
    """A table of a run, finished or not.

    Args:
        name: one of `COLUMNS`.
        tell: hears of pools that are left out, as `attempts` has it.
        evaluations: of `samples` and `attempts`, also the answers to validation and test questions.

    Raises:
        RunError: there is no such table, or a file that it is made from is damaged.
    """
    if name in _OF_RUN:
        return _OF_RUN[name](run)
    if name in _OF_ATTEMPTS:
        return _OF_ATTEMPTS[name](run, attempts(run, tell, evaluations=evaluations))
    raise RunError(f"There is no table {name!r}. There are: {', '.join(COLUMNS)}.")
