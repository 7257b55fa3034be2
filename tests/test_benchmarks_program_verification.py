"""The benchmark of judging programs: all ways find the same answers, and it leaves its results.

Its endurance run has tests of its own, in `test_endurance.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "program_verification.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is caged elsewhere")


@pytest.mark.slow
def test_it_runs_and_leaves_its_results(tmp_path: Path) -> None:
    small = ["--programs", "20", "--baseline-programs", "6", "--repeats", "1", "--workers", "2"]
    command = [sys.executable, str(SCRIPT), *small, "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "program_verification.json").read_text(encoding="utf-8"))
    took, quicker = found["tables"]
    assert [row["way"] for row in took["rows"]] == list(found["cpu_s"])
    assert len(quicker["rows"]) == 6
    assert sum(found["served_by_tier"].values()) == 20
    assert set(found["served_by_tier"]) <= {"1", "2"}
    assert "in the cage" in found["says"][0]
