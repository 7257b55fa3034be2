"""The `vllm` generator with a real vLLM server, on whatever this machine has: `make test-vllm`.

Servers take half a minute and more to start on a CPU, so most tests share one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import Completion, Message, ModelError, PluginError, Problem, Prompt, Request, Sampling
from siked_core.models import encode, load_tokenizer
from siked_core.recipe import resolve
from siked_core.registry import Registry
from siked_core.testing import make_tiny_student
from siked_plugins.generators.transformers import TransformersGenerator
from siked_plugins.generators.vllm import VllmGenerator, environment

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
START_S = 600
SAMPLING = Sampling(1.0, 0.9, 24)
GREEDY = Sampling(0.0, 1.0, 24)


@pytest.fixture(scope="session", autouse=True)
def _environment() -> None:
    try:
        environment.find()
    except PluginError as error:
        pytest.fail(f"{error} `make test-vllm` does both.")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights; vLLM wants heads of 32 numbers at least."""
    return make_tiny_student(tmp_path_factory.mktemp("models") / "chat", hidden_size=128)


@pytest.fixture(scope="module")
def teacher(model: Path) -> Iterator[VllmGenerator]:
    one = VllmGenerator({"model": str(model), "max_model_len": 512, "startup_timeout": START_S})
    one.open()
    yield one
    one.close()
    assert group_of(one) == []


@pytest.fixture(scope="module")
def peer(model: Path) -> TransformersGenerator:
    """The same weights in this process."""
    return TransformersGenerator({"model": str(model), "dtype": "float32", "device": "cpu"})


def requests(number: int, prefix: str = "", seed: int = 0) -> list[Request]:
    return [
        Request(Problem(f"p{i}", f"q{i}", "4"), None, Prompt((Message("user", f"q{i}"),), prefix), 0, i + seed)
        for i in range(number)
    ]


