"""The `number` verifier: the answer is what the rationale states, compared exactly.

The rule is `siked_core.numbers.same_answer`, documented there as a table. The published SIKeD code compares floats;
here nothing is rounded but what the gold answer itself rounds.
"""

from __future__ import annotations

from collections.abc import Sequence

from siked_core import Rationale, Status, Verdict, Verifier, hookimpl
from siked_core.numbers import final_answer
from siked_plugins.verifiers.comparison import judge


class NumberVerifier(Verifier):
    """Compares the stated answer with the gold answer, exactly."""

    name = "number"

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        return [_stated(rationale.answer_source) for rationale in rationales]

    def compare(self, answer: str, gold: str) -> Verdict:
        return judge(answer, gold)


def _stated(source: str) -> Verdict:
    text = source.strip()
    if "####" in text or "\\boxed" in text:
        text = final_answer(text) or ""
    return Verdict(Status.ANSWERED, answer=text) if text else Verdict(Status.NO_ANSWER, why="no answer is stated")


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [NumberVerifier]
