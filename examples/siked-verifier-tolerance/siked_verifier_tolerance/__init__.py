"""Numbers that are nearly right: the answer may be off by a share of the gold answer.

For data whose answers were measured or rounded (physics, estimates). siked's own `number` is exact: it rounds only as
the gold answer itself is rounded. What is no number is compared as `number` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

from pydantic import Field

from siked_core import Options, Rationale, Status, Verdict, Verifier, hookimpl
from siked_core.numbers import read_number, same_answer

SIKED_CONTRACT = "1.0"


class ToleranceOptions(Options):
    share: float = Field(0.01, ge=0, lt=1, description="by which share of the gold answer an answer may be off")


class Tolerance(Verifier):
    """The stated answer may be off by a share of the gold answer (1 % unless told otherwise)."""

    name = "tolerance"
    options_type: ClassVar[type[Options]] = ToleranceOptions

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        """What each rationale states as its answer."""
        found = [rationale.answer_source.strip() for rationale in rationales]
        return [Verdict(Status.ANSWERED, text) if text else Verdict(Status.NO_ANSWER) for text in found]

    def compare(self, answer: str, gold: str) -> Verdict:
        """Right if the two are the same, or near enough."""
        number, wanted = read_number(answer), read_number(gold)
        if number is None or wanted is None:
            return Verdict(Status.CORRECT if same_answer(answer, gold) or answer == gold else Status.WRONG, answer)
        off = abs(number - wanted)
        if off <= abs(wanted) * Fraction(self.options.share):
            return Verdict(Status.CORRECT, answer)
        return Verdict(Status.WRONG, answer, f"it is off by {float(off):.3g}")


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [Tolerance]
