"""Fine-tuning a student with TRL's `SFTTrainer` on rows that are already tokens.

Rows are tokenised here rather than by TRL: the prompt and the target are encoded apart, exactly as at sampling
time, and the loss falls on the target and the end-of-turn token only. (TRL's own prompt/completion form would
also train the newline that many chat templates put after the end of a turn.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core.checkpoints import keep_newest, newest_whole, seal
from siked_core.contracts import Strategy, TrainingExample, TrainingRow
from siked_core.errors import ModelError
from siked_core.format import StudentFormat
from siked_core.models import choose_device, choose_dtype, encode, load_weights
from siked_core.order import in_order
from siked_core.recipe_student import LoraRecipe, TrainingRecipe
from siked_core.records import Problem
from siked_core.reporting import Progress

_SENTINEL = "siked-answer"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run did."""

    steps: int
    tokens: int
    """Tokens of prompts and targets, without padding, over all epochs."""
    loss: float
    """Mean over the steps of the training loss per target token (nats)."""


def training_row(
    format: StudentFormat, strategy: Strategy, problem: Problem, rationale: str, weight: float = 1.0
) -> TrainingRow:
    """A problem and its rationale under a strategy, as the student is trained on them."""
    prompt = format.prompt(strategy.student_question(problem))
    return TrainingRow(prompt, format.target(strategy.name, rationale), strategy.name, weight)


def row_encoder(tokenizer: Any, format: StudentFormat) -> Callable[[TrainingRow], TrainingExample]:
    """A function from a training row to tokens, the loss on the whole target and the end of the turn."""
    end = end_of_turn(tokenizer)

    def tokenize(row: TrainingRow) -> TrainingExample:
        prompt = encode(tokenizer, row.prompt)
        # The tag is encoded apart from the rationale, as it is when sampling is forced to begin with it.
        tag = format.tag_of(row.strategy)
        pieces = [tag, row.target[len(tag) :]] if row.target.startswith(tag) else [row.target]
        target = [token for piece in pieces for token in tokenizer(piece, add_special_tokens=False)["input_ids"]]
        return TrainingExample((*prompt, *target, end), (*[-100] * len(prompt), *target, end))

    return tokenize


