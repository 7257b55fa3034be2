"""A vote: the answer that most attempts come to, across strategies and samples (self-consistency).

Sources: self-consistency (Wang et al. 2022, arXiv 2203.11171) samples one way of solving several times; ETD (arXiv
2401.11864) names a vote across views as the alternative to its fall-back. Equal answers are one, however written.
Departure: a vote weighs as much as its strategy's answers deserve, which is the share of them that were right on the
validation split, by Laplace's rule (one right and one wrong answer more than were seen), so that a strategy of which
nothing is known weighs a half. Ties go to the answer with the likeliest attempt (per token), then to the earlier one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from siked_core import Attempt, Options, Outcome, Selector, Wish, hookimpl


class VoteOptions(Options):
    mode: Literal["free", "forced", "both"] = Field(
        "forced", description="who votes: the student's own choice, each strategy when forced, or both"
    )
    samples: int = Field(1, ge=1, description="votes of each; a single one is greedy")
    temperature: float = Field(0.7, gt=0, description="at which several samples are drawn")
    top_p: float = Field(0.95, gt=0, le=1, description="at which several samples are drawn")
    weights: Literal["accuracy", "equal"] = Field(
        "accuracy", description="accuracy: a vote weighs as its strategy's answers were right on validation"
    )


class Vote(Selector):
    """The answer of most attempts, each strategy's vote weighed by how often it is right on validation."""

    name = "vote"
    options_type = VoteOptions

    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        """So many attempts of each voter: one greedy one, or several at a temperature."""
        free = [None] if self.options.mode != "forced" else []
        voters = [*free, *(strategies if self.options.mode != "free" else ())]
        if self.options.samples == 1:
            return tuple(Wish(voter) for voter in voters)
        temperature, top_p = self.options.temperature, self.options.top_p
        return tuple(Wish(voter, draw, temperature, top_p) for voter in voters for draw in range(self.options.samples))

    def fit(self, outcomes: Sequence[Outcome]) -> dict[str, float]:
        """Strategy -> what its votes weigh."""
        return weights(outcomes) if self.options.weights == "accuracy" else {}

    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        """The likeliest attempt with the answer that wins; the first of all where none has an answer."""
        return winner(attempts, learnt)


def weights(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Strategy -> the share of its answers that are right, by Laplace's rule."""
    right: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for outcome in outcomes:
        for attempt, correct in zip(outcome.attempts, outcome.right, strict=True):
            if attempt.answered and attempt.strategy is not None:
                answers[attempt.strategy] += 1
                right[attempt.strategy] += correct
    return {name: (right[name] + 1) / (answers[name] + 2) for name in sorted(answers)}


def winner(attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
    """The place of the attempt that a vote elects.

    Args:
        learnt: strategy -> what its votes weigh; empty: all votes weigh the same.
    """
    parties: dict[int, list[int]] = {}
    for place, attempt in enumerate(attempts):
        if attempt.group is not None:
            parties.setdefault(attempt.group, []).append(place)
    if not parties:
        return 0

    def weight(place: int) -> float:
        return learnt.get(attempts[place].strategy or "", 0.5) if learnt else 1.0

    def confidence(place: int) -> float:
        known = attempts[place].confidence
        return -math.inf if known is None else known

    def standing(party: list[int]) -> tuple[float, float, int]:
        # The exact sum does not depend on the order of the votes; what rounding makes of it must not decide.
        votes = round(math.fsum(weight(place) for place in party), 12)
        return votes, max(confidence(place) for place in party), -party[0]

    elected = max(parties.values(), key=standing)
    return max(elected, key=lambda place: (confidence(place), -place))


@hookimpl
def siked_selectors() -> list[type[Selector]]:
    return [Vote]
