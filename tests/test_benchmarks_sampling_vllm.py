"""The benchmark of sampling with vLLM: all sides write, and the results are left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "sampling_vllm.py"


@pytest.mark.vllm
def test_all_sides_write(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "sampling_vllm.json").read_text(encoding="utf-8"))
    ways = [row["way"] for row in found["tables"][0]["rows"]]
    assert ways[0] == "siked, a server"
    assert ways[-2:] == ["vllm.LLM.generate", "vllm.LLM.generate, with seeds and log-probabilities"]
    assert all(row["median"] > 0 for row in found["tables"][0]["rows"])
