"""What a general text takes a student: every token once, as a plain computation has it, kept, and warned of."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from siked_core import ability
from siked_core.ability import measure, read_documents, windows
from siked_core.errors import DataError
from siked_core.models import load_tokenizer, load_weights
from siked_core.recipe import validate
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.scorecard import Perplexity
from siked_core.stages.ability import perplexity
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


class Warned(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def opened(folder: Path, tiny: Path, reporter: SilentReporter | None = None, **evaluation: Any) -> Run:
    plain = toy_recipe(tiny)
    recipe = validate({**plain, "evaluation": {**plain["evaluation"], **evaluation}})
    return start(recipe, toy_registry(), reporter or SilentReporter(), runs=folder, name="run")


@given(count=some.integers(0, 60), length=some.integers(2, 20))
def test_every_token_is_scored_once_after_enough_others(count: int, length: int) -> None:
    tokens = [*range(1, count + 1)]
    found = list(windows(tokens, 0, length))
    assert [token for one in found for token in one.tokens[-one.scored :]] == tokens
    for one in found:
        assert list(one.tokens) == list(range(one.tokens[0], one.tokens[-1] + 1)), "as they stand in the document"
        assert len(one.tokens) <= length
        before = len(one.tokens) - one.scored
        assert before == 1 if one.tokens[0] == 0 and one is found[0] else before >= length // 2


def test_it_is_what_a_plain_computation_gives(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    texts = ["It was the best of times.", "Zwölf Boxkämpfer jagen Viktor.", "It was the best of times!"]
    tokenizer, model = load_tokenizer(str(tiny)), load_weights(str(tiny), torch.float32)
    nats, count = 0.0, 0
    for text in texts:
        ids = [tokenizer.eos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        nats -= sum(scores[place, token].item() for place, token in enumerate(ids[1:]))
        count += len(ids) - 1
    found = measure(str(tiny), texts, "float32")
    assert (found.tokens, found.bytes) == (count, sum(len(text.encode()) for text in texts))
    assert found.nats == pytest.approx(nats, rel=1e-5)
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / found.bytes, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(nats / count), rel=1e-5)
    monkeypatch.setattr(ability, "AT_ONCE", 1)
    assert measure(str(tiny), texts, "float32").nats == pytest.approx(nats, rel=1e-5), "one window at a time"


def test_long_documents_are_cut_into_windows(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(ability, "LONGEST", 8)
    text = "abcdefghijklmnopqrst"
    tokenizer, model = load_tokenizer(str(tiny)), load_weights(str(tiny), torch.float32)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    nats = 0.0
    for window in windows(ids, tokenizer.eos_token_id, 8):
        with torch.no_grad():
            scores = model(torch.tensor([window.tokens])).logits[0].log_softmax(-1)
        for place in range(len(window.tokens) - window.scored, len(window.tokens)):
            nats -= scores[place - 1, window.tokens[place]].item()
    found = measure(str(tiny), [text], "float32")
    assert found.tokens == 20
    assert found.nats == pytest.approx(nats, rel=1e-5)


def test_files_are_texts_or_rows(tmp_path: Path) -> None:
    plain, rows = tmp_path / "a.txt", tmp_path / "a.jsonl"
    plain.write_text("one\ntwo\n", encoding="utf-8")
    rows.write_text('{"text": "one"}\n{"text": "two"}\n', encoding="utf-8")
    assert read_documents(plain) == ["one\ntwo\n"]
    assert read_documents(rows) == ["one", "two"]
    rows.write_text('{"text": "one"}\n{"texts": "two"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"a.jsonl, line 2: a row must have a field text"):
        read_documents(rows)
    plain.write_text(" \n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no text"):
        read_documents(plain)


def test_a_student_that_forgets_is_warned_of_once(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.txt"
    text.write_text("It was the best of times.", encoding="utf-8")
    measured: list[str] = []
    found = iter([Perplexity(10, 10, 20.0), Perplexity(10, 10, 21.1)])

    def one(model: str, documents: list[str], dtype: str) -> Perplexity:
        measured.append(Path(model).name)
        return next(found)

    monkeypatch.setattr("siked_core.stages.ability.measure", one)
    with opened(tmp_path, tiny, reporter := Warned(), perplexity=str(text)) as run:
        teach(run)
        mix(run, 0)
        train(run, 0)
        assert perplexity(run) == Perplexity(10, 10, 20.0)
        for _ in range(2):
            assert perplexity(run, "round-0") == Perplexity(10, 10, 21.1)
        assert measured == [tiny.name, "round-0"], "what is known is not measured again"
        (warning,) = reporter.warnings
        assert warning.startswith(f"round-0 needs 5.5 % more bits per byte on {text} than the original student")
        text.write_text("Another text.", encoding="utf-8")
        with pytest.raises(StopIteration):
            perplexity(run)
        text.unlink()
        with pytest.raises(DataError, match="Cannot read"):
            perplexity(run)


def test_nothing_is_measured_where_nothing_is_asked_for(tiny: Path, tmp_path: Path) -> None:
    with opened(tmp_path, tiny) as run:
        assert perplexity(run) is None
        assert "perplexity" not in json.dumps(run.manifest["stages"])
