"""Loads the parts of SymPy that programs use, so that nothing is left to import once files are out of reach."""

from __future__ import annotations

import importlib
import pkgutil
import warnings

_SKIPPED = frozenset(
    [
        "benchmarks",
        "conftest",
        "galgebra",
        "interactive",
        "plotting",
        "release",
        "sandbox",
        "testing",
        "tests",
        "this",
        "utilities.mathml",
        "utilities._compilation",
        "parsing.autolev",
        "parsing.latex",
        "parsing.c",
        "parsing.fortran",
        "physics",
        "multipledispatch",
    ]
)


def load() -> None:
    """Import SymPy with its submodules, and solve a few problems of the usual kinds."""
    import sympy

    warnings.simplefilter("ignore")
    for package in ("core", "solvers", "polys", "functions", "simplify", "sets", "matrices", "calculus", "concrete",
                    "series", "integrals", "ntheory", "geometry", "stats", "logic", "printing", "assumptions",
                    "combinatorics", "discrete", "diffgeom", "utilities", "parsing"):  # fmt: skip
        _walk(f"sympy.{package}")
    x, y = sympy.symbols("x y")
    n = sympy.Symbol("n", positive=True, integer=True)
    sympy.solve(x**2 - 5 * x + 6, x)
    sympy.solve([x + y - 3, x - y - 1], [x, y])
    sympy.solve([x * y - 6, x + y - 5], [x, y])
    sympy.solve(sympy.sqrt(x) - 3, x)
    sympy.solve(2**n - 8, n)
    sympy.solve(x > 3, x)
    sympy.solveset(x**2 - 4, x, sympy.S.Reals)
    sympy.linsolve([x + y - 3, x - y - 1], x, y)
    sympy.nonlinsolve([x * y - 6, x + y - 5], x, y)
    sympy.nsolve(x**3 - 2, x, 1)
    sympy.sympify("x/2 + 1").subs(x, 4).evalf()
    sympy.Eq(sympy.simplify((x**2 - 1) / (x - 1)), x + 1)
    sympy.integrate(x * sympy.exp(x), x)
    sympy.diff(sympy.sin(x) ** 2, x)
    sympy.summation(n, (n, 1, 10))
    str(sympy.pi.evalf(30)), repr(sympy.Rational(1, 3)), sympy.factorint(360), sympy.isprime(97), sympy.binomial(5, 2)


def _walk(package: str) -> None:
    module = importlib.import_module(package)
    for info in pkgutil.iter_modules(module.__path__, package + "."):
        short = info.name.removeprefix("sympy.")
        if short in _SKIPPED or short.rpartition(".")[2] in _SKIPPED:
            continue
        try:
            importlib.import_module(info.name)
        except ImportError:  # a submodule for an optional package
            continue
