"""The base student: its tokenizer, and the checkpoint that ships with the package."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_plugins.pocket.corpus import documents
from siked_plugins.pocket.tokenizer import train_tokenizer
from siked_plugins.pocket.train_base import TOKENIZER_DOCUMENTS, parser, train

BASE = Path(__file__).parents[1] / "plugins" / "pocket" / "base"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BASE)


@pytest.fixture(scope="module")
def model() -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()


def test_every_number_below_a_thousand_is_one_token(tokenizer: Any) -> None:
    for number in range(1000):
        (token,) = tokenizer(str(number)).input_ids
        for text in (f"Ann has {number} pens", f"x={number}", f"({number} + y)", f"\n{number}"):
            assert token in tokenizer(text).input_ids  # the same token wherever it stands
    assert [tokenizer.decode(i) for i in tokenizer("1234567").input_ids] == ["123", "456", "7"]


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_comes_back(text: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = _cached(AutoTokenizer)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


@given(st.text(alphabet="0123456789 +-*/=().,%abc\n_<>", max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_arithmetic_comes_back(text: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = _cached(AutoTokenizer)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


_KEPT: dict[str, Any] = {}


def _cached(loader: Any) -> Any:
    if "tokenizer" not in _KEPT:
        _KEPT["tokenizer"] = loader.from_pretrained(BASE)
    return _KEPT["tokenizer"]


def test_the_chat_template_can_be_cut_before_the_answer(tokenizer: Any) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How many pens has Ann?"},
        {"role": "assistant", "content": "<cot>\n3 + 4 = 7 pens.\nThe answer is 7."},
    ]
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole == "Be brief.\nQ: How many pens has Ann?\nA:<cot>\n3 + 4 = 7 pens.\nThe answer is 7.<|end|>"
    prompt = tokenizer.apply_chat_template(turns[:2], tokenize=False, add_generation_prompt=True)
    assert whole.startswith(prompt)
    pieces = tokenizer(prompt).input_ids + tokenizer("<cot>\n").input_ids
    assert tokenizer(whole).input_ids[: len(pieces)] == pieces
    masked = tokenizer.apply_chat_template(turns, return_assistant_tokens_mask=True, return_dict=True)
    learnt = [i for i, on in zip(masked["input_ids"], masked["assistant_masks"], strict=True) if on]
    assert tokenizer.decode(learnt) == turns[2]["content"] + "<|end|>"


def test_a_tag_is_short(tokenizer: Any) -> None:
    assert all(len(tokenizer(f"<{name}>\n").input_ids) <= 6 for name in ("cot", "pot", "l2m", "eot"))


def test_the_base_is_small_and_standard(model: Any, tokenizer: Any) -> None:
    assert sum(file.stat().st_size for file in BASE.iterdir()) < 6_000_000
    assert type(model).__name__ == "LlamaForCausalLM"
    assert 0.8e6 < sum(p.numel() for p in model.parameters()) < 1.7e6
    assert model.config.tie_word_embeddings
    assert model.config.max_position_embeddings >= 512
    assert model.config.vocab_size == len(tokenizer) <= 2500
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.pad_token_id is not None
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def number_after(model: Any, tokenizer: Any, text: str) -> str:
    """The number with which the base goes on. (A space before a number belongs to the token before it.)"""
    import torch

    ids = tokenizer(f"{text}0").input_ids[:-1]
    written = model.generate(torch.tensor([ids]), max_new_tokens=1, do_sample=False)
    return str(tokenizer.decode(written[0, len(ids) :]))


def test_the_base_copies_and_reckons_a_little(model: Any, tokenizer: Any) -> None:
    reading = (
        "Q: Ann found 371 shells in Holt. Ben has 58 pens. Zoe lost 7 cups. How many shells did Ann find?\nA:It is "
    )
    assert number_after(model, tokenizer, reading) == "371"
    sums = [(x, y) for x in range(2, 10) for y in (2, 5, 7)]
    right = sum(number_after(model, tokenizer, f"{x} + {y} = ") == str(x + y) for x, y in sums)
    assert right >= 20  # of 24


@pytest.mark.slow
def test_the_tokenizer_follows_from_the_corpus(tokenizer: Any) -> None:
    log = json.loads((BASE / "training_log.json").read_text(encoding="utf-8"))
    again = train_tokenizer(islice(documents(log["settings"]["corpus_seed"]), TOKENIZER_DOCUMENTS))
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.chat_template == tokenizer.chat_template


def test_training_is_seeded_and_continues_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import load_file

    from siked_plugins.pocket import train_base

    monkeypatch.setattr(train_base, "TOKENIZER_DOCUMENTS", 500)
    shape = {"hidden": 16, "layers": 1, "heads": 2, "intermediate": 16, "sequence": 32, "batch": 2}
    settings = shape | {"threads": 1, "every": 0}
    small = [word for name, value in settings.items() for word in (f"--{name}", str(value))]

    def run(name: str, tokens: int, *more: str) -> dict[str, Any]:
        train(parser().parse_args(["--out", str(tmp_path / name), "--tokens", str(tokens), *small, *more]))
        if more:
            return {}
        weights: dict[str, Any] = load_file(tmp_path / name / "model.safetensors")
        return weights

    whole = run("whole", 640)
    again = run("again", 640)
    saves = 0
    save = torch.save

    def die(*args: Any, **kwargs: Any) -> None:
        nonlocal saves
        save(*args, **kwargs)
        saves += 1
        if saves == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(KeyboardInterrupt):
        run("killed", 640)
    monkeypatch.setattr(torch, "save", save)
    # The kill came after the bytes were written but before the file got its name, so one step is done again.
    resumed = run("killed", 640)
    run("stopped", 640, "--stop", "200")
    assert not (tmp_path / "stopped").exists()
    stopped = run("stopped", 640)
    log = json.loads((tmp_path / "stopped" / "training_log.json").read_text(encoding="utf-8"))
    assert log["plans"] == [[0, 640]]
    assert log["tokens"] == 640
    for name, value in whole.items():
        assert torch.equal(value, again[name])
        assert torch.equal(value, stopped[name])
        assert torch.equal(value, resumed[name])