def processes() -> dict[int, list[str]]:
    """What runs, and its arguments."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().split("\0")
    return found


def servers(model: Path) -> list[int]:
    """The servers of a model, and the wardens over them."""
    return [pid for pid, arguments in processes().items() if str(model) in arguments]


def group(leader: int) -> list[int]:
    found = []
    for pid in processes():
        with suppress(OSError):
            found += [pid] if os.getpgid(pid) == leader else []
    return found


def group_of(one: VllmGenerator) -> list[int]:
    return [pid for leader in servers(Path(one.options.model)) for pid in group(leader)]


def leader_of(model: Path) -> int:
    """The server itself, which leads its processes."""
    (found,) = [pid for pid in servers(model) if not any("warden.py" in part for part in processes().get(pid, []))]
    return found


def soon(what: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def take(
    generator: VllmGenerator, wanted: list[Request], found: dict[int, Completion], then: Callable[[], None]
) -> None:
    for place, completion in generator.generate(wanted, Sampling(1.0, 1.0, 400)):
        found[place] = completion
        then()


# One server


def test_a_sample_depends_on_its_seed_and_on_nothing_beside_it(teacher: VllmGenerator) -> None:
    whole = dict(teacher.generate(requests(24), SAMPLING))
    assert set(whole) == set(range(24))
    assert len({completion.text for completion in whole.values()}) > 20
    part = [requests(24)[place] for place in (17, 3, 9)]
    again = dict(teacher.generate(part, SAMPLING))
    assert [again[place].text for place in range(3)] == [whole[place].text for place in (17, 3, 9)]
    other = dict(teacher.generate(requests(24, seed=1000), SAMPLING))
    assert sum(other[place].text == whole[place].text for place in range(24)) < 3


def test_completions_say_how_they_ended_and_what_they_took(teacher: VllmGenerator, model: Path) -> None:
    tokenizer = load_tokenizer(str(model))
    for prefix in ("", "<cot>\n"):
        [wanted] = requests(1, prefix)
        completion = dict(teacher.generate([wanted], SAMPLING))[0]
        assert completion.prompt_tokens == len(encode(tokenizer, wanted.prompt))
        assert completion.completion_tokens == 24
        assert completion.finish_reason == "length"
        assert completion.logprob is not None
        assert completion.logprob < -24
    [wanted] = requests(1)
    full = dict(teacher.generate([wanted], SAMPLING))[0].text
    end = next(character for place, character in enumerate(full) if place and character.isascii())
    stopped = dict(teacher.generate([wanted], Sampling(1.0, 0.9, 24, (end,))))[0]
    assert (stopped.text, stopped.finish_reason) == (full[: full.index(end)], "stop")


def test_both_endpoints_read_the_same_prompt(teacher: VllmGenerator) -> None:
    chat = dict(teacher._client("chat").generate(requests(6), SAMPLING))
    tokens = dict(teacher._client("completions").generate(requests(6), SAMPLING))
    assert [chat[place].text for place in range(6)] == [tokens[place].text for place in range(6)]
    assert chat[0].prompt_tokens == tokens[0].prompt_tokens
    assert chat[0].logprob == pytest.approx(tokens[0].logprob, abs=1e-3)


@pytest.mark.parametrize("prefix", ["", "<cot>\n"])
def test_it_writes_what_the_model_writes_in_this_process(
    teacher: VllmGenerator, peer: TransformersGenerator, prefix: str
) -> None:
    served = dict(teacher.generate(requests(6, prefix), GREEDY))
    here = dict(peer.generate(requests(6, prefix), GREEDY))
    for place in range(6):
        # vLLM keeps back a last character of which a byte is lacking, as random weights write them.
        assert served[place].text.rstrip("\ufffd") == here[place].text.rstrip("\ufffd")
        assert served[place].prompt_tokens == here[place].prompt_tokens
        assert served[place].completion_tokens == here[place].completion_tokens
        assert served[place].logprob == pytest.approx(here[place].logprob, abs=0.01)


def test_what_is_too_long_is_recorded_and_the_rest_answered(teacher: VllmGenerator) -> None:
    long = Request(Problem("long", "?", "4"), None, Prompt((Message("user", "x" * 800),)), 0, 1)
    with pytest.warns(UserWarning, match="maximum context length is 512"):
        found = dict(teacher.generate([long, *requests(2)], SAMPLING))
    assert found[0].finish_reason == "refused"
    assert found[1].completion_tokens == 24
    nearly = Request(Problem("nearly", "?", "4"), None, Prompt((Message("user", "x" * 490),)), 0, 1)
    cut = dict(teacher.generate([nearly], SAMPLING))[0]
    assert cut.finish_reason == "length"
    assert cut.prompt_tokens + cut.completion_tokens <= 512


def test_nobody_else_can_reach_it(teacher: VllmGenerator, model: Path) -> None:
    assert teacher._server is not None
    key, url = teacher._server.key, teacher._server.url
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/models", timeout=30)
    assert raised.value.code == 401
    members = group(leader_of(model))
    assert len(members) >= 2
    assert not [arguments for arguments in processes().values() if any(key in part for part in arguments)]
    assert teacher._server.log_path is not None
    assert key not in teacher._server.log_path.read_text()
    listening = {
        row[9]: row[1].rpartition(":")[0]
        for table in ("tcp", "tcp6")
        for row in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if row[3] == "0A"
    }
    theirs = set()
    for descriptor in (path for pid in members for path in Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(OSError):
            theirs.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    addresses = {address for inode, address in listening.items() if inode in theirs}
    assert addresses == {socket.inet_aton("127.0.0.1")[::-1].hex().upper()}


def test_a_server_that_is_killed_is_told_and_leaves_nothing(teacher: VllmGenerator, model: Path) -> None:
    """The last of this server."""
    leader = leader_of(model)
    members = group(leader)
    found: dict[int, Completion] = {}

    def kill_once() -> None:
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGKILL)

    began = time.monotonic()
    with pytest.raises(ModelError) as raised:
        take(teacher, requests(64), found, kill_once)
    assert time.monotonic() - began < 60
    assert 1 <= len(found) < 64
    said = str(raised.value)
    assert "was ended by signal 9, SIGKILL (out of memory?), while it was asked." in said
    assert "What was answered is kept, and the same command goes on from there." in said
    assert soon(lambda: not set(members) & set(processes()))
    assert servers(model) == []
    assert teacher._server is not None
    log = teacher._server.log_path
    assert log is not None
    assert str(log) in said
    log.unlink()


# A run's teacher


def test_a_run_survives_and_no_server_does(model: Path, siked: Any, begun: Callable[..., Any], tmp_path: Path) -> None:
    """siked is killed, then interrupted, then finishes: every sample is there once, no server is left in between."""
    command = [
        "teach",
        "--preset",
        "pocket-smoke",
        "--strategies",
        "cot",
        "--run",
        "mine",
        "--teacher",
        f"vllm:{model}",
    ]
    for setting in (
        "strategies=[{name: cot, options: {shots: 0}}]",
        "teacher.samples=2",
        "teacher.max_tokens=64",
        "teacher.generator.options.concurrency=2",
    ):
        command += ["--set", setting]
    pool = tmp_path / "runs" / "mine" / "pools" / "teacher"
    logs = set(Path(tempfile.gettempdir()).glob("siked-vllm-*.log"))

    def rows() -> int:
        return sum(pl.read_parquet(shard).height for shard in pool.glob("0*.parquet"))

    kept = 0
    for number in (signal.SIGKILL, signal.SIGINT):
        with begun(tmp_path, *command) as process:
            before = kept
            assert soon(lambda before=before: rows() > before or process.poll() is not None, START_S)
            assert process.poll() is None, process.communicate()
            assert len(servers(model)) == 2
            process.send_signal(number)
            _, said = process.communicate(timeout=120)
        assert ("To continue where it stopped" in said) == (number == signal.SIGINT)
        assert soon(lambda: not servers(model))
        assert rows() >= kept
        kept = rows()
    siked(*command)
    assert servers(model) == []
    samples = pl.concat(pl.read_parquet(shard) for shard in pool.glob("0*.parquet"))
    assert (samples.height, samples["key"].n_unique()) == (96, 96)
    assert set(Path(tempfile.gettempdir()).glob("siked-vllm-*.log")) <= logs


# A whole run


@pytest.fixture(scope="module")
def scholar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that knows the pocket world's training problems: the pocket base, trained on them for a minute."""
    import torch
    from transformers import AutoModelForCausalLM

    registry, recipe = Registry.discover(), resolve(preset="pocket-smoke")
    base = str(registry.create("model", "pocket").folder())
    tokenizer, model = load_tokenizer(base), AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    strategies = [registry.create("strategy", name, {"shots": 0, "instruction": ""}) for name in ("cot", "pot")]
    problems = registry.create("dataset", "pocket", recipe.dataset.options).load("train").problems
    wanted = [Request(p, s, s.teacher_prompt(p), 0, 0) for s in strategies for p in problems]
    written = dict(registry.create("generator", "pocket", {"error_rate": 0.0}).generate(wanted, Sampling()))
    rows = []
    for place, request in enumerate(wanted):
        prompt = encode(tokenizer, request.prompt)
        answer = [*tokenizer(written[place].text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        rows.append((prompt + answer, [-100] * len(prompt) + answer))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    torch.manual_seed(0)
    for _ in range(14):
        for some in torch.randperm(len(rows)).split(8):
            chosen = [rows[int(place)] for place in some]
            width = max(len(ids) for ids, _ in chosen)
            ids = torch.tensor([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in chosen])
            labels = torch.tensor([found + [-100] * (width - len(found)) for _, found in chosen])
            model(input_ids=ids, labels=labels).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    folder = tmp_path_factory.mktemp("scholar")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_student_is_distilled_from_a_teacher_in_vllm(scholar: Path, siked: Any, tmp_path: Path) -> None:
    options = {"shots": 0, "instruction": ""}
    strategies = f"strategies={json.dumps([{'name': name, 'options': options} for name in ('cot', 'pot')])}"
    told = siked(
        *("distill", "--preset", "pocket-smoke", "--run", "mine", "--teacher", f"vllm:{scholar}", "--json"),
        *("--set", strategies, "--set", "teacher.max_tokens=128"),
    )
    report = json.loads(told.out)
    assert report
    assert servers(scholar) == []
    run = tmp_path / "runs" / "mine"
    teacher = pl.concat(pl.read_parquet(shard) for shard in (run / "pools" / "teacher").glob("0*.parquet"))
    mixture = pl.read_parquet(run / "mixtures" / "round-0.parquet")
    assert teacher.height == 96
    assert mixture.height > 10, "what the teacher was right about"
    for name in ("round-0", "round-1"):
        assert (run / "students" / name / "model.safetensors").exists()

    student = VllmGenerator({"model": str(run / "students" / "round-0"), "startup_timeout": START_S})
    here = TransformersGenerator({"model": str(run / "students" / "round-0"), "dtype": "float32", "device": "cpu"})
    problems = [Prompt((Message("user", f"Ann has {n} pens and buys 4. How many pens has she?"),)) for n in (3, 5)]
    wanted = [
        Request(Problem(str(place), "?", "4"), None, Prompt(prompt.messages, prefix), 0, place)
        for place, (prompt, prefix) in enumerate((prompt, prefix) for prompt in problems for prefix in ("", "<pot>\n"))
    ]
    try:
        served = dict(student.generate(wanted, GREEDY))
    finally:
        student.close()
    expected = dict(here.generate(wanted, GREEDY))
    assert [served[place].text for place in range(4)] == [expected[place].text for place in range(4)]
    assert [served[place].prompt_tokens for place in range(4)] == [expected[place].prompt_tokens for place in range(4)]
