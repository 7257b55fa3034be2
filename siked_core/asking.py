"""A generator for the length of a stage, and room for what comes after it.

What a generator leaves for the next stage (`Generator.set_aside`) takes memory that a training or another model may
need. It is asked to make room for those, and ends with the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from siked_core.contracts import Generator
from siked_core.run import Run


@contextmanager
def asking(run: Run, generator: Generator) -> Iterator[Generator]:
    """A generator that a stage asks: set aside at the stage's end, closed where the stage fails."""
    make_room(run, of=type(generator))
    run.asked.add(type(generator))
    generator.say = run.reporter.note
    try:
        yield generator
    except BaseException:
        generator.close()
        raise
    generator.set_aside()


def make_room(run: Run, of: type[Generator] | None = None) -> None:
    """Have what earlier stages' generators left give its memory back.

    Args:
        of: but for generators of this class, which see to it themselves when they need it.
    """
    for generators in run.asked - {of}:
        generators.make_room()
