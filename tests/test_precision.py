"""What a dtype means for training, and what a machine cannot train in is told before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from siked_core import TrainingExample
from siked_core.errors import ModelError
from siked_core.models import load_tokenizer
from siked_core.precision import Precision, fault, precision_of
from siked_core.preflight import preflight
from siked_core.recipe import validate
from siked_core.recipe_launch import LaunchRecipe
from siked_core.recipe_student import LoraRecipe, TrainingRecipe
from siked_core.reporting import SilentProgress, SilentReporter
from siked_core.run import start
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.training import fit

ALONE = LaunchRecipe()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize(
    ("dtype", "lora", "device", "means"),
    [
        ("float32", None, "cuda", (torch.float32, torch.float32, None)),
        ("bfloat16", None, "cuda", (torch.bfloat16, torch.bfloat16, "bf16")),
        ("bfloat16", None, "cpu", (torch.bfloat16, torch.bfloat16, None)),
        ("float16", None, "cuda", (torch.float32, torch.float16, "fp16")),
        ("float16", LoraRecipe(), "cuda", (torch.float16, torch.float16, "fp16")),
        ("auto", None, "cpu", (torch.float32, torch.float32, None)),
    ],
)
def test_what_is_trained_is_never_float16(
    tiny: Path, dtype: str, lora: LoraRecipe | None, device: str, means: tuple[Any, ...]
) -> None:
    assert precision_of(dtype, lora, device, str(tiny)) == Precision(*means)


def test_what_a_machine_cannot(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def says(dtype: str, device: str, lora: LoraRecipe | None = None, launch: LaunchRecipe = ALONE) -> str | None:
        return fault(precision_of(dtype, lora, device, str(tiny)), device, launch)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert says("bfloat16", "cuda") is says("float16", "cuda") is says("bfloat16", "cpu") is None
    assert "takes a GPU" in str(says("float16", "cpu"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    assert str(says("bfloat16", "cuda")).startswith(
        "Tesla V100 has no units for bfloat16. Set student.dtype to float16"
    )
    assert says("float32", "cpu", LoraRecipe(bits=4)) is None
    shards = LaunchRecipe(processes=2, strategy="fsdp")
    assert "does not go with launch.strategy 'fsdp'" in str(says("float32", "cpu", LoraRecipe(bits=4), shards))


def test_it_is_told_by_the_preflight_and_by_training_alone(tiny: Path, tmp_path: Path) -> None:
    plain = toy_recipe(tiny)
    recipe = validate({**plain, "student": {**plain["student"], "dtype": "float16"}})
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="run") as run:
        (found,) = [one for one in preflight(run) if one.what == "precision"]
    assert found.level == "error"
    assert "Set student.dtype to float32" in found.says
    with pytest.raises(ModelError, match="takes a GPU"):
        fit(
            base=str(tiny),
            tokenizer=load_tokenizer(str(tiny)),
            examples=[TrainingExample((7, 8), (-100, 8))],
            epochs=1,
            recipe=TrainingRecipe(),
            lora=None,
            dtype="float16",
            seed=1,
            checkpoints=tmp_path / "checkpoints",
            destination=tmp_path / "student",
            progress=SilentProgress(),
        )
