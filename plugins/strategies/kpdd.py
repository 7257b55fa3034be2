"""Key points first: the core question, the information that it needs, and then the solution, in words.

Source: KPDD-CoT (arXiv 2407.10167); KPDD-PoT is `kpdd_pot`. Departures: the three parts are one completion, with a name
before each; core question and information are one line each. The solution is read by the strategy whose form it has,
so what `cot` could not read is not read here either.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from siked_core import Rationale, Strategy, Unreadable, WorkedSolution, hookimpl
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.surface import first_turn, read_back, settled, tidy

_LABEL = r"[-*#>_\d.) ]*+(?:{})[*_ ]*+(?::[*_ ]*+(.*))?"
_PARTS = (
    ("core question", r"(?:Core|Key|Main)[ -]Question"),
    ("needed information", r"(?:(?:Needed|Required|Relevant|Key|Problem[ -]Solving)[ -])?Information(?:[ ]Needed)?"),
    ("solution", r"(?:Step[ -]by[ -]Step[ -])?(?:Solution|Reasoning|Answer)|(?:Python[ ])?(?:Program|Code)"),
)
_LABELS = tuple(re.compile(_LABEL.format(words), re.IGNORECASE) for _, words in _PARTS)
_BULLET = re.compile(r"(?:[-*\u2022][ ]+|\(?\d+[.)][ ]+)*+")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


class KeyPoints(Strategy):
    """KPDD: the core question, the information that it needs, then a solution in words (arXiv 2407.10167)."""

    name = "kpdd"
    verifier = "number"
    bank_path = Path(__file__).parent / "banks" / "kpdd.yaml"
    solver: ClassVar[Strategy] = ChainOfThought()
    """The strategy that reads and writes the third part. What changes its `version` changes this one's."""

    def parse(self, text: str) -> Rationale | Unreadable:
        """Keep the three parts; the verifier reads the answer of the third."""
        return settled(self._read, text)

    def _read(self, text: str) -> Rationale | Unreadable:
        turn = first_turn(tidy(text))
        if not turn:
            return Unreadable("The completion is empty.")
        parts = _split(turn)
        for number, (part, _) in enumerate(_PARTS):
            if number == len(parts):
                label = part.capitalize()
                return Unreadable(f'There is no {part}: it stands behind "{label}:" at the beginning of a line.')
            if not any(line.strip(" *_") for line in parts[number]):
                return Unreadable(f"The {part} is empty.")
        question, information, solution = parts
        solved = self.solver.parse("\n".join(solution))
        if isinstance(solved, Unreadable):
            return solved
        asked = " ".join(" ".join(question).split()).strip(" *_")
        return Rationale(self.name, _written(asked, _joined(information), solved.text), solved.answer_source)

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """The last step's question; the numbers that steps use and none computes; the solution.

        None where there is no such number, the solution cannot be written, or it would not be read back.
        """
        solved = self.solver.demonstrate(solution)
        if solved is None or not solution.steps:
            return None
        numbers = dict.fromkeys(number for step in solution.steps for number in _NUMBER.findall(step.expression))
        asked = " ".join(tidy(solution.steps[-1].question).split())
        return read_back(self.parse, _written(asked, ", ".join(numbers), solved))


def _split(text: str) -> list[list[str]]:
    """The lines of each part, as far as they are there in order; the next problem's are left out."""
    parts: list[list[str]] = []
    for line in text.split("\n"):
        label = _LABELS[len(parts)].fullmatch(line) if len(parts) < len(_LABELS) else None
        if label:
            parts.append([label[1] or ""])
        elif len(parts) == len(_LABELS) and _LABELS[0].fullmatch(line):
            break
        elif parts:
            parts[-1].append(line)
    return parts


def _joined(lines: list[str]) -> str:
    """A list, or a few lines, in one line."""
    first, *others = (" ".join(line.split()).strip(" *_") for line in lines)
    items = [item for item in [first, *(_BULLET.sub("", other, count=1) for other in others)] if item]
    return "; ".join([*(item.rstrip(" .;,") for item in items[:-1]), *items[-1:]])


def _written(question: str, information: str, solution: str) -> str:
    return f"Core question: {question}\nNeeded information: {information}\nSolution:\n{solution}"


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [KeyPoints]
