"""The benchmark of a run against its bare calls: it runs, both sides agree, and it tells when they do not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = ["dataset.options.train=4", "dataset.options.validation=2", "dataset.options.test=2", "rollout.samples=1",
        "training.warm_up_epochs=1", "rollout.max_tokens=8", "evaluation.max_tokens=8"]  # fmt: skip


@pytest.fixture(scope="module")
def benchmark(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(BENCHMARKS / "loop_overhead.py")


@pytest.fixture
def here(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Its parts are done in this process."""

    def part(script: str, name: str, /, **given: Any) -> Any:
        return sys.modules["apart"].measured(lambda: benchmark.PARTS[name](**given))

    monkeypatch.setattr(benchmark, "part", part)
    return benchmark


@pytest.mark.slow
def test_a_run_and_its_bare_calls_agree(here: ModuleType, tmp_path: Path) -> None:
    from siked_core import launch
    from siked_core.pool import Pool
    from siked_core.stages import verify

    before = (launch.fit, verify.read, Pool.append)
    record = here.Record("loop_overhead", "Overhead", "")
    here.measure(record, tmp_path, "pocket-smoke", TINY, 1)
    assert (launch.fit, verify.read, Pool.append) == before, "nothing stays in front of siked's functions"
    found = json.loads(record.write(tmp_path).read_text())
    assert found["calls"].keys() == {"generation", "read", "verification", "training"}
    assert found["calls"]["training"] == 2
    assert all(found["bare_spent"][0][kind] > 0 for kind in here.WORK)
    assert {"samples and verdicts written", "mixing", "answers scored"} <= found["inside_spent"].keys()
    assert found["tables"][0]["rows"][3]["median"] > 0

    calls = here.Calls.kept(tmp_path / "calls.pickle")
    kind, asked, came = next(one for one in calls.made if one[0] == "verification")
    calls.made[calls.made.index((kind, asked, came))] = (kind, asked, came[:-1])
    calls.keep(tmp_path / "calls.pickle")
    with pytest.raises(SystemExit, match="came to something else"):
        here.bare(str(tmp_path))


def test_each_second_is_counted_once(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = sys.modules["watched"]
    now = iter(range(100))
    monkeypatch.setattr(watched.time, "perf_counter", lambda: float(next(now)))
    clock = watched.Clock()

    def items() -> Any:
        yield from "ab"

    def outer() -> list[str]:
        return list(clock.timed("inner")(items)())

    assert clock.timed("outer")(outer)() == ["a", "b"]
    spent = clock.spent
    assert spent["inner"] == 3, "until each of two items, and to the end"
    assert sum(spent.values()) == next(now) - 1, "nothing is lost or counted twice"
