"""Decides, by its syntax tree, which programs the fast interpreter may run: plain arithmetic, and nothing else.

Runs in the interpreter's helper process: only the standard library is imported.

The interpreter implements a part of Python. What it does not implement it refuses, which does no harm; what it
implements a little differently would give a wrong answer. So this is an allow-list, of what a differential test
compares with CPython: the statements of plain code, arithmetic, lists, dicts, text with plain formatting, some
built-in functions and methods, and a few functions of `math`. Anything else is for the cage.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MOST_CHARACTERS = 20_000
"""Longer programs are not looked at: reading them takes long, and deep nesting takes stack."""
_MOST_BRACKETS = 80
"""In one line; so deep can an expression be nested at most."""

_NODES: frozenset[type[ast.AST]] = frozenset({
    ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For,
    ast.While, ast.If, ast.Expr, ast.Pass, ast.Break, ast.Continue, ast.Import, ast.ImportFrom, ast.alias, ast.BoolOp,
    ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Dict, ast.List, ast.Tuple, ast.ListComp, ast.DictComp, ast.GeneratorExp,
    ast.comprehension, ast.Compare, ast.Call, ast.keyword, ast.JoinedStr, ast.FormattedValue, ast.Constant,
    ast.Attribute, ast.Subscript, ast.Slice, ast.Name, ast.Load, ast.Store, ast.And, ast.Or, ast.Not, ast.UAdd,
    ast.USub, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.Eq, ast.NotEq, ast.Lt, ast.LtE,
    ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn,
})  # fmt: skip
_FUNCTIONS: dict[str, tuple[int, int, frozenset[str]]] = {  # name: fewest and most arguments, keywords
    "abs": (1, 1, frozenset()),
    "all": (1, 1, frozenset()),
    "any": (1, 1, frozenset()),
    "bool": (1, 1, frozenset()),
    "dict": (0, 0, frozenset()),
    "divmod": (2, 2, frozenset()),
    "enumerate": (1, 2, frozenset()),
    "float": (1, 1, frozenset()),
    "int": (1, 1, frozenset()),
    "len": (1, 1, frozenset()),
    "list": (0, 1, frozenset()),
    "max": (1, 99, frozenset()),
    "min": (1, 99, frozenset()),
    "pow": (2, 2, frozenset()),
    "print": (0, 99, frozenset({"sep", "end"})),
    "range": (1, 3, frozenset()),
    "reversed": (1, 1, frozenset()),
    "round": (1, 2, frozenset()),
    "sorted": (1, 1, frozenset({"reverse"})),
    "str": (1, 1, frozenset()),
    "sum": (1, 2, frozenset()),
    "tuple": (1, 1, frozenset()),
    "zip": (2, 9, frozenset()),
}
_METHODS = frozenset({
    "append", "copy", "count", "endswith", "extend", "get", "index", "insert", "items", "join", "keys", "pop",
    "remove", "replace", "reverse", "sort", "split", "startswith", "strip", "values",
})  # fmt: skip
_MATH_FUNCTIONS = frozenset({"ceil", "comb", "fabs", "factorial", "floor", "gcd", "isqrt", "sqrt", "trunc"})
_MATH_NUMBERS = frozenset({"pi", "e"})
_LAZY_FUNCTIONS = frozenset({"enumerate", "reversed", "zip"})
_LAZY_METHODS = frozenset({"items", "keys", "values"})
_CONSUMERS = frozenset({"enumerate", "list", "max", "min", "sorted", "sum", "tuple", "zip"})
_ANNOTATIONS = frozenset({"bool", "dict", "float", "int", "list", "str", "tuple"})
_SPECIFICATION = re.compile(r"(?:,?\.[0-9]f|,)?")
_ODD = re.compile(r"[^\n -~\u00a0-\ud7ff\ue000-\uffff\U00010000-\U0010ffff]|\ufeff|\\N")
"""Characters in which two tokenizers may differ: controls, tabs, surrogates, a byte-order mark."""
_OPENS = re.compile(r"[(\[{]|\b(?:not|lambda|if|else|and|or)\b|\*\*|[-+~:]")
_OWN = "siked_"
"""How our own names begin, which a program must not use."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A program that the fast interpreter may run."""

    rounds: bool
    """It calls `round` with digits, or may do."""
    sums: bool
    """It calls `sum`."""
    answer: bool
    """It may set the variable `answer`."""
    solution: bool
    """It may define the function `solution`."""
    ans: bool
    """It may set the variable `ans`."""


