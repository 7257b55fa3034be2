"""Merging an adapter into its student, and making sure that the merged student says what the adapted one said.

An adapter that was trained on quantised weights is merged into those of full precision, as PEFT recommends: quantising
the merged weights again, or merging into them, would lose part of what was learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from siked_core.contracts import TrainingExample
from siked_core.errors import ModelError

BOUNDS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""The largest relative difference of the logits, by the dtype of the weights. Rounding the merged weights alone makes
1e-6, 2e-3 and 2e-2 (students of 2 to 28 layers, adapters that change the logits by 1 to 140 per cent)."""
ROWS, TOKENS = 4, 128
"""Training rows that are compared, and tokens of each."""


def merge(
    adapted: Any, examples: Sequence[TrainingExample], unquantised: Callable[[], Any] | None
) -> tuple[Any, float]:
    """The student with its adapter merged into its weights, and how much that changed its logits.

    The change is the norm of the difference of all logits over some training rows, relative to that of the adapted
    student's logits.

    Args:
        adapted: the student with its adapter, as PEFT has it.
        examples: what it was trained on.
        unquantised: where the adapter was trained on quantised weights, makes the same student with a fresh adapter on
            its own weights, into which it is merged, and to which it is compared.

    Raises:
        ModelError: the merged student says something else.
    """
    if unquantised is not None:
        adapted = _moved(adapted, unquantised())
    adapted.eval()
    adapted.get_base_model().__dict__.pop("forward", None)  # the trainer's fused head gives no logits
    rows = [list(example.input_ids[:TOKENS]) for example in examples[:ROWS]]
    before = [_logits(adapted, row) for row in rows]
    merged = adapted.merge_and_unload()
    squared = norm = 0.0
    for row, expected in zip(rows, before, strict=True):
        squared += float((_logits(merged, row) - expected).double().square().sum())
        norm += float(expected.double().square().sum())
    difference = (squared / norm) ** 0.5 if norm else 0.0
    dtype = str(merged.dtype).removeprefix("torch.")
    bound = BOUNDS.get(dtype, BOUNDS["bfloat16"])
    if not difference <= bound:  # so is what is not a number
        raise ModelError(
            f"The adapter could not be merged into the student: its logits then differ by {difference:.1e} from those "
            f"that it was trained to, relative to their size; as {dtype} they may by {bound:.0e}. Nothing was put in "
            "place. With student.dtype float32 less is lost in rounding; student.lora null trains without an adapter."
        )
    return merged, difference


def _moved(adapted: Any, fresh: Any) -> Any:
    """A student on which the trained adapter of another is."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    state = {name: weight.detach().to("cpu") for name, weight in get_peft_model_state_dict(adapted).items()}
    outcome = set_peft_model_state_dict(fresh, state)
    if outcome.unexpected_keys:
        raise RuntimeError(f"the adapter does not fit the student that it was trained on: {outcome.unexpected_keys}")
    return fresh


def _logits(model: Any, tokens: list[int]) -> Any:
    """The scores of a row, on the CPU: (1, T, V)."""
    import torch

    with torch.inference_mode():
        return model(torch.tensor([tokens], device=model.device), use_cache=False).logits.float().cpu()
