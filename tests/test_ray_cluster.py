"""Ray with a cluster of two nodes on this machine: `make test-ray`. Nodes and workers are killed while they work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

# Ray lets its workers yield to all else (15); on a busy machine tests would wait for them without end.
os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"})
os.environ.pop("RAY_ADDRESS", None)

import polars as pl
import pytest

from siked_core import (
    Claim,
    Completion,
    Message,
    ModelError,
    PluginError,
    Problem,
    Prompt,
    Rationale,
    Request,
    Sampling,
    Status,
)
from siked_core.recipe import validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.stages.teach import teach
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_plugins.generators.ray import RayGenerator

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SAMPLING = Sampling(1.0, 0.9, 24)
MIB = 2**20


@dataclass
class Nodes:
    """The head, where this process works, and a second node that may be killed."""

    cluster: Any
    second: Any = None

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def whole(self) -> Nodes:
        """With both nodes."""
        if self.second is None:
            self.second = self.cluster.add_node(num_cpus=1, object_store_memory=100 * MIB)
        return self

    def kill_second(self) -> None:
        """As a power cut would end it."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = None


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, load: Callable[[Path], ModuleType]) -> Iterator[ModuleType]:
    """The generator of `fake_slow.py`, installed for this process, its children and the cluster's nodes."""
    folder = tmp_path_factory.mktemp("installed")
    source = Path(__file__).with_name("fake_slow.py")
    (folder / source.name).write_text(source.read_text())
    information = folder / "fake_slow-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-slow\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[siked]\ngenerator-slow = fake_slow\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        import fake_slow

        yield fake_slow


@pytest.fixture(scope="module")
def two_nodes(slow: ModuleType) -> Iterator[Nodes]:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * MIB}
    nodes = Nodes(Cluster(initialize_head=True, head_node_args=head))
    yield nodes
    nodes.cluster.shutdown()


@pytest.fixture
def nodes(two_nodes: Nodes) -> Nodes:
    return two_nodes.whole()


@pytest.fixture
def registry(slow: ModuleType) -> Registry:
    return Registry.discover()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("models") / "student")


def requests(number: int) -> list[Request]:
    return [
        Request(Problem(f"p{n}", f"{n}+1?", str(n + 1)), None, Prompt((Message("user", f"{n}+1?"),)), n % 2, n)
        for n in range(number)
    ]


