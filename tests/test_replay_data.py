"""Rows of the user's own among a student's: which are drawn, where the loss falls, and that all of it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from siked_core.errors import DataError
from siked_core.format import PLAIN_TEMPLATE, StudentFormat
from siked_core.models import load_tokenizer, read_side_file
from siked_core.recipe import validate
from siked_core.recipe_student import LoraRecipe, ReplayRecipe, StudentRecipe, TrainingRecipe
from siked_core.replay_data import (
    Ordinary,
    encode_ordinary,
    identity,
    ordinary_tokenizer,
    read_ordinary,
    replayed,
)
from siked_core.reporting import SilentReporter
from siked_core.run import start
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.stages.train import _NO_PART, train
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry

FORMAT = StudentFormat.build(("cot", "pot"), "<{strategy}>\n", "Choose one of {strategies}. ")
THINKING = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' and loop.last and '<think>' not in message['content'] -%}"
    "<|assistant|><think></think>{{ message['content'] }}<|end|>\n"
    "{%- else -%}<|{{ message['role'] }}|>{{ message['content'].split('</think>')[-1] if not loop.last "
    "else message['content'] }}<|end|>\n{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|assistant|>{%- if enable_thinking is defined and not enable_thinking -%}"
    "<think></think>{%- endif -%}{%- endif -%}"
)
"""In the manner of Qwen3: earlier turns lose their thoughts, and the last has an empty one where it has none."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def turns(*texts: str) -> list[dict[str, str]]:
    return [
        {"role": role, "content": text} for role, text in zip(("user", "assistant") * len(texts), texts, strict=False)
    ]


def learnt(tokenizer: Any, row: Ordinary) -> tuple[str, str]:
    """The whole text of an example, and that which the loss is on, with | where it is interrupted."""
    example = encode_ordinary(tokenizer, row, 1000)
    pieces: list[list[int]] = [[]]
    for token, label in zip(example.input_ids, example.labels, strict=True):
        if label == -100:
            pieces.append([])
        else:
            assert token == label
            pieces[-1].append(token)
    return tokenizer.decode(example.input_ids), "|".join(tokenizer.decode(piece) for piece in pieces if piece)


def read(folder: Path, *rows: Any) -> list[Ordinary]:
    return read_ordinary(lines(folder / "rows.jsonl", list(rows)))


def test_conversations_have_the_students_own_template_and_no_instruction(tiny: Path, tmp_path: Path) -> None:
    tokenizer = ordinary_tokenizer(str(tiny), StudentRecipe(model=str(tiny), chat_template="plain"), FORMAT)
    chat, asked, listed, text = read(
        tmp_path,
        {"messages": [{"role": "system", "content": "Be kind."}, *turns("Hi", "Hello!", "How?", "Well.")]},
        {"prompt": "Say a", "completion": "a"},
        {"prompt": turns("Say b"), "completion": [{"role": "assistant", "content": "b"}]},
        {"text": "A tale of two cities"},
    )
    assert learnt(tokenizer, chat) == (
        "<|system|>Be kind.<|end|>\n<|user|>Hi<|end|>\n<|assistant|>Hello!<|end|>\n<|user|>How?<|end|>\n"
        "<|assistant|>Well.<|end|>",
        "Hello!<|end|>|Well.<|end|>",
    )
    assert learnt(tokenizer, asked) == ("<|user|>Say a<|end|>\n<|assistant|>a<|end|>", "a<|end|>")
    assert learnt(tokenizer, listed)[1] == "b<|end|>"
    assert learnt(tokenizer, text) == ("A tale of two cities</s>", "A tale of two cities</s>")


def test_a_student_without_a_template_has_the_recipes(tmp_path: Path) -> None:
    bare = make_tiny_student(tmp_path / "bare", chat_template=None)
    tokenizer = ordinary_tokenizer(str(bare), StudentRecipe(model=str(bare), chat_template="plain"), FORMAT)
    assert tokenizer.chat_template == PLAIN_TEMPLATE
    (row,) = read(tmp_path, {"messages": turns("Hi", "Hello!", "How?", "Well.")})
    assert learnt(tokenizer, row) == (
        "Question: Hi\nAnswer: Hello!</s>Question: How?\nAnswer: Well.</s>",
        "Hello!</s>|Well.</s>",
    )


def test_a_thinking_template(tiny: Path, tmp_path: Path) -> None:
    """No loss on the empty thought that a template puts before an answer: it would teach the student not to think."""
    tokenizer = load_tokenizer(str(tiny))
    tokenizer.chat_template = THINKING
    plain, thought = read(
        tmp_path,
        {"messages": turns("Hi", "Hello!", "How?", "Well.")},
        {"messages": turns("Hi", "<think>greet</think>Hello!", "How?", "<think>hm</think>Well.")},
    )
    whole, loss = learnt(tokenizer, plain)
    assert whole.endswith("<|assistant|><think></think>Well.<|end|>")
    assert loss == "Hello!<|end|>|Well.<|end|>"
    whole, loss = learnt(tokenizer, thought)
    assert "greet" not in whole
    assert loss == "Hello!<|end|>|<think>hm</think>Well.<|end|>"


