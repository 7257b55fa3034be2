"""Training: where the loss falls, what is written, and that weights of one change nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from siked_core import Message, Prompt, TrainingExample, TrainingRow
from siked_core.format import PLAIN_TEMPLATE, StudentFormat
from siked_core.models import Encoder, encode, load_tokenizer
from siked_core.recipe_student import LoraRecipe, StudentRecipe, TrainingRecipe
from siked_core.reporting import SilentProgress
from siked_core.student import prepare_tokenizer
from siked_core.testing import make_tiny_student
from siked_core.training import Trained, end_of_turn, fit, row_encoder

FORMAT = StudentFormat.build(("cot", "pot"), "<{strategy}>\n", "Choose one of {strategies}. ")
RECIPE = TrainingRecipe(epochs=2, batch_size=2, accumulation=1, warm_up_steps=0, learning_rate=1e-2, max_length=256)
ROWS = [
    TrainingRow(
        FORMAT.prompt(f"{n} and {n}?"),
        FORMAT.target("cot" if n % 2 else "pot", f"That is {2 * n}."),
        "cot" if n % 2 else "pot",
    )
    for n in range(1, 9)
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def tokenizer_of(folder: Path):
    tokenizer = load_tokenizer(str(folder))
    prepare_tokenizer(tokenizer, StudentRecipe(model=str(folder)), FORMAT)
    return tokenizer


def run(
    tiny: Path,
    folder: Path,
    examples: list[TrainingExample],
    lora: LoraRecipe | None = None,
    recipe: TrainingRecipe = RECIPE,
) -> Trained:
    return fit(
        base=str(tiny),
        tokenizer=tokenizer_of(tiny),
        examples=examples,
        epochs=recipe.epochs,
        recipe=recipe,
        lora=lora,
        dtype="float32",
        seed=7,
        checkpoints=folder / "checkpoints",
        destination=folder / "student",
        progress=SilentProgress(),
    )


def weights(folder: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(folder / "student" / "model.safetensors")


def test_loss_is_on_the_target_and_the_end_of_the_turn_only(tiny: Path) -> None:
    tokenizer = tokenizer_of(tiny)
    example = row_encoder(tokenizer, FORMAT)(ROWS[0])
    prompt = encode(tokenizer, ROWS[0].prompt)
    assert list(example.input_ids[: len(prompt)]) == prompt
    assert set(example.labels[: len(prompt)]) == {-100}
    assert example.labels[len(prompt) :] == example.input_ids[len(prompt) :]
    assert tokenizer.decode(example.labels[len(prompt) :]) == "<cot>\nThat is 2.<|end|>"
    assert "Choose one of cot, pot. 1 and 1?" in tokenizer.decode(prompt), "the instruction is in the template"


def test_a_forced_prompt_is_the_start_of_the_training_row(tiny: Path) -> None:
    tokenizer = tokenizer_of(tiny)
    example = row_encoder(tokenizer, FORMAT)(ROWS[0])
    forced = encode(tokenizer, FORMAT.prompt("1 and 1?", forced="cot"))
    assert list(example.input_ids[: len(forced)]) == forced


def test_end_of_turn_is_the_templates_own(tiny: Path) -> None:
    tokenizer = tokenizer_of(tiny)
    assert tokenizer.convert_ids_to_tokens(end_of_turn(tokenizer)) == "<|end|>"
    tokenizer.chat_template = PLAIN_TEMPLATE
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id


def test_weights_of_one_are_the_plain_trainer(tiny: Path, tmp_path: Path) -> None:
    import torch

    examples = [row_encoder(tokenizer_of(tiny), FORMAT)(row) for row in ROWS]
    ones = [TrainingExample(one.input_ids, one.labels, (1.0,) * len(one.labels)) for one in examples]
    zeros = [TrainingExample(one.input_ids, one.labels, (0.0,) * len(one.labels)) for one in examples]
    for name, given in (("plain", examples), ("ones", ones), ("zeros", zeros)):
        run(tiny, tmp_path / name, given)
    plain, one, zero = (weights(tmp_path / name) for name in ("plain", "ones", "zeros"))
    assert all(torch.equal(plain[name], one[name]) for name in plain)
    assert any(not torch.allclose(plain[name], zero[name]) for name in plain)


@pytest.mark.slow
def test_a_tag_is_learnt_by_how_often_it_stands_not_by_how_short_its_rationales_are(tiny: Path, tmp_path: Path) -> None:
    """In batches of like length the short strategy's tag would weigh several times as much as the long one's."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = tokenizer_of(tiny)
    encoder = row_encoder(tokenizer, FORMAT)
    examples = [
        encoder(TrainingRow(FORMAT.prompt(f"{n} and {n}?"), FORMAT.target(strategy, text), strategy))
        for n in range(1, 41)
        for strategy, text in (("cot", "That is what it comes to. " * 3), ("pot", "x"))
    ]
    run(tiny, tmp_path, examples, recipe=RECIPE.model_copy(update={"epochs": 40, "batch_size": 8}))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "student").eval()
    prompt = encode(tokenizer, FORMAT.prompt("5 and 5?"))
    shares = []
    for strategy in ("cot", "pot"):
        tag = tokenizer(FORMAT.tag_of(strategy), add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            scores = model(torch.tensor([[*prompt, *tag]])).logits[0].log_softmax(-1)
        shares.append(sum(scores[len(prompt) - 1 + place, token] for place, token in enumerate(tag)).exp().item())
    assert sum(shares) > 0.5, "it has learnt to write tags at all"
    assert 0.35 < shares[1] / sum(shares) < 0.65, shares


def test_training_learns_and_repeats(tiny: Path, tmp_path: Path) -> None:
    import torch

    examples = [row_encoder(tokenizer_of(tiny), FORMAT)(row) for row in ROWS] * 8
    first = run(tiny, tmp_path / "first", examples)
    second = run(tiny, tmp_path / "second", examples)
    assert first == second
    a, b = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert first.loss < 4.0, "a byte costs 5.6 nats before training"
    assert first.tokens == 2 * sum(len(one.input_ids) for one in examples)
    steps = [path.name for path in (tmp_path / "first" / "checkpoints").glob("checkpoint-*")]
    assert steps == ["checkpoint-64"], "kept until the student is in its place"


def test_further_arguments_reach_the_trainer(tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    examples = [row_encoder(tokenizer_of(tiny), FORMAT)(row) for row in ROWS]
    plain = run(tiny, tmp_path / "plain", examples)
    gentle = RECIPE.model_copy(update={"args": {"max_grad_norm": 1e-9, "optim": "sgd"}})
    held = run(tiny, tmp_path / "held", examples, recipe=gentle)
    assert plain.steps == held.steps
    before = load_file(tiny / "model.safetensors")
    moved = {
        name: max((part[key] - before[key]).abs().max().item() for key in before)
        for name, part in (("plain", weights(tmp_path / "plain")), ("held", weights(tmp_path / "held")))
    }
    assert moved["held"] < 1e-4, "weight decay alone"
    assert moved["plain"] > 1e-3


def test_lora_writes_a_merged_folder(tiny: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    examples = [row_encoder(tokenizer_of(tiny), FORMAT)(row) for row in ROWS]
    run(tiny, tmp_path, examples, LoraRecipe(r=4, alpha=8))
    names = set(weights(tmp_path))
    assert not any("lora" in name for name in names)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    tokenizer = load_tokenizer(str(tmp_path / "student"))
    assert "Choose one of" in tokenizer.chat_template
    assert end_of_turn(tokenizer) in model.generation_config.eos_token_id
    assert model.config.use_cache


def test_resumes_from_its_checkpoint(tiny: Path, tmp_path: Path) -> None:
    import torch

    class Killed(Exception):  # noqa: N818
        pass

    class KillAt(SilentProgress):
        steps = 0

        def advance(self, amount: int = 1) -> None:
            self.steps += amount
            if self.steps == 6:
                raise Killed

    tokenizer = tokenizer_of(tiny)
    examples = [row_encoder(tokenizer, FORMAT)(row) for row in ROWS]
    recipe = RECIPE.model_copy(update={"checkpoint_steps": 2})

    def go(folder: Path, progress: SilentProgress) -> Trained:
        return fit(
            base=str(tiny),
            tokenizer=tokenizer,
            examples=examples,
            epochs=2,
            recipe=recipe,
            lora=None,
            dtype="float32",
            seed=7,
            checkpoints=folder / "checkpoints",
            destination=folder / "student",
            progress=progress,
        )

    unbroken = go(tmp_path / "unbroken", SilentProgress())
    with pytest.raises(Killed):
        go(tmp_path / "broken", KillAt())
    assert (tmp_path / "broken" / "checkpoints" / "checkpoint-4").exists()
    torn = tmp_path / "broken" / "checkpoints" / "checkpoint-6"
    torn.mkdir(exist_ok=True)
    (torn / "trainer_state.json").write_text('{"global_st')  # killed while it was written
    again = KillAt()
    again.steps = -100
    assert go(tmp_path / "broken", again) == unbroken, "the loss of the earlier steps is not forgotten"
    assert again.steps == -92, "eight steps are counted in all, and only four of them were taken again"
    a, b = weights(tmp_path / "unbroken"), weights(tmp_path / "broken")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_plain_prompt_begins_with_the_models_bos_token(tiny: Path) -> None:
    tokenizer = tokenizer_of(tiny)
    tokenizer.chat_template = PLAIN_TEMPLATE
    assert tokenizer.decode(encode(tokenizer, FORMAT.prompt("2+2?"))) == "Question: 2+2?\nAnswer: "
    tokenizer.bos_token = "<|system|>"
    assert tokenizer.decode(encode(tokenizer, FORMAT.prompt("2+2?"))) == "<|system|>Question: 2+2?\nAnswer: "


def test_prompt_with_a_system_turn(tiny: Path) -> None:
    tokenizer = tokenizer_of(tiny)
    rendered = tokenizer.decode(encode(tokenizer, Prompt((Message("system", "Be brief."), Message("user", "2+2?")))))
    assert rendered == "<|system|>Be brief.<|end|>\n<|user|>Choose one of cot, pot. 2+2?<|end|>\n<|assistant|>"


@pytest.mark.parametrize("lora", [None, LoraRecipe(r=4)])
def test_logits_that_are_kept_give_what_the_trainers_own_head_gives(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lora: LoraRecipe | None
) -> None:
    import torch

    examples = list(map(row_encoder(tokenizer_of(tiny), FORMAT), ROWS))
    kept = run(tiny, tmp_path / "kept", examples, lora)
    monkeypatch.setattr("siked_core.trainer.KEPT_LOGITS", 0)
    own = run(tiny, tmp_path / "own", examples, lora)
    assert kept.loss == pytest.approx(own.loss, rel=1e-5)
    others = weights(tmp_path / "own")
    for name, weight in weights(tmp_path / "kept").items():
        assert torch.allclose(weight, others[name], atol=1e-4), name


def test_an_encoder_tells_a_beginning_from_a_part_and_asks_for_each_once() -> None:
    asked = list[tuple[str, bool]]()

    class Letters:
        chat_template = None

        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            asked.append((text, add_special_tokens))
            return {"input_ids": [*([0] if add_special_tokens else []), *map(ord, text)]}

    encoder, prompt = Encoder(Letters()), Prompt((Message("user", "a"),), "b")
    assert encoder(prompt) == [0, *map(ord, "a\n\n"), ord("b")]
    assert encoder(replace(prompt, prefix="")) == [0, *map(ord, "a\n\n")]
    assert encoder.part("a\n\n") == tuple(map(ord, "a\n\n")), "the same text within another has no special tokens"
    assert asked == [("a\n\n", True), ("b", False), ("a\n\n", False)]
