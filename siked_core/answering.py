"""A file of questions, answered by a trained student into a file of answers.

An answer is a line of JSON, appended as soon as it is there, in the order of the questions; so a file that holds some
answers says itself where to go on. A last line that a kill has torn is cut off, and its question is answered again.
Answers of another student, or to other questions, are refused rather than mixed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from siked_core.errors import DataError
from siked_core.files import unwritable
from siked_core.keys import digest
from siked_core.lock import Lock
from siked_core.records import Status, Verdict
from siked_core.reporting import Reporter
from siked_core.rows import Row, read_rows
from siked_core.scorecard import Score
from siked_core.solve import Solution, Try
from siked_core.solver import Asking, Solver

NAMED = 5
"""Bad rows that an error names."""
NO_TAG = "(no tag)"


@dataclass(frozen=True, slots=True)
class Question:
    """One row of the input."""

    where: str
    """For messages: "questions.jsonl, line 17"."""
    text: str
    id: str | int | None = None
    gold: str | None = None
    """The right answer, where the row has one."""


@dataclass(slots=True)
class Tally:
    """What a file of answers holds."""

    answers: int = 0
    answered: int = 0
    """Of these, such that came to an answer, right or not."""
    right: int = 0
    judged: int = 0
    """Of those with a gold answer."""
    strategies: dict[str, list[int]] = field(default_factory=dict)
    """Strategy -> answers, judged, right: of those that were given."""
    attempts: dict[str, list[int]] = field(default_factory=dict)
    """The same of all attempts, where a selector chose among several."""

    def add(self, row: dict[str, Any]) -> None:
        """Count one answer, as it is written."""
        self.answers += 1
        self.answered += row["verdict"]["status"] == "answered"
        right = row.get("right")
        self.judged += right is not None
        self.right += right is True
        _count(self.strategies, row["strategy"], right)
        for attempt in row["attempts"]:
            _count(self.attempts, attempt["strategy"], attempt.get("right"))

    @property
    def score(self) -> Score | None:
        """Of the questions that have a gold answer; None where none has."""
        return Score(self.right, self.judged) if self.judged else None

    def as_dict(self) -> dict[str, Any]:
        return {
            "answers": self.answers,
            "answered": self.answered,
            "score": self.score.as_dict() if self.score else None,
            "strategies": _as_dicts(self.strategies),
            "attempts": _as_dicts(self.attempts),
        }


def _count(counts: dict[str, list[int]], strategy: str | None, right: bool | None) -> None:
    mine = counts.setdefault(strategy or NO_TAG, [0, 0, 0])
    for place, one in enumerate((True, right is not None, right is True)):
        mine[place] += one


def _as_dicts(counts: dict[str, list[int]]) -> dict[str, Any]:
    return {
        name: {"answers": answers, "score": Score(right, judged).as_dict() if judged else None}
        for name, (answers, judged, right) in sorted(counts.items())
    }


def read_questions(path: Path) -> list[Question]:
    """The questions of a file (JSON Lines, JSON or Parquet): `question`, and `id` and `answer` where rows have them.

    Raises:
        DataError: the file cannot be read, or rows of it cannot be used; names their lines.
    """
    questions, bad = [], []
    for row in read_rows(path):
        found = _question(row)
        if isinstance(found, str):
            bad.append(f"{row.where.removeprefix(f'{path}, ')} {found}")
        else:
            questions.append(found)
    if bad:
        more = f"; and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
        raise DataError(f"{path}: {'; '.join(bad[:NAMED])}{more}. Mend or remove them: nothing was asked.")
    return questions


def _question(row: Row) -> Question | str:
    """A row as a question, or what is wrong with it."""
    text, id, gold = (row.values.get(name) for name in ("question", "id", "answer"))
    if "question" not in row.values:
        return "has no question"
    if not isinstance(text, str) or not text.strip():
        return "has a question that is empty or no text"
    if id is not None and (isinstance(id, bool) or not isinstance(id, str | int)):
        return "has an id that is neither a text nor a whole number"
    if gold is not None and (isinstance(gold, bool) or not isinstance(gold, str | int | float)):
        return "has an answer that is neither a text nor a number"
    return Question(row.where, text.strip(), id, None if gold is None else str(gold))


def answer_all(
    solver: Solver, questions: Sequence[Question], asking: Asking, batch: int, done: int = 0
) -> Iterator[list[dict[str, Any]]]:
    """The answers as they are written, batch by batch, but for the first `done`.

    Args:
        batch: questions that are asked at once.
    """
    made_by = _made_by(solver, asking)
    for first in range(done, len(questions), batch):
        some = questions[first : first + batch]
        solutions = solver.ask([one.text for one in some], asking)
        rights = _rights(solver, some, solutions)
        yield [
            _written(one, solution, right, made_by)
            for one, solution, right in zip(some, solutions, rights, strict=True)
        ]


def answer_file(
    solver: Solver, questions: Sequence[Question], asking: Asking, output: Path, reporter: Reporter, batch: int
) -> Tally:
    """Answer all questions into a file; those that it answers already are not asked again.

    Raises:
        DataError: the file holds something else than the answers to the first of these questions.
        RunError: another process is writing it, or it cannot be written.
    """
    solver.plan(asking)
    lock = Lock(output.with_name(f".{output.name}.lock"), reporter.note, what=f"the file {output}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(output, error) from None
    lock.acquire()
    try:
        with _opened(output) as file:
            tally = _present(file, output, questions, _made_by(solver, asking))
            with reporter.stage("solve", len(questions), "questions") as progress:
                if tally.answers:
                    reporter.note(f"{output} has {tally.answers:,} of {len(questions):,} answers: going on from there.")
                    progress.advance(tally.answers)
                for rows in answer_all(solver, questions, asking, batch, tally.answers):
                    _append(file, output, rows)
                    for row in rows:
                        tally.add(row)
                    progress.advance(len(rows))
                    progress.describe(_told(tally))
                progress.finish(_told(tally))
    finally:
        lock.release()
    return tally


def _told(tally: Tally) -> str:
    if tally.score is not None:
        return f"{100 * tally.score.accuracy:.1f} % right"
    return f"{tally.answered:,} with an answer"


def _rights(solver: Solver, some: Sequence[Question], solutions: Sequence[Solution]) -> list[list[bool] | None]:
    """Of each question with a gold answer, whether the answer is right, and then each attempt's."""
    found: list[list[bool] | None] = []
    for question, solution in zip(some, solutions, strict=True):
        answers: list[Solution | Try] = [solution, *solution.attempts]
        gold = question.gold
        found.append(None if gold is None else solver.are_right([(one, gold) for one in answers]))
    return found