def test_a_template_that_always_begins_with_a_thought(tiny: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny))
    tokenizer.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    (row,) = read(tmp_path, {"messages": turns("Hi", "Hello!")})
    assert learnt(tokenizer, row)[1] == "Hello!<|end|>"


def test_what_a_template_refuses_is_told_with_its_line(tiny: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny))
    tokenizer.chat_template = "{{ raise_exception('no such turns') }}"
    (row,) = read(tmp_path, {"messages": turns("Hi", "Hello!")})
    with pytest.raises(DataError, match=r"rows.jsonl, line 1: .* refuses it: no such turns"):
        encode_ordinary(tokenizer, row, 100)
    tokenizer.chat_template = "{{ messages | length }}{{ messages[-1]['content'] }}"
    with pytest.raises(DataError, match="does not show where the assistant's turns begin"):
        encode_ordinary(tokenizer, row, 100)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "Hi"}, "a row has messages, or prompt and completion, or text; this has question."),
        ({"text": " "}, "this has text without content"),
        ({"prompt": "Hi"}, "this has prompt."),
        ({"messages": "Hi"}, "messages must be a list of turns"),
        ({"messages": turns("Hi")}, "no turn of the assistant answers one of the user"),
        ({"messages": turns("Hi", " ")}, "no turn of the assistant answers one of the user"),
        ({"messages": [*turns("Hi"), {"role": "bot", "content": "x"}]}, "turn 2 of messages must have a role"),
        ({"messages": [*turns("Hi"), {"role": "assistant", "content": None}]}, "turn 2 of messages must have a role"),
        ({"prompt": 3, "completion": "x"}, "prompt must be a list of turns"),
    ],
)
def test_a_row_of_another_shape_is_refused_with_its_line(tmp_path: Path, row: Any, says: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, {"text": "one"}, row)
    assert "rows.jsonl, line 2: " in str(error.value)
    assert says in str(error.value)


def test_parquet_is_read_too(tmp_path: Path) -> None:
    import polars as pl

    pl.DataFrame({"messages": [turns("Hi", "Hello!")]}).write_parquet(tmp_path / "rows.parquet")
    (row,) = read_ordinary(tmp_path / "rows.parquet")
    assert [message.content for message in row.messages] == ["Hi", "Hello!"]


@given(own=some.integers(1, 60), share=some.floats(0.02, 0.9), count=some.integers(1, 12), seed=some.integers(0, 9))
def test_the_share_is_met_and_nothing_comes_twice_before_all_came(
    tmp_path_factory: pytest.TempPathFactory, tiny: Path, own: int, share: float, count: int, seed: int
) -> None:
    path = lines(tmp_path_factory.mktemp("rows") / "rows.jsonl", [{"text": chr(97 + n)} for n in range(count)])
    tokenizer = load_tokenizer(str(tiny))
    recipe = ReplayRecipe(path=path, share=share)
    found = replayed(recipe, tokenizer, own, seed, 100)
    assert found == replayed(recipe, tokenizer, own, seed, 100)
    number = len(found.examples)
    assert number == max(1, round(own * share / (1 - share)))
    times = [found.examples.count(one) for one in set(found.examples)]
    assert max(times) - min(times) <= 1
    assert len(times) == min(count, number)


def test_another_seed_draws_others(tiny: Path, tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", [{"text": f"text {n}"} for n in range(40)])
    tokenizer = load_tokenizer(str(tiny))
    recipe = ReplayRecipe(path=path, share=0.5)
    assert replayed(recipe, tokenizer, 5, 1000, 100) != replayed(recipe, tokenizer, 5, 1001, 100)


def test_what_is_too_long_is_passed_over_and_counted_and_texts_are_cut(tiny: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny))
    path = lines(tmp_path / "a.jsonl", [{"messages": turns("Hi", "x" * 100)}, {"messages": turns("Hi", "yes")}])
    found = replayed(ReplayRecipe(path=path, share=0.5), tokenizer, 4, 1, 40)
    assert (len(found.examples), found.too_long) == (4, 1)
    assert all(len(one.input_ids) <= 40 for one in found.examples)
    path = lines(tmp_path / "b.jsonl", [{"text": "x" * 100}])
    (cut,) = replayed(ReplayRecipe(path=path, share=0.5), tokenizer, 1, 1, 40).examples
    assert tokenizer.decode(cut.input_ids) == "x" * 40
    path = lines(tmp_path / "c.jsonl", [{"messages": turns("Hi", "x" * 100)}])
    with pytest.raises(DataError, match=r"none of its 1 rows fits into training.max_length = 40"):
        replayed(ReplayRecipe(path=path, share=0.5), tokenizer, 1, 1, 40)


