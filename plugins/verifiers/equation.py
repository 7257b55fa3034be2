"""The `equation` verifier: solves the system of equations that the rationale is, exactly, and reports its unknown.

Implements equation-of-thought judging (EoTD, arXiv 2401.11864: the unknown `ans`, comment lines that begin with `%`)
and departs from it: the published code gives model text to SymPy's `sympify`, which evaluates it, and accepts within
1e-3; here text becomes a tree by a grammar of our own, linear systems are solved over the rationals in this process,
and only nonlinear ones go to SymPy, in the cage. What is wrong with a system is told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property

from siked_core import Claim, Rationale, Status, Verdict, Verifier, hookimpl
from siked_core.errors import VerifierFault
from siked_core.numbers import format_number
from siked_plugins.verifiers import linear, roots
from siked_plugins.verifiers.caged import CagedOptions, CagedRunner
from siked_plugins.verifiers.comparison import ComparingVerifier
from siked_plugins.verifiers.counts import misfit
from siked_plugins.verifiers.equation_text import (
    ParsedEquation,
    TooLargeSystemError,
    UnreadableSystemError,
    read_system,
)
from siked_plugins.verifiers.reassignment import as_assignments


class EquationVerifier(ComparingVerifier):
    """Solves the rationale's system of equations for `ans` (or `x`) and compares its value."""

    name = "equation"
    version = "2"
    options_type = CagedOptions

    @cached_property
    def _runner(self) -> CagedRunner:
        return CagedRunner(self.options)

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        verdicts: list[Verdict | None] = []
        programs: dict[int, str] = {}
        for index, rationale in enumerate(rationales):
            found = _examine(rationale.answer_source)
            verdicts.append(found if isinstance(found, Verdict) else None)
            if isinstance(found, str):
                programs[index] = found
        for index, outcome in zip(programs, self._runner.run(list(programs.values())), strict=True):
            verdicts[index] = roots.verdict_of(outcome)
        return [verdict for verdict in verdicts if verdict is not None]

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        return [
            _noted(verdict, claim.problem.question)
            for verdict, claim in zip(super().verify(claims), claims, strict=True)
        ]

    def close(self) -> None:
        self._runner.close()


def _examine(text: str) -> Verdict | str:
    """The verdict on a system, or the program that a nonlinear one needs."""
    try:
        equations = read_system(text)
        try:
            return _solve(equations)
        except linear.InconsistentSystemError:
            assignments = as_assignments(equations)
            if assignments is None:
                raise
            return _solve(assignments)
    except UnreadableSystemError as error:
        return Verdict(Status.UNREADABLE, why=str(error))
    except linear.InconsistentSystemError as error:
        return Verdict(Status.INCONSISTENT, why=str(error))
    except TooLargeSystemError as error:
        return Verdict(Status.TOO_LARGE, why=str(error))
    except VerifierFault:
        raise
    except Exception as error:
        raise VerifierFault(f"solving the system {text[:500]!r}: {error!r}") from error


def _solve(equations: list[ParsedEquation]) -> Verdict | str:
    wanted = _wanted(equations)
    solution = linear.solve(equations)
    value = solution.known.get(wanted)
    if value is not None:
        return _checked(equations, solution.known, value)
    if not solution.nonlinear:
        return Verdict(Status.UNDERDETERMINED, why=f"the equations do not determine {wanted}")
    program = roots.program_for(equations, solution.known, wanted)
    return program or Verdict(Status.TOO_LARGE, why="a nonlinear system with too many unknowns")


def _wanted(equations: list[ParsedEquation]) -> str:
    names = sorted(set().union(*(linear.names_of(e.left) | linear.names_of(e.right) for e in equations)))
    for wanted in ("ans", "x"):
        if wanted in names:
            return wanted
        for name in names:
            if name.casefold() == wanted:
                return name
    raise UnreadableSystemError("neither ans nor x is among its unknowns")


def _checked(equations: list[ParsedEquation], known: dict[str, Fraction], value: Fraction) -> Verdict:
    broken = linear.broken(equations, known)
    if broken is not None:
        raise VerifierFault(f"the solution found does not meet {broken}")
    return Verdict(Status.ANSWERED, answer=format_number(value))


def _noted(verdict: Verdict, question: str) -> Verdict:
    """A wrong answer that cannot be a count says so. The status stays, and so does what the gold answer agrees with."""
    note = misfit(verdict.answer, question) if verdict.status is Status.WRONG else ""
    return replace(verdict, why=f"{verdict.why}; {note}") if note else verdict


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [EquationVerifier]