def look_at(code: str) -> Plain | None:
    """What the interpreter needs to know of a plain program; None where the cage must run it.

    Raises:
        SyntaxError: it is no program, and says so with the words that CPython says it with.
    """
    if len(code) > MOST_CHARACTERS or _ODD.search(code) or _OWN in code:
        return None
    if sum(1 for _ in _OPENS.finditer(code)) > _MOST_BRACKETS * 8 and any(
        sum(1 for _ in _OPENS.finditer(line)) > _MOST_BRACKETS for line in code.splitlines()
    ):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: ast.Module = compile(code, "<program>", "exec", ast.PyCF_ONLY_AST)  # type: ignore[assignment]
            compile(tree, "<program>", "exec")  # the errors that only the compiler finds; it runs nothing
    except (MemoryError, RecursionError, ValueError, OverflowError):
        return None
    return _Look(tree).result()


class _Look:
    def __init__(self, tree: ast.Module) -> None:
        self._nodes = _all_nodes(tree)
        self._tree = tree
        self._functions: set[str] = set()
        self._variables: set[str] = set()
        self._modules: set[str] = set()
        self._called: set[int] = set()
        self._consumed: set[int] = set()
        self._fine: set[int] = set()
        """Nodes that the node above has judged."""
        self._rounds = self._sums = False

    def result(self) -> Plain | None:
        if not {type(node) for node in self._nodes} <= _NODES:
            return None
        for node in self._nodes:
            if isinstance(node, ast.FunctionDef):
                self._functions.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._variables.add(node.id)
            elif isinstance(node, ast.arg):
                self._variables.add(node.arg)
            elif isinstance(node, ast.Import):
                self._modules.add("math")
            elif isinstance(node, ast.ImportFrom):
                # A name imported is called like a built-in function, which is why it must not be set besides.
                self._modules.update(alias.name for alias in node.names)
        if self._functions & self._variables:
            return None
        for node in self._nodes:
            check = _CHECKS.get(type(node))
            if check is not None and not check(self, node):
                return None
        if self._modules & (self._functions | self._variables):
            return None
        top = _names_at_top(self._tree)
        return Plain(self._rounds, self._sums, "answer" in top, "solution" in self._functions & top, "ans" in top)

    def _FunctionDef(self, node: ast.FunctionDef) -> bool:  # noqa: N802
        arguments = node.args
        plain = not (node.decorator_list or arguments.vararg or arguments.kwarg or arguments.kw_defaults)
        defaults = all(isinstance(default, ast.Constant) for default in arguments.defaults)
        return plain and defaults and self._name(node.name) and self._annotation(node.returns)

    def _arg(self, node: ast.arg) -> bool:
        return self._name(node.arg) and self._annotation(node.annotation)

    def _AnnAssign(self, node: ast.AnnAssign) -> bool:  # noqa: N802
        return isinstance(node.target, ast.Name) and node.value is not None and self._annotation(node.annotation)

    def _annotation(self, node: ast.expr | None) -> bool:
        if node is not None:
            self._fine.add(id(node))
        return (
            node is None
            or (isinstance(node, ast.Name) and node.id in _ANNOTATIONS)
            or (isinstance(node, ast.Constant) and node.value is None)
        )

    def _Import(self, node: ast.Import) -> bool:  # noqa: N802
        return all(alias.name == "math" and alias.asname is None for alias in node.names)

    def _ImportFrom(self, node: ast.ImportFrom) -> bool:  # noqa: N802
        allowed = _MATH_FUNCTIONS | _MATH_NUMBERS
        return node.module == "math" and all(a.name in allowed and a.asname is None for a in node.names)

    def _For(self, node: ast.For) -> bool:  # noqa: N802
        self._consumed.add(id(node.iter))
        return True

    def _comprehension(self, node: ast.comprehension) -> bool:
        self._consumed.add(id(node.iter))
        return not node.is_async

    def _GeneratorExp(self, node: ast.GeneratorExp) -> bool:  # noqa: N802
        return id(node) in self._consumed

    def _Call(self, node: ast.Call) -> bool:  # noqa: N802
        function = node.func
        self._called.add(id(function))
        keywords = {keyword.arg for keyword in node.keywords}
        if isinstance(function, ast.Attribute):
            self._fine.add(id(function))
            if isinstance(function.value, ast.Name) and function.value.id in self._modules:
                self._fine.add(id(function.value))
                return function.attr in _MATH_FUNCTIONS and not keywords
            if function.attr in _LAZY_METHODS and id(node) not in self._consumed:
                return False
            return function.attr in _METHODS and (not keywords or (function.attr, keywords) == ("sort", {"reverse"}))
        if not isinstance(function, ast.Name):
            return False
        name = function.id
        if name in self._functions:
            return None not in keywords
        if name in self._modules:
            return name in _MATH_FUNCTIONS and not keywords
        if name not in _FUNCTIONS or name in self._variables:
            return False
        fewest, most, allowed = _FUNCTIONS[name]
        if not fewest <= len(node.args) <= most or not keywords <= allowed:
            return False
        if name in _CONSUMERS:
            self._consumed.update(id(argument) for argument in node.args)
        if name in _LAZY_FUNCTIONS and id(node) not in self._consumed:
            return False
        self._rounds |= name == "round" and len(node.args) != 1
        self._sums |= name == "sum"
        return True

    def _Attribute(self, node: ast.Attribute) -> bool:  # noqa: N802
        if id(node) in self._fine:
            return True
        self._fine.add(id(node.value))
        return (
            isinstance(node.value, ast.Name)
            and node.value.id in self._modules
            and node.attr in _MATH_NUMBERS
            and isinstance(node.ctx, ast.Load)
        )

    def _Name(self, node: ast.Name) -> bool:  # noqa: N802
        if id(node) in self._fine:
            return True
        if isinstance(node.ctx, ast.Store) or id(node) in self._called:
            return self._name(node.id)
        # A function that is only named, not called, could be printed or compared.
        return node.id in self._variables or node.id == "__name__" or node.id in self._modules & _MATH_NUMBERS

    def _name(self, name: str) -> bool:
        return name.isascii() and not name.startswith("__") and name != "isinstance"

    def _BinOp(self, node: ast.BinOp) -> bool:  # noqa: N802
        return not (isinstance(node.op, ast.Mod) and isinstance(node.left, ast.JoinedStr))

    def _Compare(self, node: ast.Compare) -> bool:  # noqa: N802
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, (ast.Is, ast.IsNot)) and not (
                isinstance(right, ast.Constant) and (right.value is None or isinstance(right.value, bool))
            ):
                return False
        return True

    def _Expr(self, node: ast.Expr) -> bool:  # noqa: N802
        if isinstance(node.value, ast.Constant):  # a docstring: its text does not matter
            self._fine.add(id(node.value))
        return True

    def _Constant(self, node: ast.Constant) -> bool:  # noqa: N802
        value = node.value
        if isinstance(value, str):  # a "%" could make text a format
            return id(node) in self._fine or (value.isascii() and "%" not in value)
        return value is None or isinstance(value, (bool, int, float))

    def _JoinedStr(self, node: ast.JoinedStr) -> bool:  # noqa: N802
        for part in node.values:
            if isinstance(part, ast.Constant):
                self._fine.add(id(part))
                if not (isinstance(part.value, str) and part.value.isascii()):
                    return False
        return True

    def _FormattedValue(self, node: ast.FormattedValue) -> bool:  # noqa: N802
        if node.conversion != -1:
            return False
        if node.format_spec is None:
            return True
        self._fine.add(id(node.format_spec))
        parts = node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else []
        texts = [part.value for part in parts if isinstance(part, ast.Constant)]
        return len(texts) == len(parts) and _SPECIFICATION.fullmatch("".join(map(str, texts))) is not None


_CHECKS: dict[type[ast.AST], Callable[[_Look, Any], bool]] = {
    kind: getattr(_Look, f"_{kind.__name__}") for kind in _NODES if hasattr(_Look, f"_{kind.__name__}")
}


def _all_nodes(tree: ast.Module) -> list[ast.AST]:
    """As `ast.walk`, parents before children, in a third of its time."""
    found: list[ast.AST] = [tree]
    for node in found:  # it grows meanwhile
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                found.append(value)
            elif isinstance(value, list):
                found.extend(item for item in value if isinstance(item, ast.AST))
    return found


def _names_at_top(tree: ast.Module) -> set[str]:
    """What may be a variable of the module: all that is set outside functions and comprehensions."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif not isinstance(node, (ast.ListComp, ast.DictComp, ast.GeneratorExp)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            waiting.extend(ast.iter_child_nodes(node))
    return found
