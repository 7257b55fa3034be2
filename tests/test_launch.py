"""Training in processes of its own: what comes out is what one process makes, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import TrainingExample, TrainingRow
from siked_core.errors import CapReached, ModelError, RecipeError, RunError
from siked_core.format import StudentFormat
from siked_core.launch import TrainingFault, train_as_launched
from siked_core.launch_command import check_devices, check_launch
from siked_core.launch_slurm import SlurmJob, script
from siked_core.models import hash_files, load_tokenizer
from siked_core.order import Order
from siked_core.recipe import Recipe, differences, resolve
from siked_core.recipe_launch import LaunchRecipe, shared
from siked_core.recipe_student import LoraRecipe, StudentRecipe, TrainingRecipe
from siked_core.reporting import SilentProgress
from siked_core.student import prepare_tokenizer
from siked_core.testing import make_tiny_student
from siked_core.training import Trained, row_encoder
from siked_core.training_job import TrainingJob

FORMAT = StudentFormat.build(("cot", "pot"), "<{strategy}>\n", "")
# 19 rows, four to a step: the last step of an epoch has three, which two processes cannot share evenly.
ROWS = 19
STEPS = 10
RECIPE = TrainingRecipe(
    epochs=2, batch_size=2, accumulation=2, warm_up_steps=0, learning_rate=1e-2, max_length=256, checkpoint_steps=3
)
LORA = LoraRecipe(r=4, alpha=8)


class Followed(SilentProgress):
    """Counts steps, keeps what is told, and does something at one of them."""

    def __init__(self, at: int = -1, then: Callable[[], object] = lambda: None) -> None:
        self.steps, self.told, self._at, self._then = 0, [], at, then
        self.measured: dict[int, dict[str, float]] = {}

    def advance(self, amount: int = 1) -> None:
        before, self.steps = self.steps, self.steps + amount
        if before < self._at <= self.steps:
            self._then()

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        self.measured[step] = dict(values)

    def describe(self, text: str) -> None:
        self.told.append(text)


class World:
    """A student to train, and its examples: half of the tokens of every third row count from the second epoch on."""

    def __init__(self, folder: Path) -> None:
        self.student = make_tiny_student(folder)
        self.tokenizer = load_tokenizer(str(folder))
        prepare_tokenizer(self.tokenizer, StudentRecipe(model=str(folder)), FORMAT)
        encode = row_encoder(self.tokenizer, FORMAT)
        self.examples = []
        for n in range(ROWS):
            strategy = ("cot", "pot")[n % 2]
            text = "That is " * (n % 5) + f"{2 * n}."
            one = encode(TrainingRow(FORMAT.prompt(f"{n} and {n}?"), FORMAT.target(strategy, text), strategy))
            half = tuple(float(place % 2) for place in range(len(one.labels)))
            of_epochs = (half, (0.1,) * len(half)) if n % 3 == 0 else ()
            weights = (0.3,) * len(half) if n % 3 == 1 else ()
            self.examples.append(TrainingExample(one.input_ids, one.labels, weights, of_epochs))

    def train(self, folder: Path, lora: LoraRecipe | None = None, **given: Any) -> Trained:
        changes = {name: given.pop(name) for name in ("base", "recipe", "epochs") if name in given}
        settings = {"base": str(self.student), "epochs": 2, "recipe": RECIPE, **changes}
        others = {name: given.pop(name) for name in ("progress", "at_checkpoint", "warn", "examples") if name in given}
        job = TrainingJob(
            **settings,
            lora=lora,
            dtype="float32",
            seed=7,
            checkpoints=folder / "checkpoints",
            destination=folder / "student",
            launch=LaunchRecipe(**given),
        )
        asked = {"progress": SilentProgress(), "examples": self.examples, **others}
        return train_as_launched(job, self.tokenizer, folder=folder / "job", **asked)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def one(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """What one process makes, inside this one."""
    folder = tmp_path_factory.mktemp("one")
    return folder, world.train(folder)


def losses(folder: Path) -> list[float]:
    """Of every step, as the newest checkpoint knows them."""
    newest = max((folder / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    state = json.loads((newest / "trainer_state.json").read_text(encoding="utf-8"))
    return [entry["loss"] for entry in state["log_history"] if "loss" in entry]


def largest_difference(folder: Path, other: Path) -> float:
    from safetensors.torch import load_file

    mine, theirs = (load_file(path / "student" / "model.safetensors") for path in (folder, other))
    assert mine.keys() == theirs.keys()
    return max((mine[name] - theirs[name]).abs().max().item() for name in mine)


def workers(of: int | None = None) -> list[psutil.Process]:
    """The processes that train, without warden and launcher."""
    found = []
    for child in psutil.Process(of).children(recursive=True):
        try:
            line = child.cmdline()
        except psutil.Error:
            continue
        if "siked_core.training_job" in line and not any("warden" in part or "distributed" in part for part in line):
            found.append(child)
    return found


def kill_one() -> None:
    workers()[-1].send_signal(signal.SIGKILL)


# --- one process of its own


@pytest.mark.slow
def test_a_killed_process_of_its_own_makes_what_is_made_inside(
    world: World, one: tuple[Path, Trained], tmp_path: Path
) -> None:
    """Bit for bit; and a process that trains also pauses where it is told to."""
    inside, expected = one
    asked: list[int] = []
    progress = Followed()

    def pause_at_the_second() -> None:
        asked.append(progress.steps)
        if len(asked) == 2:
            raise CapReached("Enough.")

    with pytest.raises(CapReached, match=r"^Enough\.$"):
        world.train(tmp_path, apart=True, progress=progress, at_checkpoint=pause_at_the_second)
    assert asked == [3, 6]
    assert sorted(path.name for path in (tmp_path / "checkpoints").glob("checkpoint-*")) == [
        "checkpoint-3",
        "checkpoint-6",
    ]
    assert workers() == []
    warned: list[str] = []
    progress = Followed(at=8, then=kill_one)
    trained = world.train(tmp_path, apart=True, progress=progress, warn=warned.append)
    assert [line.partition(":")[0] for line in warned] == [
        "A process of the training was ended by signal 9, SIGKILL (out of memory?)"
    ]
    assert trained == expected
    assert progress.steps == STEPS, "steps that are taken again are not counted again"
    assert progress.told[-1] == f"loss {losses(inside)[-1]:.3f}"
    assert list(progress.measured) == list(range(7, STEPS + 1)), "the others were measured before the pause"
    assert progress.measured[STEPS]["loss"] == pytest.approx(losses(inside)[-1])
    assert progress.measured[7]["learning_rate"] > progress.measured[STEPS]["learning_rate"]
    assert losses(tmp_path) == losses(inside)
    assert hash_files(tmp_path / "student") == hash_files(inside / "student")
    assert not (tmp_path / "job").exists()


@pytest.mark.slow
def test_what_fails_there_fails_here(world: World, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^Cannot load the model '.*nowhere': "):
        world.train(tmp_path, apart=True, base=str(tmp_path / "nowhere"))
    broken = [TrainingExample(one.input_ids, one.labels[:-1]) for one in world.examples]
    with pytest.raises(TrainingFault, match=r"(?s)Traceback .*training\.py") as fault:
        world.train(tmp_path, apart=True, examples=broken)
    assert "Error: " in str(fault.value).strip().splitlines()[-1]
    assert workers() == []


@pytest.mark.slow
def test_a_process_that_dies_again_and_again_is_given_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nif 'SIKED_TRAINING_ADDRESS' in os.environ: os.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    warned: list[str] = []
    with pytest.raises(RunError, match=r"launch\.restarts = 2 is used up.*the same command goes on") as given_up:
        world.train(tmp_path, apart=True, restarts=2, warn=warned.append)
    assert len(warned) == 2
    assert f"Its log {tmp_path / 'job' / 'log.txt'} is empty" in str(given_up.value)


# --- several


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(world: World, one: tuple[Path, Trained], tmp_path: Path) -> None:
    """Also where one of them is killed, and where the weights of tokens change from epoch to epoch."""
    inside, expected = one
    warned: list[str] = []
    progress = Followed(at=5, then=kill_one)
    trained = world.train(tmp_path, processes=2, progress=progress, warn=warned.append)
    assert len(warned) == 1
    assert (trained.steps, trained.tokens) == (expected.steps, expected.tokens)
    assert trained.tokens == 2 * sum(len(example.input_ids) for example in world.examples)
    assert progress.steps == STEPS
    assert losses(tmp_path) == pytest.approx(losses(inside), rel=1e-5)
    assert trained.loss == pytest.approx(expected.loss, rel=1e-5)
    assert largest_difference(tmp_path, inside) < 1e-5
    assert workers() == []


@pytest.mark.slow
def test_two_processes_of_lora_take_the_steps_of_one(world: World, tmp_path: Path) -> None:
    expected = world.train(tmp_path / "one", lora=LORA)
    trained = world.train(tmp_path / "two", lora=LORA, processes=2)
    assert (trained.steps, trained.tokens) == (expected.steps, expected.tokens)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    assert largest_difference(tmp_path / "two", tmp_path / "one") < 1e-5


FSDP_ON_CPU = """
import runpy, sys
from accelerate import state
from accelerate.utils import DistributedType

