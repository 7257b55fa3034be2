"""TRL's `SFTTrainer` with a loss of our own, and what follows it while it trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from siked_core import processes
from siked_core.checkpoints import keep_newest, seal
from siked_core.contracts import Preference, TrainingExample
from siked_core.reporting import Progress

MEASURED = ("loss", "learning_rate", "grad_norm")
"""What the trainer logs of a step that is kept with the run."""
OURS = ("loss_weights", "preference")
"""Columns that TRL does not know."""


def columns(examples: Sequence[TrainingExample], filler: int | None = None, weighted: bool = True) -> dict[str, Any]:
    """The examples as the trainer's data set.

    Args:
        filler: a last row is added, of this token and without weight.
        weighted: with `loss_weights`: of each row (T,), or (E, T) where any row's change from epoch to epoch.
    """
    rows = list(examples)
    if filler is not None:
        # TRL leaves out rows without any label.
        rows.append(TrainingExample((filler,) * 2, (filler,) * 2, (0.0,) * 2))
    made: dict[str, list[Any]] = {
        "input_ids": [list(row.input_ids) for row in rows],
        "labels": [list(row.labels) for row in rows],
    }
    if weighted:
        epochs = max(len(row.epoch_weights) for row in rows)
        always = [list(row.weights or [1.0] * len(row.labels)) for row in rows]
        made["loss_weights"] = [
            [list(row.epoch_weights[min(epoch, len(row.epoch_weights) - 1)]) if row.epoch_weights else same
             for epoch in range(epochs)] if epochs else same
            for row, same in zip(rows, always, strict=True)
        ]  # fmt: skip
    if any(row.preference for row in rows):
        made["preference"] = [_numbers(row.preference) for row in rows]
    return made


def _numbers(preference: Preference | None) -> list[float]:
    """Sign, reference, beta, weight; without a preference, one that weighs nothing."""
    if preference is None:
        return [1.0, 0.0, 0.0, 0.0]
    return [1.0 if preference.wanted else -1.0, preference.reference, preference.beta, preference.weight]


def weighted_trainer(target_tokens: float, epoch_steps: int) -> Any:
    """`SFTTrainer` with the loss  -sum_j w_j log p_j / (rows of a step x `target_tokens`),  and that of the rows'
    preferences, where they have any, over the rows of a step.

    The plain one divides by the target tokens of the very step, so that a token weighs more among short rows. The tags
    of strategies with short rationales would then be learnt better than others that are as frequent, and chosen. A step
    at the end of an epoch that has fewer rows than others is divided by as many as they have.

    Of several processes each divides by its own share of a step's rows. Gradients and logged losses are the means over
    processes (DDP, FSDP and DeepSpeed do that, and the trainer), so the step's is the same sum over all its rows.

    Args:
        target_tokens: the mean of a row, over all rows.
        epoch_steps: optimiser steps of an epoch, by which the epoch is told whose weights count.
    """
    from trl import SFTTrainer

    class WeightedTrainer(SFTTrainer):  # type: ignore[misc]
        _signature_columns: list[str] | None
        loss_is_scaled_for_ga = True

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            known = self._signature_columns or []
            self._signature_columns = [*known, *(name for name in OURS if name not in known)]

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            weights = inputs.pop("loss_weights")  # (B, T), or (B, E, T)
            if weights.dim() == 3:
                weights = weights[:, min(self.state.global_step // epoch_steps, weights.shape[1] - 1)]
            preference = inputs.pop("preference", None)  # (B, 4)
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            # log_probs: (B, T - 1), zero where there is no loss
            rows = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
            loss = -(outputs.log_probs * weights[:, 1:]).sum() / (rows * target_tokens)
            if preference is not None:
                sign, reference, beta, weight = preference.unbind(-1)
                better = sign * beta * (outputs.log_probs.sum(-1) - reference)  # (B,)
                loss = loss + (weight * (-better).sigmoid()).sum() / rows
            return (loss, outputs) if return_outputs else loss

    return WeightedTrainer


def weighted_collator(base: Any, pad_token_id: int) -> Any:
    """A collator that pads the rows' weights too, and keeps their preferences.

    Args:
        base: TRL's `DataCollatorForLanguageModeling`.
    """
    import torch

    class WeightedCollator(base):  # type: ignore[misc]
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch: dict[str, Any] = super().torch_call(
                [{key: value for key, value in example.items() if key not in OURS} for example in examples]
            )
            width = batch["labels"].shape[1]
            given = [torch.tensor(example["loss_weights"]) for example in examples]  # (T,) or (E, T)
            batch["loss_weights"] = torch.stack(
                [torch.nn.functional.pad(one, (0, width - one.shape[-1])) for one in given]
            )
            if "preference" in examples[0]:
                batch["preference"] = torch.tensor([example["preference"] for example in examples])
            return batch

    return WeightedCollator(pad_token_id=pad_token_id)


def follow(progress: Progress, checkpoints: Path, at_checkpoint: Callable[[], None] | None) -> Any:
    """A callback that reports optimiser steps and the loss, and sees to the checkpoints."""
    from transformers import TrainerCallback

    class Follow(TrainerCallback):  # type: ignore[misc]
        done = 0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            progress.advance(state.global_step - self.done)
            self.done = state.global_step

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                progress.describe(f"loss {float(logs['loss']):.3f}")
                progress.measure(state.global_step, {name: float(logs[name]) for name in MEASURED if name in logs})

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            processes.wait_for_all()  # each has written its part
            if state.is_world_process_zero:
                seal(checkpoints / f"checkpoint-{state.global_step}")
                keep_newest(checkpoints, 2)
            if at_checkpoint and state.global_step < state.max_steps:
                at_checkpoint()

    return Follow()


def quiet(trainer: Any) -> None:
    """Take the trainer's own way of showing losses away."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
