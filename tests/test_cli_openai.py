"""A whole run with a teacher behind an API, as a user has it: killed, continued, counted at the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from siked_core import Sampling
from siked_core.contracts import Request
from siked_core.recipe import resolve
from siked_core.registry import Registry

KEY = "sk-secret-0123456789abcdefghij"
ARGUMENTS = ("--preset", "pocket-smoke", "--strategies", "cot,pot", "--run", "mine")


def solutions() -> dict[str, str]:
    """What the pocket teacher would write, by the messages that ask for it."""
    registry, recipe = Registry.discover(), resolve(preset="pocket-smoke")
    problems = registry.create("dataset", "pocket", recipe.dataset.options).load("train").problems
    teacher = registry.create("generator", "pocket", {"error_rate": 0.0})
    strategies = [registry.create("strategy", name) for name in ("cot", "pot")]
    wanted = [
        Request(problem, strategy, strategy.teacher_prompt(problem), 0, 0)
        for strategy in strategies
        for problem in problems
    ]
    return {
        asked([{"role": m.role, "content": m.content} for m in wanted[place].prompt.messages]): completion.text
        for place, completion in teacher.generate(wanted, Sampling())
    }


def asked(messages: list[Mapping[str, str]]) -> str:
    return json.dumps([[message["role"], message["content"]] for message in messages])


def teacher_of(url: str, **more: Any) -> str:
    options = {"model": "big", "base_url": url, "api_key_env": "TEST_KEY", "concurrency": 2, **more}
    return f"teacher.generator={json.dumps({'name': 'openai', 'options': options})}"


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "siked_cli", *arguments],
        cwd=folder,
        env={**os.environ, "TEST_KEY": KEY, "OPENAI_LOG": "debug"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(folder: Path, *arguments: str) -> tuple[int, str]:
    process = begin(folder, *arguments)
    out, said = process.communicate(timeout=600)
    return process.returncode, out + said


def serve(fake_api: ModuleType, api: Any, after_s: float = 0.0) -> Callable[[Any], Any]:
    known = solutions()

    def respond(call: Any) -> Any:
        text = known[asked(call.body["messages"])]
        return fake_api.Reply(fake_api.answer(text, usage=(1000, 100)), after_s=after_s)

    api.respond = respond
    return respond


def assert_the_key_is_nowhere(folder: Path, *said: str) -> None:
    for text in said:
        assert KEY not in text
    for path in folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_a_run_that_is_killed_pays_for_one_chunk_twice_at_most(fake_api: ModuleType, api: Any, tmp_path: Path) -> None:
    serve(fake_api, api, after_s=0.05)
    command = [
        "teach",
        *ARGUMENTS,
        "--set",
        teacher_of(api.url),
        "--set",
        "prices.models={big: {input: 2, output: 8}}",
    ]
    process = begin(tmp_path, *command)
    while len(api.answered) < 40:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.kill()
    process.communicate()
    before = len(api.answered)
    pool = tmp_path / "runs" / "mine" / "pools" / "teacher"
    kept = sum(pl.read_parquet(shard).height for shard in pool.glob("0*.parquet"))
    assert kept >= 32, "two chunks of sixteen"

    code, said = ended(tmp_path, *command)
    assert code == 0, said
    twice = {asked(call.body["messages"]): 0 for call in api.answered}
    for call in api.answered:
        twice[asked(call.body["messages"])] += 1
    again = sum(count - 1 for count in twice.values())
    assert len(twice) == 96
    assert before - kept - 2 <= again <= 16
    samples = pl.concat(pl.read_parquet(shard) for shard in pool.glob("0*.parquet"))
    assert samples.height == 96
    assert set(samples["prompt_tokens"]) == {1000}
    listed = subprocess.run(
        [sys.executable, "-m", "siked_cli", "runs", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    [run] = json.loads(listed.stdout)
    assert run["spending"]["cost"] == pytest.approx(96 * (1000 * 2 + 100 * 8) / 1e6)
    assert_the_key_is_nowhere(tmp_path, said, listed.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [True, False])
def test_an_interruption_and_an_error_keep_all_that_was_answered(
    fake_api: ModuleType, api: Any, tmp_path: Path, signalled: bool
) -> None:
    respond = serve(fake_api, api, after_s=0.05)
    command = ["teach", *ARGUMENTS, "--set", teacher_of(api.url, concurrency=4)]
    process = begin(tmp_path, *command)
    while len(api.answered) < 10:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    if signalled:
        process.send_signal(signal.SIGINT)
    else:
        api.respond = lambda call: fake_api.Reply({"error": {"message": f"Incorrect API key: {KEY}"}}, 401)
    out, said = process.communicate(timeout=120)
    assert process.returncode == (130 if signalled else 2), said
    assert "Traceback" not in said
    pool = tmp_path / "runs" / "mine" / "pools" / "teacher"
    kept = sum(pl.read_parquet(shard).height for shard in pool.glob("0*.parquet"))
    assert kept == len(api.answered)
    if not signalled:
        last = [line for line in said.splitlines() if line.startswith("Error")][-1]
        assert f"at {api.url} cannot be asked: HTTP 401: {api.url} does not accept the key. Set the" in last
    api.respond = respond
    code, told = ended(tmp_path, *command)
    assert code == 0, told
    assert set(Counter(asked(call.body["messages"]) for call in api.answered).values()) == {1}
    assert len(api.answered) == 96
    assert_the_key_is_nowhere(tmp_path, out, said, told)


def test_a_key_in_a_recipe_is_refused_before_anything_is_made(siked_says: Callable[..., str], tmp_path: Path) -> None:
    for option in (
        {"api_key": KEY},
        {"api_key_env": KEY},
        {"extra": {"user": KEY}},
        {"base_url": f"http://x:{KEY}@y/v1"},
    ):
        said = siked_says("teach", *ARGUMENTS, "--set", teacher_of("http://x/v1", **option), code=2)
        assert KEY not in said
        assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()
    shown = siked_says("plugins", "show", "openai")
    assert "api_key_env" in shown
    assert "OPENAI_API_KEY" in shown
