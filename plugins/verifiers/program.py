"""The `program` verifier: runs the program that the rationale is, caged, and reads its answer.

Implements program-of-thought judging as SIKeD publishes it (arXiv 2410.18574: 10 s, the variable `answer`), and
departs from it in reading more conventions (`solution()` as PAL writes it, a final `print`) and in never running a
program in a process of ours: see `siked_core.sandbox`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from siked_core import Rationale, Status, Verdict, Verifier, hookimpl
from siked_core.sandbox import Outcome
from siked_plugins.verifiers.caged import CagedOptions, CagedRunner
from siked_plugins.verifiers.comparison import judge


class ProgramVerifier(Verifier):
    """Runs the rationale's Python program in a cage and compares its answer."""

    name = "program"
    options_type = CagedOptions

    @cached_property
    def _runner(self) -> CagedRunner:
        return CagedRunner(self.options)

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        return [_verdict(outcome) for outcome in self._runner.run([r.answer_source for r in rationales])]

    def compare(self, answer: str, gold: str) -> Verdict:
        return judge(answer, gold)

    def close(self) -> None:
        self._runner.close()


def _verdict(outcome: Outcome) -> Verdict:
    return Verdict(Status(outcome.status), answer=outcome.answer, why=outcome.why)


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [ProgramVerifier]
