"""An adapter is merged into what it was trained for, the merge is compared, and QLoRA trains for real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from siked_core import TrainingExample
from siked_core.errors import ModelError
from siked_core.merging import BOUNDS, merge
from siked_core.models import load_tokenizer, load_weights, read_side_file
from siked_core.precision import load_for_training, precision_of
from siked_core.recipe_student import LoraRecipe, TrainingRecipe
from siked_core.reporting import SilentProgress
from siked_core.testing import make_tiny_student
from siked_core.training import Trained, fit, lora_config

RECIPE = TrainingRecipe(epochs=4, batch_size=4, accumulation=1, warm_up_steps=0, learning_rate=1e-2, max_length=64)
LORA = LoraRecipe(r=4, alpha=8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"), hidden_size=64)


@pytest.fixture(scope="module")
def examples(tiny: Path) -> list[TrainingExample]:
    tokenizer = load_tokenizer(str(tiny))
    texts = [tokenizer(f"{n} and {n} is {2 * n}.")["input_ids"] for n in range(16)]
    return [TrainingExample(tuple(ids), (-100, *ids[1:])) for ids in texts]


def run(tiny: Path, folder: Path, examples: list[TrainingExample], lora: LoraRecipe, dtype: str = "float32") -> Trained:
    return fit(
        base=str(tiny),
        tokenizer=load_tokenizer(str(tiny)),
        examples=examples,
        epochs=RECIPE.epochs,
        recipe=RECIPE,
        lora=lora,
        dtype=dtype,
        seed=7,
        checkpoints=folder / "checkpoints",
        destination=folder / "student",
        progress=SilentProgress(),
    )


def adapted(tiny: Path, dtype: str) -> Any:
    import torch
    from peft import get_peft_model

    torch.manual_seed(1)
    model = get_peft_model(load_weights(str(tiny), getattr(torch, dtype)), lora_config(LORA))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    return model


@pytest.mark.parametrize("dtype", sorted(BOUNDS))
def test_a_sound_merge_is_far_inside_its_bound(tiny: Path, examples: list[TrainingExample], dtype: str) -> None:
    model, difference = merge(adapted(tiny, dtype), examples, None)
    assert not any("lora" in name for name, _ in model.named_parameters())
    assert difference < BOUNDS[dtype] / 2
    assert dtype != "float32" or difference < 1e-5


@pytest.fixture
def broken_merge(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PEFT adds half of an adapter's update when it merges; what the adapter does until then is as it was."""
    from peft.tuners.lora.layer import Linear

    whole = Linear.get_delta_weight
    monkeypatch.setattr(Linear, "get_delta_weight", lambda self, adapter: 0.5 * whole(self, adapter))
    return None


@pytest.mark.parametrize("dtype", sorted(BOUNDS))
def test_a_merge_that_loses_something_is_refused(
    tiny: Path, examples: list[TrainingExample], dtype: str, broken_merge: None
) -> None:
    with pytest.raises(ModelError, match=rf"its logits then differ by .* as {dtype} they may by"):
        merge(adapted(tiny, dtype), examples, None)


def test_nothing_is_put_in_place_of_a_merge_that_is_refused(
    tiny: Path, examples: list[TrainingExample], tmp_path: Path, broken_merge: None
) -> None:
    with pytest.raises(ModelError, match="Nothing was put in place"):
        run(tiny, tmp_path, examples, LORA)
    assert not (tmp_path / "student").exists()
    assert list((tmp_path / "checkpoints").glob("checkpoint-*")), "what was trained is not lost"


@pytest.mark.parametrize("bits", [4, 8])
def test_qlora_trains_an_adapter_and_merges_it_into_the_whole_weights(
    tiny: Path, examples: list[TrainingExample], tmp_path: Path, bits: Any
) -> None:
    import torch
    from safetensors.torch import load_file

    trained = run(tiny, tmp_path, examples, LoraRecipe(r=4, alpha=8, bits=bits))
    plain = run(tiny, tmp_path / "plain", examples, LORA)
    assert trained.merge_difference is not None
    assert trained.merge_difference < 1e-5, "compared with the adapter on the weights of full precision"
    assert trained.loss == pytest.approx(plain.loss, rel=0.1), "it learns as much"
    assert trained.loss != plain.loss, "of other weights"
    before, after = load_file(tiny / "model.safetensors"), load_file(tmp_path / "student" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name: (after[name] - before[name]) for name in before if not torch.equal(before[name], after[name])}
    assert set(changed) == {name for name in before if "proj" in name}
    for name, change in changed.items():
        assert torch.linalg.matrix_rank(change, rtol=1e-3) <= 4, f"{name}: nothing of the quantisation is in it"
    assert "quantization_config" not in json.loads((tmp_path / "student" / "config.json").read_text(encoding="utf-8"))
    (checkpoint,) = (tmp_path / "checkpoints").glob("checkpoint-16")
    adapter = load_file(checkpoint / "adapter_model.safetensors")
    assert {weight.dtype for weight in adapter.values()} == {torch.float32}


@pytest.mark.parametrize("bits", [4, 8])
def test_the_weights_under_the_adapter_are_quantised(tiny: Path, bits: Any) -> None:
    import torch

    precision = precision_of("float32", LoraRecipe(bits=bits), "cpu", str(tiny))
    model = load_for_training(str(tiny), precision)
    assert model.training
    layer = model.model.layers[0].mlp.up_proj
    assert layer.weight.dtype is (torch.uint8 if bits == 4 else torch.int8)
    assert layer.weight.numel() * layer.weight.itemsize == 64 * 128 * bits // 8
    assert getattr(layer.weight, "quant_type", "nf4") == "nf4"


def test_through_the_command_line(siked: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [
        *("distill", "--preset", "pocket-smoke", "--strategies", "cot", "--rounds", "0"),
        *("--set", "student.lora.bits=4"),
    ]
    said = siked(*arguments, "--run", "one")
    side = read_side_file(tmp_path / "runs/one/students/round-0")
    assert 0 < side["merge_difference"] < 1e-5
    assert f"merged within {side['merge_difference']:.0e}" in said.err
    assert "bitsandbytes" not in said.err
    monkeypatch.setattr("siked_core.precision.QUANTISER", "bits_and_bytes_that_is_not_there")
    said = siked(*arguments, "--run", "two", "-q", code=2)
    assert said.err.count("\n") == 1
    assert "pip install 'siked[qlora]'" in said.err
    assert not list((tmp_path / "runs/two").glob("pools/*")), "told before anything was spent"
