"""Socratic: first all sub-questions, by a decomposer; then each is answered in turn, by a solver who sees what is
answered so far.

Sources: Socratic CoT (Shridhar et al. 2022, arXiv 2212.00193) and Divide-or-Conquer (Wu et al. 2024, arXiv 2402.15000),
which give the two roles to two models. Here the teacher plays both, in several turns: one for the sub-questions, one
for each answer (`iterative: false` asks for everything in one). Only decompositions that lead to a right answer are
kept, by the verdict on the whole.

Departures: the student is one model and its target one text, sub-questions first, then answers. As it writes each token
after all before, it answers each sub-question with the earlier answers before it, without being called again. The
published prompts are not known to us; these, and the worked examples, are ours.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from siked_core import (
    Message,
    Options,
    Problem,
    Prompt,
    Rationale,
    Strategy,
    StrategyOptions,
    Unreadable,
    WorkedSolution,
    hookimpl,
)
from siked_plugins.strategies.subquestions import solution_in
from siked_plugins.strategies.surface import read_back, settled, stated, tidy

_LINE = re.compile(
    r"[-*\d.) ]*+(?:(?P<asks>Q|Question|Sub-?[ ]?question)|(?:A|Answer|Sub-?[ ]?answer))[ ]*+(?P<number>\d{1,3})"
    r"[ ]*+[:.)][ ]*+(?P<text>.*)",
    re.IGNORECASE,
)
WHOLE = (
    'Solve the word problem in two parts. First split it into simpler sub-questions: "Q1: ...", "Q2: ...". Then answer '
    'them in the same order, with the arithmetic: "A1: ...", "A2: ...". The last line must be "The answer is N.", '
    "where N is the number alone, without its unit."
)
SOLVER = (
    "You are given a word problem and, one at a time, the sub-questions that lead to its answer. Answer each in one "
    "sentence that shows the arithmetic. The last one's answer is the problem's: there, add a line \"The answer is "
    'N.", where N is the number alone, without its unit.'
)


class SocraticOptions(StrategyOptions):
    iterative: bool = Field(True, description="the teacher answers the sub-questions one by one, a turn each")
    solver: str = Field(SOLVER, description="tells the teacher to answer them; `instruction` is to ask them")
    whole: str = Field(WHOLE, description="stands for the bank's instruction where the teacher writes all in one turn")
    most: int = Field(10, ge=1, le=15, description="sub-questions that are answered at all; of more, none is")


class Socratic(Strategy):
    """Socratic: all sub-questions first, then their answers one by one (Socratic CoT, Divide-or-Conquer)."""

    name = "socratic"
    verifier = "number"
    bank_path = Path(__file__).parent / "banks" / "socratic.yaml"
    options_type: ClassVar[type[Options]] = SocraticOptions

    # What the teacher is asked.

    def teacher_prompt(self, problem: Problem) -> Prompt:
        """The decomposer's prompt: of the worked examples it has the sub-questions."""
        instruction = self.bank.instruction
        if not self.options.iterative and self.options.instruction is None:
            instruction = self.options.whole
        messages = [Message("system", instruction)] if instruction else []
        for shot in self.bank.shots[: self.options.shots]:
            said = (self.options.iterative and _asked(_split(shot.completion)[0])) or shot.completion
            messages += [Message("user", self.bank.render(shot.question)), Message("assistant", said)]
        return Prompt((*messages, Message("user", self.bank.render(problem.question))))

    @property
    def turns(self) -> str:
        if not self.options.iterative:
            return ""
        shots = [[shot.question, shot.completion] for shot in self.bank.shots[: self.options.shots]]
        made_from = [self.version, self.options.solver, self.options.most, self.bank.template, shots]
        return hashlib.blake2b(json.dumps(made_from).encode(), digest_size=16).hexdigest()

    def next_prompt(self, problem: Problem, written: Sequence[str]) -> Prompt | None:
        """The solver's prompt for the first sub-question that has no answer yet. None where all have one, there is no
        sub-question or more than `most`, an answer is blank, or everything was written in the first turn."""
        questions, answers = _split(tidy(written[0]))
        done = [" ".join(tidy(answer).split()) for answer in written[1:]]
        if answers or not 0 < len(questions) <= self.options.most or len(done) >= len(questions) or not all(done):
            return None
        messages = [Message("system", self.options.solver)]
        for shot in self.bank.shots[: self.options.shots]:
            asked, answered = _split(shot.completion)
            messages += self._conversation(shot.question, asked, ["\n".join(lines) for lines in answered])
        return Prompt((*messages, *self._conversation(problem.question, questions[: len(done) + 1], done)))

    def joined(self, written: Sequence[str]) -> str:
        """The sub-questions, numbered, and the answers behind them."""
        questions, answers = _split(tidy(written[0]))
        if answers or not questions:
            return written[0]
        said = [f"A{number}: {answer.strip()}" for number, answer in enumerate(written[1:], 1)]
        return "\n".join([_asked(questions), *said])

    def _conversation(self, problem: str, questions: Sequence[str], answers: Sequence[str]) -> list[Message]:
        """Sub-questions as the user's turns, the problem before the first, and the answers that there are."""
        turns = []
        for number, question in enumerate(questions, 1):
            before = f"{self.bank.render(problem)}\n" if number == 1 else ""
            turns.append(Message("user", f"{before}Q{number}: {question}"))
            turns += [Message("assistant", answer) for answer in answers[number - 1 : number]]
        return turns

    # How it is read.

    def parse(self, text: str) -> Rationale | Unreadable:
        """Keep the numbered sub-questions and answers, a line each, up to the stated answer; the verifier reads it."""
        return settled(self._read, text)

    def _read(self, text: str) -> Rationale | Unreadable:
        body = solution_in(text)
        if isinstance(body, Unreadable):
            return body
        questions, answers = _split(body)
        if not questions:
            return Unreadable('There is no sub-question: each stands on a line that starts with "Q1:", "Q2:", ...')
        for number, question in enumerate(questions, 1):
            if not question:
                return Unreadable(f"Sub-question {number} is empty.")
            if number > len(answers) or not " ".join(answers[number - 1]).strip():
                return Unreadable(f'Sub-question {number} has no answer: its line starts with "A{number}:".')
        if len(answers) > len(questions):
            return Unreadable(f"Answer {len(questions) + 1} answers no sub-question.")
        final = stated("\n".join(answers[-1]))
        if final is None:
            return Unreadable('There is no final answer: the last line must be "The answer is N.".')
        said = [" ".join(" ".join(lines).split()) for lines in (*answers[:-1], final.before.split("\n"))]
        if not said[-1]:
            return Unreadable(f"Sub-question {len(questions)} has no answer before the final one.")
        return Rationale(self.name, _written(questions, said, final.answer), final.answer)

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """The steps' questions, then their texts. None where a step lacks its question, or would not be read back."""
        pairs = [(" ".join(tidy(step.question).split()), " ".join(tidy(step.text).split())) for step in solution.steps]
        return read_back(
            self.parse, _written([asked for asked, _ in pairs], [said for _, said in pairs], solution.answer)
        )


def _split(text: str) -> tuple[list[str], list[list[str]]]:
    """The sub-questions, each in one line, and the lines of the answers; both in order from 1 on. What does not
    continue the numbers, as the next problem's do, ends them."""
    questions: list[list[str]] = []
    answers: list[list[str]] = []
    current: list[str] | None = None
    for line in (line.strip() for line in text.split("\n")):
        label = _LINE.fullmatch(line)
        if label:
            part = questions if label["asks"] else answers
            if int(label["number"]) != len(part) + 1:
                break
            current = [label["text"]]
            part.append(current)
        elif current is not None:
            current.append(line)
    return [" ".join(" ".join(lines).split()) for lines in questions], answers


def _asked(questions: Sequence[str]) -> str:
    return "\n".join(f"Q{number}: {question}" for number, question in enumerate(questions, 1))


def _written(questions: Sequence[str], answers: Sequence[str], final: str) -> str:
    said = [f"A{number}: {answer}" for number, answer in enumerate(answers, 1)]
    return "\n".join([_asked(questions), *said, f"The answer is {final}."])


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [Socratic]
