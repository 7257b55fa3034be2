"""How every built-in verifier compares an answer with the gold answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from siked_core import Claim, Status, Verdict, Verifier
from siked_core.choices import same_choice
from siked_core.errors import IncomparableError, SikedError, VerifierFault
from siked_core.numbers import same_answer

T = TypeVar("T")


class ComparingVerifier(Verifier):
    """Compares by the tables in `siked_core.choices` and `siked_core.numbers`."""

    def compare(self, answer: str, gold: str) -> Verdict:
        return judge(answer, gold)

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        found = self.answers([claim.rationale for claim in claims])
        return [
            self._judged(verdict.answer, claim) if verdict.status is Status.ANSWERED else verdict
            for verdict, claim in zip(found, claims, strict=True)
        ]

    def _judged(self, answer: str, claim: Claim) -> Verdict:
        gold, question = claim.problem.answer, claim.problem.question
        correct = faultless(lambda: same_choice(answer, gold, question), answer, gold)
        return self.compare(answer, gold) if correct is None else verdict_on(answer, gold, correct)


def judge(answer: str, gold: str) -> Verdict:
    """`CORRECT` or `WRONG`, by the table in `siked_core.numbers`.

    Raises:
        VerifierFault: the comparison itself failed.
    """
    return verdict_on(answer, gold, faultless(lambda: same_answer(answer, gold), answer, gold))


def faultless(comparison: Callable[[], T], answer: str, gold: str) -> T:
    """What a comparison finds; a bug in it is told with the answers that it was about.

    Raises:
        VerifierFault: the comparison failed.
    """
    try:
        return comparison()
    except (SikedError, IncomparableError):
        raise
    except Exception as error:
        raise VerifierFault(f"comparing the answer {answer!r} with the gold answer {gold!r}: {error!r}") from error


def verdict_on(answer: str, gold: str, correct: bool) -> Verdict:
    """`CORRECT`, or `WRONG` and what is not what."""
    if correct:
        return Verdict(Status.CORRECT, answer=answer)
    return Verdict(Status.WRONG, answer=answer, why=f"{_short(answer)} is not {_short(gold)}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
