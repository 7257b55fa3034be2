"""Kills and signals: the same command comes to the same end, and says how to go on where it can."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.recovery]
ROOT = Path(__file__).parents[1]
DISTILL = ["distill", "--preset", "pocket-smoke", "--strategies", "cot,pot"]


def test_a_run_that_is_killed_five_times_equals_an_unbroken_one(
    tmp_path: Path, load: Callable[[Path], ModuleType]
) -> None:
    outcome = load(ROOT / "benchmarks" / "kill.py").measure(5, 1, tmp_path)
    assert outcome.differences == ()
    assert outcome.kills >= 3
    assert outcome.within_bounds, outcome


def children(pid: int) -> set[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return {int(line) for line in found.stdout.split()}


@pytest.mark.parametrize("stage", ["train round-0: ", "verify teacher: ", "rollout round-1: "])
def test_sigterm_ends_in_good_order_and_soon(tmp_path: Path, begun: Callable[..., Any], stage: str) -> None:
    with begun(tmp_path, *DISTILL) as process:
        process.until(stage)
        sandboxes = children(process.pid)
        process.send_signal(signal.SIGTERM)
        sent = time.monotonic()
        out, said = process.communicate(timeout=60)
    took = time.monotonic() - sent
    assert (process.returncode, out) == (143, "")
    assert said.splitlines()[-1] == f"Terminated. To continue where it stopped: siked {' '.join(DISTILL)}"
    assert "Traceback" not in said
    assert took < 10
    run = tmp_path / "runs" / "pocket-001"
    assert not (run / "run.lock").exists()
    assert len(json.loads((run / "manifest.json").read_text())["stages"]) >= 1
    checked = subprocess.run(
        [sys.executable, "-m", "siked_cli", "run", "check", str(run)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout.splitlines()[-1]) == (0, f"{run} is sound.")
    for sandbox in sandboxes:
        with pytest.raises(ProcessLookupError):
            os.kill(sandbox, 0)


CLINGS = (
    "import sys, time, siked_core.recipe_check as r\nfrom siked_cli.main import main\n"
    "import siked_cli.interruption as i\ni.LIMIT_S = {limit}\n"
    "def check(*_):\n"
    "    print('ready', flush=True)\n"
    "    try:\n        time.sleep(60)\n"
    "    except KeyboardInterrupt:\n        print('tidying', flush=True)\n        time.sleep(60)\n"
    "r.check = check\nsys.exit(main(['distill']))"
)


def clinging(folder: Path, limit: float) -> subprocess.Popen[str]:
    code = CLINGS.format(limit=limit)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    return process


def test_a_second_control_c_ends_at_once(tmp_path: Path) -> None:
    process = clinging(tmp_path, 60)
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "tidying\n"
    sent = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Interrupted. To continue where it stopped: siked distill"


def test_an_end_that_takes_too_long_is_cut_short(tmp_path: Path) -> None:
    process = clinging(tmp_path, 1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143
    assert said.splitlines()[-1] == "Terminated. To continue where it stopped: siked distill"


def test_signals_are_as_before_after_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    from siked_cli.main import main

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["recipe", "list", "--json"]) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert capsys.readouterr().out
