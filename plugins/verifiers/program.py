"""The `program` verifier: runs the program that the rationale is, in the sandbox, and reads its answer.

Implements program-of-thought judging as SIKeD publishes it (arXiv 2410.18574: 10 s, the variable `answer`), and
departs from it in reading more conventions (`solution()` as PAL writes it, a final `print`) and in never running a
program in a process of ours: see `siked_core.sandbox`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import Field

from siked_core import Rationale, Status, Verdict, Verifier, hookimpl
from siked_plugins.verifiers.caged import CagedOptions, CagedRunner
from siked_plugins.verifiers.comparison import ComparingVerifier

if TYPE_CHECKING:
    from siked_core.sandbox import Outcome


class ProgramOptions(CagedOptions):
    """Limits, and which tiers there are."""

    fast_tier: bool = Field(
        True, description="let an interpreter for plain programs judge what it surely can; off: cage all of them"
    )


class ProgramVerifier(ComparingVerifier):
    """Runs the rationale's Python program in the sandbox and compares its answer."""

    name = "program"
    options_type = ProgramOptions

    @cached_property
    def _runner(self) -> CagedRunner:
        return CagedRunner(self.options, fast=self.options.fast_tier)

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        return [_verdict(outcome) for outcome in self._runner.run([r.answer_source for r in rationales])]

    def close(self) -> None:
        self._runner.close()


def _verdict(outcome: Outcome) -> Verdict:
    return Verdict(Status(outcome.status), answer=outcome.answer, why=outcome.why)


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [ProgramVerifier]
