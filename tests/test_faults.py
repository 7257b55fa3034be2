"""What goes wrong under a run: a full disk, a read-only one, torn and flipped files, clocks, moves, other versions.

Each is told in one line, and the run goes on to the result of one that nothing happened to, with nothing lost that was
whole.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from siked_cli.failures import disk_failure
from siked_cli.main import main
from siked_core.checkpoints import fault, in_order, keep_newest, newest_whole, seal
from siked_core.errors import RunError, SikedError
from siked_core.examine import examine
from siked_core.loop import distill
from siked_core.models import hash_files
from siked_core.pool import SAMPLES, VERDICTS, Pool, read_parquet, write_parquet
from siked_core.recipe import validate
from siked_core.registry import Registry
from siked_core.repair import repair
from siked_core.reporting import SilentProgress, SilentReporter
from siked_core.run import Run, start
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import Loud

pytestmark = [pytest.mark.slow, pytest.mark.recovery]


class Killed(BaseException):
    pass


class Listening(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def opened(folder: Path, tiny: Path, *, registry: Registry | None = None, **changes: Any) -> Run:
    recipe = validate(toy_recipe(tiny, **changes))
    return start(recipe, registry or toy_registry(), SilentReporter(), runs=folder.parent, name=folder.name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A finished run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with opened(folder, tiny) as run:
        distill(run)
    return folder


def state(run: Path) -> dict[str, Any]:
    """All that a run has found, without the order in which it came and the time that it took."""
    pools = {path.parent for path in (run / "pools").rglob("*.parquet")}
    return {
        "pools": {str(pool.relative_to(run)): Pool(pool, SAMPLES).read().sort("key").rows() for pool in sorted(pools)},
        "verdicts": {
            str(pool.relative_to(run)): Pool(run / "verdicts" / pool.relative_to(run / "pools"), VERDICTS)
            .read()
            .sort("key", "judge", "evidence")
            .rows()
            for pool in sorted(pools)
        },
        "mixtures": {path.name: read_parquet(path).rows() for path in sorted(run.glob("mixtures/*.parquet"))},
        "students": {path.name: hash_files(path) for path in sorted(run.glob("students/round-*"))},
        "scorecards": {path.name: path.read_text() for path in sorted(run.glob("scorecards/*"))},
    }


def copied(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FILES = {
    "samples": "pools/teacher/00000001-*.parquet",
    "a student's samples": "pools/round-1/*.parquet",
    "verdicts": "verdicts/teacher/*.parquet",
    "an evaluation": "pools/evaluations/round-1/*/*.parquet",
    "what is wanted": "wanted/teacher.parquet",
    "a mixture": "mixtures/round-1.parquet",
    "problems": "problems/*-train-*.parquet",
    "a student's weights": "students/round-0/model.safetensors",
    "a student's side file": "students/round-1/siked.json",
    "a scorecard": "scorecards/round-1.sums-validation.json",
    "the manifest": "manifest.json",
    "the recipe": "recipe.yaml",
}


@pytest.mark.parametrize("damage", [flip, tear])
@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_found_and_survived(
    kind: str, damage: Callable[[Path], None], tmp_path: Path, whole: Path, tiny: Path
) -> None:
    run = copied(whole, tmp_path)
    assert examine(run) == []
    path = next(iter(sorted(run.glob(FILES[kind]))))
    held = read_parquet(path).height if path.suffix == ".parquet" else 0
    damage(path)
    wrong = [finding for finding in examine(run) if finding.wrong]
    assert wrong, f"{path} is damaged, and nothing is said"
    assert all("\n" not in finding.line for finding in wrong)
    done = repair(run)
    assert done.again
    if path.name not in ("manifest.json", "recipe.yaml") and "scorecards" not in str(path):
        assert not path.exists() or "students" in str(path.parent)
    assert not [finding for finding in examine(run) if finding.wrong], "what is left is sound"
    calls = ToyTeacher.calls
    with opened(run, tiny) as again:
        distill(again)
    assert ToyTeacher.calls - calls == (held if kind == "samples" else 0), "only what was lost is asked for again"
    assert state(run) == state(whole)
    assert examine(run) == []


def test_a_torn_shard_stops_the_command_in_one_line(tmp_path: Path, whole: Path, tiny: Path) -> None:
    run = copied(whole, tmp_path)
    tear(next(run.glob(FILES["samples"])))
    with opened(run, tiny) as again, pytest.raises(RunError, match=r"is damaged: .* `siked run repair RUN`") as raised:
        distill(again)
    assert "\n" not in str(raised.value)


def test_a_damaged_student_is_not_taken_as_it_is(tmp_path: Path, whole: Path, tiny: Path) -> None:
    run = copied(whole, tmp_path)
    flip(run / "students" / "round-0" / "model.safetensors")
    with opened(run, tiny) as again, pytest.raises(RunError, match="round-0 is damaged: its files are not what was"):
        distill(again)


def test_what_was_deleted_is_missed(tmp_path: Path, whole: Path, tiny: Path) -> None:
    run = copied(whole, tmp_path)
    shard = next(run.glob(FILES["samples"]))
    lost = read_parquet(shard).height
    shard.unlink()
    shutil.rmtree(run / "students" / "round-1")
    (run / "report.json").unlink()
    found = {finding.path: finding.what for finding in examine(run)}
    assert found == {
        "pools/teacher": f"{lost} of 20 samples are missing",
        "students/round-1": "it is missing",
        "report.json": "it is missing",
    }
    calls = ToyTeacher.calls
    with opened(run, tiny) as again:
        distill(again)
    assert ToyTeacher.calls - calls == lost
    assert state(run) == state(whole)


# Writing


def writes(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch, fail_at: int | None) -> int:
    """How many files were put in their place; the nth finds the disk full. The journal's do not count: it writes when
    it comes to it, in a thread of its own, and no run fails for it."""
    count = 0
    replace, mine = os.replace, threading.current_thread()

    def counted(source: Any, destination: Any) -> None:
        nonlocal count
        if threading.current_thread() is not mine:
            replace(source, destination)
            return
        count += 1
        if count == fail_at:
            raise OSError(28, "No space left on device", str(destination))
        replace(source, destination)

    with monkeypatch.context() as patch:
        patch.setattr("siked_core.files.os.replace", counted)
        act()
    return count


def test_a_disk_that_is_full_at_any_write(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write of teaching and mixing in turn; of what the teacher had answered, a chunk at most is lost."""

    def go(folder: Path) -> None:
        with opened(folder, tiny) as run:
            teach(run)
            mix(run, 0)

    number = writes(lambda: go(tmp_path / "unbroken"), monkeypatch, None)
    expected = state(tmp_path / "unbroken")
    assert number > 15
    for place in range(1, number + 1):
        folder = tmp_path / f"full-{place}"
        calls = ToyTeacher.calls
        with pytest.raises(RunError, match=r"^Cannot write .*: No space left on device\. What was finished") as raised:
            writes(lambda: go(folder), monkeypatch, place)  # noqa: B023
        assert "\n" not in str(raised.value)
        go(folder)
        assert ToyTeacher.calls - calls <= 20 + 5, "a chunk at most is asked for again"
        assert state(folder) == expected
        assert examine(folder) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A small file system of its own, which can be made larger: disk(kib)."""
    place = tmp_path / "disk"
    place.mkdir()

    def size(kib: int) -> Path:
        option = f"remount,size={kib}k" if os.path.ismount(place) else f"size={kib}k"
        command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(place)]
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("only root can make a file system")
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this machine does not let a file system be mounted")
        return place

    yield size
    if os.path.ismount(place):
        subprocess.run(["umount", "-l", str(place)], check=True)  # an error that was caught may hold a file


def test_a_small_disk_that_is_made_larger_again_and_again(disk: Callable[[int], Path], tiny: Path, whole: Path) -> None:
    """Real ENOSPC, wherever it strikes: shards, manifests, checkpoints, weights."""
    size, failures = 64, 0
    told: set[str] = set()
    calls = ToyTeacher.calls

    def go(folder: Path) -> Exception | None:
        training = {**toy_recipe(tiny)["training"], "checkpoint_steps": 2}
        try:
            with opened(folder, tiny, training=training) as run:
                distill(run)
        except Exception as error:
            return error
        return None

    while (error := go(folder := disk(size) / "run")) is not None:
        if isinstance(error, SikedError):
            assert "No space left" in str(error)
            told.add("ours")
        else:
            assert disk_failure(error) is not None, repr(error)
            told.add("a library's")
        failures += 1
        size += 96
        assert failures < 100
    assert failures > 5
    assert told == {"ours", "a library's"}
    assert ToyTeacher.calls - calls <= 20 + 5 * failures
    assert state(folder) == state(whole)
    assert examine(folder) == []


def test_a_read_only_disk_is_one_line(disk: Callable[[int], Path], tiny: Path) -> None:
    place = disk(4096)
    with opened(place / "run", tiny) as run:
        teach(run)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    with pytest.raises(RunError, match=r"^Cannot write .*: Read-only file system\."):
        opened(place / "run", tiny)
    assert examine(place / "run") == [], "looking writes nothing"
    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    calls = ToyTeacher.calls
    with opened(place / "run", tiny) as run:
        teach(run)
    assert ToyTeacher.calls == calls


def test_a_kill_between_a_file_and_its_digest_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    path = tmp_path / "mixture.parquet"
    write_parquet(pl.DataFrame({"a": [1]}), path)
    replace = os.replace

    def killed(source: Any, destination: Any) -> None:
        if Path(destination) == path:
            raise Killed
        replace(source, destination)

    for number in (2, 3):  # the digest is there, the file is not; and the same once more
        with monkeypatch.context() as patch:
            patch.setattr("siked_core.files.os.replace", killed)
            with pytest.raises(Killed):
                write_parquet(pl.DataFrame({"a": [number]}), path)
        assert read_parquet(path).rows() == [(1,)]
    write_parquet(pl.DataFrame({"a": [4]}), path)
    assert read_parquet(path).rows() == [(4,)]
    flip(path)
    with pytest.raises(RunError, match="is damaged"):
        read_parquet(path)


# Checkpoints


def checkpoint(folder: Path, step: int) -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "trainer_state.json"):
        (made / name).write_bytes(os.urandom(100))
    seal(made)
    return made


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda folder: (folder / "optimizer.pt").unlink(), "optimizer.pt is missing"),
        (lambda folder: flip(folder / "model.safetensors"), "model.safetensors is damaged"),
        (lambda folder: tear(folder / "model.safetensors"), "model.safetensors is damaged"),
        (lambda folder: (folder / "siked-seal.json").unlink(), "it was not written to its end"),
        (lambda folder: (folder / "siked-seal.json").write_text("{"), "its seal cannot be read"),
    ],
)
def test_only_whole_checkpoints_are_resumed(tmp_path: Path, harm: Callable[[Path], Any], why: str) -> None:
    first, second = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    assert newest_whole(tmp_path) == second
    harm(second)
    assert fault(second).startswith(why)
    assert newest_whole(tmp_path) == first
    assert in_order(tmp_path) == [first]


def test_the_newest_checkpoint_is_told_by_its_step_not_by_a_clock(tmp_path: Path) -> None:
    made = [checkpoint(tmp_path, step) for step in (2, 4, 6)]
    for place, folder in enumerate(made):  # the clock went back by a day between each two
        os.utime(folder, (1e9 - 86400 * place,) * 2)
    keep_newest(tmp_path, 2)
    assert in_order(tmp_path) == made[1:]


class KillsAt(SilentReporter):
    """Ends the process, as it were, after so many steps of training."""

    def __init__(self, step: int) -> None:
        self.left = step
        self.steps = 0

    def stage(self, name: str, total: int, unit: str) -> Any:
        from contextlib import contextmanager

        kills = self

        class Progress(SilentProgress):
            def advance(self, amount: int = 1) -> None:
                if name.startswith("train"):
                    kills.steps += amount
                    kills.left -= amount
                    if kills.left == 0:
                        raise Killed

        @contextmanager
        def one() -> Iterator[Progress]:
            yield Progress()

        return one()


CHECKPOINTS: dict[str, Any] = {"checkpoint_steps": 2, "epochs": 3}


@pytest.mark.parametrize("change", ["deleted", "moved", "set back"])
def test_a_training_goes_on_from_its_last_whole_checkpoint(
    change: str, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the newest checkpoint torn; in a run that has been moved; under a clock that has been set back."""
    training = {**toy_recipe(tiny)["training"], **CHECKPOINTS}
    recipe = validate(toy_recipe(tiny, training=training))

    def run_to(folder: Path, reporter: KillsAt) -> str:
        with start(recipe, toy_registry(), reporter, runs=folder.parent, name=folder.name) as run:
            teach(run)
            mix(run, 0)
            return hash_files(train(run, 0))

    whole = KillsAt(-1)
    expected = run_to(tmp_path / "unbroken", whole)
    assert whole.steps >= 9
    folder = tmp_path / "broken"
    with pytest.raises(Killed):
        run_to(folder, KillsAt(7))
    (place,) = (folder / "checkpoints").iterdir()
    assert [one.name for one in in_order(place)] == ["checkpoint-4", "checkpoint-6"]
    taken_again = 1
    if change == "deleted":
        (place / "checkpoint-6" / "optimizer.pt").unlink()
        taken_again = 3
        (finding,) = examine(folder)
        assert "checkpoint-6: optimizer.pt is missing" in finding.line
    if change == "moved":
        folder = Path(shutil.move(folder, tmp_path / "elsewhere" / "under-another-name"))
    if change == "set back":
        for one in in_order(place):
            os.utime(one, (4e9, 4e9))
    again = KillsAt(-1)
    calls = ToyTeacher.calls
    assert run_to(folder, again) == expected
    assert ToyTeacher.calls == calls
    assert again.steps == whole.steps, "the progress counts what had been done"
    assert again.left == -1 - whole.steps
    assert taken_again <= CHECKPOINTS["checkpoint_steps"] + 1
    assert not list((folder / "checkpoints").iterdir()), "the student is in its place"


