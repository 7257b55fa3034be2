"""The `number` verifier: the answer is what the rationale states, compared exactly.

The rule is `siked_core.numbers.same_answer`, documented there as a table. The published SIKeD code compares floats;
here nothing is rounded but what the gold answer itself rounds. What that cannot read and looks like LaTeX or symbolic
mathematics (`\\frac{\\sqrt{3}}{2}`, `x^2+1`, intervals, sets) goes to `siked_core.latex`, if the extra `siked[latex]`
is installed and its process can be caged (Linux); else such answers are compared as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from siked_core import Options, Rationale, Status, Verdict, Verifier, hookimpl
from siked_core.errors import IncomparableError
from siked_core.numbers import final_answer
from siked_plugins.verifiers.comparison import ComparingVerifier, faultless, judge, verdict_on

if TYPE_CHECKING:
    from siked_core.latex import LatexJudge


class NumberOptions(Options):
    """How answers that are no plain numbers are compared."""

    latex: Literal["auto", "off"] = Field(
        "auto", description="compare LaTeX by its value, with math-verify where it is installed; off: as text"
    )
    latex_timeout_s: float = Field(5.0, gt=0, le=600, description="seconds for one comparison of LaTeX")


class NumberVerifier(ComparingVerifier):
    """Compares the stated answer with the gold answer, exactly."""

    name = "number"
    options_type = NumberOptions

    @property
    def fingerprint(self) -> str:
        from siked_core.latex import installed_version

        return f"{super().fingerprint}:{installed_version() if self.options.latex == 'auto' else ''}"

    @cached_property
    def _latex(self) -> LatexJudge:
        from siked_core.latex import LatexJudge

        return LatexJudge(self.options.latex_timeout_s)

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        return [_stated(rationale.answer_source) for rationale in rationales]

    def compare(self, answer: str, gold: str) -> Verdict:
        verdict = judge(answer, gold)
        if verdict.correct or self.options.latex == "off":
            return verdict
        try:
            same = faultless(lambda: self._latex.same(answer, gold), answer, gold)
        except IncomparableError as error:
            return Verdict(Status.WRONG, answer=answer, why=f"{verdict.why}: {error}")
        return verdict if same is None else verdict_on(answer, gold, same)

    def close(self) -> None:
        self._latex.close()


def _stated(source: str) -> Verdict:
    text = source.strip()
    if "####" in text or "\\boxed" in text:
        text = final_answer(text) or ""
    return Verdict(Status.ANSWERED, answer=text) if text else Verdict(Status.NO_ANSWER, why="no answer is stated")


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [NumberVerifier]
