"""The `openai` generator against servers that misbehave: nothing lost or paid twice, clear errors, no key told."""

from __future__ import annotations

import email.utils
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from siked_core import Completion, Message, ModelError, Problem, Prompt, RecipeError, Request, Sampling
from siked_core.registry import Registry
from siked_core.testing import make_tiny_student
from siked_plugins.generators.openai import OpenAIGenerator
from siked_plugins.generators.openai.asks import SHORT_QUESTION, Writer
from siked_plugins.generators.openai.failures import Failure, Words
from siked_plugins.generators.openai.options import OpenAIOptions
from siked_plugins.generators.openai.pace import Pace, backoff, retry_after
from siked_plugins.generators.openai.replies import Reader

KEY = "sk-secret-0123456789abcdefghij"
SAMPLING = Sampling(0.7, 0.9, 64)


def requests(number: int, draws: int = 1, prefix: str = "") -> list[Request]:
    return [
        Request(
            Problem(f"p{i}", f"q{i}", "4"), None, Prompt((Message("user", f"q{i}"),), prefix), draw, i * 2**40 + draw
        )
        for i in range(number)
        for draw in range(draws)
    ]


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of our own choice are short; those that a server asks for are not."""
    from siked_plugins.generators.openai import pace, work

    monkeypatch.setattr(pace, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(work, "GRACE_S", 0.5)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, fast: None) -> Iterator[Callable[..., OpenAIGenerator]]:
    """A generator for a server, closed at the end."""
    made: list[OpenAIGenerator] = []
    monkeypatch.setenv("TEST_KEY", KEY)

    def make(api: Any, **options: Any) -> OpenAIGenerator:
        made.append(OpenAIGenerator({"model": "m", "base_url": api.url, "api_key_env": "TEST_KEY", **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "siked-openai"]


def all_of(generator: OpenAIGenerator, wanted: list[Request], sampling: Sampling = SAMPLING) -> dict[int, Completion]:
    found: dict[int, Completion] = {}
    for place, completion in generator.generate(wanted, sampling):
        assert place not in found, "one answer each"
        found[place] = completion
    return found


def take(generator: OpenAIGenerator, wanted: list[Request], found: dict[int, Completion]) -> None:
    """As the core does: what was yielded is kept, whatever comes after."""
    for place, completion in generator.generate(wanted, SAMPLING):
        found[place] = completion


def until_error(
    generator: OpenAIGenerator, wanted: list[Request], kind: type[BaseException] = ModelError
) -> tuple[dict[int, Completion], str]:
    """What was yielded, and the error that followed."""
    found: dict[int, Completion] = {}
    with pytest.raises(kind) as raised:
        take(generator, wanted, found)
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None
    return found, str(raised.value)


# What is sent and what comes back


def test_a_request_is_what_the_recipe_says(fake_api: ModuleType, api: Any, ask: Any) -> None:
    wanted = Request(
        Problem("1", "2+2?", "4"),
        None,
        Prompt((Message("system", "Be brief."), Message("user", "2+2?"))),
        0,
        2**40 + 3,
    )
    generator = ask(api, extra={"top_k": 20}, concurrency=1)
    found = all_of(generator, [wanted], Sampling(0.7, 0.9, 32, ("END",)))
    assert found == {0: Completion("To 2+2?.", "stop", 9, 5)}
    [call] = api.calls
    assert call.path == "/chat/completions"
    assert call.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}],
        "max_tokens": 32,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["END"],
        "top_k": 20,
    }
    assert call.headers["authorization"] == f"Bearer {KEY}"


def test_fields_can_be_left_out_and_renamed(api: Any, ask: Any) -> None:
    all_of(ask(api, omit=["temperature", "seed", "top_p"], max_tokens_name="max_completion_tokens"), requests(1))
    assert api.calls[0].body.keys() == {"model", "messages", "max_completion_tokens"}


def test_completions_come_as_they_are_ready(fake_api: ModuleType, api: Any, ask: Any) -> None:
    release = threading.Event()

    def respond(call: Any) -> Any:
        if call.question == "q0":
            release.wait(20)
        return fake_api.Reply(fake_api.answer("x"))

    api.respond = respond
    stream = ask(api).generate(requests(3), SAMPLING)
    assert {next(stream)[0], next(stream)[0]} == {1, 2}
    release.set()
    assert [place for place, _ in stream] == [0]


def test_concurrency_is_learnt_and_kept_below_its_maximum(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.respond = lambda call: fake_api.Reply(fake_api.answer("x"), after_s=0.05)
    assert len(all_of(ask(api, concurrency=6), requests(60))) == 60
    starts = sorted(call.at for call in api.calls)
    assert len(starts) == 60
    in_flight = max(sum(0 <= other - start < 0.04 for other in starts) for start in starts)
    assert 5 <= in_flight <= 6


@pytest.mark.parametrize(
    ("finish", "tokens", "ended"),
    [
        ("stop", 5, "stop"),
        ("length", 64, "length"),
        ("eos_token", 5, "stop"),
        (None, 5, "stop"),
        (None, 64, "length"),
        ("content_filter", 5, "refused"),
        (7, 5, "stop"),
    ],
)
def test_how_it_ended_is_told_in_our_words(
    fake_api: ModuleType, api: Any, ask: Any, finish: Any, tokens: int, ended: str
) -> None:
    api.respond = lambda call: fake_api.Reply(fake_api.answer("text", finish=finish, usage=(9, tokens)))
    assert all_of(ask(api), requests(1))[0] == Completion("text", ended, 9, tokens)  # type: ignore[arg-type]


def test_refusals_in_the_message_and_texts_in_parts(fake_api: ModuleType, api: Any, ask: Any) -> None:
    def respond(call: Any) -> Any:
        parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b\ud800"}]
        message = {"content": None, "refusal": "I cannot."} if call.question == "q0" else {"content": parts}
        return fake_api.Reply(fake_api.answer("") | {"choices": [{"message": message, "finish_reason": "stop"}]})

    api.respond = respond
    found = all_of(ask(api), requests(2))
    assert (found[0].text, found[0].finish_reason) == ("", "refused")
    assert (found[1].text, found[1].finish_reason) == ("ab?", "stop")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_that_is_returned_apart_stands_before_the_answer(
    fake_api: ModuleType, api: Any, ask: Any, field: str
) -> None:
    def respond(call: Any) -> Any:
        message = {"content": None if call.question == "q1" else "5", field: "2 and 3"}
        return fake_api.Reply(fake_api.answer("") | {"choices": [{"message": message, "finish_reason": "stop"}]})

    api.respond = respond
    found = all_of(ask(api), requests(2))
    assert found[0].text == "<think>\n2 and 3\n</think>\n\n5"
    assert found[1].text == "<think>\n2 and 3", "it ended before it answered"


@pytest.mark.parametrize("chat", [True, False])
def test_log_probabilities_are_summed(fake_api: ModuleType, api: Any, ask: Any, chat: bool, tmp_path: Path) -> None:
    logprobs = {"content": [{"logprob": -0.5}, {"logprob": -1.0}]} if chat else {"token_logprobs": [-0.5, -1.0]}

    def respond(call: Any) -> Any:
        body = fake_api.answer("x", chat=chat)
        body["choices"][0]["logprobs"] = logprobs if call.question != "q1" else {"content": [{"logprob": "low"}]}
        return fake_api.Reply(body)

    api.respond = respond
    more = {} if chat else {"endpoint": "completions", "tokenizer": str(make_tiny_student(tmp_path / "student"))}
    found = all_of(ask(api, logprobs=True, **more), requests(2 if chat else 1))
    assert found[0].logprob == -1.5
    assert api.calls[0].body["logprobs"] in (True, 0)
    if chat:
        assert found[1].logprob is None


# Usage


@pytest.mark.parametrize(
    "usage",
    [None, {}, (None, None), (-1, -5), (10**12, 10**12), ("9", "5"), (True, True), (0, 0), (9.5, 1e9), [9, 5], "many"],
)
def test_impossible_counts_are_estimated_on_the_high_side_and_told_once(
    fake_api: ModuleType, api: Any, ask: Any, usage: Any
) -> None:
    api.respond = lambda call: fake_api.Reply(fake_api.answer("x" * 30, usage=usage))
    generator = ask(api)
    with pytest.warns(UserWarning, match="sends no counts of tokens, or impossible ones"):
        found = all_of(generator, requests(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        all_of(generator, requests(3))
    assert found[0] == Completion("x" * 30, "stop", 8 * 2 + 1, 10)


def test_one_request_for_several_samples_is_billed_once(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.respond = lambda call: fake_api.Reply(
        fake_api.answer(*("x" * (i + 1) for i in range(call.body["n"])), usage=(101, 77))
    )
    found = all_of(ask(api, n=3), requests(2, draws=3))
    assert [call.body["n"] for call in api.calls] == [3, 3]
    assert [found[place].text for place in range(6)] == ["x", "xx", "xxx"] * 2
    assert sum(one.prompt_tokens for one in found.values()) == 2 * 101
    assert sum(one.completion_tokens for one in found.values()) == 2 * 77
    assert found[2].completion_tokens > found[0].completion_tokens > 0


def test_a_server_that_gives_fewer_samples_is_asked_singly(fake_api: ModuleType, api: Any, ask: Any) -> None:
    generator = ask(api, n=4, concurrency=1)
    with pytest.warns(UserWarning, match="gives fewer samples than the 4"):
        found = all_of(generator, requests(3, draws=4))
    assert sorted(found) == list(range(12))
    assert Counter(api.questions) == {"q0": 4, "q1": 4, "q2": 4}
    all_of(generator, requests(1, draws=2))
    assert "n" not in api.calls[-1].body


# Storms, drips and lies


def test_a_storm_of_429_loses_nothing_and_pays_nothing_twice(fake_api: ModuleType, api: Any, ask: Any) -> None:
    turned = Counter[str]()

    def respond(call: Any) -> Any:
        turned[call.question] += 1
        if turned[call.question] <= 4:  # more than the retries, which are for faults
            return fake_api.Reply(fake_api.refusal("slow down"), 429, {"Retry-After-Ms": "10"})
        return fake_api.Reply(fake_api.answer("x"))

    api.respond = respond
    assert len(all_of(ask(api, concurrency=32, retries=2), requests(20))) == 20
    assert Counter(api.questions) == {f"q{i}": 1 for i in range(20)}


@pytest.mark.parametrize("date", [False, True])
def test_retry_after_is_kept_to(fake_api: ModuleType, api: Any, ask: Any, date: bool) -> None:
    def respond(call: Any) -> Any:
        if call.number == 0:
            said = email.utils.formatdate(time.time() + 2.0, usegmt=True) if date else "1.0"
            return fake_api.Reply(fake_api.refusal("later"), 429, {"Retry-After": said})
        return fake_api.Reply(fake_api.answer("x"))

    api.respond = respond
    assert len(all_of(ask(api, concurrency=1), requests(3))) == 3
    first, second = api.calls[:2]
    assert second.at - first.at >= (0.9 if date else 1.0)


def test_a_server_that_asks_for_too_long_a_wait_ends_the_command(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.respond = lambda call: fake_api.Reply(fake_api.refusal("tomorrow"), 429, {"Retry-After": "7200"})
    _, said = until_error(ask(api, patience=60), requests(2))
    assert "it asks to wait 7,200 seconds, and the option patience is 60. HTTP 429: tomorrow" in said


def test_a_server_that_stays_busy_is_given_up(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.respond = lambda call: fake_api.Reply(fake_api.refusal("busy"), 503, {"Retry-After": "0.1"})
    _, said = until_error(ask(api, patience=0.5), requests(2))
    assert "it has turned away every request for 0.5 seconds. HTTP 503: busy" in said


FAULTS: dict[str, dict[str, Any]] = {
    "500": {"body": {"error": {"message": "oops"}}, "status": 500},
    "502 with a page": {"body": b"<html>Bad gateway</html>", "status": 502, "headers": {"Content-Type": "text/html"}},
    "half a reply": {"body": b'{"choices": [{"message": {"content": "half', "cut": 30},
    "half a JSON text": {"body": b'{"choices": [{"message"', "headers": {"Content-Type": "application/json"}},
    "a page": {"body": b"<html>hello</html>", "headers": {"Content-Type": "text/html"}},
    "no bytes": {"body": b""},
    "reset": {"cut": -1},
    "nested too deeply": {"body": b"[" * 200_000},
    "not UTF-8": {"body": b'{"choices": "\xff\xfe"}'},
    "no choices": {"body": {"choices": []}},
    "no choices but words": {"body": {"error": {"message": "upstream failed", "code": 502}}},
    "choices that are none": {"body": {"choices": [None]}},
    "a message that is none": {"body": {"choices": [{"message": "hello"}]}},
    "a number for a text": {"body": {"choices": [{"message": {"content": 7}}]}},
    "a list": {"body": [1, 2]},
    "a text beyond its limit": {"body": {"choices": [{"message": {"content": "x" * 100_000}}]}},
    "broken off": {"body": {"choices": [{"message": {"content": "x"}, "finish_reason": "abort"}]}},
    "compressed": {"body": b"\x1f\x8b", "headers": {"Content-Encoding": "gzip"}},
    "a lie about its length": {"body": b"{}", "headers": {"Content-Length": "5000"}, "cut": 2},
    "a drip": {"body": {"choices": []}, "drip_s": 0.3},
    "408": {"body": {}, "status": 408},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_asked_again_and_the_rest_goes_on(fake_api: ModuleType, api: Any, ask: Any, fault: str) -> None:
    failed = set[str]()

    def respond(call: Any) -> Any:
        if call.question in ("q1", "q3") and call.question not in failed:
            failed.add(call.question)
            return fake_api.Reply(**FAULTS[fault])
        return fake_api.Reply(fake_api.answer(f"To {call.question}."))

    api.respond = respond
    found = all_of(ask(api, timeout=3.0 if fault == "a drip" else 20), requests(6))
    assert [found[place].text for place in range(6)] == [f"To q{place}." for place in range(6)]
    assert len(api.calls) == 8


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"a drip"}))
def test_a_server_that_only_fails_is_one_clear_line(fake_api: ModuleType, api: Any, ask: Any, fault: str) -> None:
    api.respond = lambda call: fake_api.Reply(**FAULTS[fault])
    found, said = until_error(ask(api, retries=2), requests(3))
    assert found == {}
    assert "3 attempts failed, and nothing else was answered: " in said
    assert said.endswith("What was answered is kept, and the same command goes on from there.")
    assert "\n" not in said
    assert "<html>" not in said
    assert len(said) < 500


def test_a_reply_without_end_is_broken_off(
    fake_api: ModuleType, api: Any, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from siked_plugins.generators.openai import clients

    monkeypatch.setattr(clients, "LARGEST_REPLY", 1 << 20)
    api.respond = lambda call: fake_api.Reply(b" " * (4 << 20))
    _, said = until_error(ask(api, retries=0), requests(1))
    assert "the reply is larger than 1 MiB" in said


def test_nobody_there(ask: Any) -> None:
    class Nowhere:
        url = "http://127.0.0.1:9/v1"

    _, said = until_error(ask(Nowhere, retries=1), requests(2))
    assert "The model 'm' at http://127.0.0.1:9/v1 cannot be asked: 2 attempts failed" in said
    assert "the connection failed (" in said


def test_one_that_always_fails_does_not_keep_the_others_from_being_kept(
    fake_api: ModuleType, api: Any, ask: Any
) -> None:
    def respond(call: Any) -> Any:
        bad = call.question == "q2"
        return fake_api.Reply(fake_api.refusal("oops"), 500) if bad else fake_api.Reply(fake_api.answer("x"))

    api.respond = respond
    found, said = until_error(ask(api, retries=2, concurrency=2), requests(40))
    assert sorted(found) == [place for place in range(40) if place != 2]
    assert "the request for problem 'p2' failed in 3 attempts, while others were answered: HTTP 500: oops" in said
    with pytest.warns(UserWarning, match="recorded as refused: problem 'p2': HTTP 500: oops"):
        found = all_of(ask(api, retries=2, skip_failing=True), requests(40))
    assert found[2] == Completion("", "refused", 0, 0)
    with pytest.warns(UserWarning, match="recorded as refused"):  # alone, as after an interruption: a probe tells
        assert all_of(ask(api, retries=1, skip_failing=True), requests(3)[2:]) == {0: Completion("", "refused", 0, 0)}


# The user's to mend


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, "does not accept the key. Set the env"),
        (402, {"error": {"message": "no money"}}, "HTTP 402: no money"),
        (404, {"error": {"message": "The model `m` does not exist"}}, "HTTP 404: The model `m` does not exist. There"),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, "The account has no credit left"),
        (400, {"error": {"message": "max_tokens is too large: 99999"}}, "HTTP 400: max_tokens is too large: 99999"),
        (403, {"error": {"message": f"the key {KEY} may not"}}, "HTTP 403: the key *** may not"),
        (422, {"detail": [{"msg": f"Unknown field {KEY}"}]}, "HTTP 422: [{'msg': 'Unknown field ***'}]"),
        (400, {"detail": "No such model"}, "HTTP 400: No such model"),
        (400, {"error": "No such model"}, "HTTP 400: No such model"),
        (400, {"odd": 1}, "HTTP 400: {'odd': 1}"),
    ],
)
def test_what_no_request_survives_is_one_line(
    fake_api: ModuleType, api: Any, ask: Any, status: int, body: Any, said: str
) -> None:
    api.respond = lambda call: fake_api.Reply(body, status)
    found, error = until_error(ask(api), requests(30))
    assert found == {}
    assert said in error
    assert len(api.calls) <= 20


def test_what_had_arrived_is_given_before_a_fatal_error(fake_api: ModuleType, api: Any, ask: Any) -> None:
    """Also what is answered after it, because it was under way."""

    def respond(call: Any) -> Any:
        if call.question == "q10":
            return fake_api.Reply(fake_api.refusal("key revoked"), 401)
        return fake_api.Reply(fake_api.answer("x"), after_s=0.3 if call.question == "q9" else 0.0)

    api.respond = respond
    found, _ = until_error(ask(api, concurrency=4), requests(40))
    assert 9 in found
    assert len(found) == len(api.answered)
    assert len(found) < 20


# Refusals of single requests


def refuse_some(fake_api: ModuleType, *refused: str) -> Callable[[Any], Any]:
    def respond(call: Any) -> Any:
        if call.question in refused:
            return fake_api.Reply(fake_api.refusal("too long", code="context_length_exceeded"), 400)
        return fake_api.Reply(fake_api.answer("x"))

    return respond


def test_a_refused_request_does_not_end_the_run(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.respond = refuse_some(fake_api, "q0", "q7", "q19")
    with pytest.warns(UserWarning, match="recorded as refused: problem 'p0': HTTP 400: too long") as told:
        found = all_of(ask(api), requests(20))
    assert len(told) == 1
    assert sorted(place for place, one in found.items() if one.finish_reason == "refused") == [0, 7, 19]
    assert found[7] == Completion("", "refused", 0, 0)
    assert Counter(call.question for call in api.calls)["q7"] == 1


def test_only_refused_ones_are_left_after_an_interruption(fake_api: ModuleType, api: Any, ask: Any) -> None:
    """Nothing else is answered, so the same prompt with a short question is asked: the question is what is refused."""
    api.respond = refuse_some(fake_api, "q0")
    wanted = requests(1)[0]
    shots = (Message("system", "Solve."), Message("user", "shot"), Message("assistant", "done"))
    wanted = Request(wanted.problem, None, Prompt((*shots, *wanted.prompt.messages)), 0, 1)
    with pytest.warns(UserWarning, match="recorded as refused"):
        assert all_of(ask(api), [wanted]) == {0: Completion("", "refused", 0, 0)}
    probe = api.calls[1].body["messages"]
    assert [one["content"] for one in probe] == ["Solve.", "shot", "done", SHORT_QUESTION]


def test_when_everything_is_refused_nothing_is_recorded(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.respond = refuse_some(fake_api, SHORT_QUESTION, *(f"q{i}" for i in range(100)))
    found, said = until_error(ask(api), requests(100))
    assert found == {}
    assert "the server refuses every request. HTTP 400: too long" in said
    assert len(api.calls) < 30


def test_a_server_that_begins_to_refuse_in_the_middle(fake_api: ModuleType, api: Any, ask: Any) -> None:
    """A key was revoked, a server started anew with a smaller window: no sample is recorded as refused for that."""
    api.respond = lambda call: (
        fake_api.Reply(fake_api.answer("x"))
        if call.number < 20
        else fake_api.Reply(fake_api.refusal("not allowed"), 403)
    )
    found, said = until_error(ask(api, concurrency=4), requests(100))
    assert len(found) == 20
    assert {one.finish_reason for one in found.values()} == {"stop"}
    assert "HTTP 403: not allowed" in said


# Interruptions


def test_nothing_is_left_running_when_nobody_wants_more(fake_api: ModuleType, api: Any, ask: Any) -> None:
    api.respond = lambda call: fake_api.Reply(fake_api.answer("x"), after_s=0.0 if call.question == "q0" else 5.0)
    stream = ask(api, concurrency=4).generate(requests(30), SAMPLING)
    assert next(stream)[0] == 0
    began = time.monotonic()
    stream.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 3
    time.sleep(0.5)  # what was sent before may be read by the server only now
    sent = len(api.calls)
    time.sleep(0.5)
    assert len(api.calls) == sent <= 8


def test_an_interruption_keeps_what_was_answered_and_what_soon_will_be(
    fake_api: ModuleType, api: Any, ask: Any
) -> None:
    def respond(call: Any) -> Any:
        if call.question == "q3":
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            return fake_api.Reply(fake_api.answer("soon"), after_s=0.3)
        if call.question == "q4":
            return fake_api.Reply(fake_api.answer("late"), after_s=5)
        if call.number > 5:
            return fake_api.Reply(fake_api.answer("x"), after_s=1)
        return fake_api.Reply(fake_api.answer("x"))

    api.respond = respond
    generator = ask(api, concurrency=2)
    all_of(generator, requests(3))
    found: dict[int, Completion] = {}
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        take(generator, requests(20)[3:], found)
    assert time.monotonic() - began < 3
    assert found[0].text == "soon"
    assert 1 not in found
    answered = len(api.answered)
    time.sleep(0.3)
    assert len(api.answered) == answered, "nothing is under way any more"


# Keys


def test_keys_come_from_the_environment_and_go_nowhere_else(
    fake_api: ModuleType, api: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    generator = OpenAIGenerator({"model": "m", "base_url": api.url})
    all_of(generator, requests(1))
    generator.close()
    assert KEY not in str(api.calls[0].headers), "a key is not sent to a server that it was not named for"
    assert OpenAIOptions(model="m").key() == KEY
    monkeypatch.setenv("OPENAI_BASE_URL", api.url)
    generator = OpenAIGenerator({"model": "m"})
    all_of(generator, requests(1))
    generator.close()
    assert api.calls[1].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in caplog.text
    assert KEY not in generator.fingerprint + repr(generator.options) + generator.options.model_dump_json()


def test_a_missing_key_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelError, match="The environment variable OPENAI_API_KEY is not set"):
        OpenAIGenerator({"model": "m"}).open()
    monkeypatch.setenv("OTHER_KEY", "two words")
    with pytest.raises(ModelError, match="OTHER_KEY holds cannot be a key") as raised:
        OpenAIGenerator({"model": "m", "api_key_env": "OTHER_KEY"}).open()
    assert "two words" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"api_key_env": KEY}, "must be the NAME of an environment variable"),
        ({"api_key_env": "gsk_" + "abc123" * 6}, "must be the NAME of an environment variable"),
        ({"api_key": KEY}, "Unknown option of the generator 'openai': 'api_key'"),
        ({"extra": {"api_key": KEY}}, "'extra.api_key' looks like a credential"),
        ({"extra": {"nested": [{"Authorization": KEY}]}}, "'extra.nested[0].Authorization' looks like a credential"),
        ({"extra": {"user": KEY}}, "'extra.user' looks like a credential"),
        ({"extra": {"user": "held-by-a-variable"}}, "'extra.user' looks like a credential"),
        ({"base_url": f"https://me:{KEY}@example.com/v1"}, "must not hold a user, a password or a query"),
        ({"base_url": f"https://example.com/v1?api-key={KEY}"}, "must not hold a user, a password or a query"),
        ({"base_url": "example.com"}, "base_url must be a URL"),
        ({"extra": {"seed": 1}}, "extra must not have 'seed', which is set by siked, for every sample its own"),
        ({"extra": {"temperature": 1}}, "which is set by the recipe"),
        ({"endpoint": "completions", "prefill": "last_message"}, "prefill is for the endpoint chat"),
        ({"tokenizer": "x"}, "for the endpoint completions"),
        ({"concurrency": 0}, "concurrency"),
        ({"modle": "x"}, "Did you mean 'model'?"),
    ],
)
def test_options_that_do_not_fit_are_refused_without_showing_a_secret(
    options: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "held-by-a-variable")
    with pytest.raises(RecipeError) as raised:
        Registry.discover().create("generator", "openai", {"model": "m", **options})
    assert said in str(raised.value)
    assert KEY not in str(raised.value)
    assert "abc123abc123" not in str(raised.value)


def test_ordinary_extras_are_taken() -> None:
    extra = {
        "max_tokens_per_turn": 1,
        "stop_token_ids": [1],
        "skip_special_tokens": True,
        "prompt_cache_key": "siked",
        "chat_template_kwargs": {"enable_thinking": False},
        "reasoning_effort": "low",
    }
    assert OpenAIOptions(model="m", extra=extra).extra == extra
    with pytest.raises(ValidationError):
        OpenAIOptions(model="m", extra={"access_token": "x"})


def test_without_the_client_one_line_names_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['openai'] = None\nfrom siked_core.registry import Registry\n"
        "r = Registry.discover()\nassert r.find('openai')[0].status == 'active'\n"
        "try:\n    r.create('generator', 'openai', {'model': 'm', 'base_url': 'http://x/v1'}).open()\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.stdout.startswith("PluginError The generators 'openai' and 'vllm' need OpenAI's client"), done.stderr
    assert "pip install 'siked[openai]'" in done.stdout


# Students: an answer that begins with given words


def test_a_tag_needs_an_endpoint_that_can(fake_api: ModuleType, api: Any, ask: Any) -> None:
    wanted = requests(1, prefix="<cot>\n")
    with pytest.raises(
        ModelError, match=r"cannot be made to begin its answer with '<cot>' .* endpoint to 'completions'"
    ):
        all_of(ask(api), wanted)
    all_of(ask(api, prefill="continue_final_message"), wanted)
    body = api.calls[-1].body
    assert body["messages"][-1] == {"role": "assistant", "content": "<cot>\n"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    api.respond = lambda call: fake_api.Reply(fake_api.answer("<cot>\n2 + 2 = 4"))
    assert all_of(ask(api, prefill="last_message"), wanted)[0].text == "2 + 2 = 4"


def test_completions_send_what_the_student_was_trained_on(
    fake_api: ModuleType, api: Any, ask: Any, tmp_path: Path
) -> None:
    from siked_core.models import encode, load_tokenizer

    student = str(make_tiny_student(tmp_path / "student"))
    tokenizer = load_tokenizer(student)
    api.respond = lambda call: fake_api.Reply(fake_api.answer("5", chat=False))
    wanted = requests(1, prefix="<cot>\n")
    assert all_of(ask(api, endpoint="completions", model=student), wanted)[0].text == "5"
    assert api.calls[0].path == "/completions"
    assert api.calls[0].body["prompt"] == encode(tokenizer, wanted[0].prompt)
    rendered = OpenAIGenerator({"model": student, "endpoint": "completions"}).rendered(wanted[0].prompt)
    assert tokenizer(rendered, add_special_tokens=False)["input_ids"] == api.calls[0].body["prompt"]
    assert OpenAIGenerator({"model": student}).rendered(wanted[0].prompt) is None
    all_of(ask(api, endpoint="completions", tokenizer=student, prompt_as="text"), wanted)
    text = api.calls[1].body["prompt"]
    assert text.endswith("<cot>\n")
    assert not tokenizer.bos_token or not text.startswith(tokenizer.bos_token)


# What a sample is known by


def test_the_fingerprint_is_what_changes_samples(tmp_path: Path) -> None:
    def known(**options: Any) -> str:
        return OpenAIGenerator({"model": "m", **options}).fingerprint

    same = (
        {"base_url": "http://a/v1"},
        {"concurrency": 3, "timeout": 1, "retries": 0, "patience": 1},
        {"api_key_env": "OTHER"},
        {"n": 4},
        {"batch": True},
        {"skip_failing": True},
    )
    other = (
        {"model": "m2"},
        {"revision": "int8"},
        {"extra": {"top_k": 5}},
        {"omit": ["temperature"]},
        {"endpoint": "completions"},
        {"prefill": "last_message"},
    )
    assert {known(**options) for options in same} == {known()}
    assert len({known(), *(known(**options) for options in other)}) == 1 + len(other)
    student = make_tiny_student(tmp_path / "student")
    before = known(model=str(student))
    (student / "config.json").write_text((student / "config.json").read_text() + "\n")
    assert known(model=str(student)) != before, "a folder is known by its files"


def test_asks_are_known_by_what_is_asked() -> None:
    writer = Writer(OpenAIOptions(model="m"))
    wanted = requests(1)[0]
    first, again, second = writer.asks([wanted, requests(2)[1], wanted], SAMPLING)
    assert first.id != second.id
    assert again.id == f"{first.id}-2"
    assert writer.asks(requests(1), SAMPLING)[0].id == first.id
    assert writer.asks(requests(1), Sampling(0.7, 0.9, 65))[0].id != first.id


# The pace


def test_the_limit_doubles_then_halves_then_creeps() -> None:
    now = [0.0]
    pace = Pace(64, clock=lambda: now[0])
    limits = [pace.limit]
    for _ in range(3):
        for _ in range(pace.limit):
            pace.answered()
        limits.append(pace.limit)
    assert limits == [4, 8, 16, 32]
    for _ in range(32):  # all of one volley: it is one sign
        pace.busy(0.0, 1.0)
    assert pace.limit == 16
    assert 1.0 <= pace.resume_at <= 1.1
    now[0] = 5.0
    pace.busy(4.0, None)
    assert pace.limit == 8
    assert pace.busy_for == 5.0
    for _ in range(9):
        pace.answered()
    assert pace.limit == 9
    assert pace.busy_for == 0
    for _ in range(20):
        now[0] += 1
        pace.busy(now[0], 0.0)
    assert pace.limit == 1


@given(st.lists(st.sampled_from(["answered", "busy", "strained"]), max_size=200), st.integers(1, 50))
def test_the_limit_stays_between_one_and_the_maximum(events: list[str], most: int) -> None:
    now = [0.0]
    pace = Pace(most, clock=lambda: now[0])
    for event in events:
        now[0] += 1
        if event == "answered":
            pace.answered()
        elif event == "busy":
            pace.busy(now[0], None)
        else:
            pace.strained(now[0])
        assert 1 <= pace.limit <= most


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015"}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == pytest.approx(seconds)


@given(st.integers(1, 10_000))
def test_waits_grow_with_jitter_and_end_somewhere(failures: int) -> None:
    assert 0 < backoff(failures) <= 60


# Anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "text",
                    "finish_reason",
                    "usage",
                    "prompt_tokens",
                    "logprobs",
                    "error",
                ]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(JSON, st.sampled_from(["chat", "completions"]))
def test_whatever_a_server_sends_is_a_completion_or_a_fault(reply: Any, endpoint: Any) -> None:
    options = OpenAIOptions(model="m", endpoint="chat", logprobs=True)
    ask = Writer(options).asks(requests(1), SAMPLING)[0]
    options = OpenAIOptions(model="m", endpoint=endpoint, logprobs=True)
    reader = Reader(options, Words(options, KEY))
    for body in (reply, {"choices": [reply], "usage": reply}, {"choices": [{"message": reply, "text": "x"}]}):
        try:
            found = reader.read(ask, json.dumps(body))
        except Failure:
            continue
        for one in found:
            one.text.encode()
            assert 0 <= one.prompt_tokens < 2**31
            assert 0 <= one.completion_tokens < 2**31


@given(st.text() | st.builds(lambda a, b: a + KEY + b, st.text(), st.text()))
def test_no_words_of_a_server_hold_the_key(said: str) -> None:
    words = Words(OpenAIOptions(model="m"), KEY)
    cleaned = words.clean(said)
    assert KEY not in cleaned
    assert "\n" not in cleaned
    assert len(cleaned) <= 250


def test_the_documented_options_are_options() -> None:
    page = (Path(__file__).parents[1] / "docs" / "generators.md").read_text(encoding="utf-8")
    tables = [yaml.safe_load(found) for found in re.findall(r"^\| .*`(\{model: .*\})`", page, re.MULTILINE)]
    blocks = [yaml.safe_load(found) for found in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    chosen = [next(iter(block.values()))["generator"] for block in blocks]
    assert (len(tables), [one["name"] for one in chosen]) == (6, ["openai", "openai", "vllm", "ray"])
    for options in [*tables, *(one["options"] for one in chosen if one["name"] == "openai")]:
        OpenAIOptions(**{"model": "the student", **options})
    for one in chosen[2:]:
        Registry.discover().create("generator", one["name"], one["options"])


def test_it_is_listed_and_described() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        generator = Registry.discover().create("generator", "openai", {"model": "m", "concurrency": 4, "n": 2})
    assert generator.chunk_size == 64
    assert not generator.batch_sensitive
