"""Completions that were recorded elsewhere, read from a file: for the teacher `replay` and for `siked import`.

A row is a completion of a question. Its text is in `text`, `rationale`, `completion` or `answer` (the first of these
that it has), or is the last turn of a chat in `messages`, whose question is then the user's turn before it; otherwise
`question` or `problem_id` says what was asked. `docs/data.md` has the whole schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from siked_core.errors import DataError, unknown
from siked_core.records import Completion
from siked_core.rows import Row, read_rows

Column = Literal[
    "problem_id",
    "question",
    "messages",
    "strategy",
    "teacher",
    "text",
    "draw",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "logprob",
]
TEXTS = ("text", "rationale", "completion", "answer")
"""Columns that may hold the completion's text: the first that a row has counts. A mapping of `text` overrules them."""

ENDS: tuple[str, ...] = get_args(get_type_hints(Completion)["finish_reason"])


@dataclass(frozen=True, slots=True)
class Recorded:
    """One completion, and what its file says of it."""

    where: str
    """For messages: "rationales.jsonl, line 17"."""
    problem_id: str | None
    question: str | None
    """Without white space around it. A row has it, or the problem's id, or both."""
    strategy: str
    """Empty where the row names none."""
    teacher: str
    """Who wrote it; empty where the row does not say."""
    draw: int | None
    completion: Completion
    """Its tokens are counted as words where the row has no count; 0 for those of the prompt."""


def read_recorded(path: Path, columns: Mapping[Column, str]) -> Iterator[Recorded]:
    """The completions of a file, row by row.

    Args:
        path: JSON Lines, JSON (a list of objects) or Parquet.
        columns: our column -> theirs, where the names differ.

    Raises:
        DataError: the file cannot be read, or a row is malformed; names file and line.
    """
    for row in read_rows(path):
        yield _Reader(row, columns).read()


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one row."""

    row: Row
    columns: Mapping[Column, str]

    def read(self) -> Recorded:
        asked, text = self._chat() if self._value("messages") is not None else (None, self._written())
        question = self._optional("question") or asked
        problem = self._optional("problem_id")
        if problem is None and question is None:
            raise DataError(
                f"{self.row.where}: needs a problem_id or a question. It has: {', '.join(self.row.values)}."
            )
        return Recorded(
            where=self.row.where,
            problem_id=problem,
            question=None if question is None else question.strip(),
            strategy=self._optional("strategy") or "",
            teacher=self._optional("teacher") or "",
            draw=self._whole("draw"),
            completion=self._completion(text),
        )

    def _completion(self, text: str) -> Completion:
        finish = self._value("finish_reason")
        if finish is not None and finish not in ENDS:
            raise DataError(f"{self.row.where}: {unknown('finish_reason', str(finish), ENDS)}")
        logprob = self._value("logprob")
        if logprob is not None and (isinstance(logprob, bool) or not isinstance(logprob, int | float)):
            raise DataError(f"{self.row.where}: logprob must be a number, not {logprob!r}.")
        tokens = self._whole("completion_tokens")
        return Completion(
            text,
            "stop" if finish is None else finish,
            self._whole("prompt_tokens") or 0,
            len(text.split()) if tokens is None else tokens,
            None if logprob is None else float(logprob),
        )

    def _chat(self) -> tuple[str, str]:
        """The question and the answer of a conversation: the last turn, the assistant's, and the user's before it."""
        name = self.columns.get("messages", "messages")
        turns = self._value("messages")
        if not isinstance(turns, list) or not all(
            isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
            for turn in turns
        ):
            raise DataError(f"{self.row.where}: the column '{name}' must be a list of {{role, content}}, both texts.")
        roles = [turn["role"] for turn in turns]
        if roles[-2:] != ["user", "assistant"]:
            raise DataError(
                f"{self.row.where}: the column '{name}' must end with the user's question and the assistant's answer, "
                f"not with {', '.join(roles[-2:]) or 'nothing'}."
            )
        return turns[-2]["content"], turns[-1]["content"]

    def _written(self) -> str:
        if "text" in self.columns:
            return self._text("text", self.columns["text"])
        return self._text("text", next((name for name in TEXTS if self.row.values.get(name) is not None), "text"))

    def _value(self, column: Column) -> Any:
        return self.row.values.get(self.columns.get(column, column))

    def _optional(self, column: Column) -> str | None:
        return None if self._value(column) is None else self._text(column, self.columns.get(column, column))

    def _text(self, column: Column, theirs: str) -> str:
        value = self.row.values.get(theirs)
        if not isinstance(value, str):
            raise DataError(f"{self.row.where}: the column '{theirs}' must hold a text, not {value!r}.")
        return value

    def _whole(self, column: Column) -> int | None:
        value = self._value(column)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise DataError(f"{self.row.where}: {column} must be a whole number from 0, not {value!r}.")
        return value