began = state.AcceleratorState.__init__

def begin(self, *given, **named):
    began(self, *given, **named)
    plugin = named.get("fsdp_plugin")
    if plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = state.PartialState._shared_state["distributed_type"] = DistributedType.FSDP
        self.fsdp_plugin = plugin

state.AcceleratorState.__init__ = begin
sys.argv = sys.argv[1:]
from pathlib import Path
from siked_core.training_job import main
sys.exit(main(Path(sys.argv[0])))
"""


@pytest.mark.slow
def test_shards_are_put_together(world: World, tmp_path: Path) -> None:
    """FSDP2 between two processes of a CPU. accelerate has no such thing and would use DDP; so it is told here that it
    has, and all the rest is real."""
    from siked_core.training_job import write_job

    expected = world.train(tmp_path / "one", lora=LORA)
    (tmp_path / "train.py").write_text(FSDP_ON_CPU)
    job = TrainingJob(
        base=str(world.student),
        epochs=2,
        recipe=RECIPE,
        lora=LORA,
        dtype="float32",
        seed=7,
        checkpoints=tmp_path / "two" / "checkpoints",
        destination=tmp_path / "two" / "student",
        launch=LaunchRecipe(processes=2, strategy="fsdp"),
    )
    write_job(tmp_path / "job", job, world.tokenizer, world.examples)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=0"]
    done = subprocess.run(
        [*launcher, str(tmp_path / "train.py"), str(tmp_path / "job")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    (trained,) = [one["trained"] for one in said if one["said"] == "trained"] or [pytest.fail(done.stderr)]
    assert (trained["steps"], trained["tokens"]) == (expected.steps, expected.tokens)
    assert trained["loss"] == pytest.approx(expected.loss, rel=1e-5)
    assert list((tmp_path / "two" / "checkpoints").rglob("pytorch_model_fsdp_0")), "it was in shards"
    assert largest_difference(tmp_path / "two", tmp_path / "one") < 1e-5


OWNER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from test_launch import World
    from siked_core.reporting import SilentProgress

    class Told(SilentProgress):
        def advance(self, amount=1):
            print("step", flush=True)

    folder = Path({folder!r})
    World(folder / "tiny").train(folder, processes=2, epochs=10_000, progress=Told())
"""


