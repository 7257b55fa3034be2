"""The benchmarks of many samples, with few: they run, and what they write is what the stages did."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def run(
    load: Callable[[Path], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Run a benchmark with its parts in this process; what it wrote."""

    def command(name: str, *words: str) -> dict[str, Any]:
        module = load(BENCHMARKS / f"{name}.py")

        def part(script: str, which: str, /, **given: Any) -> Any:
            return sys.modules["apart"].measured(lambda: module.PARTS[which](**given))

        monkeypatch.setattr(module, "part", part)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *words, "--folder", str(tmp_path), "--results", str(tmp_path)])
        assert module.main() == 0
        found: dict[str, Any] = json.loads((tmp_path / f"{name}.json").read_text())
        assert [path.name for path in tmp_path.iterdir()] == [f"{name}.json"], "it cleans up"
        return found

    return command


def test_samples_go_from_the_file_to_the_mixture(run: Callable[..., dict[str, Any]]) -> None:
    found = run("million", "--samples", "64")
    assert found["samples"] == 64
    assert sum(found["statuses"].values()) == 64
    assert found["statuses"]["correct"] > 32
    assert all(size > 0 for size in found["bytes"].values())
    assert [row["stage"].partition(":")[0] for row in found["tables"][0]["rows"]] == ["teach", "verify", "mix"]


@pytest.mark.slow
def test_every_stage_is_measured(
    load: Callable[[Path], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = load(BENCHMARKS / "stage_memory.py")
    answers = {}

    def part(script: str, name: str, /, **given: Any) -> Any:
        done = sys.modules["apart"].measured(lambda: module.PARTS[name](**given))
        answers[name] = done.answer
        return done

    monkeypatch.setattr(module, "part", part)
    small = module.stages(16, tmp_path)
    assert list(small) == list(module.STAGES)
    assert (answers["teach"], answers["rollout"]) == ({"samples": 16}, {"samples": 16})
    assert (answers["mix"]["rows"], answers["evaluate"]["answers"]) == (4, 1)
    assert list(tmp_path.iterdir()) == [], "it cleans up"

    large = {name: module.Measured({}, 2.0, 1.0, one.peak_mib + 1, 0.0) for name, one in small.items()}
    record = module.Record("stage_memory", "Memory", "")
    module.describe(record, {16: small, 1040: large})
    found = json.loads(record.write(tmp_path).read_text())
    assert [row["grows by, KiB a sample"] for row in found["tables"][0]["rows"]] == [1.0] * len(module.STAGES)


def test_a_part_has_a_process_of_its_own(load: Callable[[Path], ModuleType], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\nimport apart\n"
        "def work(mib): return len(bytearray(mib << 20)) >> 20\n"
        "def fail(): raise ValueError('no, because')\n"
        "apart.answer({'work': work, 'fail': fail}, sys.argv[2])\n"
    )
    apart = load(BENCHMARKS / "apart.py")
    small, large = (apart.part(script, "work", mib=mib) for mib in (1, 64))
    assert (small.answer, large.answer) == (1, 64)
    assert 50 < large.peak_mib - small.peak_mib < 80
    assert small.cpu_s > 0
    with pytest.raises(SystemExit, match=r"(?s)'fail' of script\.py failed.*no, because"):
        apart.part(script, "fail")
