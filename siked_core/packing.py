"""Whether rows may be packed into one sequence: only where none of them is seen by another.

TRL hands over packed rows without an attention mask, each with positions that begin anew. transformers' attention tells
rows apart by these, with or without flash attention; a model with layers of another kind (short convolutions, a
recurrence) may not. So it is tried on the student itself: what comes out of a row must not change with the row that is
packed before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siked_core.contracts import TrainingExample
from siked_core.errors import ModelError, RecipeError

TOKENS = 64
"""Of each of the two rows."""
BOUND = 1e-6
"""The largest relative change. What is masked counts nothing, in any precision, so it is zero where rows are apart;
short convolutions make 1e-3, untrained."""


def check_unweighted(examples: Sequence[TrainingExample]) -> None:
    """All rows and tokens weigh one.

    Raises:
        RecipeError: they do not.
    """
    if any(one.preference for one in examples):
        raise RecipeError(
            "training.packing does not go with an objective that wants some rows and others not, for it needs the "
            "likelihood of each row alone. Set training.packing to false."
        )
    if any(weight != 1 for one in examples for weights in (one.weights, *one.epoch_weights) for weight in weights):
        raise RecipeError(
            "training.packing does not go with rows or tokens of different weight (of training.objective, or of "
            "mixing.weights: copies), for the loss of packed rows counts all alike. Set training.packing to false."
        )


def check_apart(model: Any, examples: Sequence[TrainingExample]) -> None:
    """Packed rows of this model do not see one another.

    Raises:
        ModelError: they do.
    """
    rows = [list(example.input_ids[:TOKENS]) for example in examples[:2]]
    if len(rows) == 2 and not (changed := leak(model, *rows)) <= BOUND:
        raise ModelError(
            f"The student {model.config.name_or_path} lets packed rows see one another: what comes out of the second "
            f"of two changes with the first (by {changed:.1e} of its size). Set training.packing to false."
        )


def leak(model: Any, first: list[int], second: list[int]) -> float:
    """How far the logits of a row change at the most, at any of its tokens, when the tokens of the row that is packed
    before it are put in the reverse order; relative to their size."""
    import torch

    quantised = [one for one in model.modules() if type(one).__module__.startswith("bitsandbytes")]
    was_training = model.training
    model.eval()
    for layer in quantised:  # see `precision.load_for_training`
        layer.train()
    positions = torch.tensor([[*range(len(first)), *range(len(second))]], device=model.device)
    found = []
    with torch.no_grad():
        for before in (first, first[::-1]):
            tokens = torch.tensor([[*before, *second]], device=model.device)
            logits = model(tokens, position_ids=positions, use_cache=False).logits
            found.append(logits[0, len(first) :].float())  # (T, V)
    model.train(was_training)
    one, other = found
    return float(((one - other).norm(dim=-1) / one.norm(dim=-1)).max())
