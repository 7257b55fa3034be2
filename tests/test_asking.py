"""What a generator leaves for the next stage: set aside, made room for, ended with the run; never after a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from siked_core import Completion, Generator, Request, Sampling
from siked_core.asking import asking, make_room
from siked_core.recipe import resolve
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run


class Plain(Generator):
    """Leaves nothing."""

    name = "plain"
    told: ClassVar[list[str]] = []

    @property
    def fingerprint(self) -> str:
        return self.name

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        yield from ()

    def close(self) -> None:
        self.told.append(f"{self.name} closed")


class Lasting(Plain):
    """Leaves something."""

    name = "lasting"

    def set_aside(self) -> None:
        self.told.append("set aside")

    @classmethod
    def make_room(cls) -> None:
        cls.told.append("made room")

    @classmethod
    def release(cls) -> None:
        cls.told.append("released")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(Plain, "told", [])
    return Run(tmp_path, resolve(preset="pocket-smoke"), Registry.discover(), SilentReporter())


def test_a_stage_sets_aside_and_the_run_releases(run: Run) -> None:
    with run:
        for _ in range(2):
            with asking(run, Lasting()) as one:
                assert one.say == run.reporter.note
        assert Plain.told == ["set aside", "set aside"]
        make_room(run)
        assert Plain.told[2:] == ["made room"]
    assert Plain.told[3:] == ["released"]


def test_another_class_of_generators_has_room(run: Run) -> None:
    with asking(run, Lasting()):
        pass
    with asking(run, Plain()):
        assert Plain.told == ["set aside", "made room"]
    assert Plain.told[2:] == ["plain closed"], "most have nothing to set aside"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_stage_that_fails_leaves_nothing(run: Run, error: Any) -> None:
    with pytest.raises(error), asking(run, Lasting()):
        raise error
    assert Plain.told == ["lasting closed"]