@pytest.mark.slow
def test_nothing_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(OWNER.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        while owner.stdout.readline().strip() != "step":
            assert owner.poll() is None
        children = psutil.Process(owner.pid).children(recursive=True)
        assert len(workers(owner.pid)) == 2
        assert len(children) >= 4, "a warden, a launcher, and two that train"
    finally:
        owner.kill()
        owner.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


@pytest.mark.slow
def test_distill_with_two_processes(siked: Callable[..., Any], tmp_path: Path) -> None:
    """The whole loop; then the same run goes on with one process, since how many there are is no part of it."""
    small = ["--preset", "pocket-smoke", "--strategies", "cot", "--rounds", "0", "--set", "training.warm_up_epochs=1"]
    said = siked("distill", *small, "--run", "two", "--set", "launch.processes=2", "--json")
    assert len(json.loads(said.out)["rounds"]) == 1
    run = tmp_path / "runs" / "two"
    assert list((run / "checkpoints").iterdir()) == []
    side = json.loads((run / "students" / "round-0" / "siked.json").read_text(encoding="utf-8"))
    assert side["steps"] > 0
    again = siked("distill", *small, "--run", "two", "--json")
    assert json.loads(again.out)["rounds"] == json.loads(said.out)["rounds"]
    after = json.loads((run / "students" / "round-0" / "siked.json").read_text(encoding="utf-8"))
    assert after == side, "it is not trained again"


# --- several machines


SRUN = """#!{python}
# Starts the command once for every node, here, as Slurm would there.
import os, subprocess, sys
words = sys.argv[1:]
options = [words.pop(0) for word in list(words) if word.startswith("--") and words[0] == word]
nodes = int(dict(option[2:].partition("=")[::2] for option in options)["nodes"])
open(os.environ["SRUN_SEEN"], "a").write(" ".join(options) + "\\n")
started = [subprocess.Popen(words, env=os.environ | {{"SLURM_NODEID": str(node), "SLURM_PROCID": str(node)}})
           for node in range(nodes)]
sys.exit(max(one.wait() for one in started))
"""


def fake_srun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder.mkdir()
    (folder / "srun").write_text(SRUN.format(python=sys.executable), encoding="utf-8")
    (folder / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    monkeypatch.setenv("SRUN_SEEN", str(folder / "seen"))
    return folder / "seen"


@pytest.mark.slow
def test_two_machines_take_the_steps_of_one(
    world: World, one: tuple[Path, Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = fake_srun(tmp_path / "bin", monkeypatch)
    inside, expected = one
    trained = world.train(tmp_path, machines=2)
    assert seen.read_text() == "--nodes=2 --ntasks=2 --ntasks-per-node=1 --overlap --kill-on-bad-exit=1\n"
    assert (trained.steps, trained.tokens) == (expected.steps, expected.tokens)
    assert losses(tmp_path) == pytest.approx(losses(inside), rel=1e-5)
    assert largest_difference(tmp_path, inside) < 1e-5


def test_machines_need_an_allocation_of_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(RecipeError, match=r"launch\.machines = 2 works inside a Slurm allocation only.*launch slurm"):
        check_launch(LaunchRecipe(machines=2))
    fake_srun(tmp_path / "bin", monkeypatch)
    check_launch(LaunchRecipe(machines=2))
    with pytest.raises(RecipeError, match=r"allocation 17 has 2 nodes"):
        check_launch(LaunchRecipe(machines=3))


SBATCH = """
#SBATCH --job-name=r
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --partition=big
#SBATCH --time=1:00:00
#SBATCH --output=r-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --qos=long
""".strip()


def test_the_batch_script_says_what_is_asked_for(siked: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("preset: pocket-smoke\n")
    wanted = ["--nodes", "2", "--gpus", "4", "--partition", "big", "--time", "1:00:00", "--ray"]
    more = ["--line", "#SBATCH --qos=long", "--line", "module load cuda", "-o", "job.sh"]
    said = siked("launch", "slurm", "r.yaml", *wanted, *more)
    assert said.out.strip() == "Submit it: sbatch job.sh"
    text = (tmp_path / "job.sh").read_text(encoding="utf-8")
    assert "\n".join(line for line in text.splitlines() if line.startswith("#SBATCH")) == SBATCH
    assert "--set launch.machines=2 --set launch.processes=4 --run r" in text
    assert text.index("module load cuda") < text.index("start --head") < text.index(" distill ")
    assert subprocess.run(["bash", "-n", "job.sh"], cwd=tmp_path, check=False).returncode == 0
    said = siked("launch", "slurm", "r.yaml", "--nodes", "3", code=2)
    assert "cannot be divided among 3 processes" in said.err


SIKED = """#!/bin/bash
# What a batch script starts: it works until it is told to end, or is done when it has been before.
echo "$@" >> {folder}/started
[ -e {folder}/before ] && exit 0
touch {folder}/before
trap 'sleep 0.3; exit 143' TERM
while true; do sleep 0.1; done
"""


def test_a_job_whose_time_is_up_is_queued_again_and_goes_on(tmp_path: Path) -> None:
    """The script, with a command in siked's place that takes its time, and a `scontrol` that keeps what it was told."""
    (tmp_path / "siked").write_text(SIKED.format(folder=tmp_path))
    (tmp_path / "scontrol").write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/queued\n')
    for name in ("siked", "scontrol"):
        (tmp_path / name).chmod(0o755)
    job = SlurmJob("r", 1, [str(tmp_path / "siked"), "distill", "a recipe.yaml"], str(tmp_path))
    (tmp_path / "job.sh").write_text(script(job))
    given = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    first = subprocess.Popen(["bash", str(tmp_path / "job.sh")], env=given)
    while not (tmp_path / "before").exists():
        assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    assert first.wait(timeout=20) == 143
    assert (tmp_path / "queued").read_text() == "requeue 17\n"
    (tmp_path / "queued").unlink()
    again = subprocess.run(["bash", str(tmp_path / "job.sh")], env=given, check=False, timeout=20)
    assert again.returncode == 0
    assert not (tmp_path / "queued").exists(), "it is done"
    assert (tmp_path / "started").read_text() == "distill a recipe.yaml\n" * 2


# --- the recipe


def test_strategies_that_cannot_be_are_refused_before_anything_is_spent(siked: Callable[..., Any]) -> None:
    said = siked("distill", "--set", "launch.processes=2", "--set", "launch.strategy=deepspeed", code=2)
    assert "needs the package 'deepspeed'" in said.err
    with pytest.raises(RecipeError, match=r"launch\.strategy = fsdp needs GPUs"):
        check_devices(LaunchRecipe(processes=2, strategy="fsdp"))
    said = siked("distill", "--set", "launch.processes=3", code=2)
    assert "cannot be divided among 3 processes" in said.err
    assert "Traceback" not in said.err
    said = siked("distill", "--set", "launch.processes=2", "--set", "launch.apart=false", code=2)
    assert "several processes are always apart" in said.err


def test_how_it_is_launched_is_no_part_of_a_run() -> None:
    one, two = resolve(), resolve(assignments=["launch.processes=2", "launch.restarts=5"])
    assert one == two
    assert differences(one, two) == []
    assert Recipe().launch.world == 1


@given(batch_size=st.integers(1, 40), accumulation=st.integers(1, 40), world_size=st.integers(1, 40))
def test_the_rows_of_a_step_stay_the_same(batch_size: int, accumulation: int, world_size: int) -> None:
    rows = batch_size * accumulation
    try:
        of_one, times = shared(batch_size, accumulation, world_size)
    except ValueError as error:
        assert rows % world_size
        told = int(str(error).partition("training.accumulation=")[2].split()[0])
        of_one, times = shared(batch_size, told, world_size)
        assert of_one * times * world_size == batch_size * told
        return
    assert of_one * times * world_size == rows
    assert of_one == batch_size or times * world_size > accumulation, "accumulation is divided first"


@given(
    rows=st.integers(1, 60),
    batch_size=st.integers(1, 6),
    accumulation=st.integers(1, 6),
    processes=st.integers(2, 6),
    epoch=st.integers(0, 3),
)
def test_each_process_gets_its_share_of_the_very_same_steps(
    rows: int, batch_size: int, accumulation: int, processes: int, epoch: int
) -> None:
    """As accelerate deals batches."""
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler

    group = batch_size * accumulation
    if group % processes:
        return
    of_one, times = shared(batch_size, accumulation, processes)
    lengths = [1 + (17 * row) % 23 for row in range(rows)]
    order = Order(lengths, group, seed=3, at_once=of_one * processes)
    places = [*order.of_epoch(epoch), *[rows] * order.missing]
    dealt = [list(BatchSamplerShard(BatchSampler(places, of_one, drop_last=False), processes, number))
             for number in range(processes)]  # fmt: skip
    assert len({len(batches) for batches in dealt}) == 1, "each takes as many"
    taken = []
    for step in range(order.steps):
        mine = slice(step * times, (step + 1) * times)
        taken.append(sorted(row for batches in dealt for batch in batches[mine] for row in batch if row < rows))
    once = order.of_epoch(epoch)
    assert taken == [sorted(once[start : start + group]) for start in range(0, rows, group)]
    assert sorted(once) == list(range(rows))
    steps = order.steps * epoch + order.steps // 2
    rest = once[: (order.steps // 2) * group]
    assert order.tokens(steps) == epoch * sum(lengths) + sum(lengths[row] for row in rest)


# --- weights that change from epoch to epoch


def test_each_epoch_has_its_own_weights(world: World, tmp_path: Path) -> None:
    """Against a plain loop; broken in the middle of an epoch, and resumed."""
    import torch
    from transformers import AutoModelForCausalLM

    rate, epochs = 0.05, 3
    plain = {"learning_rate": rate, "schedule": "constant", "weight_decay": 0.0}
    recipe = RECIPE.model_copy(update={**plain, "args": {"optim": "sgd", "max_grad_norm": 1e9}})

    class Killed(Exception):  # noqa: N818
        pass

    def killed() -> None:
        raise Killed

    with pytest.raises(Killed):
        world.train(tmp_path, recipe=recipe, epochs=epochs, progress=Followed(at=8, then=killed))
    world.train(tmp_path, recipe=recipe, epochs=epochs)

    model = AutoModelForCausalLM.from_pretrained(world.student)
    order = Order([len(example.input_ids) for example in world.examples], group=4, seed=7)
    targets = sum(label != -100 for example in world.examples for label in example.labels) / ROWS
    for epoch in range(epochs):
        places = order.of_epoch(epoch)
        for start in range(0, ROWS, 4):
            total = 0.0
            for example in (world.examples[place] for place in places[start : start + 4]):
                weights = example.weights or (1.0,) * len(example.labels)
                if example.epoch_weights:
                    weights = example.epoch_weights[min(epoch, 1)]
                scores = model(torch.tensor([example.input_ids])).logits[0, :-1].log_softmax(-1)
                for place, label in enumerate(example.labels[1:]):
                    if label != -100:
                        total = total - weights[place + 1] * scores[place, label]
            (total / (4 * targets)).backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.sub_(rate * parameter.grad)
                    parameter.grad = None
    (tmp_path / "plain").mkdir()
    model.save_pretrained(tmp_path / "plain" / "student")
    assert largest_difference(tmp_path, tmp_path / "plain") < 1e-5
    from safetensors.torch import load_file

    before = load_file(world.student / "model.safetensors")
    after = load_file(tmp_path / "student" / "model.safetensors")
    assert max((after[name] - before[name]).abs().max().item() for name in before) > 1e-2, "it has learnt something"
