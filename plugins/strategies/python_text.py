"""What Python looks like in a completion, and what can be known of it without executing it.

Read by the strategies' parsers, with `ast` and regular expressions only.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache

from siked_plugins.strategies.surface import fenced, unfenced

_STATEMENT = re.compile(
    r"\s*(?:[A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*\s*(?::\s*\w+\s*)?(?:[-+*/%]|//|\*\*)?=(?!=)"
    r"|import\s+\w|from\s+[\w.]+\s+import\b|def\s+\w+\s*\(|class\s+\w+|return\b|@\w|[\w.]+\(.*\)\s*(?:#.*)?$"
    r"|(?:for|while|if|elif|else|with|try|except|finally)\b.*:\s*(?:#.*)?$)"
)


def is_statement(line: str) -> bool:
    """Does the line start as a line of Python does? A cheap look, not a parse."""
    return _STATEMENT.match(line) is not None


@lru_cache(maxsize=16)
def parsed(code: str) -> ast.Module | SyntaxError:
    """The syntax tree, or the error that the code has. Nothing is executed. Shared: not to be changed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxError(f"{error or 'too deeply nested'}")


def names_in(expression: str, functions: frozenset[str] = frozenset()) -> set[str] | None:
    """The names in an expression of arithmetic, or None if it is not that alone. It may call `functions`."""
    tree = parsed(expression)
    if isinstance(tree, SyntaxError) or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    names, todo = set(), [tree.body[0].value]
    while todo:
        match todo.pop():
            case ast.BinOp(left=left, right=right):
                todo += [left, right]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                todo.append(operand)
            case ast.Constant(value=int() | float()):
                pass
            case ast.Name(id=name):
                names.add(name)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in functions:
                todo += args
            case _:
                return None
    return names


def is_program(text: str) -> bool:
    """Is this plainly Python: a block or function of it, or nothing but statements, comments and "Here it is:"?

    A comment may end with a full stop; a line that is none, and ends with one, is a sentence.
    """
    if any(language.startswith("py") for language, _ in fenced(text)):
        return True
    lines = [line.strip() for line in unfenced(text).split("\n") if line.strip()]
    if any(re.match(r"def\s+\w+\s*\(.*:|import\s+\w+$|from\s+\w+\s+import\b", line) for line in lines):
        return True
    code = False
    for line in lines:
        # "Total = 12." is a sentence, though Python reads the number too.
        if (
            is_statement(line)
            and not line.endswith(".")
            and (line.endswith(":") or isinstance(parsed(line), ast.Module))
        ):
            code = True
        elif not line.startswith("#") and not line.endswith(":"):
            return False
    return code
