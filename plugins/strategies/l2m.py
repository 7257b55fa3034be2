"""Least to most: sub-questions from the easiest on, each with its answer, then the final answer.

Source: Zhou et al. 2022 (arXiv 2205.10625). Departures: decomposing and solving are one completion, as in SIKeD
(arXiv 2410.18574), rather than one call per sub-question; each sub-question and each answer is one line.
"""

from __future__ import annotations

import re
from pathlib import Path

from siked_core import Rationale, Strategy, Unreadable, WorkedSolution, hookimpl
from siked_plugins.strategies.subquestions import solution_in
from siked_plugins.strategies.surface import Stated, read_back, settled, stated, tidy

_QUESTION = re.compile(
    r"[-*\d.) ]*+(Q|Question|Sub-?[ ]?question|Sub-?[ ]?problem)[ ]*+(\d*+)[ ]*+[:.)][ ]*+(.*)", re.IGNORECASE
)
_ANSWER = re.compile(r"[-* ]*+(?:A|Answer|Sub-?[ ]?answer|Solution)[ ]*+\d*+[ ]*+[:.)][ ]*+(.*)", re.IGNORECASE)


class LeastToMost(Strategy):
    """Least to most: sub-questions with their answers, then "The answer is N." (Zhou et al. 2022)."""

    name = "l2m"
    verifier = "number"
    bank_path = Path(__file__).parent / "banks" / "l2m.yaml"

    def parse(self, text: str) -> Rationale | Unreadable:
        """Keep the sub-questions and answers, a line each, up to the stated answer; the verifier reads that answer."""
        return settled(self._read, text)

    def _read(self, text: str) -> Rationale | Unreadable:
        body = solution_in(text)
        if isinstance(body, Unreadable):
            return body
        pairs, final = _split(body)
        if not pairs:
            return Unreadable('There is no sub-question: each stands on a line that starts with "Q:".')
        for number, (question, answer) in enumerate(pairs, 1):
            if not question or not answer:
                missing = "answer" if question else "question"
                return Unreadable(f'Sub-question {number} has no {missing}: "Q: ..." and "A: ..." go together.')
        if final is None and (final := stated(pairs[-1][1])) and final.before.strip():
            pairs[-1] = (pairs[-1][0], final.before.strip())
        if final is None:
            return Unreadable('There is no final answer: the last line must be "The answer is N.".')
        return Rationale(self.name, _written(pairs, final.answer), final.answer)

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """Each step as a question and its answer. None where a step lacks its question, or would not be read back."""
        pairs = [(_one_line(step.question), _one_line(step.text)) for step in solution.steps]
        return read_back(self.parse, _written(pairs, solution.answer))


def _split(text: str) -> tuple[list[tuple[str, str]], Stated | None]:
    """The pairs of sub-question and answer, and the answer stated after them on a line of its own."""
    pairs: list[tuple[str, list[str]]] = []
    final: Stated | None = None
    label = ""
    lines = [line.strip() for line in text.split("\n")]
    for number, line in enumerate(lines):
        if asked := _QUESTION.fullmatch(line):
            kind = asked[1].lower()
            if label and kind == "question" and not asked[2] and label != kind:
                break  # "Question:" after "Q:" is the next problem
            label = kind
            pairs.append((_one_line(asked[3]), []))
        elif pairs:
            answer = pairs[-1][1]
            final = stated("\n".join(lines[number : number + 3])) if answer else None
            if final and not final.before.strip():
                break
            final = None
            said = _ANSWER.fullmatch(line)
            answer += (said[1] if said else line).split()
    return [(question, " ".join(answer)) for question, answer in pairs], final


def _written(pairs: list[tuple[str, str]], answer: str) -> str:
    return "\n".join([*(f"Q: {question}\nA: {said}" for question, said in pairs), f"The answer is {answer}."])


def _one_line(text: str) -> str:
    return " ".join(tidy(text).split())


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [LeastToMost]