def _written(question: Question, solution: Solution, right: list[bool] | None, made_by: str) -> dict[str, Any]:
    row = {**({} if question.id is None else {"id": question.id}), **solution.as_dict()}
    if question.gold is not None and right is not None:
        row |= {"gold": question.gold, "right": right[0]}
        row["attempts"] = [{**attempt, "right": its} for attempt, its in zip(row["attempts"], right[1:], strict=True)]
    return {**row, "made_by": made_by}


def read_back(row: dict[str, Any]) -> Solution:
    """The solution in a row of answers."""
    attempts = tuple(
        Try(one["told"], one["strategy"], one["text"], _verdict(one["verdict"]), one["agrees"])
        for one in row["attempts"]
    )
    return Solution(row["question"], row["strategy"], row["text"], _verdict(row["verdict"]), attempts)


def _verdict(content: dict[str, Any]) -> Verdict:
    return Verdict(Status(content["status"]), content["answer"], content["why"])


def _made_by(solver: Solver, asking: Asking) -> str:
    """What tells answers of one student, asked in one way, from others."""
    return digest([solver.fingerprint, asking.as_dict()])[:16]


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    try:
        file = output.open("a+b")
    except OSError as error:
        raise unwritable(output, error) from None
    with file:
        yield file


def _present(file: BinaryIO, output: Path, questions: Sequence[Question], made_by: str) -> Tally:
    """Count the answers that are there, and cut off a torn one.

    Raises:
        DataError: a line is no answer to its question.
    """
    tally = Tally()
    file.seek(0)
    whole = 0
    for number, line in enumerate(file, 1):
        if not line.endswith(b"\n"):
            break
        wrong = _misfit(line, questions[number - 1] if number <= len(questions) else None, made_by, tally)
        if wrong:
            raise DataError(
                f"{output}, line {number}: {wrong}. Choose another --output, or remove this one: answers that do not "
                "belong together are not mixed."
            )
        whole += len(line)
    file.truncate(whole)
    file.seek(0, os.SEEK_END)
    return tally


def _misfit(line: bytes, question: Question | None, made_by: str, tally: Tally) -> str:
    """What is wrong with a line; empty where it answers the question, and is counted."""
    try:
        row = json.loads(line)
        asked, id, by = row["question"], row.get("id"), row["made_by"]
        if question is None:
            return "there are more answers than questions"
        if (asked, id) != (question.text, question.id):
            return f"it does not answer the question of {question.where}"
        if by != made_by:
            return "it was answered by another student, or with another strategy, selector, samples or temperature"
        tally.add(row)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "it is no answer that siked wrote"
    return ""


def _append(file: BinaryIO, output: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = "".join(f"{json.dumps(row, ensure_ascii=False, default=str)}\n" for row in rows)
    try:
        file.write(text.encode("utf-8", errors="backslashreplace"))
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(output, error) from None
