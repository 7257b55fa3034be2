"""Which of several answers to one question are the same answer, where no gold answer is known.

Two answers are equal if the verifier of either attempt's strategy takes one for the other, as it would a gold answer,
or if they name the same choice of the question. A chain of equal answers is one group, so that it does not matter which
answer is looked at first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from siked_core.choices import same_choice
from siked_core.contracts import Verifier
from siked_core.records import Status, Verdict

Found = tuple[str | None, Verdict]
"""The strategy that was used, and what its verifier found."""


def groups(question: str, found: Sequence[Found], verifiers: Mapping[str, Verifier]) -> list[int | None]:
    """A number for each attempt, the same for equal answers, counted from 0 in order; None where there is none.

    Args:
        verifiers: by strategy.

    Raises:
        VerifierFault: a verifier could not compare two answers.
    """
    answers = list(dict.fromkeys((strategy, verdict.answer) for strategy, verdict in found if _answered(verdict)))
    root = {answer: answer for answer in answers}
    for one, other in combinations(answers, 2):
        if root[one] != root[other] and _same(question, one, other, verifiers):
            merged = root[other]
            root = {answer: root[one] if its == merged else its for answer, its in root.items()}
    numbers = {its: place for place, its in enumerate(dict.fromkeys(root.values()))}
    return [numbers[root[strategy, verdict.answer]] if _answered(verdict) else None for strategy, verdict in found]


def _answered(verdict: Verdict) -> bool:
    return verdict.status is Status.ANSWERED


def _same(
    question: str, one: tuple[str | None, str], other: tuple[str | None, str], verifiers: Mapping[str, Verifier]
) -> bool:
    (used, answer), (used_too, answer_too) = one, other
    if answer == answer_too or same_choice(answer, answer_too, question):
        return True
    tried = ((used, answer, answer_too), (used_too, answer_too, answer))
    return any(strategy is not None and verifiers[strategy].compare(mine, its).correct for strategy, mine, its in tried)
