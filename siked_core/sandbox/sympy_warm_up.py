"""Loads the parts of SymPy that programs use, so that nothing is left to import once files are out of reach."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings

_SKIPPED = frozenset({
    # nothing that solves anything, and most of the time that SymPy takes to load
    "algebras", "benchmarks", "categories", "codegen", "conftest", "crypto", "diffgeom", "galgebra", "holonomic",
    "hyperexpand_doc", "interactive", "liealgebras", "meijerint_doc", "physics", "plotting", "release", "sandbox",
    "strategies", "tensor", "testing", "tests", "this", "trace", "unify", "vector",
    # parsers of other languages, which need packages of their own
    "_antlr", "autolev", "c", "fortran", "latex",
})  # fmt: skip
_ITS_OWN = frozenset({"sympy", "mpmath", "gmpy2"})


class _OnlyItsOwn:
    """First in `sys.meta_path` while SymPy is loaded: it must not find NumPy, PyTorch and the like beside it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        top = name.partition(".")[0]
        if top not in _ITS_OWN and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def load() -> None:
    """Import SymPy with all submodules that solving may ask for, and solve a few problems of the usual kinds.

    Raises:
        ImportError: SymPy is not installed.
    """
    sys.meta_path.insert(0, _OnlyItsOwn)
    import sympy

    warnings.simplefilter("ignore")
    _walk("sympy")
    x, y = sympy.symbols("x y")
    n = sympy.Symbol("n", positive=True, integer=True)
    sympy.solve(x**2 - 5 * x + 6, x)
    sympy.solve([x + y - 3, x - y - 1], [x, y])
    sympy.solve([x * y - 6, x + y - 5], [x, y], dict=True)
    sympy.solve(sympy.sqrt(x) - 3, x)
    sympy.solve(2**n - 8, n)
    sympy.solve(x > 3, x)
    sympy.solveset(x**2 - 4, x, sympy.S.Reals)
    sympy.linsolve([x + y - 3, x - y - 1], x, y)
    sympy.nonlinsolve([x * y - 6, x + y - 5], x, y)
    sympy.nsolve(x**3 - 2, x, 1)
    sympy.sympify("x/2 + 1").subs(x, 4).evalf()
    sympy.simplify((x**2 - 1) / (x - 1))
    sympy.integrate(x * sympy.exp(x), x)
    sympy.diff(sympy.sin(x) ** 2, x)
    sympy.summation(n, (n, 1, 10))
    sympy.latex(sympy.Eq(x, y)), sympy.pretty(x / y), str(sympy.pi.evalf(30))
    sympy.factorint(360), sympy.isprime(97), sympy.binomial(5, 2), sympy.Matrix([[1, 2], [3, 4]]).inv()


def _walk(package: str) -> None:
    module = importlib.import_module(package)
    for info in pkgutil.iter_modules(module.__path__, package + "."):
        if info.name.rpartition(".")[2] in _SKIPPED:
            continue
        try:
            if info.ispkg:
                _walk(info.name)
            else:
                importlib.import_module(info.name)
        except ImportError:  # a submodule for an optional package
            continue
