"""Two tiers by doubt: the student's own choice where it is sure of it, else a vote of all strategies.

A vote may overrule a student that is right; here it does so only where the student's own attempt has no answer, or is
less likely (mean log-probability of a token) than a threshold. The threshold is the one that gives the most right
answers on the validation split, and of equals the one that asks for the fewest votes. Own design; the vote and its
weights are those of `vote`. Without a validation split only attempts without an answer go to the vote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from siked_core import Attempt, Outcome, Selector, Wish, hookimpl
from siked_plugins.selectors.vote import weights, winner

THRESHOLD = "(threshold)"
"""The key of the threshold among the weights, whose keys are strategies."""


class TwoTier(Selector):
    """The student's own choice, or a vote of all strategies where that choice is doubtful."""

    name = "two_tier"

    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        """The student's own choice, then every strategy, all greedy."""
        return (Wish(), *(Wish(name) for name in strategies))

    def fit(self, outcomes: Sequence[Outcome]) -> dict[str, float]:
        """The weights of votes, and the confidence below which there is one."""
        learnt = weights(outcomes)
        sure = [one for one in outcomes if one.attempts[0].answered and one.attempts[0].confidence is not None]
        sure.sort(key=_confidence)
        # The gain of a vote over the own choice, question by question: the best threshold ends the best beginning.
        best, gain, threshold = 0, 0, -math.inf
        for place, one in enumerate(sure):
            gain += one.right[winner(one.attempts, learnt)] - one.right[0]
            following = _confidence(sure[place + 1]) if place + 1 < len(sure) else 0.0
            if gain > best and following > _confidence(one):
                best, threshold = gain, (_confidence(one) + following) / 2
        return learnt | ({THRESHOLD: threshold} if best else {})

    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        """The first attempt, or the one that the vote elects."""
        own = attempts[0]
        confidence = own.confidence
        if own.answered and (confidence is None or confidence >= learnt.get(THRESHOLD, -math.inf)):
            return 0
        return winner(attempts, {name: value for name, value in learnt.items() if name != THRESHOLD})


def _confidence(outcome: Outcome) -> float:
    return outcome.attempts[0].confidence or 0.0


@hookimpl
def siked_selectors() -> list[type[Selector]]:
    return [TwoTier]