def test_a_kill_before_the_student_is_in_its_place_loses_no_training(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    folder = tmp_path / "run"
    with opened(folder, tiny) as run:
        teach(run)
        mix(run, 0)
        with monkeypatch.context() as patch:
            patch.setattr("siked_core.stages.train.write_card", killed)
            with pytest.raises(Killed):
                train(run, 0)
    taken: list[int] = []

    with start(validate(toy_recipe(tiny)), toy_registry(), KillsAt(-1), runs=tmp_path, name="run") as run:
        import transformers

        step = transformers.Trainer.training_step

        def counted(*arguments: Any, **options: Any) -> Any:
            taken.append(1)
            return step(*arguments, **options)

        monkeypatch.setattr(transformers.Trainer, "training_step", counted)
        train(run, 0)
    assert taken == [], "its last checkpoint is all that is needed"


# Another place, another version


def test_a_run_that_was_moved_is_the_same_run(tmp_path: Path, whole: Path, tiny: Path) -> None:
    moved = tmp_path / "other" / "name"
    shutil.copytree(whole, moved)
    calls = ToyTeacher.calls
    with opened(moved, tiny) as run:
        report = distill(run)
    assert ToyTeacher.calls == calls
    assert report.run == str(moved)
    assert report.student.startswith(str(moved))
    assert state(moved) == state(whole)


def test_another_version_of_siked_or_of_a_plugin_is_told_and_survived(
    tmp_path: Path, whole: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(whole, tmp_path)
    monkeypatch.setattr("siked_core.provenance.version", lambda package: "99.0")
    monkeypatch.setattr(Loud, "version", "2")
    listening = Listening()
    recipe = validate(toy_recipe(tiny))
    calls = ToyTeacher.calls
    with start(recipe, toy_registry(), listening, runs=run.parent, name=run.name) as again:
        distill(again)
    (line,) = listening.said
    assert "\n" not in line
    assert "siked 0." in line
    assert "-> 99.0" in line
    assert "strategy:loud 1 (toys 0) -> 2 (toys 0)" in line
    assert ToyTeacher.calls == calls, "the prompts are the same"
    assert state(run)["mixtures"] == state(whole)["mixtures"]
    listening.said.clear()
    start(recipe, toy_registry(), listening, runs=run.parent, name=run.name).close()
    assert listening.said == [], "it is said once"


def test_a_run_of_another_format_is_refused_and_untouched(tmp_path: Path, whole: Path, tiny: Path) -> None:
    run = copied(whole, tmp_path)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest |= {"format": 7, "versions": {"siked": "9.1"}}
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"in format 7, which this siked \(.*\) does not know: siked 9\.1 wrote it\."):
        opened(run, tiny)
    with pytest.raises(RunError, match="in format 7"):
        repair(run)
    assert json.loads((run / "manifest.json").read_text()) == manifest


def test_a_shard_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Without a digest in its name, and without a column that there is now."""
    import polars as pl

    pool = Pool(tmp_path, VERDICTS)
    pool.append([{"key": "b", "judge": "j", "status": "wrong", "answer": "", "why": "", "evidence": "e"}])
    old = pl.DataFrame({"key": ["a"], "judge": ["j"], "status": ["wrong"], "answer": [""], "why": [""], "gone": [1]})
    old.write_parquet(tmp_path / "00000001.parquet")
    assert pool.read().select("key", "evidence").rows() == [("b", "e"), ("a", None)]
    pool.append([{"key": "c", "judge": "j", "status": "wrong", "answer": "", "why": "", "evidence": "e"}])
    assert [name[:8] for name in pool.shards()] == ["00000000", "00000001", "00000002"]


def test_a_damaged_run_hides_no_other(tmp_path: Path, tiny: Path) -> None:
    recipe = validate(toy_recipe(tiny))
    listening = Listening()
    with start(recipe, toy_registry(), listening, runs=tmp_path) as run:
        first = run.path
    tear(first / "manifest.json")
    with start(recipe, toy_registry(), listening, runs=tmp_path) as run:
        assert run.path.name == "sums-002"
    assert "Passing over" in listening.said[0]
    repair(first)
    with opened(first, tiny) as run:
        assert run.resumed


def test_a_fork_that_was_killed_is_continued_by_the_same_command(tmp_path: Path, whole: Path, tiny: Path) -> None:
    run = copied(whole, tmp_path)
    changed = validate(toy_recipe(tiny, teacher={"generator": "toy-teacher", "samples": 2}))

    def fork() -> Run:
        return start(changed, toy_registry(), SilentReporter(), runs=tmp_path, name=run.name, fork=True)

    with fork() as first:
        path = first.path
        assert not first.resumed
    with fork() as again:
        assert (again.path, again.resumed) == (path, True)
        distill(again)
    with fork() as third:
        assert third.path != path, "that one is finished"


# The commands


@pytest.fixture
def siked(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_check_and_repair_as_commands(
    siked: Callable[..., tuple[int, str, str]], tmp_path: Path, whole: Path, tiny: Path
) -> None:
    run = copied(whole, tmp_path)
    assert siked("run", "check", str(run)) == (0, f"{run} is sound.\n", "")
    sound = json.loads(siked("run", "check", run.name, "--runs", str(tmp_path), "--json")[1])
    assert sound == {"run": str(run), "sound": True, "open_in_process": None, "findings": []}
    shard = next(run.glob(FILES["samples"]))
    name, lost = shard.relative_to(run).as_posix(), read_parquet(shard).height
    before = shard.read_bytes()
    flip(shard)
    flipped = shard.read_bytes()
    code, out, err = siked("run", "check", str(run))
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        f"{name}: its content is not what was written. The samples that only it holds are drawn again.",
        f"Set aside what is unsound, and keep the rest: siked run repair {run}",
    ]
    code, out, err = siked("run", "check", str(run), "--json")
    assert (code, json.loads(out)["findings"][0]["path"]) == (1, name)
    code, out, err = siked("run", "repair", str(run))
    assert (code, err) == (0, "")
    assert f"Set aside in {run / 'set-aside' / '1'}." in out
    assert f"pools/teacher: {lost} of 20 samples are drawn again, by `teach`." in out
    assert (run / "set-aside" / "1" / name).read_bytes() == flipped != before
    assert siked("run", "check", str(run))[0] == 0
    assert "nothing to repair" in siked("run", "repair", str(run))[1]
    with opened(run, tiny) as again:
        code, out, err = siked("run", "repair", str(run))
        assert (code, out) == (2, "")
        assert "Another process has the run" in err
        assert "is working on it" in siked("run", "check", str(run))[1]
        distill(again)
    assert state(run) == state(whole)


def test_there_is_no_such_run(siked: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    for command in ("check", "repair"):
        code, out, err = siked("run", command, "nothing", "--runs", str(tmp_path))
        assert (code, out) == (2, "")
        assert err == "Error: Unknown run 'nothing'. None is available.\n"


def test_without_a_manifest_and_without_a_recipe_nothing_is_touched(tmp_path: Path, whole: Path) -> None:
    run = copied(whole, tmp_path)
    (run / "recipe.yaml").unlink()
    tear(run / "manifest.json")
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    with pytest.raises(RunError, match=r"cannot be repaired: its manifest is damaged, and recipe\.yaml cannot be used"):
        repair(run)
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before
