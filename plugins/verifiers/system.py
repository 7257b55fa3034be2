"""What a system of equations comes to: a verdict, or the program that a nonlinear one needs."""

from __future__ import annotations

from fractions import Fraction

from siked_core import Status, Verdict
from siked_core.errors import VerifierFault
from siked_core.numbers import format_number
from siked_plugins.verifiers import linear, roots
from siked_plugins.verifiers.equation_text import (
    ParsedEquation,
    TooLargeSystemError,
    UnreadableSystemError,
    read_system,
)
from siked_plugins.verifiers.reassignment import as_assignments


def examine(text: str) -> Verdict | str:
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
