"""The `vllm` generator with a real vLLM server, on whatever this machine has: `make test-vllm`.

Servers take half a minute and more to start on a CPU, so most tests share one.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from siked_core import Completion, Message, ModelError, PluginError, Problem, Prompt, Request, Sampling
from siked_core.manifest import read_manifest
from siked_core.models import encode, load_tokenizer
from siked_core.recipe import Recipe, resolve
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import attach
from siked_core.stages.prepare import problems
from siked_core.testing import make_tiny_student
from siked_plugins.generators.transformers import TransformersGenerator
from siked_plugins.generators.vllm import VllmGenerator, environment
from siked_plugins.generators.vllm.server import Server

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
START_S = 600
Written = tuple[str, int, float]
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
    """Random weights; vLLM wants heads of 32 numbers at least, and on a CPU loads no other weights into tied ones."""
    return make_tiny_student(tmp_path_factory.mktemp("models") / "chat", hidden_size=128, tied=False)


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


@pytest.fixture(scope="module")
def other(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model after a little training, as far as a server can tell."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models") / "other"
    shutil.copytree(model, folder)
    changed = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    changed.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapters(model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two LoRA adapters of the model, as PEFT writes them, of the ranks 4 and 8."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folders = []
    for rank in (4, 8):
        torch.manual_seed(rank)
        config = LoraConfig(r=rank, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        made = get_peft_model(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), config)
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if "lora_B" in name:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
        folders.append(tmp_path_factory.mktemp("adapters") / str(rank))
        made.save_pretrained(folders[-1])
    return folders


def merged(model: Path, adapter: Path, folder: Path) -> Path:
    """The model with the adapter in its weights, by transformers and PEFT."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    PeftModel.from_pretrained(base, str(adapter)).merge_and_unload().save_pretrained(folder)
    load_tokenizer(str(model)).save_pretrained(folder)
    return folder


def greedy(generator: Any) -> list[Written]:
    """Texts, tokens and log-probabilities (nats). vLLM keeps back a last character of which a byte is lacking, as
    random weights write them."""
    found = dict(generator.generate(requests(6, "<cot>\n"), GREEDY))
    ordered = [found[place] for place in range(6)]
    return [(one.text.rstrip("\ufffd"), one.completion_tokens, one.logprob or 0.0) for one in ordered]


def alike(some: list[Written], others: list[Written]) -> bool:
    return all(one[:2] == other[:2] and abs(one[2] - other[2]) < 0.01 for one, other in zip(some, others, strict=True))


def here(folder: Path) -> list[Written]:
    return greedy(TransformersGenerator({"model": str(folder), "dtype": "float32", "device": "cpu"}))


def shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("psm_*")}


def mapped(pid: int) -> set[str]:
    found = Path(f"/proc/{pid}/maps").read_text()
    return {line.rpartition("/")[2] for line in found.splitlines() if "/dev/shm/psm_" in line}


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


