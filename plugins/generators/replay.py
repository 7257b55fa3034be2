"""A teacher that is a file: completions that were recorded earlier, by anyone.

`path` is JSON Lines, JSON or Parquet. A row has `text` (the completion), `strategy`, and `problem_id` or `question`; it
may have `draw` (0, 1, ...; without it the rows of one problem and strategy are numbered in the order of the file),
`finish_reason` ("stop" or "length"), `prompt_tokens`, `completion_tokens` (counted as words where they are missing) and
`logprob`. `columns` maps other names. Lookups are exact, in the recorded draw; `strategy` may be empty for completions
in which a student chose freely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from siked_core import Completion, DataError, Generator, Options, Request, Sampling, hookimpl
from siked_core.errors import unknown
from siked_plugins.datasets.rows import Row, read_rows
from siked_plugins.generators.annotations import words

Column = Literal[
    "problem_id",
    "question",
    "strategy",
    "text",
    "draw",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens",
    "logprob",
]


class ReplayOptions(Options):
    path: Path = Field(description="the file of recorded completions: JSON Lines, JSON or Parquet")
    columns: dict[Column, str] = Field(default_factory=dict, description="their name of our columns")
    missing: Literal["error", "empty"] = Field(
        "error", description="what to do where nothing is recorded: stop, or give an empty completion"
    )


class Replay(Generator):
    """Gives back completions that were recorded in a file."""

    name = "replay"
    options_type: ClassVar[type[Options]] = ReplayOptions

    @cached_property
    def fingerprint(self) -> str:
        """The content of the file and how it is read.

        Raises:
            DataError: the file cannot be read.
        """
        digest = hashlib.sha256()
        try:
            with self.options.path.expanduser().open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise DataError(f"Cannot read {self.options.path}: {error.strerror or error}.") from None
        columns = ",".join(f"{ours}={theirs}" for ours, theirs in sorted(self.options.columns.items()))
        return f"replay {self.version} {digest.hexdigest()[:16]} {columns} {self.options.missing}"

    @property
    def chunk_size(self) -> int:
        return 4096

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Look each request up by problem, strategy and draw; `sampling` changes nothing.

        Raises:
            DataError: nothing is recorded for a request (unless `missing` is "empty"), or the file is malformed.
        """
        for index, request in enumerate(requests):
            strategy = request.strategy.name if request.strategy is not None else ""
            found = self._recorded.get(("id", request.problem.id, strategy, request.draw)) or self._recorded.get(
                ("question", request.problem.question.strip(), strategy, request.draw)
            )
            if found is None and self.options.missing == "error":
                raise DataError(
                    f"{self.options.path} has no completion of the problem '{request.problem.id}' under "
                    f"'{strategy or 'free choice'}', draw {request.draw}. Record it, ask for fewer samples, or set "
                    "the option missing to 'empty'."
                )
            if found is None:
                found = Completion("", "stop", 0, 0)
            if not found.prompt_tokens:
                found = Completion(
                    found.text, found.finish_reason, words(request), found.completion_tokens, found.logprob
                )
            yield index, found

    @cached_property
    def _recorded(self) -> Mapping[tuple[str, str, str, int], Completion]:
        """("id" or "question", which, strategy, draw) -> what was recorded."""
        recorded: dict[tuple[str, str, str, int], Completion] = {}
        for row in read_rows(self.options.path.expanduser()):
            by, which = ("id", self._text(row, "problem_id")) if self._has(row, "problem_id") else ("question", "")
            if by == "question":
                if not self._has(row, "question"):
                    raise DataError(f"{row.where}: needs a problem_id or a question. It has: {', '.join(row.values)}.")
                which = self._text(row, "question").strip()
            strategy = self._text(row, "strategy") if self._has(row, "strategy") else ""
            draw = self._whole(row, "draw")
            if draw is None:
                draw = 0
                while (by, which, strategy, draw) in recorded:
                    draw += 1
            elif (by, which, strategy, draw) in recorded:
                raise DataError(f"{row.where}: '{which}' under '{strategy}', draw {draw}, is recorded twice.")
            recorded[by, which, strategy, draw] = self._completion(row)
        return recorded

    def _completion(self, row: Row) -> Completion:
        text = self._text(row, "text")
        finish = self._value(row, "finish_reason")
        if finish not in {None, "stop", "length"}:
            raise DataError(f"{row.where}: {unknown('finish_reason', str(finish), ('stop', 'length'))}")
        logprob = self._value(row, "logprob")
        if logprob is not None and (isinstance(logprob, bool) or not isinstance(logprob, int | float)):
            raise DataError(f"{row.where}: logprob must be a number, not {logprob!r}.")
        tokens = self._whole(row, "completion_tokens")
        return Completion(
            text,
            "length" if finish == "length" else "stop",
            self._whole(row, "prompt_tokens") or 0,
            len(text.split()) if tokens is None else tokens,
            None if logprob is None else float(logprob),
        )

    def _value(self, row: Row, column: Column) -> Any:
        return row.values.get(self.options.columns.get(column, column))

    def _has(self, row: Row, column: Column) -> bool:
        return self._value(row, column) is not None

    def _text(self, row: Row, column: Column) -> str:
        value = self._value(row, column)
        if not isinstance(value, str):
            theirs = self.options.columns.get(column, column)
            raise DataError(f"{row.where}: the column '{theirs}' must hold a text, not {value!r}.")
        return value

    def _whole(self, row: Row, column: Column) -> int | None:
        value = self._value(row, column)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise DataError(f"{row.where}: {column} must be a whole number from 0, not {value!r}.")
        return value


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [Replay]
