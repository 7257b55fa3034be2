"""The `equation` verifier: solves the system of equations that the rationale is, exactly, and reports its unknown.

Implements equation-of-thought judging (EoTD, arXiv 2401.11864: the unknown `ans`, comment lines that begin with `%`)
and departs from it: the published code gives model text to SymPy's `sympify`, which evaluates it, and accepts within
1e-3; here text becomes a tree by a grammar of our own, linear systems are solved over the rationals in this process,
and only nonlinear ones go to SymPy, in the cage. What is wrong with a system is told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from siked_core import Claim, Rationale, Status, Verdict, Verifier, hookimpl
from siked_plugins.verifiers.caged import CagedOptions, CagedRunner
from siked_plugins.verifiers.comparison import ComparingVerifier
from siked_plugins.verifiers.counts import misfit


class EquationVerifier(ComparingVerifier):
    """Solves the rationale's system of equations for `ans` (or `x`) and compares its value."""

    name = "equation"
    version = "2"
    options_type = CagedOptions

    @cached_property
    def _runner(self) -> CagedRunner:
        return CagedRunner(self.options)

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        from siked_plugins.verifiers.roots import verdict_of
        from siked_plugins.verifiers.system import examine

        verdicts: list[Verdict | None] = []
        programs: dict[int, str] = {}
        for index, rationale in enumerate(rationales):
            found = examine(rationale.answer_source)
            verdicts.append(found if isinstance(found, Verdict) else None)
            if isinstance(found, str):
                programs[index] = found
        for index, outcome in zip(programs, self._runner.run(list(programs.values())), strict=True):
            verdicts[index] = verdict_of(outcome)
        return [verdict for verdict in verdicts if verdict is not None]

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        return [
            _noted(verdict, claim.problem.question)
            for verdict, claim in zip(super().verify(claims), claims, strict=True)
        ]

    def close(self) -> None:
        self._runner.close()


def _noted(verdict: Verdict, question: str) -> Verdict:
    """A wrong answer that cannot be a count says so. The status stays, and so does what the gold answer agrees with."""
    note = misfit(verdict.answer, question) if verdict.status is Status.WRONG else ""
    return replace(verdict, why=f"{verdict.why}; {note}") if note else verdict


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [EquationVerifier]
