"""Tabular chain of thought: each step is a row |step|subquestion|process|result|.

Source: Jin and Lu 2023, "Tab-CoT: Zero-shot Tabular Chain of Thought" (arXiv 2305.17812). Departures: worked
examples instead of the zero-shot prompt; the header is left out, so that a small student need not learn to
repeat it; and the answer is stated on a line after the table rather than asked for in a second call.
"""

from __future__ import annotations

import re
from pathlib import Path

from siked_core import Rationale, Strategy, Unreadable, WorkedSolution, hookimpl

SIKED_CONTRACT = "1.0"
ANSWER = re.compile(r"\banswer is:?\s*(\S.*?)\.?\s*$", re.IGNORECASE)


class Table(Strategy):
    """Table: one row of sub-question, process and result for each step (Tab-CoT, Jin and Lu 2023)."""

    name = "table"
    verifier = "number"
    bank_path = Path(__file__).with_name("bank.yaml")

    def parse(self, text: str) -> Rationale | Unreadable:
        """Keep the numbered rows up to the stated answer; the verifier reads that answer."""
        rows: list[str] = []
        for line in text.splitlines():
            cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
            if cells[0].isdigit() and line.lstrip().startswith("|"):  # a header or a ruler has no number
                if len(cells) != 4:
                    return Unreadable(f"Row {cells[0]} has {len(cells)} cells: it must have 4.")
                rows.append(f"|{'|'.join(cells)}|")
            elif rows and (stated := ANSWER.search(line)):
                return Rationale(self.name, "\n".join([*rows, f"The answer is {stated[1]}."]), stated[1])
        return Unreadable(
            'There is no line "The answer is N." after the rows.' if rows else "There is no numbered row."
        )

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """A row for each step, names replaced by their values. None where a cell would not be read back."""
        values: dict[str, str] = {}
        lines: list[str] = []
        for number, step in enumerate(solution.steps, 1):
            process = re.sub(r"[A-Za-z_]\w*", lambda name: values.get(name[0], name[0]), step.expression)
            lines.append(f"|{number}|{step.question}|{process}|{step.value}|")
            values[step.name] = step.value
        written = "\n".join([*lines, f"The answer is {solution.answer}."])
        read = self.parse(written)
        return written if isinstance(read, Rationale) and read.text == written else None


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [Table]
