"""The benchmark of the command line's start-up: it runs, and leaves its results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "startup.py"


def test_it_runs_and_leaves_its_results(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--pairs", "1", "--only", "siked --help", "siked di<TAB>"]
    done = subprocess.run([*command, "--results", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "startup.json").read_text(encoding="utf-8"))
    (table,) = found["tables"]
    assert [row["command"] for row in table["rows"]] == ["siked --help", "siked di<TAB>"]
    assert all(0 < row["least"] <= row["CPU ms"] <= row["most"] for row in table["rows"])
    assert {found["pictures"][0][axis] for axis in ("x", "y", "low", "high")} <= set(table["rows"][0])
    assert found["says"][0].startswith("The most that a touch costs is ")
