"""The student's own choice (SIKeD, arXiv 2410.18574): it writes a strategy's tag, then solves with that strategy.

One attempt, and its answer is the answer. No departure from the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from siked_core import Attempt, Selector, Wish, hookimpl


class Self(Selector):
    """The student chooses: one attempt, with the strategy whose tag it writes."""

    name = "self"

    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        """One free attempt."""
        return (Wish(),)

    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        """The only attempt."""
        return 0


@hookimpl
def siked_selectors() -> list[type[Selector]]:
    return [Self]
