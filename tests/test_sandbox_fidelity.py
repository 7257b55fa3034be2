"""Published model-written programs give the same values in the cage as in a plain interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from siked_core.sandbox import Limits, ProgramPool

DATA = Path(os.environ.get("SIKED_DATA_DIR") or Path(__file__).resolve().parents[2] / "shared" / "data")
PROGRAMS = DATA / "gsm_hard_programs_400.jsonl"
PLAIN = """\
import json, sys
values = []
for code in json.load(sys.stdin):
    scope = {}
    try:
        exec(code, scope)
        values.append(repr(scope["solution"]()))
    except Exception as error:
        values.append(type(error).__name__)
json.dump(values, sys.stdout)
"""

pytestmark = pytest.mark.skipif(not PROGRAMS.exists(), reason=f"{PROGRAMS} is not there")


def test_same_values_as_a_plain_interpreter() -> None:
    programs = [json.loads(line)["code"] for line in PROGRAMS.read_text(encoding="utf-8").splitlines()]
    plain = subprocess.run(
        [sys.executable, "-I", "-c", PLAIN], input=json.dumps(programs), capture_output=True, text=True, check=True
    )
    expected = json.loads(plain.stdout)
    with ProgramPool(Limits(timeout_s=30), allow_unsafe=sys.platform != "linux") as pool:
        outcomes = pool.run(programs)
    differing = [
        (outcome, value)
        for outcome, value in zip(outcomes, expected, strict=True)
        if outcome.answer != value and value not in outcome.why
    ]
    assert differing == []
    assert sum(outcome.status == "answered" for outcome in outcomes) > 390
