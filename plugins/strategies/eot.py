"""Equation of thought: the problem as a system of equations, whose solution for `ans` is the answer.

Source: EoTD (arXiv 2401.11864): equations left unsimplified, each with an optional comment line that starts with "%".
Departures: a comment after "#" or "//", or behind an equation, becomes such a line; words around the system are cut;
`x` will do as the unknown where nothing is called `ans`.
What the equations mean, and whether they can be solved, is the verifier's to say.
"""

from __future__ import annotations

import re
from pathlib import Path

from siked_core import Rationale, Strategy, Unreadable, WorkedSolution, hookimpl
from siked_plugins.strategies.python_text import names_in
from siked_plugins.strategies.surface import fenced, first_turn, read_back, settled, tidy, unfenced, unlabelled

_TEX = re.compile(r"\\(?:begin|end)\{\w+\*?\}|\\[()\[\]]|\\\\|&|\$(?!\s*\d)|\\(?=[%$])")
_TEX_SIGNS = ((re.compile(r"\\(?:times|cdot)\b"), "*"), (re.compile(r"\\div\b"), "/"))
_BULLET = re.compile(r"^(?:[*\u2022][ ]+|\(?\d+[.)][ ]+)+(?=\S)")
_COMMENT = re.compile(r"(?:%|#|//)[%#/ ]*(.*)")
_REMARK = re.compile(r"(.*?\S)\s*(?:#|(?<=\s)//(?=\s*[A-Za-z])|(?<=\s)%(?=\s*[A-Za-z]\w*\s+[A-Za-z]))[%#/ ]*(.*)")
_UNKNOWN = re.compile(r"(?<![A-Za-z_])(?:ans|x)(?!\w)")
_TOKEN = re.compile(
    r"\s*(?:(?P<sign>\*\*|[-+*/^()%]|of\b)|(?P<name>[A-Za-z_]\w*)|(?P<number>[$\u20ac\u00a3]?(?:\d[\d,]*\.?\d*|\.\d+)))"
)


class EquationOfThought(Strategy):
    """Equation of thought: a system of equations with the unknown `ans` (EoTD, arXiv 2401.11864)."""

    name = "eot"
    verifier = "equation"
    bank_path = Path(__file__).parent / "banks" / "eot.yaml"

    def parse(self, text: str) -> Rationale | Unreadable:
        """Keep the equations, and the comments that stand before one; the verifier reads the equations alone."""
        return settled(self._read, text)

    def _read(self, text: str) -> Rationale | Unreadable:
        text = first_turn(unlabelled(tidy(text)))
        if not text:
            return Unreadable("The completion is empty.")
        text = "\n".join(body for _, body in fenced(text)) or unfenced(text)
        lines: list[str] = []
        comments: list[str] = []
        equations: list[str] = []
        for raw in text.split("\n"):
            line = _BULLET.sub("", raw.strip(), count=1)
            if comment := _COMMENT.fullmatch(line):
                comments.append(comment[1].strip())
                continue
            remark = _REMARK.fullmatch(line)
            found = [_plain(part) for part in (remark[1] if remark else line).split(";")]
            found = [part for part in found if _is_equation(part)]
            if found:
                comments += [remark[2].strip()] if remark else []
                lines += [*(f"% {comment}" for comment in comments if comment), *found]
                comments = []
                equations += found
        if not equations:
            return Unreadable('There is no equation: each stands on a line of its own, as in "x + 5 = 20".')
        if not any(_UNKNOWN.search(equation) for equation in equations):
            return Unreadable("No equation holds the unknown to report, `ans` (or `x`).")
        return Rationale(self.name, "\n".join(lines), "\n".join(equations))

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """The system with its comments; without one, each step as an equation, the last for `ans`.

        None where a step is more than arithmetic, a name stands for two things, or it would not be read back.
        """
        lines: list[str] = []
        for equation in solution.equations:
            lines += [f"% {' '.join(equation.comment.split())}"] if equation.comment else []
            lines.append(equation.text)
        if not lines:
            names = [*(step.name for step in solution.steps[:-1]), "ans"]
            if len(set(names)) < len(names) or not all(_is_arithmetic(step.expression) for step in solution.steps):
                return None
            lines = [f"{name} = {step.expression}" for name, step in zip(names, solution.steps, strict=False)]
        return read_back(self.parse, "\n".join(lines))


def _plain(line: str) -> str:
    """A line without TeX's and a list's marks around the equation."""
    for sign, plain in _TEX_SIGNS:
        line = sign.sub(plain, line)
    return _BULLET.sub("", _TEX.sub("", line.replace("==", "=")).strip(" .,;"), count=1)


def _is_arithmetic(expression: str) -> bool:
    """Can it stand in an equation? `//` and Python's `%` cannot: `%` is percent there."""
    return names_in(expression) is not None and "//" not in expression and "%" not in expression


def _is_equation(line: str) -> bool:
    """Two or more sides, each of names, numbers and signs; words in a row are a sentence, not a product."""
    sides = line.split("=")
    return len(sides) > 1 and all(_is_side(side.strip()) for side in sides)


def _is_side(side: str) -> bool:
    at, before = 0, ""
    while at < len(side):
        token = _TOKEN.match(side, at)
        if (
            token is None
            or (before in {"name", "number"} and token.lastgroup == "number")
            or (before == token.lastgroup == "name")
        ):
            return False
        at, before = token.end(), token.lastgroup or ""
    return bool(side)


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [EquationOfThought]
