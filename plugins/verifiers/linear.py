"""Solves systems of equations exactly, by iterated substitution and elimination over the rationals.

An equation is taken in as soon as it is linear in what is still unknown; a product of two unknowns waits until one of
them is known. What stays nonlinear is left over for the caller. All work is counted, so that no system, however it
was made, takes longer than some tens of milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from siked_plugins.verifiers.equation_text import (
    Name,
    Number,
    ParsedEquation,
    Power,
    Product,
    Sum,
    TooLargeSystemError,
    Tree,
)

_WORK = 10_000
"""Steps: about 2 microseconds each. A step is one term of one sum or product, or so many bits of a long number:"""
_BITS_PER_STEP = 128
_BITS = 2_000
_CONSTANT = ""
"""The key of a form's constant term; every other key is a name."""

Form = dict[str, Fraction]
Row = dict[str, int]


class InconsistentSystemError(Exception):
    """The equations contradict each other."""


class _NotLinearError(Exception):
    """Not linear yet in what is unknown."""


@dataclass
class Solution:
    """What is known of a system once substitution and elimination can do no more."""

    known: dict[str, Fraction] = field(default_factory=dict)
    nonlinear: list[ParsedEquation] = field(default_factory=list)
    """Equations that stayed nonlinear; the values of known names are not put in."""


def names_of(tree: Tree) -> set[str]:
    """The unknowns that a tree mentions."""
    if isinstance(tree, Name):
        return {tree.name}
    if isinstance(tree, Sum):
        return set().union(*map(names_of, tree.terms))
    if isinstance(tree, Product):
        return set().union(*map(names_of, tree.factors), *map(names_of, tree.divisors))
    return names_of(tree.base) | names_of(tree.exponent) if isinstance(tree, Power) else set()


def solve(equations: Sequence[ParsedEquation]) -> Solution:
    """Find every unknown that the equations determine by linear steps.

    Raises:
        InconsistentSystemError: they contradict each other, or divide by zero.
        TooLargeSystemError: more work, or larger numbers, than is worth it.
    """
    return _Solver(equations).solve()


def broken(equations: Sequence[ParsedEquation], known: dict[str, Fraction]) -> ParsedEquation | None:
    """Substitute back: the first equation, of those without an unknown left, that the values do not meet."""
    check = _Solver(())
    check._known = known
    for equation in equations:
        if (names_of(equation.left) | names_of(equation.right)) <= known.keys():
            try:
                if check._form(equation.left) != check._form(equation.right):
                    return equation
            except _NotLinearError:  # an irrational power, which was left to the caller
                continue
    return None


