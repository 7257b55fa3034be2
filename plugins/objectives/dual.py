"""Dual instruction tuning (Zhou and Zhao 2024, arXiv 2403.18295): two tasks beside solving, in both directions.

Forward, a step of a rationale is left out and has to be written from the question and the other steps; backward, the
question has to be written from the rationale. Both are further examples of the same student's training.

Departures: a step is a line of the rationale, never the last one, which states the answer; which line is drawn anew for
each row. How the tasks were worded and how often they came is not known to us: the wording is ours, and each comes once
a row unless `masked` and `reversed` say otherwise. Their targets carry no strategy's tag and their prompts are no
questions, so that what the student learns to choose is untouched.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from siked_core import Message, Objective, ObjectiveContext, Options, Prompt, TrainingExample, TrainingRow, hookimpl
from siked_plugins.objectives.sft import weighted

GAP = "[...]"
"""Stands where a step is left out."""


class DualOptions(Options):
    masked: float = Field(1.0, ge=0, le=1, description="share of the rows with a step to be filled in")
    reversed: float = Field(1.0, ge=0, le=1, description="share of the rows whose question is to be written")
    weight: float = Field(1.0, gt=0, description="of these examples' loss, times the row's")


class DualInstructionTuning(Objective):
    """Dual instruction tuning: solving, filling in a missing step, and writing the question of a solution."""

    name = "dual"
    options_type = DualOptions

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """One example per row, in order; behind all of them, those of the two tasks, row by row."""
        solving = [weighted(context.tokenize(row), row.weight) for row in rows]
        further = []
        for row in rows:
            for task in self.tasks(row, context.seed):
                further.append(weighted(context.tokenize(task), row.weight * self.options.weight))
        return solving + further

    def shown(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """The rows themselves."""
        return [weighted(context.tokenize(row), row.weight) for row in rows]

    def tasks(self, row: TrainingRow, seed: int) -> list[TrainingRow]:
        """The further rows of one: none where nothing can be left out, or where it has no problem."""
        draw = random.Random(f"{seed} {row.key} {row.target}")
        made = []
        masked, turned = draw.random() < self.options.masked, draw.random() < self.options.reversed
        question = row.problem.question if row.problem is not None else ""
        lines = row.rationale.split("\n")
        steps = [place for place, line in enumerate(lines[:-1]) if line.strip()]
        if masked and question and steps:
            place = draw.choice(steps)
            rest = "\n".join([*lines[:place], GAP, *lines[place + 1 :]])
            asked = f"{question}\n\nA step is left out of this solution:\n{rest}\n\nWrite the step."
            made.append(_task(row, asked, lines[place].strip()))
        if turned and question:
            made.append(_task(row, f"This is a solution:\n{row.rationale}\n\nWrite its question.", question))
        return made


def _task(row: TrainingRow, asked: str, target: str) -> TrainingRow:
    """Another request and its answer, without tag, key or problem, for it is no solution."""
    prompt = Prompt((Message("user", asked),))
    return replace(row, prompt=prompt, target=target, rationale=target, key="", problem=None)


@hookimpl
def siked_objectives() -> list[type[Objective]]:
    return [DualInstructionTuning]
