"""Tables of what students scored: accuracies, and which strategies they answered by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from siked_core.errors import RunError
from siked_core.loop import report
from siked_core.run import Run
from siked_core.scorecard import Score, Scorecard
from siked_core.stages.evidence import NO_TAG

if TYPE_CHECKING:
    import polars as pl

ACCURACIES: dict[str, str] = {
    "student": '"round-0", "combined", "only-cot", ...',
    "round": "its round; null for a student that is no round's",
    "dataset": "of the questions",
    "split": "validation, on which rounds are chosen, or test",
    "correct": "questions answered rightly",
    "total": "questions asked",
    "accuracy": "correct of total",
    "low": "lower end of the 95 % interval (Wilson)",
    "high": "upper end",
    "chosen": "whether the finished run chose this student",
    "oracle": "accuracy if the best strategy were chosen for every question; null where strategies were not forced",
}
SHARES: dict[str, str] = {
    "student": '"round-0", ...',
    "round": "its round; null for a student that is no round's",
    "dataset": "of the questions",
    "split": "validation or test",
    "family": "of the problems; empty for all of them together",
    "strategy": 'by which it answered; "(no tag)" where it named none',
    "by": '"own choice", or the selector that chose',
    "questions": "so many answered by this strategy",
    "total": "questions of this family",
    "share": "questions of total",
    "correct": "of these questions, those answered rightly; null where that is not known",
}
ALL = ""
"""The family of all problems together."""
_ROUND = re.compile(r"round-(\d+)")


def accuracies(run: Run) -> pl.DataFrame:
    """How accurate each student that has been scored is. Columns: `ACCURACIES`.

    Raises:
        RunError: a scorecard is damaged.
    """
    import polars as pl

    found = report(run)
    chosen = f"round-{found['chosen_round']}" if found else None
    rows = [
        {
            "student": card.student,
            "round": round_of(card.student),
            "dataset": card.dataset,
            "split": card.split,
            **card.score.as_dict(),
            "chosen": card.student == chosen,
            "oracle": card.oracle.accuracy if card.oracle and card.oracle.total else None,
        }
        for card in scorecards(run)
    ]
    floats = dict.fromkeys(("accuracy", "low", "high", "oracle"), pl.Float64)
    return pl.DataFrame(rows, schema=_schema(ACCURACIES, {**floats, "chosen": pl.Boolean}))


def shares(run: Run) -> pl.DataFrame:
    """By which strategies students answered, over all problems and by family. Columns: `SHARES`.

    Over all problems it is the student's own choice. By family it is the strategy of the answer that counts, which is
    the student's own choice where the recipe's selector is `self`.

    Raises:
        RunError: a scorecard is damaged.
    """
    import polars as pl

    rows = [row for card in scorecards(run) for row in _shares_of(card)]
    return pl.DataFrame(rows, schema=_schema(SHARES, {"share": pl.Float64}))


def _shares_of(card: Scorecard) -> Iterator[dict[str, Any]]:
    own = card.selector == "self"
    place = {
        "student": card.student,
        "round": round_of(card.student),
        "dataset": card.dataset,
        "split": card.split,
    }

    def row(family: str, strategy: str, by: str, questions: int, total: int, correct: int | None) -> dict[str, Any]:
        counts = {"questions": questions, "total": total, "share": questions / total if total else None}
        return {**place, "family": family, "strategy": strategy, "by": by, **counts, "correct": correct}

    right = {one.strategy: one.chosen.correct for one in card.strategies}
    for strategy, count in card.choices.items():
        correct = right.get(strategy) if own else None
        yield row(ALL, strategy, "own choice", count, card.score.total, correct)
    by = "own choice" if own else f"selector {card.selector}"
    for family, score in card.families.items():
        left = score.total
        for one in card.strategies:
            found = one.chosen_families.get(family, Score(0, 0))
            left -= found.total
            yield row(family, one.strategy, by, found.total, score.total, found.correct)
        if left:
            yield row(family, NO_TAG, by, left, score.total, None)


def scorecards(run: Run) -> list[Scorecard]:
    """All that have been written, rounds first, in their order.

    Raises:
        RunError: one is damaged.
    """
    found = []
    for path in (run.path / "scorecards").glob("*.json"):
        try:
            found.append(Scorecard.from_dict(json.loads(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"Cannot read {path}: {' '.join(str(error).split())}. Remove it; `siked evaluate` writes it again."
            ) from None
    return sorted(found, key=lambda card: (in_order(card.student), card.dataset, card.split != "validation"))


def round_of(student: str) -> int | None:
    """The round that a student, or a pool, has in its name."""
    number = _ROUND.fullmatch(student)
    return int(number[1]) if number else None


def in_order(name: str) -> tuple[int, int, str]:
    """Sorts rounds by their number, and what is no round behind them; the teacher is the first."""
    number = round_of(name)
    return (0, number, "") if number is not None else (-1 if name == "teacher" else 1, 0, name)


def _schema(columns: dict[str, str], other: dict[str, Any]) -> dict[str, Any]:
    import polars as pl

    counts = dict.fromkeys(("round", "correct", "total", "questions"), pl.Int64)
    return {name: {**counts, **other}.get(name, pl.String) for name in columns}
