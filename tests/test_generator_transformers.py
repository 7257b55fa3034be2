"""The transformers generator: it writes what `model.generate` writes, and a sample depends on its own seed alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from siked_core import Completion, Message, Problem, Prompt, Request, Sampling
from siked_core.errors import ModelError
from siked_core.models import encode
from siked_core.testing import make_tiny_student
from siked_plugins.generators.drawing import invert
from siked_plugins.generators.room import ROOM, keep, spread, without
from siked_plugins.generators.transformers import TransformersGenerator

QUESTIONS = ["Two and two?", "Ann has 3 pens and finds 4 more in the desk of her brother. How many has she?", "7 x 8 ="]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("student"))


def request(question: str, draw: int = 0, seed: int = 0, prefix: str = "") -> Request:
    return Request(Problem("p", question, "0"), None, Prompt((Message("user", question),), prefix), draw, seed)


def write(generator: TransformersGenerator, requests: list[Request], sampling: Sampling) -> list[Completion]:
    found = dict(generator.generate(requests, sampling))
    return [found[place] for place in range(len(requests))]


def test_greedy_equals_generate(folder: Path) -> None:
    import torch

    generator = TransformersGenerator({"model": str(folder), "batch_size": 2})
    ours = write(generator, [request(question) for question in QUESTIONS], Sampling(max_tokens=24))
    model, tokenizer = generator._load()
    for question, completion in zip(QUESTIONS, ours, strict=True):
        ids = torch.tensor([encode(tokenizer, Prompt((Message("user", question),)))])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
        assert completion.text == tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert completion.prompt_tokens == ids.shape[1]


def test_batches_by_themselves_are_what_the_whole_chunk_is(folder: Path) -> None:
    requests = [request(question, draw, seed=draw) for question in QUESTIONS for draw in range(3)]
    sampling = Sampling(1.0, 0.9, 12)
    whole = write(TransformersGenerator({"model": str(folder), "batch_size": 2}), requests, sampling)
    generator = TransformersGenerator({"model": str(folder), "batch_size": 2})
    found: dict[int, Completion] = {}
    batches = generator.batches(requests)
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 1]
    for batch in reversed(batches):
        for place, completion in generator.generate([requests[place] for place in batch], sampling):
            found[batch[place]] = completion
    assert [found[place] for place in range(len(requests))] == whole


def readable(generator: TransformersGenerator, max_tokens: int) -> tuple[Request, Completion]:
    """A sampled completion whose bytes are whole characters, so that its text gives its tokens back."""
    _, tokenizer = generator._load()
    requests = [request("?", draw, seed=draw) for draw in range(200)]
    completions = write(generator, requests, Sampling(1.0, 1.0, max_tokens=max_tokens))
    for one, completion in zip(requests, completions, strict=True):
        tokens = tokenizer(completion.text, add_special_tokens=False)["input_ids"]
        if len(tokens) == completion.completion_tokens and "\ufffd" not in completion.text:
            return one, completion
    raise AssertionError("not one of 200 samples was readable")


def test_logprob_is_that_of_the_model(folder: Path) -> None:
    import torch

    generator = TransformersGenerator({"model": str(folder)})
    asked, completion = readable(generator, 3)
    model, tokenizer = generator._load()
    prompt = encode(tokenizer, asked.prompt)
    target = tokenizer(completion.text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logprobs = model(torch.tensor([prompt + target])).logits[0].log_softmax(-1)
    expected = sum(float(logprobs[len(prompt) - 1 + place, token]) for place, token in enumerate(target))
    assert completion.logprob == pytest.approx(expected, abs=1e-3)


def test_sample_does_not_depend_on_its_batch(folder: Path) -> None:
    sampling = Sampling(0.9, 0.95, max_tokens=20)
    requests = [
        request(question, draw, seed=100 * place + draw)
        for place, question in enumerate(QUESTIONS)
        for draw in range(4)
    ]
    together = write(TransformersGenerator({"model": str(folder), "batch_size": 12}), requests, sampling)
    alone = write(TransformersGenerator({"model": str(folder), "batch_size": 1}), requests, sampling)
    assert [one.text for one in together] == [one.text for one in alone]
    assert len({one.text for one in together[:4]}) > 1, "draws of one prompt differ"


def test_samples_follow_the_distribution(folder: Path) -> None:
    import torch

    generator = TransformersGenerator({"model": str(folder), "batch_size": 512})
    draws = 2000
    completions = write(
        generator, [request("?", draw, seed=draw) for draw in range(draws)], Sampling(1.0, 0.5, max_tokens=1)
    )
    model, tokenizer = generator._load()
    ids = torch.tensor([encode(tokenizer, Prompt((Message("user", "?"),)))])
    with torch.inference_mode():
        probabilities = model(ids).logits[0, -1].double().softmax(-1)
    ordered, tokens = probabilities.sort(descending=True)
    kept = ordered.cumsum(0) - ordered < 0.5
    allowed = {
        tokenizer.decode([int(token)], skip_special_tokens=True): float(p)
        for token, p in zip(tokens[kept], ordered[kept], strict=True)
    }
    found = Counter(completion.text for completion in completions)
    assert set(found) <= set(allowed)
    mass = sum(allowed.values())
    text, p = max(allowed.items(), key=lambda item: item[1])
    share = p / mass
    spread = 5 * (share * (1 - share) / draws) ** 0.5
    assert abs(found[text] / draws - share) < spread


def test_prefix_is_forced_and_not_returned(folder: Path) -> None:
    generator = TransformersGenerator({"model": str(folder)})
    plain, forced = write(generator, [request("?"), request("?", prefix="<pot>\n")], Sampling(max_tokens=4))
    assert forced.prompt_tokens == plain.prompt_tokens + len("<pot>\n")
    assert not forced.text.startswith("<pot>")


def test_stop_text_ends_and_is_cut(folder: Path) -> None:
    generator = TransformersGenerator({"model": str(folder)})
    asked, free = readable(generator, 3)
    stop = free.text[1:]
    (stopped,) = write(generator, [asked], Sampling(1.0, 1.0, max_tokens=3, stop=(stop,)))
    assert stopped.text == free.text[: free.text.index(stop)]
    assert (free.finish_reason, stopped.finish_reason) == ("length", "stop")


def test_missing_model_is_one_line(tmp_path: Path) -> None:
    generator = TransformersGenerator({"model": str(tmp_path / "nothing")})
    with pytest.raises(ModelError, match="Cannot load the model") as caught:
        list(generator.generate([request("?")], Sampling()))
    assert "\n" not in str(caught.value)


def test_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    one, same, other = (make_tiny_student(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    prints = [TransformersGenerator({"model": str(folder)}).fingerprint for folder in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]


def test_out_of_memory_halves_the_batch_and_changes_no_sample(folder: Path) -> None:
    import torch

    requests = [request(question, draw, seed=draw) for question in QUESTIONS for draw in range(6)]
    sampling = Sampling(1.0, 1.0, max_tokens=12)
    plain = write(TransformersGenerator({"model": str(folder), "batch_size": 4}), requests, sampling)
    cramped = TransformersGenerator({"model": str(folder), "batch_size": 16})
    model, _ = cramped._load()
    forward, most, steps = model.forward, 5, Counter[int]()

    def forward_in_little_memory(*arguments: object, **options: object) -> object:
        rows = len(options["input_ids"])  # type: ignore[arg-type]
        steps[rows] += 1
        if rows > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*arguments, **options)

    model.forward = forward_in_little_memory
    with pytest.warns(UserWarning, match="ran out of memory with .* going on with"):
        found = write(cramped, requests, sampling)
    assert [one.text for one in found] == [one.text for one in plain]
    assert steps[max(steps)] <= 2, "what was too much once is not tried again"
    most = 0
    with (
        pytest.warns(UserWarning, match="ran out of memory"),
        pytest.raises(ModelError, match="lacks memory for one sequence"),
    ):
        write(cramped, requests, sampling)


def test_a_device_map_changes_no_sample(folder: Path) -> None:
    requests = [request(question, seed=7) for question in QUESTIONS]
    sampling = Sampling(1.0, 1.0, max_tokens=12)
    plain = write(TransformersGenerator({"model": str(folder)}), requests, sampling)
    assert write(TransformersGenerator({"model": str(folder), "device_map": "cpu"}), requests, sampling) == plain


@pytest.mark.slow
def test_continuous_batching_writes_the_same_and_is_seeded(folder: Path) -> None:
    plain, continuous = (TransformersGenerator({"model": str(folder), "continuous": value}) for value in (False, True))
    assert plain.fingerprint != continuous.fingerprint
    asked = [request(question) for question in QUESTIONS]
    greedy = Sampling(max_tokens=12)
    for ours, theirs in zip(write(plain, asked, greedy), write(continuous, asked, greedy), strict=True):
        assert replace(theirs, logprob=None) == replace(ours, logprob=None)
        assert theirs.logprob == pytest.approx(ours.logprob, abs=1e-3)
    drawn = [request("?", draw, seed=draw) for draw in range(12)]
    sampling = Sampling(1.0, 1.0, max_tokens=60)
    first, again = write(continuous, drawn, sampling), write(continuous, drawn, sampling)
    assert first == again
    assert len({one.text for one in first}) > 6
    assert {one.finish_reason for one in first} == {"stop", "length"}
    assert all((one.completion_tokens == 60) == (one.finish_reason == "length") for one in first)
    assert {one.logprob for one in first} == {None}


def test_the_most_probable_tokens_decide_as_all_of_them_would() -> None:
    import torch

    torch.manual_seed(0)
    sharp, flat = torch.randn(400, 200) * 4, torch.randn(400, 200) / 4
    probabilities = torch.softmax(torch.cat([sharp, flat]).double(), dim=-1)
    uniform = torch.rand(800)
    for top_p in (0.3, 0.95, 1.0):
        by_all = invert(probabilities, top_p, uniform, likely=200)
        for likely in (1, 8, 32):
            assert torch.equal(invert(probabilities, top_p, uniform, likely), by_all)
    assert torch.equal(invert(probabilities, 1e-9, uniform), probabilities.argmax(dim=-1))


@pytest.mark.parametrize("ended", [[0], [5], [1, 2], [0, 3, 4, 5], [0, 1, 2, 3, 4]])
def test_a_cache_with_room_holds_what_one_without_holds(ended: list[int]) -> None:
    import torch
    from transformers import DynamicCache, LlamaConfig

    config = LlamaConfig(num_hidden_layers=2)
    plain, roomy = DynamicCache(config=config), DynamicCache(config=config)

    def write(rows: int, tokens: int) -> None:
        for layer in range(2):
            keys, values = torch.randn(rows, 3, tokens, 4), torch.randn(rows, 3, tokens, 4)
            for ours, theirs in zip(roomy.update(keys, values, layer), plain.update(keys, values, layer), strict=True):
                assert torch.equal(ours, theirs)

    write(3, 5)
    copies = torch.tensor([0, 0, 1, 1, 2, 2])
    plain.batch_select_indices(copies)
    spread(roomy, copies)
    for _ in range(ROOM + 3):  # more than there is room for at first
        write(6, 1)
    kept = without(ended, 6)
    assert sorted(kept) == sorted(set(range(6)) - set(ended))
    plain.batch_select_indices(torch.tensor(kept))
    keep(roomy, kept, "cpu")
    for _ in range(3):
        write(len(kept), 1)
    assert roomy.get_seq_length() == plain.get_seq_length() == 5 + ROOM + 6
