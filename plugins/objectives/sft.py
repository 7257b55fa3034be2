"""Supervised fine-tuning: the negative log-likelihood of the tag and the rationale.

SIKeD (arXiv 2410.18574, section 3) trains on -Σ [log p(s | I, q) + log p(r | s, I, q)]. The published code let the
prompt's tokens carry loss as well; here only the target does. A row's weight scales the loss of its tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from siked_core import Objective, ObjectiveContext, TrainingExample, TrainingRow, hookimpl


class SupervisedFineTuning(Objective):
    """Cross-entropy on the whole target: the strategy's tag, the rationale, the end of the turn."""

    name = "sft"

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """One example per row, in order. Token weights, each (T,), are left empty where the row weighs 1."""
        return [weighted(context.tokenize(row), row.weight) for row in rows]


def weighted(example: TrainingExample, weight: float) -> TrainingExample:
    """The example with each token's weight times this."""
    if weight == 1.0:
        return example
    own = example.weights or (1.0,) * len(example.input_ids)
    return replace(example, weights=tuple(weight * token for token in own))


@hookimpl
def siked_objectives() -> list[type[Objective]]:
    return [SupervisedFineTuning]