class _Solver:
    def __init__(self, equations: Sequence[ParsedEquation]) -> None:
        self._waiting = [(equation, names_of(equation.left) | names_of(equation.right)) for equation in equations]
        self._rows: dict[str, Row] = {}
        """Pivot name: the row that defines it, without any other pivot's name in it."""
        self._known: dict[str, Fraction] = {}
        self._work = 0

    def solve(self) -> Solution:
        fresh: set[str] | None = None  # names that became known in the last pass; None: look at every equation
        while fresh is None or fresh:
            before = set(self._known)
            still: list[tuple[ParsedEquation, set[str]]] = []
            for equation, names in self._waiting:
                if fresh is not None and names.isdisjoint(fresh):
                    still.append((equation, names))
                    continue
                try:
                    form = self._sum(
                        [self._form(equation.left), self._scaled(self._form(equation.right), Fraction(-1))]
                    )
                except _NotLinearError:
                    still.append((equation, names))
                    continue
                self._insert(self._row(form))
            self._waiting = still
            fresh = self._known.keys() - before
        return Solution(self._known, [equation for equation, _ in self._waiting])

    def _step(self, amount: int = 1) -> None:
        self._work += amount
        if self._work > _WORK:
            raise TooLargeSystemError("it takes too many steps to solve")

    def _form(self, tree: Tree) -> Form:
        self._step()
        if isinstance(tree, Number):
            return {_CONSTANT: tree.value} if tree.value else {}
        if isinstance(tree, Name):
            known = self._known.get(tree.name)
            return {tree.name: Fraction(1)} if known is None else {_CONSTANT: known} if known else {}
        if isinstance(tree, Sum):
            return self._sum([self._form(term) for term in tree.terms])
        if isinstance(tree, Product):
            return self._product(tree)
        return self._power(tree)

    def _sum(self, forms: list[Form]) -> Form:
        total: Form = {}
        for form in forms:
            self._step(len(form))
            for name, coefficient in form.items():
                total[name] = self._bounded(total.get(name, Fraction(0)) + coefficient)
        return {name: value for name, value in total.items() if value}

    def _product(self, tree: Product) -> Form:
        factor = Fraction(1)
        linear: Form | None = None
        late: _NotLinearError | None = None
        for part in tree.factors:
            try:
                form = self._form(part)
            except _NotLinearError as error:
                late = error
                continue
            if form.keys() <= {_CONSTANT}:
                factor = self._bounded(factor * form.get(_CONSTANT, Fraction(0)))
            elif linear is None:
                linear = form
            else:
                late = _NotLinearError()
        for part in tree.divisors:
            form = self._form(part)
            if not form.keys() <= {_CONSTANT}:
                late = _NotLinearError()
                continue
            if not form:
                raise InconsistentSystemError("it divides by zero")
            factor = self._bounded(factor / form[_CONSTANT])
        if late is not None:
            raise late
        self._step(len(linear or ()))
        return self._scaled(linear, factor) if linear is not None else {_CONSTANT: factor} if factor else {}

    def _power(self, tree: Power) -> Form:
        base, exponent = self._form(tree.base), self._form(tree.exponent)
        if not exponent.keys() <= {_CONSTANT}:
            raise _NotLinearError
        power = exponent.get(_CONSTANT, Fraction(0))
        if power == 1:
            return base
        if not base.keys() <= {_CONSTANT} or power.denominator != 1:
            raise _NotLinearError
        value = base.get(_CONSTANT, Fraction(0))
        if value == 0 and power <= 0:
            raise InconsistentSystemError("it divides by zero" if power else "it has 0 to the power of 0")
        size = max(value.numerator.bit_length(), value.denominator.bit_length())
        if abs(power) * size > _BITS and abs(value) != 1:
            raise TooLargeSystemError("a power is too large")
        result = value ** int(power)
        return {_CONSTANT: result} if result else {}

    def _insert(self, row: Row) -> None:
        """Add an equation, keeping every row free of the other rows' pivots."""
        for name in [name for name in row if name in self._rows]:
            row = self._eliminate(row, name, self._rows[name])
        names = [name for name in row if name != _CONSTANT]
        if not names:
            if row:
                raise InconsistentSystemError("its equations contradict each other")
            return
        pivot = names[0]
        for other, existing in list(self._rows.items()):
            if pivot in existing:
                self._settle(other, self._eliminate(existing, pivot, row))
        self._settle(pivot, row)

    def _settle(self, pivot: str, row: Row) -> None:
        self._rows[pivot] = row
        if len(row) == 1 or (len(row) == 2 and _CONSTANT in row):
            self._known[pivot] = Fraction(-row.get(_CONSTANT, 0), row[pivot])

    def _eliminate(self, row: Row, name: str, pivot_row: Row) -> Row:
        """`row` without `name`, as integers without a common divisor."""
        ours, theirs = row[name], pivot_row[name]
        divisor = math.gcd(ours, theirs)
        ours, theirs = ours // divisor, theirs // divisor
        self._step(len(row) + len(pivot_row))
        combined = {key: value * theirs for key, value in row.items()}
        for key, value in pivot_row.items():
            combined[key] = combined.get(key, 0) - value * ours
        return self._primitive({key: value for key, value in combined.items() if value})

    def _row(self, form: Form) -> Row:
        common = math.lcm(*(value.denominator for value in form.values())) if form else 1
        if common.bit_length() > 2 * _BITS:
            raise TooLargeSystemError("its numbers are too large")
        return self._primitive({name: int(value * common) for name, value in form.items()})

    def _primitive(self, row: Row) -> Row:
        divisor = math.gcd(*row.values())
        if divisor > 1:
            row = {name: value // divisor for name, value in row.items()}
        bits = [value.bit_length() for value in row.values()]
        if bits and max(bits) > 4 * _BITS:
            raise TooLargeSystemError("its numbers are too large")
        self._step(sum(bits) // _BITS_PER_STEP)
        return row

    def _scaled(self, form: Form, factor: Fraction) -> Form:
        return {name: self._bounded(value * factor) for name, value in form.items()} if factor else {}

    def _bounded(self, value: Fraction) -> Fraction:
        above, below = value.numerator.bit_length(), value.denominator.bit_length()
        if above > _BITS or below > _BITS:
            raise TooLargeSystemError("its numbers are too large")
        self._step((above + below) // _BITS_PER_STEP)
        return value
