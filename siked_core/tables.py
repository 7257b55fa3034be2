"""A run as tidy tables: one row for one thing, one column for one property of it. Polars data frames.

Every column is described in `COLUMNS`. Rates are between 0 and 1, times in seconds, log-probabilities in nats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from siked_core.errors import RunError
from siked_core.pool import read_parquet
from siked_core.results import results_of
from siked_core.run import Run
from siked_core.scorecard import ORACLE, OWN_CHOICE, Score, Scorecard
from siked_core.spending import JUDGES, pools
from siked_core.stages.generate import EVALUATIONS
from siked_core.stages.prepare import problems
from siked_core.stages.verify import verdicts_of

if TYPE_CHECKING:
    import polars as pl

_OF_SCORE = {
    "correct": "right answers",
    "total": "answers that were judged",
    "accuracy": "the share of right ones; null where none was judged",
    "low": "the lower end of its 95 % interval (Wilson)",
    "high": "the upper end",
}
COLUMNS: dict[str, dict[str, str]] = {
    "rounds": {
        "round": "0 is the warm-up on the teacher's samples",
        "student": "the student's name: round-0, round-1, ...",
        "chosen": "whether the run chose this round's student",
        **_OF_SCORE,
        "samples": "samples that were drawn: the teacher's in round 0, the student's own after it",
        "samples_correct": "those that a verifier accepted",
        "problems": "problems that were sampled",
        "problems_solved": "those with a correct sample",
        "rows": "rows of the mixture that the student was trained on",
        "alpha": "the teacher's share of them",
        "training_tokens": "tokens of prompts and targets that this round trained on, over all epochs",
        "untagged": "validation questions to which the student names no strategy",
        "seconds": "what the round's stages took",
    },
    "scores": {
        "student": "the student's name",
        "dataset": "the data set",
        "split": "validation or test",
        "strategy": "the strategy that the row is about; null: whatever was used",
        "way": "answer: as the selector has it; chosen: of those, the answers by this strategy; forced: all questions, "
        "when told to use it; own choice: as the student itself chooses; oracle: if any strategy, forced, is right",
        "family": "the problems' family; null: all of them",
        **_OF_SCORE,
    },
    "samples": {
        "pool": "teacher, round-1, ..., or evaluations/STUDENT/DATASET-SPLIT",
        "key": "what the sample is known by: siked why RUN KEY tells all of it",
        "problem_id": "the problem",
        "source": "teacher or student",
        "round": "the round that it was drawn in; 0 for the teacher",
        "requested": "the strategy that was asked for; null where the student chose",
        "strategy": "the strategy that was used; null where no known tag was written",
        "draw": "0, 1, 2, ... among the samples of one prompt",
        "status": "the verdict: correct, wrong, crashed, ...",
        "answer": "what was found in it; empty where nothing was",
        "why": "the verdict's reason in a line, where there is one",
        "text": "as it was written",
        "rationale": "its canonical form; null where it could not be read",
        "finish_reason": "stop, or length where it was cut off",
        "prompt_tokens": "tokens of the prompt",
        "completion_tokens": "tokens of the completion",
        "logprob": "sum over the completion's tokens; null where it is not known",
    },
    "mixtures": {
        "student": "the student that was trained on it",
        "key": "the sample",
        "problem_id": "the problem",
        "strategy": "the strategy",
        "source": "teacher or student",
        "round": "the round that the sample was drawn in",
        "weight": "of its loss",
        "rationale": "what was trained on",
    },
    "questions": {
        "student": "the student's name",
        "dataset": "the data set",
        "split": "validation or test",
        "problem_id": "the problem",
        "family": "its family; empty where the data set tells none apart",
        "question": "its text",
        "gold": "the right answer",
        "strategy": "the strategy of the answer that was given; null where the student named none",
        "answer": "the answer; empty where there is none",
        "status": "the verdict",
        "right": "whether it is the right one",
        "own": "whether the student's own choice, greedy, is right",
        "forced": "strategy -> whether it is right when it is forced, as a list of structs (strategy, right)",
    },
}


def rounds(run: Run) -> pl.DataFrame:
    """A row for each round of a finished run; accuracies are those on validation.

    Raises:
        RunError: it is not finished.
    """
    path = run.path / "report.json"
    if not path.exists():
        raise RunError(
            f"The run {run.path} is not finished, so its rounds are not told yet. The same command continues it."
        )
    report = json.loads(path.read_text(encoding="utf-8"))
    return _frame(
        "rounds",
        [
            {
                "round": one["round"],
                "student": one["student"],
                "chosen": one["round"] == report["chosen_round"],
                **_score(Score.from_dict(one["validation"]["score"])),
                "samples": one["pool"]["samples"],
                "samples_correct": one["pool"]["correct"],
                "problems": one["pool"]["problems"],
                "problems_solved": one["pool"]["problems_solved"],
                "rows": one["mixture"]["rows"],
                "alpha": one["mixture"]["alpha"],
                "training_tokens": one["training_tokens"],
                "untagged": one["validation"]["untagged"],
                "seconds": sum(one["seconds"].values()),
            }
            for one in report["rounds"]
        ],
    )


def scores(run: Run) -> pl.DataFrame:
    """Every accuracy that was measured: by student, data set, split, strategy, way and family."""
    return _frame("scores", [row for card in _cards(run) for row in _rows_of(card)])


def samples(run: Run, evaluations: bool = False) -> pl.DataFrame:
    """The samples that were drawn for training, with the verdicts that the run goes by.

    Args:
        evaluations: also the answers to validation and test questions.
    """
    import polars as pl

    names = [name for name in pools(run.path) if not name.startswith(f"{JUDGES}/")]
    names = [name for name in names if evaluations or not name.startswith(f"{EVALUATIONS}/")]
    parts = [verdicts_of(run, name).with_columns(pool=pl.lit(name)).select(*COLUMNS["samples"]) for name in names]
    return pl.concat(parts) if parts else _frame("samples", [])


def mixtures(run: Run) -> pl.DataFrame:
    """The rows that each student was trained on."""
    import polars as pl

    files = sorted((run.path / "mixtures").glob("*.parquet"))
    parts = [read_parquet(path).with_columns(student=pl.lit(path.stem)).select(*COLUMNS["mixtures"]) for path in files]
    return pl.concat(parts) if parts else _frame("mixtures", [])


def questions(run: Run) -> pl.DataFrame:
    """What became of each question that a student was scored on."""
    rows = []
    for card in _cards(run):
        known = {problem.id: problem for problem in problems(run, card.split, card.dataset)}
        for one in results_of(run, card.student, card.dataset, card.split):
            problem = known.get(one.problem_id)
            rows.append(
                {
                    "student": card.student,
                    "dataset": card.dataset,
                    "split": card.split,
                    "problem_id": one.problem_id,
                    "family": problem.family if problem else "",
                    "question": problem.question if problem else None,
                    "gold": problem.answer if problem else None,
                    "strategy": one.strategy,
                    "answer": one.answer,
                    "status": one.status,
                    "right": one.right,
                    "own": one.own,
                    "forced": [{"strategy": name, "right": right} for name, right in one.forced.items()],
                }
            )
    return _frame("questions", rows)


def _cards(run: Run) -> list[Scorecard]:
    files = sorted((run.path / "scorecards").glob("*.json"))
    return [Scorecard.from_dict(json.loads(path.read_text(encoding="utf-8"))) for path in files]


def _rows_of(card: Scorecard) -> Iterator[dict[str, Any]]:
    def row(way: str, score: Score, strategy: str | None = None, family: str | None = None) -> dict[str, Any]:
        place = {"student": card.student, "dataset": card.dataset, "split": card.split}
        return {**place, "strategy": strategy, "way": way, "family": family, **_score(score)}

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


def _score(score: Score) -> dict[str, Any]:
    low, high = score.interval
    return {
        "correct": score.correct,
        "total": score.total,
        "accuracy": score.accuracy if score.total else None,
        "low": low,
        "high": high,
    }


def _frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A table with all of its columns, in order, also where it has no rows."""
    import polars as pl

    if not rows:
        return pl.DataFrame(schema=dict.fromkeys(COLUMNS[table], pl.Null))
    return pl.DataFrame(rows, infer_schema_length=None).select(*COLUMNS[table])
