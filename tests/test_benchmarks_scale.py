"""Two processes against one, and the model of many: what they make of what was measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def scale(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(BENCHMARKS / "scale.py")


@pytest.fixture(scope="module")
def model(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(BENCHMARKS / "throughput_model.py")


def made_up(scale: ModuleType, loss: float = 1.0) -> Callable[..., Any]:
    """Parts that say what they would have measured: two processes, or workers, are 1.5 times as fast."""

    def part(script: str, name: str, /, **given: Any) -> Any:
        several = max(given.get("processes", 1), given.get("workers", 1)) == 2
        found = {"tokens_a_second": 1500.0 if several else 1000.0, "seconds": 3.0, "opened_s": 1.0}
        found |= {"loss": loss if several else 1.0, "steps": 2, "texts": ["a", "b"]}
        return scale.Measured(found, 1.0, 1.0, 1.0, 1.0)

    return part


def test_gains_are_told(scale: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scale, "part", made_up(scale))
    monkeypatch.setattr(sys, "argv", ["scale.py", "--repeats", "2", "--results", str(tmp_path)])
    assert scale.main() == 0
    found = json.loads((tmp_path / "scale.json").read_text())
    assert [row["times one process, median"] for row in found["tables"][0]["rows"]] == [1, 1, 1.5]
    assert [row["times one worker, median"] for row in found["tables"][1]["rows"]] == [1, 1, 1.5]
    assert "100.0% of the texts" in found["says"][1]


def test_another_loss_is_no_gain(scale: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "part", made_up(scale, loss=1.01))
    with pytest.raises(SystemExit, match="same loss"):
        scale.training(scale.Record("scale", "", ""), 64, 1)


@pytest.mark.ray
@pytest.mark.slow
def test_it_runs(scale: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["scale.py", "--quick", "--results", str(tmp_path)])
    assert scale.main() == 0
    found = json.loads((tmp_path / "scale.json").read_text())
    assert all(row["tokens a second, least"] > 0 for table in found["tables"] for row in table["rows"])


def test_the_model_is_what_it_says(model: ModuleType) -> None:
    costs = model.Costs(1e-4, 1e-3, 1e-5, {"teach": 1024.0, "verify": 2048.0}, 500.0)
    assumed = model.Assumed(rate=1000, tokens=100, price=2.0)
    one = model.estimate(36_000_000, 10, costs, assumed)
    assert (one.sampling_h, one.writing_h) == pytest.approx((100.0, 1.0))
    assert (one.judging_h, one.mixing_h) == pytest.approx((10.0, 0.1))
    assert (one.hours, one.cost, one.waiting) == pytest.approx((110.1, 2202.0, 10.1 / 110.1))
    assert (one.longest, one.memory_stage, one.disk_gb) == ("sampling", "verify", 18.0)
    assert one.memory_gib == pytest.approx(36_000_000 * 2 / 2**20)
    many = model.estimate(36_000_000, 10_000, costs, assumed)
    assert many.longest == "judging"
    assert many.hours == pytest.approx(1.0 + 10.0 + 0.1), "one process writes, however many GPUs there are"
    assert model.keeps_up(costs, assumed) == pytest.approx(100)


def test_the_model_takes_what_was_measured(model: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    million = {"samples": 1000, "measured": {name: [9.0, 0.5, 9.0] for name in ("teach", "verify", "mix")},
               "bytes": {"pools": 4000, "verdicts": 1000, "mixtures": 7}}  # fmt: skip
    memory = {"measured": {size: {name: [mib, 1.0] for name in ("teach", "verify", "mix")}
                           for size, mib in (("1024", 100.0), ("2048", 101.0))}}  # fmt: skip
    monkeypatch.setattr(model, "RESULTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["throughput_model.py", "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"million\.json is not there"):
        model.main()
    (tmp_path / "million.json").write_text(json.dumps(million))
    (tmp_path / "stage_memory.json").write_text(json.dumps(memory))
    assert model.measured(tmp_path) == model.Costs(
        5e-4, 5e-4, 5e-4, dict.fromkeys(("teach", "verify", "mix"), 1024.0), 5.0
    )
    assert model.main() == 0
    found = json.loads((tmp_path / "throughput_model.json").read_text())
    assert len(found["tables"][2]["rows"]) == 9
    assert found["assumed"] == {"rate": 2500, "tokens": 200, "price": 2.5}
    (tmp_path / "pool_scale.json").write_text(json.dumps({"sizes": [{"samples": 10, "append": {"bytes": 4160}}]}))
    assert model.measured(tmp_path).disk_b == 416