def test_a_student_is_trained_on_them_and_only_their_content_counts(tiny: Path, tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", [{"text": f"text {n}"} for n in range(40)])
    training = toy_recipe(tiny)["training"]
    replay = {"replay": {"path": str(path), "share": 0.25}}

    def side(name: str, **more: Any) -> dict[str, Any]:
        recipe = validate(toy_recipe(tiny, training={**training, **more}))
        with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name=name) as run:
            teach(run)
            mix(run, 0)
            return read_side_file(train(run, 0))

    plain, with_them = side("plain"), side("with", **replay)
    assert "replay" not in plain
    counts = with_them["replay"]
    assert with_them["rows"] == plain["rows"]
    assert counts["rows"] == round(plain["rows"] / 3)
    assert with_them["training_tokens"] == plain["training_tokens"] + counts["tokens"]
    assert with_them["training_key"] != plain["training_key"]
    assert with_them["fingerprint"] != plain["fingerprint"]
    moved = path.rename(tmp_path / "moved.jsonl")
    assert side("moved", replay={"path": str(moved), "share": 0.25})["training_key"] == with_them["training_key"]
    moved.write_text(moved.read_text(encoding="utf-8") + '{"text": "more"}\n', encoding="utf-8")
    assert side("more", replay={"path": str(moved), "share": 0.25})["training_key"] != with_them["training_key"]


def test_a_recipe_without_replay_keeps_its_key() -> None:
    """A key of a training is a digest of these: a new setting at its default must not be among them."""
    assert identity(None) == {}
    assert set(LoraRecipe().model_dump(exclude_none=True)) == {"r", "alpha", "dropout", "target_modules"}
    keyed = {"objective", "start", "batch_size", "accumulation", "learning_rate", "schedule", "warm_up_steps",
             "weight_decay", "max_length", "packing", "args"}  # fmt: skip
    assert set(TrainingRecipe().model_dump(exclude=_NO_PART)) == keyed


def test_through_the_command_line(siked: Callable[..., Any], tiny: Path, tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.jsonl", [{"messages": turns(f"Say {n}", str(n))} for n in range(30)])
    text = tmp_path / "general.txt"
    text.write_text("It was the best of times, it was the worst of times. " * 20, encoding="utf-8")
    arguments = [
        *("distill", "--preset", "pocket-smoke", "--strategies", "cot", "--rounds", "0", "--run", "one"),
        *("--set", f"training.replay.path={path}", "--set", "training.replay.share=0.2"),
        *("--set", f"evaluation.perplexity={text}", "--set", "evaluation.perplexity_rise=0"),
    ]
    said = siked(*arguments)
    report = json.loads((tmp_path / "runs/one/report.json").read_text(encoding="utf-8"))
    side = read_side_file(tmp_path / "runs/one/students/round-0")
    assert side["replay"]["rows"] == round(side["rows"] / 4)
    assert f" rows and {side['replay']['rows']} replayed ones, " in said.err
    assert list(report["perplexity"]) == ["original", "round-0"]
    original, after = report["perplexity"].values()
    assert original["bytes"] == after["bytes"] == len(text.read_bytes())
    assert original["bits_per_byte"] != after["bits_per_byte"]
    assert "perplexity round-0: done" in said.err
    assert "General text" in said.out
    for found in (original, after):
        assert f"{found['bits_per_byte']:.4f}" in said.out
    rises = after["bits_per_byte"] > original["bits_per_byte"]
    assert ("more bits per byte" in said.err) == rises
    card = (tmp_path / "runs/one/students/round-0/README.md").read_text(encoding="utf-8")
    assert f"| before distillation | {original['bits_per_byte']:.4f} |" in card
    assert f"| this model | {after['bits_per_byte']:.4f} |" in card
    again = siked(*arguments)
    assert "perplexity round-0: done" not in again.err

    path.write_text('{"text": "a"}\n{"messages": []}\n', encoding="utf-8")
    refused = siked(*arguments[:-2], "--run", "two", "--quiet", code=2)
    assert refused.err.count("\n") == 1
    assert "rows.jsonl, line 2: messages must be a list of turns" in refused.err
    assert not list((tmp_path / "runs/two").glob("pools/*")), "told before anything was spent"
    path.unlink()
    gone = siked(*arguments, "--run", "three", code=2)
    assert "training.replay.path" in gone.err
