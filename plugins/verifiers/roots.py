"""Writes a nonlinear system as a program for the sandbox, and reads what the program found.

The program builds SymPy expressions node by node from our tree. Nothing is ever parsed by SymPy (`sympify` evaluates
text), and names are numbered, so that SymPy's own (`S`, `N`, `E`, `beta`) mean nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from siked_core import Status, Verdict
from siked_plugins.verifiers.equation_text import Name, Number, ParsedEquation, Product, Sum, Tree
from siked_plugins.verifiers.linear import names_of

if TYPE_CHECKING:
    from siked_core.sandbox import Outcome

_PROGRAM = """\
import sympy

names = [sympy.Symbol(f"v{index}", real=True) for index in range(COUNT)]

def build(tree):
    kind, *parts = tree
    if kind == "number":
        return sympy.Rational(*parts)
    if kind == "name":
        return names[parts[0]]
    if kind == "sum":
        return sympy.Add(*map(build, parts))
    if kind == "product":
        return sympy.Mul(*map(build, parts[0])) / sympy.Mul(*map(build, parts[1]))
    return sympy.Pow(build(parts[0]), build(parts[1]))

def text(value):
    if value.free_symbols:
        return "free"
    if value.is_Rational:
        return str(value)
    number = sympy.N(value, 30)
    return str(number) if number.is_Float and number.is_finite else "none"

residuals = [build(left) - build(right) for left, right in EQUATIONS]
def holds(solution):
    values = [residual.subs(solution) for residual in residuals]
    return all(value.free_symbols or abs(sympy.N(value, 30)) < sympy.Rational(1, 10**12) for value in values)

solutions = filter(holds, sympy.solve(residuals, names, dict=True))
found = sorted({text(sympy.sympify(solution.get(names[WANTED], names[WANTED]))) for solution in solutions})
answer = "roots " + " ".join(found)
"""
_MOST_NAMES = 12


def program_for(equations: Sequence[ParsedEquation], known: dict[str, Fraction], wanted: str) -> str | None:
    """The program that finds every real value of `wanted`; None where the system has too many unknowns for it."""
    used = set().union(*(names_of(equation.left) | names_of(equation.right) for equation in equations))
    unknown = sorted((used | {wanted}) - known.keys())
    if len(unknown) > _MOST_NAMES:
        return None
    numbers = {name: index for index, name in enumerate(unknown)}
    pairs = [(_literal(e.left, known, numbers), _literal(e.right, known, numbers)) for e in equations]
    head = f"COUNT = {len(unknown)}\nWANTED = {numbers[wanted]}\nEQUATIONS = {pairs!r}\n"
    return head + _PROGRAM


def verdict_of(outcome: Outcome) -> Verdict:
    """What the program's outcome says about the system."""
    if outcome.status != "answered":
        status = Status.TOO_LARGE if outcome.status == "too_large" else Status(outcome.status)
        if outcome.status == "crashed":
            status = Status.UNREADABLE
            return Verdict(status, why=f"the nonlinear system cannot be solved: {outcome.why}")
        return Verdict(status, why=f"solving the nonlinear system: {outcome.why}")
    roots = [root for root in outcome.answer.removeprefix("roots").split() if root != "none"]
    if not roots:
        return Verdict(Status.INCONSISTENT, why="the equations have no real solution")
    if "free" in roots:
        return Verdict(Status.UNDERDETERMINED, why="the equations do not determine the unknown")
    if len(roots) > 1:
        return Verdict(Status.SEVERAL_ROOTS, why=f"the unknown can be {', '.join(root[:20] for root in roots[:6])}")
    return Verdict(Status.ANSWERED, answer=roots[0])


def _literal(tree: Tree, known: dict[str, Fraction], numbers: dict[str, int]) -> tuple[object, ...]:
    if isinstance(tree, Number):
        return ("number", tree.value.numerator, tree.value.denominator)
    if isinstance(tree, Name):
        if tree.name in known:
            return ("number", known[tree.name].numerator, known[tree.name].denominator)
        return ("name", numbers[tree.name])
    if isinstance(tree, Sum):
        return ("sum", *(_literal(term, known, numbers) for term in tree.terms))
    if isinstance(tree, Product):
        return (
            "product",
            [_literal(factor, known, numbers) for factor in tree.factors],
            [_literal(divisor, known, numbers) for divisor in tree.divisors],
        )
    return ("power", _literal(tree.base, known, numbers), _literal(tree.exponent, known, numbers))
