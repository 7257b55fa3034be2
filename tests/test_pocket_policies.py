"""The benchmark of mixing policies: its statistics by hand, its recipes sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from siked_core.mixing import open_policy
from siked_core.recipe import resolve
from siked_core.registry import Registry


@pytest.fixture(scope="module")
def benchmark(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(Path(__file__).parents[1] / "benchmarks" / "pocket_policies.py")


@pytest.fixture(scope="module")
def arms(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(Path(__file__).parents[1] / "benchmarks" / "arms.py")


def test_students_t_is_that_of_the_tables(arms: ModuleType) -> None:
    for point, freedom, level in ((2.776, 4, 0.05), (12.706, 1, 0.05), (4.604, 4, 0.01)):
        assert arms.t_two_sided(point, freedom) == pytest.approx(level, rel=2e-3)
        assert arms.t_point(level, freedom) == pytest.approx(point, rel=1e-3)


def test_holm_corrects_the_most_certain_most(arms: ModuleType) -> None:
    sure, unsure, level = [5.0, 5.5, 6.0, 5.2, 5.8], [1.0, -1.0, 3.0, 0.5, -0.5], [2.0, 2.5, 4.0, 1.0, 3.0]
    found = arms.holm({"unsure": unsure, "sure": sure, "level": level, "alone": [3.0]})
    assert list(found) == ["sure", "level", "unsure"]
    single = {name: arms.holm({name: values})[name] for name, values in (("sure", sure), ("unsure", unsure))}
    assert found["sure"].p == pytest.approx(3 * single["sure"].p)
    assert found["unsure"].p == pytest.approx(single["unsure"].p)
    assert found["sure"].high - found["sure"].low > single["sure"].high - single["sure"].low
    assert found["unsure"].low == pytest.approx(single["unsure"].low)
    for name, one in found.items():
        assert (one.low > 0 or one.high < 0) == (one.p <= arms.LEVEL), name


def test_the_arms_make_sound_recipes(benchmark: ModuleType) -> None:
    arms = benchmark.arms(["cot", "pot", "l2m"])
    assert [name for name in arms if name.startswith("biased")] == [
        "biased pot > cot > l2m",
        "biased cot > pot > l2m",
        "biased l2m > pot > cot",
    ]
    for name, settings in arms.items():
        recipe = resolve(preset="pocket", changes={"strategies": ["cot", "pot", "l2m"]}, assignments=settings)
        open_policy(recipe.mixing.policy, recipe, Registry.discover())
        asked = recipe.rollout.samples * len(recipe.strategies)
        assert asked == 3, f"{name} samples as often as the others"
        assert (recipe.training.warm_up_epochs or 1) * len(recipe.strategies) == 3


def test_a_table_holds_every_arm_against_one(benchmark: ModuleType) -> None:
    def outcome(right: str) -> object:
        flags = "".join("1" if one == "x" else "0" for one in right)
        return benchmark.Outcome(flags, "these", 1, 1000, {"cot": 0.5})

    found = {
        1: {"utility": outcome("xxxx"), "all": outcome("xx..")},
        2: {"utility": outcome("xxx."), "all": outcome("xx..")},
    }
    lines = benchmark.record(found, "utility").lines()
    assert lines[2].startswith("| utility | 87.5 |  |")
    assert lines[3].startswith("| all | 50 | +37.5 (")
    assert "| 50.0, 50.0 | 1,000 | cot 50 |" in lines[3]
    assert lines[-3:] == [
        "`utility` is ahead, at p of 0.05 after Holm, of: none.",
        "It is behind, likewise: none.",
        "Not told apart from it: all.",
    ]


def test_what_a_file_of_results_has_is_not_run_again(arms: ModuleType, tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "results.jsonl"
    monkeypatch.setattr(
        arms, "outcome", lambda path, split, curve: arms.Outcome("110", "these", 2, 900, {"cot": 1.0}, 10, 20)
    )
    made = []

    def make() -> Path:
        made.append(1)
        return tmp_path

    first = arms.Results(file).of("pocket", ["seed=1"], "test", make)
    again = arms.Results(file).of("pocket", ["seed=1"], "test", make)
    assert first == again
    assert len(made) == 1
    arms.Results(file).of("pocket", ["seed=1"], "validation", make)
    arms.Results(file).of("pocket", ["seed=2"], "test", make)
    assert len(made) == 3
    assert len(file.read_text().splitlines()) == 3
    other = arms.Outcome("110", "others", 2, 900, {"cot": 1.0})
    with pytest.raises(ValueError, match="different problems"):
        arms.ahead(first, other)
