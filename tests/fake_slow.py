"""A generator that takes its time, notes what it does, and fails or dies where it is told to: work for Ray's workers.

Tests put it beside a `dist-info` folder on `PYTHONPATH`, so that it is found like any installed plugin.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from siked_core import Completion, Generator, ModelError, Options, Request, Sampling, hookimpl
from siked_core.testing import ToyTeacher


class SlowOptions(Options):
    notes: Path
    seconds: float = 0.02
    fails: str = ""
    dies: str = ""
    batch_sensitive: bool = False


class Slow(ToyTeacher):
    """Adds as the toy teacher does, slowly."""

    name = "slow"
    options_type = SlowOptions

    @property
    def fingerprint(self) -> str:
        return "slow"

    @property
    def batch_sensitive(self) -> bool:  # type: ignore[override]
        return bool(self.options.batch_sensitive)

    @property
    def chunk_size(self) -> int:
        return 16

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, request in enumerate(requests):
            question = request.problem.question
            if question == self.options.fails:
                raise ModelError(f"The model cannot read '{question}'. Ask it something else.")
            if question == self.options.dies:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self.options.seconds)
            total = sum(int(part) for part in re.findall(r"\d+", question))
            end = getattr(request.strategy, "end", "!")
            with (self.options.notes / str(os.getpid())).open("a") as notes:
                notes.write(f"{question} {request.draw}\n")
            yield place, Completion(f"sum={total}{end}", "stop", 3, 4, request.seed / 7)


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [Slow]
