"""Planning tokens (Wang et al. 2023, arXiv 2310.05707): what a step is going to do stands before it.

    [plan +]
    Jo has 5 + 4 = 9 pens.
    [plan]
    The answer is 9.

A plan is the kind of the step that follows, here the signs of its arithmetic in their order, or nothing where it has
none: the paper's variant by arithmetic. The student so decides what a step does before it writes it, with some more
tokens to compute in.

Departures: a plan is a line of the student's own tokens, not a new embedding that is trained on its own: any student
takes it, and a rationale stays text that any model can read. A step is a line. The variants whose kinds are found by
clustering or learnt are not there. What the strategy would not read back with the same answer is left as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field, field_validator

from siked_core import MixtureRow, Options, Rationale, Strategy, Transform, TransformContext, hookimpl

SIGNS = "{signs}"
_SIGN = re.compile(r"(?<=[\d)%])\s*([-+*/×÷x])\s*(?=[\d($])")


class PlanningOptions(Options):
    plan: str = Field(f"[plan{SIGNS}]", description="a plan's line, with {signs} in it")
    strategies: tuple[str, ...] = Field(("cot",), description="those whose rationales get plans")

    @field_validator("plan")
    @classmethod
    def _is_a_line(cls, plan: str) -> str:
        if SIGNS not in plan or "\n" in plan or plan.strip() != plan or plan == SIGNS:
            raise ValueError(f"must be one line with {SIGNS} and something else in it")
        return plan


class PlanningTokens(Transform):
    """Planning tokens: before each step of a rationale, which kind of step it is."""

    name = "planning"
    options_type = PlanningOptions

    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        """Every row, in order; those of the strategies with plans in their text, where that can be read."""
        return [
            replace(row, rationale=self._planned(row.rationale, context.strategies[row.strategy]))
            if row.strategy in self.options.strategies
            else row
            for row in rows
        ]

    def _planned(self, text: str, strategy: Strategy) -> str:
        before, after = (re.escape(part) for part in self.options.plan.split(SIGNS, 1))
        plan = re.compile(f"{before}[ {re.escape('-+*/')}]*{after}")
        lines: list[str] = []
        for line in text.split("\n"):
            if plan.fullmatch(line.strip()):  # a student that has learnt to plan wrote it
                continue
            if line.strip():
                lines.append(self.options.plan.replace(SIGNS, kind_of(line)))
            lines.append(line)
        planned = "\n".join(lines)
        meant, read = strategy.parse(text), strategy.parse(planned)
        if not (isinstance(meant, Rationale) and isinstance(read, Rationale)):
            return text
        return planned if read.text == planned and read.answer_source == meant.answer_source else text


def kind_of(line: str) -> str:
    """The signs between a line's numbers, in order, with a blank before each; empty where it has none."""
    names = {"×": "*", "x": "*", "÷": "/"}
    return "".join(f" {names.get(sign, sign)}" for sign in _SIGN.findall(line))


@hookimpl
def siked_transforms() -> list[type[Transform]]:
    return [PlanningTokens]