def end_of_turn(tokenizer: Any) -> int:
    """The token with which the chat template closes the assistant's turn (Gemma's is not its EOS token)."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _SENTINEL}]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False)
    after = rendered.rpartition(_SENTINEL)[2].lstrip()
    # Not every token of a turn is among the tokenizer's named ones: Gemma 3's are not.
    special = {*tokenizer.all_special_ids, *(id for id, one in tokenizer.added_tokens_decoder.items() if one.special)}
    for token in tokenizer(after, add_special_tokens=False)["input_ids"] if after else []:
        if token in special:
            return int(token)
    return int(tokenizer.eos_token_id)


def fit(
    *,
    base: str,
    tokenizer: Any,
    examples: Sequence[TrainingExample],
    epochs: float,
    recipe: TrainingRecipe,
    lora: LoraRecipe | None,
    dtype: str,
    seed: int,
    checkpoints: Path,
    destination: Path,
    progress: Progress,
    at_checkpoint: Callable[[], None] | None = None,
) -> Trained:
    """Train `base` on the examples and write a whole, merged Hugging Face folder to `destination`.

    Resumes from the newest whole checkpoint where there is one. The checkpoints are left to the caller, who removes
    them when what was written is in its place.

    Args:
        base: a model folder or hub name.
        tokenizer: goes with the model, its chat template set.
        destination: a folder that does not exist yet.
        at_checkpoint: called after each checkpoint but the last; what it raises ends the training there.

    Raises:
        ModelError: the base cannot be loaded, or the device lacks memory.
    """
    import datasets
    import torch
    from trl import SFTConfig, SFTTrainer
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    datasets.disable_progress_bars()
    device = choose_device()
    on_cpu = device == "cpu"
    chosen_dtype = choose_dtype(dtype, device, base)
    model = load_weights(base, chosen_dtype).train()
    columns: dict[str, list[Any]] = {
        "input_ids": [list(example.input_ids) for example in examples],
        "labels": [list(example.labels) for example in examples],
    }
    packed = recipe.packing and not any(example.weights for example in examples)
    if not packed:
        columns["loss_weights"] = [list(example.weights or [1.0] * len(example.labels)) for example in examples]
    ours: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulation,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": recipe.warm_up_steps,
        "weight_decay": recipe.weight_decay,
        "max_length": recipe.max_length,
        "packing": recipe.packing,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": on_cpu,
        "bf16": not on_cpu and chosen_dtype is torch.bfloat16,
        "activation_checkpointing": not on_cpu,
        "save_strategy": "steps",
        "save_steps": recipe.checkpoint_steps,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": not on_cpu,
        "include_num_input_tokens_seen": "non_padding",
    }
    config = SFTConfig(**(ours | recipe.args))  # those that we must have our way with are refused in a recipe
    trainer_type, collator = SFTTrainer, None
    if not packed:
        targets = sum(label != -100 for example in examples for label in example.labels)
        trainer_type = _weighted_trainer(targets / len(examples))
        collator = _weighted_collator(DataCollatorForLanguageModeling, tokenizer.pad_token_id)
    if not recipe.packing:
        lengths = [len(example.input_ids) for example in examples]
        trainer_type = in_order(trainer_type, lengths, recipe.batch_size * recipe.accumulation, seed)
    trainer = trainer_type(
        model=model,
        args=config,
        train_dataset=datasets.Dataset.from_dict(columns),
        processing_class=tokenizer,
        peft_config=lora_config(lora),
        data_collator=collator,
        callbacks=[_follow(progress, checkpoints, at_checkpoint)],
    )
    _quiet(trainer)
    try:
        newest = newest_whole(checkpoints)
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    except torch.OutOfMemoryError:
        raise ModelError(
            f"The device ran out of memory while training '{base}'. Lower training.batch_size (raising "
            "training.accumulation keeps the effective batch) or training.max_length."
        ) from None
    trained = trainer.model
    if lora is not None:
        trained = trained.merge_and_unload()
    trained.__dict__.pop("forward", None)  # the trainer's fused language-model head sits on this instance
    _save(trained, tokenizer, destination)
    # The state is part of every checkpoint, so a resumed training knows the tokens and losses of its earlier steps too.
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Trained(trainer.state.global_step, trainer.state.num_input_tokens_seen, sum(losses) / len(losses))


def _save(model: Any, tokenizer: Any, destination: Path) -> None:
    model.config.use_cache = True
    ends = {token for token in _as_list(model.generation_config.eos_token_id) if token is not None}
    ends |= {tokenizer.eos_token_id, end_of_turn(tokenizer)}
    model.generation_config.eos_token_id = sorted(ends)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    # A student is sampled as the caller says, not as its base's authors liked best; sampling settings that go
    # with greedy decoding would also be refused on saving.
    model.generation_config.do_sample = False
    for setting in ("temperature", "top_p", "top_k"):
        setattr(model.generation_config, setting, None)
    model.save_pretrained(destination)
    tokenizer.save_pretrained(destination)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def lora_config(lora: LoraRecipe | None) -> Any:
    """The adapter that a recipe asks for, as PEFT knows it; None for none."""
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )


def _follow(progress: Progress, checkpoints: Path, at_checkpoint: Callable[[], None] | None) -> Any:
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

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                seal(checkpoints / f"checkpoint-{state.global_step}")
                keep_newest(checkpoints, 2)
            if at_checkpoint and state.global_step < state.max_steps:
                at_checkpoint()

    return Follow()


def _quiet(trainer: Any) -> None:
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _weighted_trainer(target_tokens: float) -> Any:
    """`SFTTrainer` with the loss  -sum_j w_j log p_j / (rows of a step x `target_tokens`).

    The plain one divides by the target tokens of the very step, so that a token weighs more among short rows. The tags
    of strategies with short rationales would then be learnt better than others that are as frequent, and chosen.

    Args:
        target_tokens: the mean of a row, over all rows.
    """
    from trl import SFTTrainer

    class WeightedTrainer(SFTTrainer):  # type: ignore[misc]
        _signature_columns: list[str] | None

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            columns = self._signature_columns or []
            if "loss_weights" not in columns:
                self._signature_columns = [*columns, "loss_weights"]

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            weights = inputs.pop("loss_weights")  # (B, T)
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
            # log_probs: (B, T - 1), zero where there is no loss
            rows = self.args.per_device_train_batch_size
            if num_items_in_batch is not None:  # the trainer then leaves the mean over accumulated batches to the loss
                rows *= self.args.gradient_accumulation_steps
            loss = -(outputs.log_probs * weights[:, 1:]).sum() / (rows * target_tokens)
            return (loss, outputs) if return_outputs else loss

    return WeightedTrainer


def _weighted_collator(base: Any, pad_token_id: int) -> Any:
    import torch

    class WeightedCollator(base):  # type: ignore[misc]
        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            batch: dict[str, Any] = super().torch_call(
                [{key: value for key, value in example.items() if key != "loss_weights"} for example in examples]
            )
            width = batch["labels"].shape[1]
            batch["loss_weights"] = torch.tensor(
                [example["loss_weights"] + [0.0] * (width - len(example["loss_weights"])) for example in examples]
            )
            return batch

    return WeightedCollator(pad_token_id=pad_token_id)
