"""Any further argument of the trainer (`training.args`): those of TRL's `SFTConfig`, which has all of transformers'."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from typing import Any

from siked_core.errors import RecipeError, unknown

KEYS = {
    "num_train_epochs": "training.epochs",
    "max_steps": "training.epochs",
    "per_device_train_batch_size": "training.batch_size",
    "gradient_accumulation_steps": "training.accumulation",
    "learning_rate": "training.learning_rate",
    "lr_scheduler_type": "training.schedule",
    "warmup_steps": "training.warm_up_steps",
    "weight_decay": "training.weight_decay",
    "max_length": "training.max_length",
    "packing": "training.packing",
    "padding_free": "training.packing",
    "packing_strategy": "training.packing",
    "save_steps": "training.checkpoint_steps",
    "seed": "seed",
    "data_seed": "seed",
    "bf16": "student.dtype",
    "fp16": "student.dtype",
    "chat_template_path": "student.chat_template",
    "pad_token": "student.pad_token",
    "fsdp": "launch.strategy",
    "fsdp_config": "launch.strategy",
    "deepspeed": "launch.strategy",
}
"""What the recipe has a key of its own for."""
OURS = frozenset({
    # where a student and its checkpoints go, and which are kept
    "output_dir", "save_strategy", "save_total_limit", "save_only_model", "save_on_each_node", "resume_from_checkpoint",
    "enable_jit_checkpoint", "ignore_data_skip", "restore_callback_states_from_checkpoint", "load_best_model_at_end",
    "metric_for_best_model", "greater_is_better", "push_to_hub", "hub_token", "hub_private_repo", "hub_model_id",
    "hub_strategy", "hub_always_push", "hub_revision",
    # rows are tokens already, in an order of ours, with the loss where the objective puts it
    "auto_find_batch_size", "train_sampling_strategy", "length_column_name", "shuffle_dataset", "remove_unused_columns",
    "label_names", "dataset_text_field", "dataset_kwargs", "dataset_num_proc", "eos_token", "truncation_mode",
    "completion_only_loss", "assistant_only_loss", "loss_type", "label_smoothing_factor", "dataloader_drop_last",
    "model_init_kwargs", "trust_remote_code",
    # a student is evaluated by siked
    "do_train", "do_eval", "do_predict", "eval_strategy", "eval_steps", "eval_delay", "eval_on_start", "eval_packing",
    # what progress, losses and token counts are read from
    "logging_strategy", "logging_steps", "logging_first_step", "disable_tqdm", "include_num_input_tokens_seen",
    "use_cpu", "local_rank",
    # which rows each of several processes takes
    "accelerator_config", "parallelism_config", "average_tokens_across_devices",
})  # fmt: skip
"""What siked sets, or what would have no effect or a wrong one."""


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Each is an argument that may be given, and its value is one that the trainer takes.

    Raises:
        RecipeError: it is not.
    """
    if not arguments:
        return
    from trl import SFTConfig

    known = {field.name for field in dataclasses.fields(SFTConfig)}
    for name in arguments:
        if name in KEYS:
            raise RecipeError(f"training.args.{name}: this is what {KEYS[name]} sets.")
        if name in OURS:
            raise RecipeError(f"training.args.{name}: siked sets this itself.")
        if name not in known:
            raise RecipeError(unknown("argument of training.args", name, known - KEYS.keys() - OURS))
    with tempfile.TemporaryDirectory() as folder:
        try:
            SFTConfig(output_dir=folder, bf16=False, **arguments)
        except (TypeError, ValueError, ImportError, RuntimeError) as error:
            shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            raise RecipeError(f"training.args: the trainer does not take {shown}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:240]
