"""What would fail hours later fails before the teacher is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from siked_core import ModelError, Rationale, SikedError, Verdict, VerifierFault
from siked_core.loop import distill
from siked_core.recipe import validate
from siked_core.rehearsal import FOLDER, rehearse, rehearse_once
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import Loud, SameText, ToyStudent, ToyTeacher


class Reporter(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class Broken(ToyStudent):
    """A student that cannot be sampled from."""

    name = "toy-student"

    def generate(self, requests: Any, sampling: Any) -> Any:
        raise ModelError("The engine does not know this architecture.")


class Faulty(SameText):
    """A judge without its tools."""

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        raise VerifierFault("no solver is installed")


class Strict(SameText):
    """A judge who finds nothing right."""

    def compare(self, answer: str, gold: str) -> Verdict:
        from siked_core import Status

        return Verdict(Status.WRONG, answer)


class Banked(Loud):
    """With a worked example."""

    @property
    def bank(self) -> Any:
        from siked_core import Bank, Shot

        shot = Shot(question="1+1?", completion="sum=2!", answer="2")
        return Bank(instruction="", template="{question}", shots=(shot,))

    bank_path = Path("none")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def started(tiny: Path, runs: Path, *plugins: Any, reporter: Any = None, **changes: Any) -> Run:
    recipe = validate(toy_recipe(tiny, **{"rehearsal": True, "stopping": {"rounds": 0}, **changes}))
    return start(recipe, toy_registry(*plugins), reporter or SilentReporter(), runs=runs, name="run")


def test_a_sound_run_is_rehearsed_once_and_leaves_nothing(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(tiny, tmp_path) as run:
        rehearse_once(run)
        assert not list(run.path.glob(f"{FOLDER}*"))
        assert not run.pool("teacher").read().height if (run.path / "pools" / "teacher").exists() else True
        monkeypatch.setattr("siked_core.rehearsal._train", None)
        rehearse_once(run)  # nothing has changed
        assert distill(run).rounds


@pytest.mark.parametrize(
    ("plugins", "changes", "says"),
    [
        ((Broken,), {}, "a trial of sampling: The engine does not know this architecture."),
        ((Banked, Faulty), {}, "^no solver is installed"),
        ((), {"training": {"args": {"optim": "adamw_bnb_8bit"}, "objective": "plain"}}, "a trial of training: "),
    ],
)
def test_what_would_fail_later_fails_before_the_teacher_is_asked(
    tiny: Path, tmp_path: Path, plugins: Any, changes: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "training" in changes:
        monkeypatch.setattr("siked_core.rehearsal.train_as_launched", _out_of_memory)
    calls = ToyTeacher.calls
    with started(tiny, tmp_path, *plugins, **changes) as run, pytest.raises((SikedError, VerifierFault), match=says):
        distill(run)
    assert ToyTeacher.calls == calls
    assert not list((tmp_path / "run").glob(f"{FOLDER}*"))


def _out_of_memory(*_: Any, **__: Any) -> None:
    raise ModelError("The device ran out of memory.")


def test_a_judge_that_refuses_the_bank_is_a_warning(tiny: Path, tmp_path: Path) -> None:
    reporter = Reporter()
    with started(tiny, tmp_path, Banked, Strict, reporter=reporter) as run:
        rehearse(run)
    assert any(
        "does not find the first worked example of 'loud' right (wrong: 2)" in text for text in reporter.warnings
    )


def test_a_recipe_can_leave_it_out(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siked_core.rehearsal.train_as_launched", _out_of_memory)
    with started(tiny, tmp_path, rehearsal=False) as run:
        rehearse_once(run)


def test_doctor_rehearses_a_recipe(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from siked_cli.main import main

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        json.dumps({"preset": "pocket-smoke", "student": {"model": str(tiny)}, "training": {"max_length": 1024}})
    )
    assert main(["doctor", str(recipe), "--rehearse", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[-1]["what"] == "rehearsal"
    assert found[-1]["level"] == "fine"
