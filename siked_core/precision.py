"""In which precision a student is trained and written, and the student loaded so.

float16 has too short a range for gradients: what is trained is float32, under an autocast to float16 with a scaled loss
(Micikevicius et al. 2018, arXiv 1710.03740). The weights under an adapter are not trained and stay float16. In QLoRA
(Dettmers et al. 2023, arXiv 2305.14314) they are held in 4 or 8 bits, and the adapter, here, in float32.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Any, Literal

from siked_core.models import choose_dtype, load_weights
from siked_core.recipe_launch import LaunchRecipe
from siked_core.recipe_student import LoraRecipe

QUANTISER = "bitsandbytes"


@dataclass(frozen=True, slots=True)
class Precision:
    """Torch dtypes."""

    loaded: Any
    """Of the weights while they are trained, or while the adapter on them is."""
    written: Any
    """Of the student's weights as they are written."""
    autocast: Literal["bf16", "fp16"] | None
    bits: Literal[4, 8] | None = None
    """Of the weights under an adapter, where they are quantised."""


def precision_of(dtype: str, lora: LoraRecipe | None, device: str, base: str) -> Precision:
    """What the recipe's `student.dtype` and `student.lora` mean for a base on a device.

    Raises:
        ModelError: the base's configuration cannot be read.
    """
    import torch

    written = choose_dtype(dtype, device, base)
    bits = lora.bits if lora else None
    if written is torch.float16:
        return Precision(torch.float16 if lora else torch.float32, written, "fp16", bits)
    return Precision(written, written, "bf16" if device != "cpu" and written is torch.bfloat16 else None, bits)


def fault(precision: Precision, device: str, launch: LaunchRecipe) -> str | None:
    """Why a student cannot be trained so on this machine, and what to do; None where it can."""
    import torch

    if precision.autocast == "fp16" and device == "cpu":
        return "student.dtype float16 trains in mixed precision, which takes a GPU. Set student.dtype to float32."
    if precision.autocast == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return f"{torch.cuda.get_device_name()} has no units for bfloat16. Set student.dtype to float16, or to float32."
    if precision.bits is None:
        return None
    if importlib.util.find_spec(QUANTISER) is None:
        return f"student.lora.bits needs {QUANTISER}, which is not installed: pip install 'siked[qlora]'."
    if launch.shards:
        return (
            f"student.lora.bits does not go with launch.strategy '{launch.strategy}', which cuts the weights into "
            "shards. Set launch.strategy to ddp, or student.lora.bits to null."
        )
    return None


def load_for_training(base: str, precision: Precision) -> Any:
    """The student, ready to have an adapter put on or to be trained as it is.

    Raises:
        ModelError: it cannot be found or read.
    """
    if precision.bits is None:
        return load_weights(base, precision.loaded).train()
    import torch
    from transformers import BitsAndBytesConfig

    compute = torch.float16 if precision.autocast == "fp16" else precision.loaded
    settings = (
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
         "bnb_4bit_compute_dtype": compute}
        if precision.bits == 4
        else {"load_in_8bit": True}
    )  # fmt: skip
    place = {"": int(os.environ.get("LOCAL_RANK", "0"))} if torch.cuda.is_available() else None
    # In training mode from the first pass on: on some CPUs a pass in evaluation mode packs 4-bit weights into a form
    # that no gradient goes through.
    return load_weights(base, precision.loaded, place, quantization_config=BitsAndBytesConfig(**settings)).train()


def keep_adapter_precise(model: Any, precision: Precision) -> None:
    """Have the adapter on quantised weights in float32: the trainer makes it bfloat16, in which small steps are lost,
    and whose gradients the loss scaling of float16 cannot take."""
    if precision.bits is not None:
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data = weight.data.float()
