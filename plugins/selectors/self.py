"""The student's own choice (SIKeD, arXiv 2410.18574): it writes a strategy's tag, then solves with that strategy.

One attempt, and its answer is the answer. No departure from the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

from siked_core import Attempt, Selector, hookimpl


class Self(Selector):
    """The student chooses: one attempt, with the strategy whose tag it writes."""

    name = "self"

    def plan(self, strategies: Sequence[str]) -> tuple[str | None, ...]:
        """One free attempt."""
        return (None,)

    def select(self, attempts: Sequence[Attempt]) -> int:
        """The only attempt."""
        return 0


@hookimpl
def siked_selectors() -> list[type[Selector]]:
    return [Self]
