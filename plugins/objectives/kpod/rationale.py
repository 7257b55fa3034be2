"""A training row as KPOD sees it: tokens, the steps that they belong to, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from siked_core import TrainingExample, TrainingRow
from siked_plugins.objectives.kpod.steps import Steps, steps_of
from siked_plugins.objectives.layout import Layout, layout_of


@dataclass(frozen=True, slots=True)
class Rationale:
    """One row; R tokens of its rationale are in steps, those of a stated answer follow them."""

    ids: tuple[int, ...]
    """(T,): of the whole example."""
    start: int
    """The place of the first of the R tokens."""
    step: tuple[int, ...]
    """(R,): the step of each token; none is skipped, and it never falls."""
    answer: tuple[int, ...]
    """Tokens of the gold answer, which the predictor is to find."""
    question: tuple[int, ...]
    """Tokens of the question."""
    states: bool
    """Whether the text states its answer."""

    @property
    def tokens(self) -> tuple[int, ...]:
        """(R,): the steps' tokens."""
        return self.ids[self.start : self.start + len(self.step)]

    @property
    def steps(self) -> int:
        return self.step[-1] + 1

    def ends(self) -> list[int]:
        """(steps,): how many of the R tokens each prefix of steps has."""
        return [sum(1 for one in self.step if one <= last) for last in range(self.steps)]


def rationale_of(row: TrainingRow, example: TrainingExample, tokenizer: Any, sentences: bool) -> Rationale | None:
    """Take a row apart; None where its rationale has no token that is in a step.

    Args:
        sentences: as for `steps_of`.

    Raises:
        PluginError: as `layout_of`.
    """
    layout = layout_of(row, example, tokenizer)
    split = steps_of(row.rationale, sentences)
    step = _steps(split, layout)
    if not step or row.problem is None:
        return None
    return Rationale(
        tuple(example.input_ids),
        layout.start,
        tuple(step),
        tuple(tokenizer(row.problem.answer, add_special_tokens=False)["input_ids"]),
        tuple(tokenizer(row.problem.question, add_special_tokens=False)["input_ids"]),
        split.answer < len(row.rationale),
    )


def _steps(split: Steps, layout: Layout) -> list[int]:
    """The step of each token up to the stated answer. A token is where its last character is: one that begins with
    the white space behind a step belongs to the next."""
    found: list[int] = []
    step = -1
    last = 0
    bounds = [0, *split.ends]
    for begin, end in layout.offsets:
        at = max(last, end - 1 if end > begin else begin)
        if at >= split.answer:
            break
        last = at
        while step < 0 or at >= bounds[step + 1]:
            step += 1
        found.append(step)
    used = {old: new for new, old in enumerate(sorted(set(found)))}  # a token may be all of several steps
    return [used[old] for old in found]