def notes(folder: Path) -> dict[int, list[str]]:
    """What each worker has answered, by its process."""
    return {int(path.name): path.read_text().splitlines() for path in folder.iterdir()}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def soon(what: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


# Generation


def test_a_model_writes_on_two_nodes_what_it_writes_here(nodes: Nodes, registry: Registry, model: Path) -> None:
    through = registry.create(
        "generator", "ray", {"generator": "transformers", "model": str(model), "address": nodes.address, "workers": 2}
    )
    directly = registry.create("generator", "transformers", {"model": str(model)})
    through.open()
    assert soon(lambda: _both_ready(through))
    pairs = list(through.generate(requests(64), SAMPLING))
    again = dict(through.generate(requests(5), SAMPLING))
    through.close()
    found, wanted = dict(pairs), dict(directly.generate(requests(64), SAMPLING))
    assert len(pairs) == 64
    assert {place: _bare(one) for place, one in found.items()} == {place: _bare(one) for place, one in wanted.items()}
    assert all(abs((found[place].logprob or 0) - (wanted[place].logprob or 0)) < 1e-3 for place in wanted)
    assert {place: _bare(one) for place, one in again.items()} == {place: _bare(wanted[place]) for place in range(5)}


def _both_ready(generator: Any) -> bool:
    workers = generator._workers
    for slot in workers._ready():
        workers._advance(slot)
    return [slot.state for slot in workers._slots] == ["idle", "idle"]


def _bare(completion: Completion) -> tuple[Any, ...]:
    return completion.text, completion.finish_reason, completion.prompt_tokens, completion.completion_tokens


def slow_options(nodes: Nodes, folder: Path, **more: Any) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    inner = {"name": "slow", "options": {"notes": str(folder), **more.pop("inner", {})}}
    return {"generator": inner, "address": nodes.address, "workers": [1, 2], **more}


def slow_run(folder: Path, name: str, generator: dict[str, Any], slow: ModuleType, model: Path) -> Run:
    recipe = validate(toy_recipe(model, teacher={"generator": generator, "samples": 4}))
    return start(recipe, toy_registry(RayGenerator, slow.Slow), SilentReporter(), runs=folder, name=name)


@pytest.mark.parametrize("batch_sensitive", [False, True])
@pytest.mark.filterwarnings("ignore:A Ray worker died")
def test_a_node_that_is_killed_half_way_costs_nothing_but_time(
    tmp_path: Path, nodes: Nodes, slow: ModuleType, model: Path, batch_sensitive: bool
) -> None:
    """A teacher's pool is whole, has nothing twice, and is what it is without Ray; few samples were drawn twice."""
    folder = tmp_path / "notes"
    inner = {"seconds": 0.1, "batch_sensitive": batch_sensitive}
    options = slow_options(nodes, folder, inner=inner, batch=8)
    killed: list[float] = []

    def kill() -> None:
        if soon(lambda: len(notes(folder)) == 2 and all(len(done) > 2 for done in notes(folder).values()), 90):
            nodes.kill_second()
            killed.append(time.monotonic())

    with slow_run(tmp_path, "through", {"name": "ray", "options": options}, slow, model) as run:
        killer = threading.Thread(target=kill)
        killer.start()
        teach(run)
        killer.join()
        through = run.pool("teacher").read()
    assert killed, "both nodes worked"
    (tmp_path / "here").mkdir()
    directly = {"name": "slow", "options": {"notes": str(tmp_path / "here"), **inner}}
    with slow_run(tmp_path, "directly", directly, slow, model) as run:
        teach(run)
        here = run.pool("teacher").read()
    columns = ["key", "text", "logprob"]
    assert through.get_column("key").is_unique().all()
    assert through.select(columns).sort("key").equals(here.select(columns).sort("key"))
    drawn = sum(len(done) for done in notes(folder).values())
    assert here.height <= drawn <= here.height + 8


@pytest.mark.filterwarnings("ignore:A Ray worker died")
def test_work_that_kills_its_workers_ends_in_one_line_and_keeps_the_rest(
    tmp_path: Path, nodes: Nodes, registry: Registry
) -> None:
    options = slow_options(nodes, tmp_path / "notes", inner={"dies": "21+1?"}, retries=1, batch=4)
    generator = registry.create("generator", "ray", options)
    found: dict[int, Completion] = {}

    def ask() -> None:
        for place, completion in generator.generate(requests(24), SAMPLING):
            assert place not in found
            found[place] = completion

    with pytest.raises(PluginError, match=r"^2 Ray workers have died over the same work; the last: ") as raised:
        ask()
    generator.close()
    assert "\n" not in str(raised.value)
    assert {*range(8)} <= found.keys() <= {*range(24)} - {21}


def test_an_error_of_the_model_is_told_as_it_is_without_ray(nodes: Nodes, registry: Registry, tmp_path: Path) -> None:
    options = slow_options(nodes, tmp_path / "notes", inner={"fails": "3+1?"}, workers=1)
    generator = registry.create("generator", "ray", options)
    with pytest.raises(ModelError, match=r"^The model cannot read '3\+1\?'\. Ask it something else\.$"):
        list(generator.generate(requests(8), SAMPLING))
    generator.close()


@pytest.mark.parametrize(
    ("asked", "room"),
    [
        ({"workers": 8}, "8 workers of 1 CPU and 0 GPUs, and the Ray cluster has room for 2"),
        ({"workers": 8, "gpus": 1}, "8 workers of 1 CPU and 1 GPU, and the Ray cluster has room for 0"),
        ({"workers": [1, 2], "cpus": 2}, "1 worker of 2 CPUs and 0 GPUs, and the Ray cluster has room for 0"),
    ],
)
def test_what_the_cluster_cannot_hold_is_told_at_once(
    nodes: Nodes, registry: Registry, tmp_path: Path, asked: dict[str, Any], room: str
) -> None:
    generator = registry.create("generator", "ray", slow_options(nodes, tmp_path / "notes", **asked))
    began = time.monotonic()
    with pytest.raises(PluginError, match=f"{room}: 2 nodes with 2 CPUs and 0 GPUs, of which 2 and 0 are free"):
        generator.open()
    generator.close()
    assert time.monotonic() - began < 15


def test_a_cluster_that_others_fill_is_not_waited_for_without_end(
    nodes: Nodes, registry: Registry, tmp_path: Path
) -> None:
    options = slow_options(nodes, tmp_path / "notes", workers=2)
    first = registry.create("generator", "ray", options)
    first.open()
    assert soon(lambda: _both_ready(first))
    second = registry.create("generator", "ray", {**options, "startup_timeout": 3})
    with pytest.raises(PluginError, match=r"No Ray worker has begun within 3 seconds.*of which 0 and 0 are free"):
        second.open()
    second.close()
    assert len(dict(first.generate(requests(4), SAMPLING))) == 4, "what is another's goes on"
    first.close()


def test_a_node_without_siked_is_named(nodes: Nodes, registry: Registry, tmp_path: Path) -> None:
    """Its Python finds no module of siked's: a `sitecustomize` on that node's path sees to it."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('siked_core', 'siked_plugins'):\n"
        "            raise ModuleNotFoundError(f\"No module named '{name}'\", name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
    )
    nodes.kill_second()
    path = f"{blocked}{os.pathsep}{os.environ['PYTHONPATH']}"
    nodes.second = nodes.cluster.add_node(num_cpus=2, object_store_memory=100 * MIB, env_vars={"PYTHONPATH": path})
    generator = registry.create("generator", "ray", slow_options(nodes, tmp_path / "notes", workers=1, cpus=2))
    with pytest.raises(PluginError, match="A node of the Ray cluster has no siked") as raised:
        generator.open()
    generator.close()
    nodes.kill_second()
    assert "\n" not in str(raised.value)
    assert "Install the same version of siked" in str(raised.value)


# Verification

HOSTILE = [
    "answer = 2 + 2",
    "answer = 5",
    "import os\nos.kill(os.getppid(), 9)",
    "while True: pass",
    "import subprocess\nsubprocess.run(['ls'])",
    "x = [0] * 10**10",
    "class A:\n    value = 4\nanswer = A.value",
    "open('/etc/passwd').read()",
    "import sympy\nanswer = sympy.Integer(4)",
    "1/0",
    "def f():\n    return f()\nf()",
    "print('x' * 10**7)\nanswer = 4",
]
BUSY = "class A: pass\nn = 0\nfor i in range(600_000): n += i\nanswer = 4"
"""A program for the cage that takes a moment."""
MANY = 80


def claims(programs: list[str]) -> list[Claim]:
    return [Claim(Problem(str(n), "2+2?", "4"), Rationale("pot", text, text)) for n, text in enumerate(programs)]


@pytest.mark.filterwarnings("ignore:A Ray worker died")
def test_programs_are_judged_on_two_nodes_as_here_also_when_one_is_killed(nodes: Nodes, registry: Registry) -> None:
    inner = {"name": "program", "options": {"timeout_s": 3}}
    through = registry.create("verifier", "ray", {"verifier": inner, "address": nodes.address, "workers": 2})
    directly = registry.create("verifier", "program", inner["options"])
    wanted = directly.verify(claims([*HOSTILE, BUSY]))
    directly.close()
    assert {Status.CORRECT, Status.WRONG, Status.TIMEOUT, Status.CRASHED, Status.REFUSED} <= {v.status for v in wanted}
    assert through.verify(claims([*HOSTILE, BUSY])) == wanted
    killed: list[bool] = []

    def kill() -> None:
        slots = through._workers._slots
        if soon(lambda: [slot.state for slot in slots] == ["working"] * 2, 30):
            killed.append([slot.state for slot in slots] == ["working"] * 2)
            nodes.kill_second()

    killer = threading.Thread(target=kill)
    killer.start()
    found = through.verify(claims([*HOSTILE[:3], *[BUSY] * MANY]))
    killer.join()
    through.close()
    assert killed == [True], "a node that worked"
    assert found == [*wanted[:3], *[wanted[-1]] * MANY]


def test_a_bug_in_a_verifier_shows_where_it_was(nodes: Nodes, registry: Registry) -> None:
    through = registry.create("verifier", "ray", {"verifier": "program", "address": nodes.address, "workers": 1})
    with pytest.raises(AttributeError) as raised:
        through.answers([None])  # type: ignore[list-item]
    assert "On a Ray worker" in raised.value.__notes__[0]
    assert "program.py" in raised.value.__notes__[0]
    assert through.answers([Rationale("pot", "answer = 1", "answer = 1")])[0].answer == "1", "it works on"
    through.close()


# Whole commands


def commanded(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "siked_cli", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=900, check=False, env={**os.environ, **environment}
    )


def test_a_whole_run_with_teacher_student_and_judge_through_ray(nodes: Nodes, tmp_path: Path) -> None:
    spread = f"address: '{nodes.address}', workers: 1"
    done = commanded(
        tmp_path,
        *("distill", "--preset", "pocket-smoke", "--strategies", "cot,pot"),
        *("--set", f"teacher.generator={{name: ray, options: {{generator: pocket, {spread}}}}}"),
        *("--set", f"student.generator={{name: ray, options: {{generator: transformers, {spread}}}}}"),
        *("--set", f"verifiers={{pot: {{name: ray, options: {{{spread}}}}}}}"),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "ray" not in done.stderr.lower().replace("siked distill", ""), done.stderr
    run = tmp_path / "runs" / "pocket-001"
    assert (run / "report.json").exists()
    for pool in (run / "pools" / "teacher", run / "pools" / "round-1"):
        assert pl.scan_parquet(pool / "*.parquet").collect().get_column("key").is_unique().all()
    # The student needs no cluster where it is used.
    solved = commanded(
        tmp_path, "solve", str(run / "students" / "round-1"), "What is 3 + 4?", RAY_ADDRESS="127.0.0.1:1"
    )
    assert solved.returncode == 0, solved.stderr
    # The teacher's samples and their verdicts are those that it comes to without Ray, under the same keys.
    plainly = commanded(tmp_path, "teach", "--preset", "pocket-smoke", "--strategies", "cot,pot", "--run", "plain")
    assert plainly.returncode == 0, plainly.stderr
    for table in ("pools", "verdicts"):
        rows = [
            pl.scan_parquet(folder / table / "teacher" / "*.parquet").collect().sort("key")
            for folder in (run, tmp_path / "runs" / "plain")
        ]
        assert rows[0].equals(rows[1])


def raylets() -> set[int]:
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if "raylet" in (folder / "cmdline").read_text().split("\0")[0] and alive(int(folder.name)):
                found.add(int(folder.name))
    return found


@pytest.mark.usefixtures("two_nodes")
def test_without_an_address_a_cluster_is_started_and_ended_in_silence(tmp_path: Path) -> None:
    before = raylets()
    generator = "{name: ray, options: {generator: pocket, workers: 1}}"
    done = commanded(
        tmp_path,
        *("teach", "--preset", "pocket-smoke", "--strategies", "cot", "--set", f"teacher.generator={generator}"),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    said = [line for line in done.stderr.splitlines() if "ray" in line.lower() or "warn" in line.lower()]
    assert said == []
    assert soon(lambda: raylets() <= before, 20)


def test_an_interrupted_command_ends_its_workers_and_keeps_what_they_wrote(
    nodes: Nodes, tmp_path: Path, begun: Callable[..., Any]
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    inner = f"{{name: slow, options: {{notes: '{folder}', seconds: 0.2}}}}"
    generator = f"{{name: ray, options: {{generator: {inner}, address: '{nodes.address}', workers: 1}}}}"
    arguments = ["teach", "--preset", "pocket-smoke", "--strategies", "cot", "--set", f"teacher.generator={generator}"]
    with begun(tmp_path, *arguments) as process:
        assert soon(lambda: any(len(done) > 6 for done in notes(folder).values()), 120)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        out, said = process.communicate(timeout=60)
    took = time.monotonic() - sent
    assert (process.returncode, out) == (130, "")
    assert said.splitlines()[-1].startswith("Interrupted. To continue where it stopped: siked teach"), said
    assert "Traceback" not in said
    assert took < 10
    assert soon(lambda: not any(alive(pid) for pid in notes(folder)), 10)
    kept = pl.scan_parquet(tmp_path / "runs" / "pocket-001" / "pools" / "teacher" / "*.parquet").collect()
    assert kept.height >= 3
