"""`siked doctor`: what it reports, and what it returns where programs cannot be caged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from siked_cli.doctor import UNCAGED
from siked_cli.main import main
from siked_core.errors import SandboxError
from siked_core.sandbox import Outcome, ProgramPool

linux = pytest.mark.skipif(sys.platform != "linux", reason="the cage is Linux's")


def told(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    code = main(["doctor", "--json", "--no-device", *options])
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, content


@linux
def test_a_machine_that_can_cage_passes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, content = told(capsys, "--runs", str(tmp_path / "not" / "yet"))
    assert (code, content["safe"]) == (0, True)
    assert {layer["name"] for layer in content["cage"]["layers"] if layer["active"]} >= {"seccomp", "rlimits"}
    assert all(layer["detail"] for layer in content["cage"]["layers"])
    assert len(content["self_test"]) == 8
    assert all(probe["passed"] for probe in content["self_test"])
    assert content["disk"]["path"] == str(tmp_path)
    assert content["disk"]["free_gib"] > 0
    assert content["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert content["device"] == "not asked"
    assert content["plugins"]["active"] > 10


@linux
def test_people_get_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--no-device"]) == 0
    shown = capsys.readouterr().out
    for text in ("seccomp", "landlock", "Self-test", "an endless loop", "GiB free", "Plugins", "can be run safely"):
        assert text in shown


def test_the_device_is_asked_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_cli import doctor

    monkeypatch.setattr(doctor, "_DEVICE", "print('cpu: 2 threads')")
    assert doctor._device() == "cpu: 2 threads"
    monkeypatch.setattr(doctor, "_DEVICE", "raise ImportError('no driver')")
    assert doctor._device() == "unknown: ImportError: no driver"


def test_no_cage_is_said_and_returned(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: ProgramPool) -> None:
        raise SandboxError("Model-written programs cannot be caged on this machine.")

    monkeypatch.setattr(ProgramPool, "layers", refuse)
    code, content = told(capsys)
    assert (code, content["safe"]) == (UNCAGED, False)
    assert "cannot be caged" in content["cage"]["why_not"]
    assert content["self_test"] == []
    assert main(["doctor", "--no-device"]) == UNCAGED
    assert "cannot be caged" in capsys.readouterr().out


@linux
def test_something_that_gets_out_is_said_and_returned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ProgramPool.run

    def leaky(self: ProgramPool, programs: list[str]) -> list[Outcome]:
        return [
            Outcome("answered", "1612") if "/etc/passwd" in code else outcome
            for code, outcome in zip(programs, real(self, programs), strict=True)
        ]

    monkeypatch.setattr(ProgramPool, "run", leaky)
    code, content = told(capsys)
    assert (code, content["safe"]) == (UNCAGED, False)
    assert [probe["name"] for probe in content["self_test"] if not probe["passed"]] == ["reading a file"]


@linux
def test_no_fast_tier_is_no_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty._binary", None)
    code, content = told(capsys)
    assert (code, content["safe"]) == (0, True)
    assert content["fast_tier"]["available"] is False
    assert content["fast_tier"]["why_not"]
