"""The endurance run of `benchmarks/program_verification.py`: that it ends well, and notices what grows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from siked_core.sandbox import Outcome, ProgramPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "program_verification.py"


@pytest.fixture
def benchmark(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(SCRIPT)


@pytest.mark.slow
def test_a_short_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """Other processes may use /tmp meanwhile: only what these programs would leave counts."""
    command = [
        sys.executable,
        str(SCRIPT),
        "--endurance",
        "300",
        "--workers",
        "2",
        "--ignore",
        "[!l]*",
        "--json",
        "found",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found").read_text(encoding="utf-8"))
    assert found["programs"] == 300
    assert found["faults"] == []
    assert found["harmless"]["answered"] + sum(found["hostile"].values()) == 300
    assert set(found["served_by_tier"]) == {"1", "2"}
    assert (found["after_closing"]["descendants"], found["after_closing"]["zombies"]) == (0, 0)


def run(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, pool: type[ProgramPool]) -> list[str]:
    monkeypatch.setattr(benchmark, "ProgramPool", pool)
    monkeypatch.setattr(benchmark, "mixture", lambda count, *_, **__: ["answer = 1"] * count)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--endurance", "160", "--workers", "1", "--ignore", "[!s]*"])
    monkeypatch.setattr(benchmark.json, "dumps", lambda *_, **__: "")
    faults: list[str] = []
    endure = benchmark.endure

    def noted(arguments: Any) -> Any:
        result = endure(arguments)
        faults.extend(result["faults"])
        return result

    monkeypatch.setattr(benchmark, "endure", noted)
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 1
    return faults


class _Made(ProgramPool):
    """Answers without running anything, and leaks."""

    def run(self, programs: Sequence[str]) -> list[Outcome]:
        self.leak()
        return [Outcome("answered", answer="1")] * len(programs)

    def leak(self) -> None:
        raise NotImplementedError


def test_files_that_are_never_closed_are_noticed(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    class Leaky(_Made):
        def leak(self) -> None:
            kept.append(Path("/dev/null").open("rb"))  # noqa: SIM115 - that is the leak

    faults = run(benchmark, monkeypatch, Leaky)
    for file in kept:
        file.close()
    assert any(fault.startswith("open_files grew from") for fault in faults)
    assert any(fault.startswith("open_files is") for fault in faults)


def test_processes_that_are_never_reaped_are_noticed(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[subprocess.Popen[bytes]] = []

    class Leaky(_Made):
        def leak(self) -> None:
            kept.append(subprocess.Popen(["true"]))

    faults = run(benchmark, monkeypatch, Leaky)
    for process in kept:
        process.wait()
    assert any(fault.startswith("zombies") for fault in faults)
    assert any(fault.startswith("descendants grew") for fault in faults)


def test_files_that_are_left_behind_are_named(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Path("/dev/shm/siked_endurance_test")

    class Leaky(_Made):
        def leak(self) -> None:
            left.write_text("", encoding="utf-8")

    try:
        assert f"left behind: {left}" in run(benchmark, monkeypatch, Leaky)
    finally:
        left.unlink()


def test_memory_that_grows_is_noticed_and_a_plateau_is_not(benchmark: ModuleType) -> None:
    def samples(memory: Sequence[float], children: Sequence[float]) -> list[dict[str, float]]:
        same = {"open_files": 9, "descendants": 8, "zombies": 0, "new_files": 0}
        return [
            {"memory_mib": one, "descendants_mib": other, **same} for one, other in zip(memory, children, strict=True)
        ]

    flat = [40.0] * 40
    assert benchmark.growth(samples(flat, [100 + 64 * (number > 20) for number in range(40)]), 2) == []
    assert benchmark.growth(samples([40 + number % 7 for number in range(40)], flat), 2) == []
    (fault,) = benchmark.growth(samples([40.0 + 2 * number for number in range(40)], flat), 2)
    assert fault == "memory_mib grew from at most 78.0 to at least 100.0"
    (fault,) = benchmark.growth(samples(flat, [100 + 16 * number for number in range(40)]), 2)
    assert fault.startswith("descendants_mib grew")
