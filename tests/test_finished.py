"""A finished stage reads no row when it is asked for again, and works when anything that decides has changed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from siked_core import Completion, Message, Problem, Prompt, Rationale, Request, RunError, Sampling, Verdict
from siked_core.errors import VerifierFault
from siked_core.loop import distill
from siked_core.manifest import read_manifest, write_manifest
from siked_core.pool import SAMPLES, VERDICTS, Pool, write_parquet
from siked_core.recipe import validate
from siked_core.registry import Registry
from siked_core.remote import RemotePlace
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach
from siked_core.run import start as start_run
from siked_core.scorecard import PoolSummary
from siked_core.spending import document
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import mix
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.stages.verify import verify
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry, toy_sample
from siked_core.testing.toys import Both, Loud, OwnChoice, Plain, SameText, ToyStudent

pytestmark = [pytest.mark.slow, pytest.mark.recovery]


class Banked(Loud):
    """`loud`, with the instruction of its bank in the teacher's prompt."""

    def teacher_prompt(self, problem: Problem) -> Prompt:
        return Prompt((Message("system", self.bank.instruction), Message("user", problem.question)))


class Twin(SameText):
    """Another verifier of the same opinion."""

    name = "twin"


class Again(Both):
    """Another policy of the same choice."""

    name = "again"


def registry(*others: Any) -> Registry:
    return toy_registry(Banked, Twin, Again, *others)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A folder with a finished run, and the files that its recipe names."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "bank.yaml").write_text("instruction: Add.\n")
    (folder / "instruction.txt").write_text("Choose. ")
    with started(folder, tiny) as run:
        distill(run)
    return folder


@pytest.fixture
def run_of(world: Path, tiny: Path, tmp_path: Path) -> Callable[..., Run]:
    """The finished run in a copy of that folder, which is another place."""
    folder = Path(shutil.copytree(world, tmp_path / "copy"))

    def opened(*others: Any) -> Run:
        return attach("run", registry(*others), SilentReporter(), runs=folder)

    return opened


def started(folder: Path, tiny: Path, known: Registry | None = None, **changes: Any) -> Run:
    content = toy_recipe(tiny, **changes)
    content["strategies"] = [{"name": "loud", "options": {"bank": str(folder / "bank.yaml")}}, "quiet"]
    content["student"]["instruction"] = f"@{folder / 'instruction.txt'}"
    return start_run(validate(content), known or registry(), SilentReporter(), runs=folder, name="run")


