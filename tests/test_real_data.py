"""The whole loop on real GSM8K problems, through the command line: the human annotations are the teacher."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SIKED_DATA_DIR") or Path(__file__).resolve().parents[2] / "shared" / "data")
STRATEGIES = ("cot", "pot", "l2m", "eot")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (DATA / "gsm8k_train.jsonl").exists(), reason=f"no published data at {DATA}; set SIKED_DATA_DIR"
    ),
]


def test_gsm8k_from_its_annotations_to_the_final_table(tmp_path: Path) -> None:
    smaller = ("data.validation=10", "data.test_limit=10", "rollout.max_tokens=48", "evaluation.max_tokens=48")
    command = [sys.executable, "-m", "siked_cli", "distill", "--dataset", "gsm8k", "--data", str(DATA)]
    command += ["--teacher", "annotations", "--strategies", ",".join(STRATEGIES), "--limit", "24", "--rounds", "1"]
    command += ["--evaluate", "svamp,asdiv,multiarith", "--samples", "1", "--epochs", "1", "--json"]
    for assignment in smaller:
        command += ["--set", assignment]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    pool = report["rounds"][0]["pool"]
    assert pool["samples"] == 24 * len(STRATEGIES)
    assert set(pool["by_strategy"]) == set(STRATEGIES)
    assert pool["correct"] >= 0.9 * pool["samples"], pool
    assert [one["round"] for one in report["rounds"]] == [0, 1]
    chosen = f"round-{report['chosen_round']}"
    scored = {card["dataset"]: card["score"]["total"] for card in report["test"] if card["student"] == chosen}
    assert scored == {"gsm8k": 10, "svamp": 10, "asdiv": 10, "multiarith": 10}
    assert report["excluded"]["asdiv-test"] > 0
    assert (tmp_path / report["student"] / "model.safetensors").exists()
