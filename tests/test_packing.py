"""Rows that are packed into one sequence are learnt as they are alone, or packing is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from siked_core import TrainingExample
from siked_core.errors import ModelError, RecipeError
from siked_core.models import load_tokenizer, load_weights
from siked_core.packing import BOUND, check_apart, leak
from siked_core.preflight import preflight
from siked_core.recipe import validate
from siked_core.recipe_student import TrainingRecipe
from siked_core.registry import Registry
from siked_core.reporting import SilentProgress, SilentReporter
from siked_core.run import start
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.training import Trained, fit
from siked_core.training_arguments import check_arguments

BASE = str(Registry.discover().create("model", "pocket").folder())
TEXTS = [
    "Ann has 3 pens and buys 4 more. She has 7 pens.",
    "12 + 7 = 19",
    "Ben had 20 apples. He ate 5 of them. He has 15 apples.",
    "x = 3 * 4\nanswer = x - 2",
    "100 - 1 = 99",
    "Eve reads 6 pages a day. In 3 days she reads 18 pages.",
]


@pytest.fixture(scope="module")
def examples() -> list[TrainingExample]:
    tokenizer = load_tokenizer(BASE)
    encoded = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    return [TrainingExample(tuple(ids), (-100, *ids[1:])) for ids in encoded]


def run(folder: Path, examples: list[TrainingExample], **settings: Any) -> Trained:
    """One optimiser step: its loss is that of the student as it was."""
    plain = {"epochs": 1, "batch_size": 6, "accumulation": 1, "warm_up_steps": 0, "max_length": 64}
    recipe = TrainingRecipe(**(plain | settings))
    return fit(
        base=BASE,
        tokenizer=load_tokenizer(BASE),
        examples=examples,
        epochs=1,
        recipe=recipe,
        lora=None,
        dtype="float32",
        seed=7,
        checkpoints=folder / "checkpoints",
        destination=folder / "student",
        progress=SilentProgress(),
    )


def nats(rows: list[list[int]], given: list[set[int]]) -> float:
    """The mean negative log-probability of the tokens of rows, but for those at the places that are given."""
    import torch

    model = load_weights(BASE, torch.float32)
    losses = []
    for row, free in zip(rows, given, strict=True):
        with torch.no_grad():
            scores = model(torch.tensor([row])).logits[0].log_softmax(-1)
        losses += [-scores[place - 1, token].item() for place, token in enumerate(row) if place not in free]
    return sum(losses) / len(losses)


def test_packed_rows_have_the_loss_that_they_have_alone(tmp_path: Path, examples: list[TrainingExample]) -> None:
    rows = [list(one.input_ids) for one in examples]
    alone = nats(rows, [{0}] * len(rows))
    starts = [sum(map(len, rows[:place])) for place in range(len(rows))]
    seeing = nats([[token for row in rows for token in row]], [set(starts)])
    packed = run(tmp_path, examples, packing=True)
    assert packed.steps == 1
    assert packed.loss == pytest.approx(alone, abs=2e-4), "the trainer rounds its log"
    assert abs(seeing - alone) > 0.01, "a row that sees those before it would have another loss"


def test_what_is_tried_on_the_student_tells_those_apart_that_leak(examples: list[TrainingExample]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, Lfm2Config

    rows = [list(one.input_ids) for one in examples[:2]]
    for dtype in (torch.float32, torch.bfloat16):
        model = load_weights(BASE, dtype).train()
        assert leak(model, *rows) == 0
        assert model.training
        check_apart(model, examples)
        torch.manual_seed(0)
        convolving = AutoModelForCausalLM.from_config(
            Lfm2Config(
                hidden_size=64,
                intermediate_size=128,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                vocab_size=model.config.vocab_size,
                layer_types=["conv", "full_attention"],
            )
        ).to(dtype)
        assert leak(convolving, *rows) > 100 * BOUND
        with pytest.raises(ModelError, match=r"lets packed rows see one another.*Set training.packing to false"):
            check_apart(convolving, examples)


@pytest.mark.parametrize("change", [{"weights": (0.5,) * 3}, {"epoch_weights": ((1.0,) * 3, (0.0,) * 3)}])
def test_weighted_rows_are_not_packed(tmp_path: Path, examples: list[TrainingExample], change: Any) -> None:
    weighted = TrainingExample((5, 6, 7), (-100, 6, 7), **change)
    with pytest.raises(RecipeError, match=r"training.packing does not go with rows or tokens of different weight"):
        run(tmp_path, [*examples, weighted], packing=True)
    ones = TrainingExample((5, 6, 7), (-100, 6, 7), (1.0,) * 3)
    assert run(tmp_path, [*examples, ones], packing=True, batch_size=7).steps == 1


def test_what_is_known_before_is_told_before(tmp_path: Path) -> None:
    tiny = make_tiny_student(tmp_path / "tiny")
    plain = toy_recipe(tiny)
    training = {**plain["training"], "packing": True}
    recipe = validate(toy_recipe(tiny, training=training, mixing={**plain["mixing"], "weights": "copies"}))
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="run") as run:
        (found,) = [one for one in preflight(run) if one.what == "packing"]
    assert found.level == "error"
    for name in ("padding_free", "packing_strategy"):
        with pytest.raises(RecipeError, match=rf"training.args.{name}: this is what training.packing sets"):
            check_arguments({name: True})