STAGES: dict[str, Callable[[Run], Any]] = {
    "verify": lambda run: verify(run, "teacher"),  # before `teach`, which does it too
    "teach": teach,
    "rollout": lambda run: rollout(run, 1),
    "mix": lambda run: mix(run, 1),
    "train": lambda run: train(run, 1),
    "evaluate": lambda run: evaluate(run, "round-1", "sums", "validation"),
}


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], bool]:
    """Whether an act read rows, made a mixture's key, or asked for the student's tokenizer."""
    seen: list[str] = []

    def watched(owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def outer(*arguments: Any, **options: Any) -> Any:
            seen.append(name)
            return inner(*arguments, **options)

        monkeypatch.setattr(owner, name, outer)

    for name in ("scan", "shard", "append"):
        watched(Pool, name)
    watched(sys.modules["siked_core.stages.train"], "_mixture")

    def told(act: Callable[[], Any]) -> bool:
        seen.clear()
        act()
        return bool(seen)

    return told


@pytest.mark.parametrize("stage", STAGES)
def test_a_finished_stage_reads_no_row_wherever_its_run_lies(
    stage: str, run_of: Callable[..., Run], worked: Callable[[Callable[[], Any]], bool]
) -> None:
    with run_of() as run:
        before = (run.path / "manifest.json").read_bytes()
        outcomes: list[Any] = []
        assert not worked(lambda: outcomes.append(STAGES[stage](run)))
        assert (run.path / "manifest.json").read_bytes() == before
        write_manifest(run.path, {**run.manifest, "outcomes": {}})
        assert worked(lambda: outcomes.append(STAGES[stage](run)))
    assert outcomes[0] == outcomes[1]


def test_a_finished_loop_counts_and_reads_nothing(
    run_of: Callable[..., Run], worked: Callable[[Callable[[], Any]], bool]
) -> None:
    with run_of() as run:
        told = json.loads((run.path / "report.json").read_text())
        found: list[Any] = []
        assert not worked(lambda: found.append(distill(run)))
        assert not worked(lambda: found.append(document(run.path, run.recipe)))
    again = json.loads(json.dumps(found[0].as_dict()))
    moved = ("run", "student")
    assert {**again, **dict.fromkeys(moved)} == {**told, **dict.fromkeys(moved)}
    assert found[1]["total"] == told["spending"]["total"]


def one(run: Run, pattern: str) -> Path:
    return sorted(run.path.glob(pattern))[-1]


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def add(run: Run, pool: str) -> None:
    run.pool(pool).append([toy_sample("one more")])


def state(run: Run, stage: str, word: str) -> None:
    run.record(stage, {**run.manifest["stages"][stage], "state": word})


def changed(run: Run, **sections: Any) -> None:
    """As a command does that has another setting this once."""
    run.recipe = validate({**run.recipe.model_dump(mode="json"), **sections})


def brought_in(run: Run) -> None:
    import polars as pl

    columns = dict.fromkeys(("key", "problem_id", "strategy", "teacher", "file", "where"), "x")
    write_parquet(pl.DataFrame([columns]), run.path / "imports" / "teacher.parquet")


def rewritten(path: Path) -> None:
    path.write_text(path.read_text().replace("Add", "Sum").replace("Choose", "Pick"))


CHANGES: dict[str, tuple[str, Callable[[Run], Any]]] = {
    "a shard of samples is lost": ("teach verify mix", lambda run: one(run, "pools/teacher/*.parquet").unlink()),
    "a shard of samples is added": ("teach verify mix", lambda run: add(run, "teacher")),
    "a shard of verdicts is lost": ("teach verify mix", lambda run: one(run, "verdicts/teacher/*.parquet").unlink()),
    "a shard of the student's is lost": ("rollout mix", lambda run: one(run, "pools/round-1/*.parquet").unlink()),
    "an answer is lost": ("evaluate", lambda run: one(run, "pools/evaluations/round-1/*validation/*").unlink()),
    "the wanted keys are lost": ("teach", lambda run: run.wanted("teacher").unlink()),
    "the wanted keys are torn": ("teach", lambda run: tear(run.wanted("teacher"))),
    "rationales were brought in": ("teach verify mix", brought_in),
    "the mixture is lost": ("mix", lambda run: run.mixture("round-1").unlink()),
    "the mixture is torn": ("mix", lambda run: tear(run.mixture("round-1"))),
    "the scorecard is lost": ("evaluate", lambda run: one(run, "scorecards/round-1.*").unlink()),
    "the student is lost": ("train", lambda run: shutil.rmtree(run.student("round-1"))),
    "it was killed": ("teach", lambda run: state(run, "teach", "running")),
    "a repair undid it": ("evaluate", lambda run: state(run, "evaluate round-1 on sums validation", "incomplete")),
    "another verifier": ("teach verify mix", lambda run: changed(run, verifiers={"loud": "twin"})),
    "another policy": ("mix", lambda run: changed(run, mixing={"policy": "again"})),
}
ABOUT_NOTHING: dict[str, Callable[[Run], Any]] = {
    "caps": lambda run: changed(run, caps={"tokens": 10**9}),
    "prices": lambda run: changed(run, prices={"models": {"student": {"input": 1, "output": 1}}}),
    "what a killed command was writing": lambda run: (run.path / "pools/teacher/.00000009-0.parquet.1.tmp").touch(),
    "another round": lambda run: add(run, "round-7"),
}


@pytest.mark.parametrize(("change", "stage"), [(name, one) for name in CHANGES for one in CHANGES[name][0].split()])
def test_a_change_on_disk_or_in_the_command_makes_a_stage_work(
    change: str, stage: str, run_of: Callable[..., Run], worked: Callable[[Callable[[], Any]], bool]
) -> None:
    with run_of() as run:
        CHANGES[change][1](run)
        assert worked(lambda: STAGES[stage](run))
        assert not worked(lambda: STAGES[stage](run)), "and then it is finished again"


@pytest.mark.parametrize("change", ABOUT_NOTHING)
def test_what_decides_nothing_changes_nothing(
    change: str, run_of: Callable[..., Run], worked: Callable[[Callable[[], Any]], bool]
) -> None:
    with run_of() as run:
        ABOUT_NOTHING[change](run)
        for name, stage in STAGES.items():
            assert not worked(lambda: stage(run)), name  # noqa: B023


def test_a_torn_shard_is_told_as_ever(run_of: Callable[..., Run]) -> None:
    with run_of() as run:
        tear(one(run, "pools/teacher/*.parquet"))
        for stage in (teach, STAGES["verify"], STAGES["mix"]):
            with pytest.raises(RunError, match=r"is damaged: .* `siked run repair RUN`"):
                stage(run)


@pytest.mark.parametrize("name", ["bank.yaml", "instruction.txt"])
def test_a_file_that_the_recipe_names_has_another_content(
    name: str, world: Path, tiny: Path, tmp_path: Path, worked: Callable[[Callable[[], Any]], bool]
) -> None:
    for file in ("bank.yaml", "instruction.txt"):
        shutil.copy(world / file, tmp_path)
    with started(tmp_path, tiny) as run:
        distill(run)
    calls = ToyTeacher.calls
    rewritten(tmp_path / name)
    with started(tmp_path, tiny) as run:
        for stage in STAGES.values():
            assert worked(lambda: stage(run))  # noqa: B023
    drawn = 10 if name == "bank.yaml" else 0
    assert ToyTeacher.calls - calls == drawn, "what the new prompt asks for, and nothing else"


@pytest.mark.parametrize("plugin", [Banked, SameText, ToyTeacher, Both, Plain, OwnChoice, ToyStudent])
def test_a_plugin_has_another_version(
    plugin: Any,
    run_of: Callable[..., Run],
    worked: Callable[[Callable[[], Any]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plugin, "version", "another")
    touched = {SameText: "verify", ToyTeacher: "teach", Both: "mix", Plain: "train", OwnChoice: "evaluate"}
    with run_of() as run:
        assert worked(lambda: STAGES[touched.get(plugin, "evaluate")](run))


@pytest.mark.parametrize("what", ["the code of siked", "the code of a plugin", "a library"])
def test_code_is_another(
    what: str,
    run_of: Callable[..., Run],
    worked: Callable[[Callable[[], Any]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from siked_core import finished

    root = Path(finished.__file__).parent if what == "the code of siked" else Path(__file__)
    read = finished.content_of
    if what == "a library":
        monkeypatch.setattr(finished, "_versions", lambda: {"polars": "another"})
    else:
        monkeypatch.setattr(
            finished, "content_of", lambda path: read(path) if root not in (path, *path.parents) else "x"
        )
    finished._package.cache_clear()
    with run_of() as run:
        for name, stage in STAGES.items():
            assert worked(lambda: stage(run)), name  # noqa: B023
    finished._package.cache_clear()


def test_a_plugin_that_no_file_holds_is_taken_for_another_each_time(
    run_of: Callable[..., Run], worked: Callable[[Callable[[], Any]], bool]
) -> None:
    typed = type("Typed", (Banked,), {"__module__": "typed-in"})
    for _ in range(2):
        with run_of() as run:
            run.registry = toy_registry(typed, Twin, Again)
            assert worked(lambda: teach(run))


class Killed(BaseException):
    """As `kill -9`: nothing catches it."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_between_what_a_stage_made_and_its_record(
    stage: str,
    run_of: Callable[..., Run],
    worked: Callable[[Callable[[], Any]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with run_of() as run:
        expected = STAGES[stage](run)
        write_manifest(run.path, {**run.manifest, "outcomes": {}})
        with monkeypatch.context() as patch:
            patch.setattr("siked_core.finished.remember", killed)
            with pytest.raises(Killed):
                STAGES[stage](run)
    calls = ToyTeacher.calls
    with run_of() as run:
        assert worked(lambda: STAGES[stage](run))
        found: list[Any] = []
        assert not worked(lambda: found.append(STAGES[stage](run)))
    assert found == [expected]
    assert ToyTeacher.calls == calls


def test_what_changes_while_a_stage_works_makes_it_work_again(tmp_path: Path, tiny: Path) -> None:
    bank = tmp_path / "bank.yaml"
    bank.write_text("instruction: Add.\n")
    (tmp_path / "instruction.txt").write_text("Choose. ")

    class Disturbed(ToyTeacher):
        """Its user edits the bank while it writes."""

        def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
            yield from super().generate(requests, sampling)
            bank.write_text("instruction: Sum.\n")

    calls = ToyTeacher.calls
    for expected in (20, 10, 0):
        with started(tmp_path, tiny, registry(Disturbed)) as run:
            teach(run)
        assert ToyTeacher.calls - calls == expected
        calls = ToyTeacher.calls


def test_samples_that_a_verifier_failed_on_are_tried_again(tmp_path: Path, tiny: Path, world: Path) -> None:
    for file in ("bank.yaml", "instruction.txt"):
        shutil.copy(world / file, tmp_path)

    class Failing(SameText):
        """Fails on one rationale until it is mended."""

        mended: ClassVar[bool] = False

        def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
            if not Failing.mended and any(one.text == "sum=2!" for one in rationales):
                raise VerifierFault("broken")
            return super().answers(rationales)

    set_aside = []
    for Failing.mended in (False, False, True):
        with started(tmp_path, tiny, registry(Failing), teacher={"generator": "toy-teacher", "samples": 1}) as run:
            run.keep_going = True
            set_aside.append(teach(run).set_aside)
    assert set_aside == [1, 1, 0]


def test_a_stage_that_topped_up_is_finished_with_all_that_it_drew(
    tmp_path: Path, tiny: Path, world: Path, worked: Callable[[Callable[[], Any]], bool]
) -> None:
    for file in ("bank.yaml", "instruction.txt"):
        shutil.copy(world / file, tmp_path)
    teacher = {"generator": "toy-teacher", "samples": 1, "top_up": {"until": 4}}
    found = []
    for expected in (True, False):
        with started(tmp_path, tiny, teacher=teacher) as run:
            assert worked(lambda: found.append(teach(run))) == expected
    assert found[0].top_up.further > 0
    assert found[0] == found[1]


def test_samples_at_a_url_are_listed_and_not_fetched(tmp_path: Path, tiny: Path, world: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for file in ("bank.yaml", "instruction.txt"):
        shutil.copy(world / file, tmp_path)

    def taught() -> tuple[PoolSummary, int, int]:
        fetched, calls = [], ToyTeacher.calls
        with pytest.MonkeyPatch.context() as patch, started(tmp_path, tiny, storage={"pools": url}) as run:
            patch.setattr(RemotePlace, "_fetch", watched(RemotePlace._fetch, fetched))
            return teach(run), len(fetched), ToyTeacher.calls - calls

    def watched(inner: Any, fetched: list[Any]) -> Any:
        def outer(place: RemotePlace, names: Sequence[str]) -> Iterator[bytes]:
            fetched.extend(name for name in names if name.endswith(".parquet"))
            return inner(place, names)

        return outer

    url = f"memory://{tmp_path.name}-{id(memory)}"
    first, _, asked = taught()
    assert asked == 20
    assert taught() == (first, 0, 0)
    lost = max(path for path in memory.find(url.removeprefix("memory:/")) if "/pools/teacher/" in path)
    memory.rm(lost)
    found, fetched, asked = taught()
    assert (found, asked) == (first, 5)
    assert fetched
    assert taught() == (first, 0, 0)


# As a user sees it

TEACH = ["teach", "--preset", "pocket-smoke", "--strategies", "cot,pot", "--run", "mine", "--json"]


def damaged_in_place(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def test_the_same_command_again_reads_nothing_and_says_the_same(
    siked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = siked(*TEACH)
    with monkeypatch.context() as patch:
        patch.setattr(Pool, "scan", lambda *_: pytest.fail("a shard was read"))
        again = siked(*TEACH)
        judged = siked("verify", "mine", "--json")
    assert again.out == first.out
    assert "teach: finished before, and nothing that it rests on has changed." in again.err.splitlines()
    assert json.loads(judged.out)["pools"]["teacher"]["samples"] == json.loads(first.out)["samples"]


@pytest.mark.parametrize("part", ["pools", "verdicts"])
def test_shards_that_are_lost_damaged_or_added_are_noticed(part: str, siked: Callable[..., Any]) -> None:
    first = siked(*TEACH).out
    shards = Path("runs/mine") / part / "teacher"

    def shard() -> Path:
        return max(shards.iterdir())

    shard().unlink()
    assert siked(*TEACH).out == first, "what was lost is made again"
    (shards / "00000099-0123456789abcdef.parquet").write_bytes(b"of another program")
    assert "is damaged" in siked(*TEACH, code=2).err
    shard().unlink()
    tear(shard())
    said = siked(*TEACH, code=2).err.strip().splitlines()[-1]
    assert said.startswith("Error: The file ")
    assert "is damaged" in said
    siked("run", "repair", "mine")
    assert siked(*TEACH).out == first
    # A byte that flipped shows in no listing: it is found by a look at the content.
    damaged_in_place(shard())
    assert siked(*TEACH).out == first
    assert shard().name in siked("run", "check", "mine", code=1).out
    siked("run", "repair", "mine")
    assert siked(*TEACH).out == first
    assert siked("run", "check", "mine").out.endswith("is sound.\n")
    held = Pool(shards, SAMPLES if part == "pools" else VERDICTS).read().height
    assert held == json.loads(first)["samples"]


def test_resuming_what_is_finished_loads_neither_torch_nor_transformers(siked: Callable[..., Any]) -> None:
    siked(*TEACH)
    code = (
        "import sys\nfrom siked_cli.main import main\n"
        f"assert main({TEACH!r}) == 0\n"
        "print('loaded:', [name for name in ('torch', 'transformers') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == "loaded: []", done.stderr


def test_a_record_is_not_taken_over_by_a_fork(siked: Callable[..., Any]) -> None:
    siked(*TEACH)
    siked(*TEACH, "--fork", "--set", "mixing.keep=3")
    assert "teach" in read_manifest(Path("runs/mine"))["outcomes"]
    assert (
        read_manifest(Path("runs/mine-001"))["outcomes"]["teach"]
        != read_manifest(Path("runs/mine"))["outcomes"]["teach"]
    )