INSIDE = """\
import json, sys, weakref
from pathlib import Path
import torch
from siked_cli.main import main
from siked_core import Message, ModelError, Problem, Prompt, Request, Sampling
from siked_plugins.generators.vllm import VllmGenerator

model, other, *command = sys.argv[1:]

def make(folder, **more):
    return VllmGenerator({"model": folder, "max_model_len": 512, "engine": "inside", **more})

def requests(number, prefix=""):
    return [
        Request(Problem(f"p{i}", f"q{i}", "4"), None, Prompt((Message("user", f"q{i}"),), prefix), 0, i)
        for i in range(number)
    ]

def write(generator, wanted, sampling):
    found = dict(generator.generate(wanted, sampling))
    return [
        [one.text, one.completion_tokens, one.logprob, one.prompt_tokens, one.finish_reason]
        for one in (found[place] for place in range(len(wanted)))
    ]

one = make(model)
told = {"fingerprint": one.fingerprint, "greedy": write(one, requests(6, "<cot>\\n"), Sampling(0.0, 1.0, 24))}
told["sampled"] = write(one, requests(24), Sampling(1.0, 0.9, 24))
character = next(c for place, c in enumerate(told["sampled"][0][0]) if place and c.isascii())
told["stopped"] = [character, *write(one, requests(1), Sampling(1.0, 0.9, 24, (character,)))[0]]
long, nearly = (
    Request(Problem(str(size), "?", "4"), None, Prompt((Message("user", "x" * size),)), 0, 1) for size in (800, 490)
)
told["long"] = write(one, [long, nearly, *requests(1)], Sampling(1.0, 0.9, 24))
try:
    make(other).open()
except ModelError as error:
    told["second"] = str(error)
left = one.generate(requests(4), Sampling(1.0, 0.9, 200))
left.close()
stopped_early = one.generate(requests(4), Sampling(1.0, 0.9, 24))
next(stopped_early)
stopped_early.close()
told["after an interruption"] = write(one, requests(2), Sampling(1.0, 0.9, 24))
weights = weakref.ref(one._inside._llm.llm_engine._get_driver_model_for_cleanup())
one.set_aside()
same = make(model)
same.open()
told["taken over"] = weights() is not None and same._inside is not None
same.set_aside()
VllmGenerator.make_room()
told["freed"] = weights() is None and not torch.distributed.is_initialized()
next_one = make(other)
told["other"] = write(next_one, requests(6, "<cot>\\n"), Sampling(0.0, 1.0, 24))
next_one.close()
Path("told.json").write_text(json.dumps(told))
sys.exit(main(command))
"""


def test_in_one_process_with_siked_it_writes_what_the_server_writes(
    teacher: VllmGenerator,
    peer: TransformersGenerator,
    model: Path,
    other: Path,
    tmp_path: Path,
    load: Callable[[Path], ModuleType],
) -> None:
    """vLLM's Python with this one's siked."""
    found, beside = environment.find(), tmp_path / "beside"
    if not load(Path(__file__).parents[1] / "benchmarks" / "vllm_alone.py").beside(beside, found.python):
        pytest.skip(f"vLLM's Python is of another version than this one, {sys.version_info[:2]}")

    choice = {"name": "vllm", "options": {"model": str(model), "engine": "inside", "max_model_len": 512}}
    command = ["teach", "--preset", "pocket-smoke", "--strategies", "cot", "--run", "mine"]
    for setting in (
        "strategies=[{name: cot, options: {shots: 0, instruction: ''}}]",
        f"teacher.generator={json.dumps(choice)}",
        "teacher.samples=1",
        "teacher.temperature=0",
        "teacher.max_tokens=24",
    ):
        command += ["--set", setting]
    done = subprocess.run(
        [found.python, "-c", INSIDE, str(model), str(other), *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(beside)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "told.json").read_text())

    def plain(rows: list[list[Any]]) -> list[Written]:
        return [(text.rstrip("\ufffd"), tokens, logprob) for text, tokens, logprob, *_ in rows]

    assert told["fingerprint"] == teacher.fingerprint
    assert alike(plain(told["greedy"]), greedy(peer))
    assert alike(plain(told["greedy"]), greedy(teacher))
    assert alike(plain(told["other"]), here(other))
    served = dict(teacher.generate(requests(24), SAMPLING))
    written = [(one.text, one.completion_tokens, one.logprob or 0.0) for _, one in sorted(served.items())]
    assert alike([tuple(row[:3]) for row in told["sampled"]], written)
    assert [row[3:] for row in told["sampled"]] == [
        [one.prompt_tokens, one.finish_reason] for _, one in sorted(served.items())
    ]
    assert told["after an interruption"][0][0] == written[0][0]
    character, stopped = told["stopped"][0], told["stopped"][1:]
    assert (stopped[0], stopped[4]) == (written[0][0][: written[0][0].index(character)], "stop")
    long, nearly, usual = told["long"]
    assert (long[0], long[4], usual[0]) == ("", "refused", written[0][0])
    assert (nearly[1] + nearly[3], nearly[4]) == (512, "length")
    assert "takes one model at a time" in told["second"]
    assert told["taken over"]
    assert told["freed"]

    pool = tmp_path / "runs" / "mine" / "pools" / "teacher"
    samples = pl.concat(pl.read_parquet(shard) for shard in pool.glob("0*.parquet")).sort("problem_id")
    assert samples.height == 48
    registry, recipe = Registry.discover(), resolve(preset="pocket-smoke")
    strategy = registry.create("strategy", "cot", {"shots": 0, "instruction": ""})
    known = {one.id: one for one in registry.create("dataset", "pocket", recipe.dataset.options).load("train").problems}
    asked = [known[name] for name in samples["problem_id"]]
    wanted = [Request(one, strategy, strategy.teacher_prompt(one), 0, 0) for one in asked]
    expected = dict(peer.generate(wanted, GREEDY))
    texts = [expected[place].text.rstrip("\ufffd") for place in range(48)]
    assert [text.rstrip("\ufffd") for text in samples["text"]] == texts


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


