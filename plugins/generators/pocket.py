"""The pocket world's teacher: writes down a solution that it knows, under the strategy that it is asked for.

It costs nothing, and errs now and then as teachers do, so that filtering has work: with probability `error_rate` a
completion is wrong or cannot be read. It serves any data set whose problems carry a worked solution, and any strategy
that can demonstrate one. Randomness is seeded by the request alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from siked_core import Completion, Generator, Options, Request, Sampling, SikedError, hookimpl
from siked_plugins.pocket.slips import spoil

_TOKEN = re.compile(r"\w+|[^\w\s]")


class PocketTeacherOptions(Options):
    error_rate: float = Field(0.15, ge=0, le=1, description="share of completions that are wrong or unreadable")
    unreadable: float = Field(0.2, ge=0, le=1, description="share of the errors that are completions cut short")


class PocketTeacher(Generator):
    """Writes known solutions down under any strategy, with a seeded share of honest errors; costs nothing."""

    name = "pocket"
    options_type: ClassVar[type[Options]] = PocketTeacherOptions
    reads_solution = True

    @property
    def fingerprint(self) -> str:
        return f"pocket-teacher:{self.version}:{self.options.error_rate}:{self.options.unreadable}"

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Write each request's solution down. Tokens are counted as words, numbers and signs.

        Raises:
            SikedError: a problem has no worked solution, or the strategy cannot demonstrate one.
        """
        for index, request in enumerate(requests):
            text, whole = self._write(request)
            prompt = sum(_count(message.content) for message in request.prompt.messages)
            yield index, Completion(text, "stop" if whole else "length", prompt, _count(text))

    def _write(self, request: Request) -> tuple[str, bool]:
        """The completion's text, and whether it was written to its end."""
        strategy, solution = request.strategy, request.problem.solution
        if strategy is None:
            raise SikedError("The teacher 'pocket' must be told a strategy: it does not choose one. Force a strategy.")
        if solution is None:
            raise SikedError(
                f"The teacher 'pocket' writes from worked solutions, and problem {request.problem.id} has none. Use a "
                "data set that has them, such as 'pocket', or another teacher."
            )
        right = strategy.demonstrate(solution)
        if right is None:
            raise SikedError(
                f"The teacher 'pocket' cannot write problem {request.problem.id} under the strategy "
                f"'{strategy.name}', which cannot demonstrate its solution. Use another teacher or leave it out."
            )
        drawn = random.Random(request.seed)
        if drawn.random() >= self.options.error_rate:
            return right, True
        if drawn.random() >= self.options.unreadable:
            for spoilt in spoil(solution, drawn):
                wrong = strategy.demonstrate(spoilt)
                if wrong is not None and wrong != right:
                    return wrong, True
        return right[: drawn.randint(1, max(1, len(right) * 6 // 10))].rstrip(), False


def _count(text: str) -> int:
    return len(_TOKEN.findall(text))


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [PocketTeacher]
