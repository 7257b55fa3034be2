"""The benchmarks of sampling and of training: they run, both sides do the same work, and their results are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


def quick(name: str, folder: Path) -> dict[str, Any]:
    """The results of a benchmark that is run in small, as a user would."""
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), "--quick", "--out", str(folder)]
    done = subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    path = folder / f"{name}.json"
    assert done.stdout.splitlines()[-1] == str(path)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_sampling(folder: Path) -> None:
    found = quick("sampling", folder)  # it ends with an error where the sides do not answer alike
    [table] = found["tables"]
    assert [row["way"] for row in table["rows"]] == [
        "siked's rollout",
        "model.generate, 4 at once",
        "model.generate, 8 at once",
    ]
    for row in table["rows"]:
        assert 0 < row["least tokens a second"] <= row["most tokens a second"]
    assert len(found["says"]) == 3


def test_training(folder: Path) -> None:
    found = quick("training", folder)
    rates, starts, rounds = found["tables"]
    assert [row["way"] for row in rates["rows"]] == [
        "siked",
        "bare loop",
        "SFTTrainer",
        "SFTTrainer, no checkpointing",
    ]
    losses = [row["loss on held-out rows"] for row in rates["rows"]]
    assert max(losses) < 1.25 * min(losses), "all have learnt alike"
    assert [row["way"] for row in starts["rows"]] == ["siked", "bare loop", "SFTTrainer"]
    assert len(rounds["rows"]) == 3, "the warm-up and two rounds"