KNOCK = """\
import socket, sys
with socket.socket(socket.AF_UNIX) as knocking:
    try:
        knocking.connect(sys.argv[1])
        print("in")
    except PermissionError:
        print("refused")
"""


def test_nobody_else_can_reach_it(teacher: VllmGenerator, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert teacher._kept is not None
    server = teacher._kept.server
    key = server.key
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    command = [sys.executable, "-I", "-c", KNOCK, str(server.socket)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "in\n"
    if os.geteuid() == 0:  # as somebody else
        python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
        other = subprocess.run([python, *command[1:]], capture_output=True, text=True, user=65534, check=True)
        assert other.stdout == "refused\n", "the development endpoints ask for no key"
    monkeypatch.setattr(server, "key", "another")
    assert server.ask("GET", "/v1/models", None, 30)[0] == 401
    monkeypatch.undo()
    members = group(leader_of(model))
    assert len(members) >= 2
    assert not [arguments for arguments in processes().values() if any(key in part for part in arguments)]
    assert server.log_path is not None
    assert key not in server.log_path.read_text()
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
    assert addresses <= {socket.inet_aton("127.0.0.1")[::-1].hex().upper()}


def test_a_server_that_is_killed_is_told_and_leaves_nothing(teacher: VllmGenerator, model: Path) -> None:
    """The last of this server."""
    before = shared_memory() - {path for pid in group(leader_of(model)) for path in mapped(pid)}
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
    assert teacher._kept is not None
    log = teacher._kept.server.log_path
    assert log is not None
    assert str(log) in said
    assert soon(lambda: shared_memory() <= before)
    shutil.rmtree(log.parent)


# One server for several models


def test_one_server_is_given_other_weights_and_adapters(
    model: Path,
    other: Path,
    adapters: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = shared_memory()
    started: list[str] = []
    start = Server.start
    monkeypatch.setattr(Server, "start", lambda self, *given: (started.append(self.model), start(self, *given))[1])
    took: dict[str, float] = {}

    def answers(what: str, **options: Any) -> list[Written]:
        one = VllmGenerator({"model": str(model), "max_model_len": 512, "between": "sleep", **options})
        began = time.monotonic()
        one.open()
        took[what] = time.monotonic() - began
        found = greedy(one)
        one.set_aside()
        return found

    try:
        expected = {"base": here(model), "other": here(other)}
        for place, adapter in enumerate(adapters):
            expected[f"adapter {place}"] = here(merged(model, adapter, tmp_path / str(place)))
        assert not any(alike(one, two) for one, two in combinations(expected.values(), 2))
        assert alike(answers("adapter 1", adapter=str(adapters[1])), expected["adapter 1"])
        leader = leader_of(model)
        used = seconds_of(group(leader))
        time.sleep(5)
        assert seconds_of(group(leader)) - used < 3, "a server that rests does not spin: that would take 5 s and more"
        assert alike(answers("adapter 0", adapter=str(adapters[0])), expected["adapter 0"])
        assert alike(answers("base"), expected["base"])
        VllmGenerator.make_room()  # as before a training: it falls asleep
        assert alike(answers("other", model=str(other)), expected["other"])
        assert alike(answers("base again"), expected["base"])
        assert alike(answers("adapter 1 again", adapter=str(adapters[1])), expected["adapter 1"])
        assert (started, leader_of(model)) == ([str(model)], leader)
        assert max(seconds for what, seconds in took.items() if what != "adapter 1") < 20
        os.killpg(leader, signal.SIGKILL)  # all of it, as nothing that tidies up can outlive
        assert soon(lambda: not servers(model))
        assert shared_memory() <= before
    finally:
        VllmGenerator.release()
    with capsys.disabled():
        print(" ".join(f"{what}: {seconds:.2f} s;" for what, seconds in took.items()))


def seconds_of(pids: list[int]) -> float:
    """The processor's time that processes have taken."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


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
    logs = set(Path(tempfile.gettempdir()).glob("siked-vllm-*"))

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
    assert set(Path(tempfile.gettempdir()).glob("siked-vllm-*")) <= logs


# A whole run


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, scholar: ModuleType) -> Path:
    """A teacher that knows the pocket world's training problems."""
    options = resolve(preset="pocket-smoke").dataset.options
    known = Registry.discover().create("dataset", "pocket", options).load("train").problems
    folder: Path = scholar.train_scholar(tmp_path_factory.mktemp("scholar"), known, ("cot", "pot"))
    return folder


def test_a_student_is_distilled_by_two_servers(
    learned: Path, scholar: ModuleType, untied_pocket: Path, siked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher's, and one for the students of all rounds, which are trained beside it."""
    started: list[str] = []
    start = Server.start
    monkeypatch.setattr(Server, "start", lambda self, *given: (started.append(self.model), start(self, *given))[1])
    strategies = f"strategies={json.dumps([{'name': name, 'options': scholar.NO_SHOTS} for name in ('cot', 'pot')])}"
    student = f"student.generator={json.dumps({'name': 'vllm', 'options': {'between': 'keep'}})}"
    told = siked(
        *("distill", "--preset", "pocket-smoke", "--run", "mine", "--teacher", f"vllm:{learned}", "--json"),
        *("--student", str(untied_pocket), "--set", strategies, "--set", "teacher.max_tokens=128", "--set", student),
    )
    assert json.loads(told.out)
    run = tmp_path / "runs" / "mine"
    assert started == [str(learned), str(run / "students" / "round-0")]
    assert servers(learned) == []
    assert servers(run / "students" / "round-0") == []
    teacher = pl.concat(pl.read_parquet(shard) for shard in (run / "pools" / "teacher").glob("0*.parquet"))
    mixture = pl.read_parquet(run / "mixtures" / "round-0.parquet")
    assert teacher.height == 96
    assert mixture.height > 10, "what the teacher was right about"

    # What the server wrote as each student is what that student writes in this process.
    recipe, registry = Recipe.model_validate(read_manifest(run)["recipe"]), Registry.discover()
    with attach("mine", registry, SilentReporter(), runs=tmp_path / "runs") as opened:
        for name in ("round-0", "round-1"):
            here = TransformersGenerator({"model": str(run / "students" / name), "dtype": "float32", "device": "cpu"})
            pools = (run / "pools" / "evaluations" / name).glob("*-validation/0*.parquet")
            wrote = pl.concat(pl.read_parquet(shard) for shard in pools)
            known = {one.id: one for one in problems(opened, "validation")}
            rows = wrote.sort("problem_id").head(8).to_dicts()
            wanted = [
                Request(
                    known[row["problem_id"]],
                    None,
                    opened.format.prompt(known[row["problem_id"]].question, row["requested"]),
                    0,
                    0,
                )
                for row in rows
            ]
            expected = dict(here.generate(wanted, Sampling(max_tokens=recipe.evaluation.max_tokens)))
            assert [row["text"] for row in rows] == [expected[place].text for place in range(len(rows))]
