"""Program of thoughts: the solution as a Python program, whose run gives the answer.

Sources: PoT (Chen et al. 2022, arXiv 2211.12588), where a script leaves the result in a variable, and PAL (Gao et
al. 2022, arXiv 2211.10435), where `def solution():` returns it. Departures: SIKeD's variable `answer` is the one
that is asked for; a final `print` is read as well. The code is looked at with `ast`, and never executed here.
"""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

from siked_core import Rationale, Strategy, Unreadable, WorkedSolution, hookimpl
from siked_plugins.strategies.python_text import is_statement, names_in, parsed
from siked_plugins.strategies.surface import fenced, first_turn, read_back, settled, tidy, unfenced, unlabelled

FUNCTIONS = frozenset({"abs", "int", "max", "min", "round"})
"""What a step's expression may call, beside arithmetic."""
_MOST_CUTS = 20
"""So often is what is no Python cut off the end of a text, with all after it; each time the rest is read again."""


class ProgramOfThoughts(Strategy):
    """Program of thoughts: a Python program that sets `answer` (Chen et al. 2022; PAL, Gao et al. 2022)."""

    name = "pot"
    verifier = "program"
    bank_path = Path(__file__).parent / "banks" / "pot.yaml"

    def parse(self, text: str) -> Rationale | Unreadable:
        """Keep the code alone: of several blocks the first that is a whole program, or else all of them together."""
        return settled(self._read, text)

    def _read(self, text: str) -> Rationale | Unreadable:
        text = first_turn(tidy(text))
        if not text:
            return Unreadable("The completion is empty.")
        blocks = [body for _, body in fenced(text)] or [unfenced(text)]
        read = [self._block(block) for block in blocks]
        programs = [result for result in read if isinstance(result, Rationale)]
        if len(blocks) > 1 and not any(_is_whole(program.text) for program in programs):
            together = self._block("\n".join(blocks))
            programs = [together, *programs] if isinstance(together, Rationale) else programs
        return next((program for program in programs if _is_whole(program.text)), (programs or read)[0])

    def _block(self, text: str) -> Rationale | Unreadable:
        """Read one block, or a completion without fences: words before and after the code are cut."""
        text = text.strip("\n")
        if not isinstance(tree := parsed(text), SyntaxError) and _answers(tree):
            return Rationale(self.name, text, text)
        lines = unlabelled(text).split("\n")
        start = next((n for n, line in enumerate(lines) if is_statement(line) or line.startswith("#")), None)
        if start is None:
            return Unreadable("There is no Python code: nothing assigns, returns or prints.")
        lines = lines[start:]
        cuts = 0
        while isinstance(tree := parsed("\n".join(lines)), SyntaxError):
            number = min(max(tree.lineno or 1, 1), len(lines))
            line = lines[number - 1]
            if cuts == _MOST_CUTS or number == 1 or line[:1].islower() or line[:1] in " _#)]}'\"" or is_statement(line):
                return Unreadable(f"Syntax error on line {number} of the code ({line.strip()[:60]!r}): {tree.msg}.")
            lines = lines[: number - 1]
            cuts += 1
        if not _answers(tree):
            return Unreadable("The code gives no answer: set `answer`, return it from `solution()`, or print it.")
        code = "\n".join(lines).strip("\n")
        return Rationale(self.name, code, code)

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """Each step as an assignment, the last one to `answer`. None where a step is not valid Python."""
        defined: set[str] = set()
        lines = []
        for number, step in enumerate(solution.steps, 1):
            used = names_in(step.expression, FUNCTIONS)
            if used is None or not used <= defined:
                return None
            name = "answer" if number == len(solution.steps) else step.name
            lines.append(f"{name} = {step.expression}")
            defined.add(name)
        return read_back(self.parse, "\n".join(lines))


def _is_whole(code: str) -> bool:
    """Does the code define every name that it uses?"""
    used, known = set(), set(dir(builtins))
    tree = parsed(code)
    for node in ast.walk(tree) if isinstance(tree, ast.Module) else ():
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.alias(name=name, asname=alias):
                known.add(alias or name.partition(".")[0])
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                known.add(name)
    return used <= known or "*" in known


def _answers(tree: ast.Module) -> bool:
    """Does the program set `answer`, return from `solution()`, or print something?"""
    todo: list[ast.AST] = list(tree.body)
    while todo:
        match todo.pop():
            case ast.FunctionDef(name="solution") as function if any(_returns(node) for node in ast.walk(function)):
                return True
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                continue
            case ast.Name(id="answer", ctx=ast.Store()):
                return True
            case node:
                todo.extend(ast.iter_child_nodes(node))
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print" and node.args
        for node in ast.walk(tree)
    )


def _returns(node: ast.AST) -> bool:
    return isinstance(node, ast.Return) and node.value is not None


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [ProgramOfThoughts]
