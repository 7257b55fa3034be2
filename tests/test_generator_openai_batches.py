"""The `openai` generator through a provider's batch API: found again after a kill, paid for once, partial failures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from siked_core import Completion, Message, ModelError, Problem, Prompt, Request, Sampling
from siked_plugins.generators.openai import OpenAIGenerator

SAMPLING = Sampling(0.7, 1.0, 64)
KEY = "sk-secret-0123456789abcdefghij"


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, api: Any) -> Iterator[Callable[..., OpenAIGenerator]]:
    from siked_plugins.generators.openai import pace

    monkeypatch.setattr(pace, "FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("TEST_KEY", KEY)
    made: list[OpenAIGenerator] = []

    def make(**options: Any) -> OpenAIGenerator:
        fixed = {"model": "m", "base_url": api.url, "api_key_env": "TEST_KEY", "batch": True, "poll": 0.01}
        made.append(OpenAIGenerator({**fixed, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def requests(number: int, draws: int = 1) -> list[Request]:
    return [
        Request(Problem(f"p{i}", f"q{i}", "4"), None, Prompt((Message("user", f"q{i}"),)), draw, i * 2**40 + draw)
        for i in range(number)
        for draw in range(draws)
    ]


def all_of(generator: OpenAIGenerator, wanted: list[Request]) -> dict[int, Completion]:
    found = list(generator.generate(wanted, SAMPLING))
    assert len(dict(found)) == len(found), "one answer each"
    return dict(found)


def stopped(generator: OpenAIGenerator, wanted: list[Request]) -> tuple[dict[int, Completion], str]:
    found: dict[int, Completion] = {}

    def take() -> None:
        for place, completion in generator.generate(wanted, SAMPLING):
            found[place] = completion

    with pytest.raises(ModelError) as raised:
        take()
    assert KEY not in str(raised.value)
    return found, str(raised.value)


def test_a_batch_is_sent_awaited_and_fetched(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.looks_needed = 3
    api.respond = lambda call: fake_api.Reply(fake_api.answer(*[f"To {call.question}."] * call.body.get("n", 1)))
    found = all_of(ask(n=2), requests(5, draws=2)[:9])
    [batch] = api.batches.values()
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
    assert len(api.calls) == 5
    assert [call.body.get("n") for call in api.calls] == [2, 2, 2, 2, None]
    assert api.calls[0].path == "/v1/chat/completions"
    assert sorted(found) == list(range(9))
    assert found[8] == Completion("To q4.", "stop", 9, 5)
    assert ask().chunk_size == 10_000


def test_a_run_that_was_killed_finds_its_batch_again(api: Any, ask: Any) -> None:
    """Another process, which knows nothing of the first: the batch is running, or has ended."""
    api.looks_needed = 10**9

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    first = ask()
    first.open()
    with pytest.MonkeyPatch.context() as patch:
        from siked_plugins.generators.openai import batches

        patch.setattr(batches, "time", SimpleNamespace(sleep=die, monotonic=time.monotonic, time=time.time))
        stream = first.generate(requests(6), SAMPLING)
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    api.looks_needed = 1
    assert len(all_of(ask(), requests(6))) == 6
    assert len(all_of(ask(), requests(6)[2:])) == 4  # a part was written before another kill
    assert len(api.batches) == 1
    assert Counter(api.questions) == {f"q{i}": 1 for i in range(6)}
    all_of(ask(revision="other"), requests(1))  # another generator's samples are not those
    assert len(api.batches) == 2


def test_what_is_new_is_sent_beside_what_is_found(api: Any, ask: Any) -> None:
    all_of(ask(), requests(3))
    for start in range(4):  # further batches of this account, so that the list has pages
        all_of(ask(revision=str(start)), requests(1))
    assert len(all_of(ask(), requests(5))) == 5
    assert Counter(api.questions) == {"q0": 5, "q1": 1, "q2": 1, "q3": 1, "q4": 1}


def test_a_lost_reply_to_the_making_of_a_batch_makes_no_second_one(api: Any, ask: Any) -> None:
    api.create_drops = 1
    assert len(all_of(ask(), requests(3))) == 3
    assert len(api.batches) == 1


def test_a_download_that_breaks_off_is_begun_again(api: Any, ask: Any) -> None:
    api.file_drops = 2
    assert len(all_of(ask(), requests(30))) == 30
    assert len(api.batches) == 1


def test_what_an_expired_batch_left_goes_into_another(api: Any, ask: Any) -> None:
    api.batch_status = lambda number: "expired" if number < 2 else "completed"
    assert len(all_of(ask(), requests(8))) == 8
    assert len(api.batches) == 3
    assert Counter(api.questions) == {f"q{i}": 1 for i in range(8)}


def test_single_failures_go_into_another_batch_and_refusals_are_recorded(
    fake_api: ModuleType, api: Any, ask: Any
) -> None:
    def respond(call: Any) -> Any:
        if call.question == "q1" and call.number < 5:
            return fake_api.Reply({"error": {"message": "oops"}}, 500)
        if call.question == "q2":
            return fake_api.Reply(fake_api.refusal("filtered", code="content_filter"), 400)
        if call.question == "q3" and call.number < 5:
            return fake_api.Reply({"choices": "none"})
        return fake_api.Reply(fake_api.answer("x"))

    api.respond = respond
    with pytest.warns(UserWarning, match="recorded as refused: problem 'p2': HTTP 400: filtered"):
        found = all_of(ask(), requests(5))
    assert found[2] == Completion("", "refused", 0, 0)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert len(api.batches) == 2
    assert Counter(call.question for call in api.calls) == {"q0": 1, "q1": 2, "q2": 1, "q3": 2, "q4": 1}


def test_lines_that_are_missing_wrong_or_unknown(api: Any, ask: Any) -> None:
    ordinary = api.work

    def work(line: dict[str, Any]) -> dict[str, Any] | None:
        done: dict[str, Any] = ordinary(line)
        question = line["body"]["messages"][0]["content"]
        if len(api.batches) == 1:
            if question == "q0":
                return None
            if question == "q1":
                return {**done, "custom_id": "somebody else's"}
            if question == "q2":
                return {"custom_id": line["custom_id"], "response": None, "error": {"message": "batch_expired"}}
        return done

    api.work = work
    assert sorted(all_of(ask(), requests(5))) == [0, 1, 2, 3, 4]
    assert len(api.batches) == 2


def test_what_no_batch_answers_ends_in_one_line(api: Any, ask: Any) -> None:
    ordinary = api.work
    api.work = lambda line: None if line["body"]["messages"][0]["content"] == "q1" else ordinary(line)
    found, said = stopped(ask(retries=2), requests(3))
    assert sorted(found) == [0, 2]
    assert "1 requests were not answered by 3 batches: the results lack them" in said
    api.work = ordinary
    assert sorted(all_of(ask(), requests(3))) == [0, 1, 2]
    assert Counter(api.questions) == {"q0": 1, "q1": 1, "q2": 1}


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_batch_that_is_ended_by_others(api: Any, ask: Any, status: str) -> None:
    api.batch_status = lambda number: status if number == 0 else "completed"
    found, said = stopped(ask(), requests(3))
    assert f"the batch batch_0 has {status}" in said
    assert ("the file is no good" in said) == (status == "failed")
    assert len(found) == (0 if status == "failed" else 3)
    assert len(all_of(ask(), requests(3))) == 3, "the same command goes on"


def test_a_batch_that_is_refused_as_a_whole(fake_api: ModuleType, api: Any, ask: Any) -> None:
    """What was wrong may have been put right since: the same command asks again."""
    api.respond = lambda call: fake_api.Reply(fake_api.refusal("no access to this model"), 403)
    found, said = stopped(ask(), requests(3))
    assert found == {}
    assert "nothing in the batch batch_0 was answered. HTTP 403: no access to this model" in said
    api.respond = lambda call: fake_api.Reply(fake_api.answer("x"))
    assert len(all_of(ask(), requests(3))) == 3


def test_nobody_there(ask: Any) -> None:
    _, said = stopped(ask(base_url="http://127.0.0.1:9/v1", patience=0.5), requests(1))
    assert "the connection failed" in said
