"""Tables of what students scored: accuracies, and which strategies they answered by."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from siked_core.errors import RunError
from siked_core.loop import report
from siked_core.run import Run
from siked_core.scorecard import ORACLE, OWN_CHOICE, Score, Scorecard
from siked_core.stages.evidence import NO_TAG
from siked_core.tidy.columns import COLUMNS

if TYPE_CHECKING:
    import polars as pl

_ROUND = re.compile(r"round-(\d+)")


def scores(run: Run) -> pl.DataFrame:
    """Every accuracy that was measured, of whatever was used, by strategy and by family. Columns: `COLUMNS["scores"]`.

    Raises:
        RunError: a scorecard is damaged.
    """
    import polars as pl

    found = report(run)
    chosen = f"round-{found['chosen_round']}" if found else None
    rows = [{**row, "chosen": card.student == chosen} for card in scorecards(run) for row in _scores_of(card)]
    floats = dict.fromkeys(("accuracy", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=_schema("scores", {**floats, "chosen": pl.Boolean}))


def shares(run: Run) -> pl.DataFrame:
    """By which strategies students answered, over all problems and by family. Columns: `COLUMNS["shares"]`.

    Over all problems it is the student's own choice. By family it is the strategy of the answer that counts, which is
    the student's own choice where the recipe's selector is `self`.

    Raises:
        RunError: a scorecard is damaged.
    """
    import polars as pl

    rows = [row for card in scorecards(run) for row in _shares_of(card)]
    return pl.DataFrame(rows, schema=_schema("shares", {"share": pl.Float64}))


def _scores_of(card: Scorecard) -> Iterator[dict[str, Any]]:
    place = _place_of(card)

    def row(way: str, score: Score, strategy: str | None = None, family: str | None = None) -> dict[str, Any]:
        return {**place, "strategy": strategy, "way": way, "family": family, **figures_of(score)}

    yield row("answer", card.score)
    for family, score in card.families.items():
        yield row("answer", score, family=family)
    for one in card.strategies:
        yield row("chosen", one.chosen, one.strategy)
        for family, score in one.chosen_families.items():
            yield row("chosen", score, one.strategy, family)
        if one.forced is not None:
            yield row("forced", one.forced, one.strategy)
        for family, score in one.forced_families.items():
            yield row("forced", score, one.strategy, family)
    for name in (OWN_CHOICE, ORACLE):
        if found := card.policies.get(name):
            yield row(name, Score(found.both + found.only_b, found.total))


def figures_of(score: Score) -> dict[str, Any]:
    """A score as a row has it: nothing is known of the accuracy where nothing was judged."""
    return {**score.as_dict(), "accuracy": score.accuracy if score.total else None}


def _place_of(card: Scorecard) -> dict[str, Any]:
    return {
        "student": card.student,
        "round": round_of(card.student),
        "dataset": card.dataset,
        "split": card.split,
    }


def _shares_of(card: Scorecard) -> Iterator[dict[str, Any]]:
    own = card.selector == "self"
    place = _place_of(card)

    def row(
        family: str | None, strategy: str, by: str, questions: int, total: int, correct: int | None
    ) -> dict[str, Any]:
        counts = {"questions": questions, "total": total, "share": questions / total if total else None}
        return {**place, "family": family, "strategy": strategy, "by": by, **counts, "correct": correct}

    right = {one.strategy: one.chosen.correct for one in card.strategies}
    for strategy, count in card.choices.items():
        correct = right.get(strategy) if own else None
        yield row(None, strategy, "own choice", count, card.score.total, correct)
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


def _schema(table: str, other: dict[str, Any]) -> dict[str, Any]:
    import polars as pl

    counts = dict.fromkeys(("round", "correct", "total", "questions"), pl.Int64)
    return {name: {**counts, **other}.get(name, pl.String) for name in COLUMNS[table]}
