"""Chain of thought: the solution in words, step by step, then the answer.

Source: Wei et al. 2022 (arXiv 2201.11903), whose worked examples end with "The answer is N.".
Departures: the answer stands on a line of its own, however the model stated it ("#### 5", a TeX box, "Answer: 5");
an answer without a single step is not a chain of thought, and neither is a program.
"""

from __future__ import annotations

from pathlib import Path

from siked_core import Rationale, Strategy, Unreadable, WorkedSolution, hookimpl
from siked_plugins.strategies.python_text import is_program
from siked_plugins.strategies.surface import first_turn, prose, read_back, settled, stated, tidy, unlabelled


class ChainOfThought(Strategy):
    """Chain of thought: steps in words, then "The answer is N." (Wei et al. 2022)."""

    name = "cot"
    verifier = "number"
    bank_path = Path(__file__).parent / "banks" / "cot.yaml"

    def parse(self, text: str) -> Rationale | Unreadable:
        """Keep the steps, one a line, up to the first stated answer; the verifier reads that answer."""
        return settled(self._read, text)

    def _read(self, text: str) -> Rationale | Unreadable:
        turn = first_turn(unlabelled(tidy(text)))
        if not turn:
            return Unreadable("The completion is empty.")
        body = prose(turn)
        statement = stated(body)
        if is_program(turn) or (statement and is_program(statement.before)):
            return Unreadable("This is a program, not steps in words.")
        if statement is None:
            return Unreadable('There is no final answer: the last line must be "The answer is N.".')
        steps = [line.strip() for line in statement.before.split("\n") if line.strip()]
        if not steps:
            return Unreadable("There is no step before the answer.")
        return Rationale(self.name, "\n".join([*steps, f"The answer is {statement.answer}."]), statement.answer)

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """Each step's text on a line, then the answer. None where that would not be read back as it is."""
        lines = [" ".join(tidy(step.text).split()) for step in solution.steps]
        return read_back(self.parse, "\n".join([*lines, f"The answer is {solution.answer}."]))


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [ChainOfThought]
