"""Reads a system as a sequence of assignments, where a name may be given a new value (`total = total + 3`)."""

from __future__ import annotations

from collections.abc import Sequence

from siked_plugins.verifiers.equation_text import Name, ParsedEquation, Power, Product, Sum, Tree
from siked_plugins.verifiers.linear import names_of


def as_assignments(equations: Sequence[ParsedEquation]) -> list[ParsedEquation] | None:
    """Give each value of a name that is assigned anew, from its own earlier value, a name of its own.

    The last value keeps the name. Names of earlier values end in an apostrophe and a number, which no text can hold.

    Returns:
        The system with its names told apart, or None where no name is assigned anew from itself.
    """
    assigned: set[str] = set()
    updates: dict[str, int] = {}
    for equation in equations:
        name = _target(equation)
        if name is not None:
            if name in assigned and name in names_of(equation.right):
                updates[name] = updates.get(name, 0) + 1
            assigned.add(name)
    if not updates:
        return None
    version = dict.fromkeys(updates, 0)
    seen: set[str] = set()
    told_apart = []
    for equation in equations:
        right = _renamed(equation.right, version, updates)
        name = _target(equation)
        if name in updates and name in seen and name in names_of(equation.right):
            version[name] += 1
        if name is not None:
            seen.add(name)
        told_apart.append(ParsedEquation(_renamed(equation.left, version, updates), right))
    return told_apart


def _target(equation: ParsedEquation) -> str | None:
    return equation.left.name if isinstance(equation.left, Name) else None


def _renamed(tree: Tree, version: dict[str, int], last: dict[str, int]) -> Tree:
    if isinstance(tree, Name):
        current = version.get(tree.name)
        return tree if current is None or current == last[tree.name] else Name(f"{tree.name}'{current}")
    if isinstance(tree, Sum):
        return Sum(tuple(_renamed(term, version, last) for term in tree.terms))
    if isinstance(tree, Product):
        return Product(
            tuple(_renamed(factor, version, last) for factor in tree.factors),
            tuple(_renamed(divisor, version, last) for divisor in tree.divisors),
        )
    if isinstance(tree, Power):
        return Power(_renamed(tree.base, version, last), _renamed(tree.exponent, version, last))
    return tree
