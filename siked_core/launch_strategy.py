"""How several processes hold a student between them: what the trainer is told, and how the student is put together
again when it is trained (DDP, PyTorch's FSDP2, DeepSpeed's ZeRO)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from siked_core import processes
from siked_core.recipe_launch import LaunchRecipe


def arguments(launch: LaunchRecipe, on_cpu: bool) -> dict[str, Any]:
    """The trainer's arguments that a strategy takes; none where one process trains or each holds the whole student."""
    if launch.world == 1 or launch.strategy == "ddp":
        return {}
    if launch.strategy == "fsdp":
        settings = {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "state_dict_type": "SHARDED_STATE_DICT",  # a checkpoint's; the student itself is written whole
            "activation_checkpointing": not on_cpu,
        }
        return {"fsdp": True, "fsdp_config": settings, "activation_checkpointing": False}
    stage = {"stage": launch.zero_stage, "overlap_comm": not on_cpu, "contiguous_gradients": True}
    if launch.zero_stage == 3:
        stage["stage3_gather_16bit_weights_on_model_save"] = True
    taken_over = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps")
    return {
        "deepspeed": {
            **dict.fromkeys((*taken_over, "gradient_clipping"), "auto"),
            "bf16": {"enabled": "auto"},
            "zero_optimization": stage,
        }
    }


def trained_model(trainer: Any, launch: LaunchRecipe, again: Callable[[], Any]) -> Any:
    """The model that was trained, whole; None in all but the first process. Every process must call this.

    Args:
        again: makes the model as it was before training, on the CPU, with the adapter that was trained with it: where
            the weights are in shards, their values are put into this one.
    """
    if launch.world == 1 or launch.strategy == "ddp":
        return trainer.model if processes.is_first() else None
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not processes.is_first():
        return None
    if launch.strategy == "deepspeed":
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()  # with ZeRO-3 every model that is loaded would else be in shards
    model = again()
    model.load_state_dict(state, strict=False)  # tied weights stand there once
    model.tie_weights()
    return model
