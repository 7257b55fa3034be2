"""A whole run through the command line, in the embedded world: the command, its stages, its answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from siked_cli.main import main

pytestmark = pytest.mark.slow
STRATEGIES = ["cot", "pot", "l2m"]


@dataclass(frozen=True)
class World:
    """A directory with a finished run in it, and what its command said."""

    folder: Path
    out: str
    err: str

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "pocket-001"


@dataclass(frozen=True)
class Said:
    stdout: str
    stderr: str


Siked = Callable[..., Said]


@pytest.fixture
def siked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Siked:
    """Run a command in a folder, in this process: torch is imported once."""

    def run(folder: Path, *arguments: str, code: int = 0) -> Said:
        monkeypatch.chdir(folder)
        ended = main(arguments)
        captured = capsys.readouterr()
        assert ended == code, f"{arguments}\n{captured.out}\n{captured.err}"
        return Said(captured.out, captured.err)

    return run


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The whole command in a process of its own, as a user starts it."""
    folder = tmp_path_factory.mktemp("world")
    arguments = ["distill", "--preset", "pocket-smoke", "--strategies", ",".join(STRATEGIES), "--baselines", "single"]
    done = subprocess.run(
        [sys.executable, "-m", "siked_cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=dict(os.environ),  # not C's own copy, in which readline has set COLUMNS
    )
    assert done.returncode == 0, done.stderr
    return World(folder, done.stdout, done.stderr)


def test_the_run_ends_in_its_tables(world: World) -> None:
    for text in ("Accuracy on pocket", "Strategies on validation", "Samples and mixtures", "Stopped: "):
        assert text in world.out
    for student in ("round-0", "round-1", *(f"only-{name}" for name in STRATEGIES)):
        assert any(line.lstrip().startswith(student) for line in world.out.splitlines())
    assert "siked solve runs/pocket-001" in world.out
    assert "…" not in world.out


def test_progress_went_to_stderr_and_every_stage_said_what_it_did(world: World) -> None:
    assert "runs/pocket-001" in world.err
    for stage in ("teach", "verify teacher", "train round-0", "rollout round-1", "train round-1"):
        assert any(line.startswith(f"{stage}: done in ") for line in world.err.splitlines()), (stage, world.err)
    assert "Warning" not in world.err
    assert "Traceback" not in world.err


def test_the_student_is_a_normal_folder(world: World) -> None:
    report = json.loads((world.run / "report.json").read_text(encoding="utf-8"))
    student = world.folder / report["student"]
    names = {path.name for path in student.iterdir()}
    assert {"config.json", "model.safetensors", "README.md", "siked.json", "tokenizer.json"} <= names
    assert str(report["student"]) in world.out


def test_the_figures_in_the_table_are_those_of_the_report(world: World) -> None:
    report = json.loads((world.run / "report.json").read_text(encoding="utf-8"))
    rows = [line.replace("*", " ").split() for line in world.out.splitlines()]
    for one in report["rounds"]:
        row = next(row for row in rows if row[:1] == [one["student"]])
        assert row[1] == f"{100 * one['validation']['score']['accuracy']:.1f}"
    assert "(24 questions)" in world.out


def test_a_finished_run_is_not_continued_and_json_is_the_whole_of_stdout(siked: Siked, world: World) -> None:
    arguments = ["distill", "--preset", "pocket-smoke", "--strategies", "cot", "--rounds", "0", "--json", "-q"]
    done = siked(world.folder, *arguments)
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["run"] == "runs/pocket-002"
    assert [card["student"] for card in report["test"]] == ["round-0"]
    # A finished run that is named again is read, not repeated.
    again = siked(world.folder, *arguments, "--run", "pocket-002")
    assert json.loads(again.stdout)["rounds"][0]["validation"] == report["rounds"][0]["validation"]


def test_a_changed_recipe_on_a_named_run_is_refused_and_forking_is_offered(siked: Siked, world: World) -> None:
    arguments = ["distill", "--preset", "pocket-smoke", "--strategies", "cot,pot", "--run", "pocket-001"]
    done = siked(world.folder, *arguments, code=2)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "strategies" in done.stderr
    assert "--fork" in done.stderr


def test_solve_shows_strategy_rationale_and_answer(siked: Siked, world: World) -> None:
    question = "Ann has 12 pens and buys 7 more. How many pens has Ann?"
    shown = siked(world.folder, "solve", "pocket-001", question).stdout
    assert shown.startswith("Strategy  ")
    assert "Answer    " in shown
    solution = json.loads(siked(world.folder, "solve", str(world.run), question, "--strategy", "pot", "--json").stdout)
    assert (solution["question"], solution["strategy"]) == (question, "pot")
    assert solution["verdict"]["status"] not in ("correct", "wrong"), "nothing is compared with a gold answer"
    wrong = siked(world.folder, "solve", "pocket-001", question, "--strategy", "eot", code=2)
    assert "eot" in wrong.stderr


def test_runs_lists_the_run_as_finished(siked: Siked, world: World) -> None:
    first = json.loads(siked(world.folder, "runs", "--json").stdout)[0]
    assert (first["run"], first["state"], first["strategies"]) == ("pocket-001", "finished", STRATEGIES)


def test_the_stages_alone_do_what_the_loop_does(siked: Siked, tmp_path: Path, world: World) -> None:
    recipe = [
        "--preset",
        "pocket-smoke",
        "--strategies",
        ",".join(STRATEGIES),
        "--run",
        "alone",
        "--baselines",
        "single",
    ]
    taught = json.loads(siked(tmp_path, "teach", *recipe, "--json", "-q").stdout)
    assert taught["pool"] == "teacher"
    assert taught["samples"] == 48 * 3
    verified = json.loads(siked(tmp_path, "verify", "alone", "--json", "-q").stdout)
    assert verified["pools"]["teacher"]["correct"] == taught["correct"]
    mixed = json.loads(siked(tmp_path, "mix", "alone", "--round", "0", "--json", "-q").stdout)
    assert mixed["alpha"] == 1.0
    trained = json.loads(siked(tmp_path, "train", "alone", "--round", "0", "--json", "-q").stdout)
    assert (tmp_path / trained["student"] / "config.json").exists()
    card = json.loads(siked(tmp_path, "evaluate", "alone", "--student", "round-0", "--json", "-q").stdout)
    drawn = json.loads(siked(tmp_path, "rollout", "alone", "--round", "1", "--json", "-q").stdout)
    report = json.loads((world.run / "report.json").read_text(encoding="utf-8"))
    first, second = report["rounds"]
    assert {name: mixed[name] for name in ("rows", "by_strategy", "alpha")} == {
        name: first["mixture"][name] for name in ("rows", "by_strategy", "alpha")
    }
    assert card["score"] == first["validation"]["score"]
    assert (drawn["samples"], drawn["correct"]) == (second["pool"]["samples"], second["pool"]["correct"])
    shown = siked(tmp_path, "verify", "alone", "--pool", "round-1", "-q").stdout
    assert shown.startswith("Pool round-1  ")
    other = siked(tmp_path, "mix", "alone", "--round", "1", "--mixing", "teacher_only", "--json", "-q")
    assert json.loads(other.stdout)["alpha"] == 1.0
    # What was done by hand is not done again: the loop goes on from there, with the recipe's own policy.
    finished = json.loads(siked(tmp_path, "distill", *recipe, "--json", "-q").stdout)
    assert finished["rounds"][0]["validation"]["score"] == first["validation"]["score"]
    assert finished["rounds"][1]["mixture"] == second["mixture"]


def test_an_interrupted_run_is_continued_by_the_same_command(siked: Siked, tmp_path: Path) -> None:
    arguments = ["distill", "--preset", "pocket-smoke", "--strategies", "cot,pot"]
    process = subprocess.Popen(
        [sys.executable, "-m", "siked_cli", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("train round-0: "):
            break
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert said.splitlines()[-1] == f"Interrupted. To continue where it stopped: siked {' '.join(arguments)}"
    done = siked(tmp_path, *arguments, "--json")
    assert json.loads(done.stdout)["run"] == "runs/pocket-001"
    assert done.stderr.startswith("Continuing runs/pocket-001\n")
    assert "teach: finished before, and nothing that it rests on has changed." in done.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["pocket-001"]


def test_a_plugin_that_is_switched_off_is_not_used(
    siked: Siked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIKED_DISABLE_PLUGINS", "generator:pocket")
    done = siked(tmp_path, "distill", "--preset", "pocket-smoke", code=2)
    assert "The generator 'pocket'" in done.stderr
    assert "switched off" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_run_directory_that_cannot_be_written_is_one_line(siked: Siked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = siked(tmp_path, "distill", "--preset", "pocket-smoke", "--runs", "file/runs", code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: Cannot write file/runs")
    assert done.stderr.count("\n") == 1
