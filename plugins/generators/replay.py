"""A teacher that is a file: completions that were recorded earlier, by anyone.

`path` is JSON Lines, JSON or Parquet, as `siked_core.recorded` reads it: a row has `text` (the completion), `strategy`,
and `problem_id` or `question`, or a chat in `messages`; it may have `draw` (0, 1, ...; without it the rows of one
problem and strategy are numbered in the order of the file), `finish_reason`, `prompt_tokens`, `completion_tokens`
(counted as words where they are missing) and `logprob`. `columns` maps other names. Lookups are exact, in the recorded
draw; `strategy` may be empty for completions in which a student chose freely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from siked_core import Completion, DataError, Generator, Options, Request, Sampling, hookimpl
from siked_core.recorded import Column, read_recorded
from siked_plugins.generators.annotations import words


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
        for row in read_recorded(self.options.path.expanduser(), self.options.columns):
            by, which = ("question", row.question or "") if row.problem_id is None else ("id", row.problem_id)
            draw = row.draw
            if draw is None:
                draw = 0
                while (by, which, row.strategy, draw) in recorded:
                    draw += 1
            elif (by, which, row.strategy, draw) in recorded:
                raise DataError(f"{row.where}: '{which}' under '{row.strategy}', draw {draw}, is recorded twice.")
            recorded[by, which, row.strategy, draw] = row.completion
        return recorded


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [Replay]
