"""The benchmark of methods, from its command to its table, as small as it can be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "method.py"
SMALL = (
    "dataset.options.train=60", "dataset.options.validation=30", "dataset.options.test=30", "stopping.rounds=1",
    "rollout.warm_up_problems=30", "rollout.problems_per_round=15", "rollout.max_tokens=48", "evaluation.max_tokens=48",
    "training.tokens_per_round=1000",
)  # fmt: skip


@pytest.mark.slow
def test_an_arm_is_run_once_and_told_with_what_there_was_to_gain(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--studies", "main", "--seeds", "31", "--arms", "adaptive, per problem"]
    command += ["--runs", str(tmp_path / "runs"), "--results", str(tmp_path / "method.jsonl")]
    command += [word for setting in SMALL for word in ("--set", setting)]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "method.jsonl").read_text(encoding="utf-8").splitlines()
    outcome = json.loads(line)["outcome"]
    assert len(outcome["right"]) == len(outcome["oracle"]) == 30
    assert [round for round, _, _ in outcome["curve"]] == [0, 1]

    accuracy, gain, _ = json.loads((tmp_path / "method_main.json").read_text(encoding="utf-8"))["tables"]
    (row,) = gain["rows"]
    assert row["answers"] == float(accuracy["rows"][0]["right, in %"])
    assert row["seeds"] == 1
    forced = [row[f"always {name}"] for name in ("cot", "pot", "l2m")]
    assert min(forced) <= row["best for its kind"] <= row["oracle"]
    assert max(forced) <= row["oracle"]
