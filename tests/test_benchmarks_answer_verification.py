"""The benchmark of judging answers: both sides solve its systems, and it leaves its results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "answer_verification.py"


@pytest.fixture
def benchmark(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(SCRIPT)


def test_it_runs_and_leaves_its_results(benchmark: ModuleType, tmp_path: Path) -> None:
    small = ["--rounds", "1", "--numbers", "20", "--systems", "3", "--results", str(tmp_path)]
    assert benchmark.main(small) == 0
    found = json.loads((tmp_path / "answer_verification.json").read_text(encoding="utf-8"))
    numbers, systems = found["tables"][0]["rows"]
    assert systems["same verdicts, in %"] == 100
    assert numbers["same verdicts, in %"] > 50
    assert len(found["says"]) == 2


def test_a_side_that_solves_wrong_is_told(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "solved_by_sympy", lambda systems: ["1"] * len(systems))
    monkeypatch.setattr(benchmark.solved_by_sympy, "__name__", "solved_by_sympy")
    with pytest.raises(SystemExit, match="solved_by_sympy is wrong on"):
        benchmark.measure(4, 2, 1)
