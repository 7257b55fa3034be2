"""The benchmark of methods: its recipes sound, its table by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from siked_core.mixing import open_policy
from siked_core.recipe import resolve
from siked_core.recipe_check import check
from siked_core.registry import Registry


@pytest.fixture(scope="module")
def benchmark(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(Path(__file__).parents[1] / "benchmarks" / "pocket_methods.py")


def test_every_arm_makes_a_sound_recipe_and_names_one_before_it(benchmark: ModuleType) -> None:
    registry = Registry.discover()
    for group in benchmark.GROUPS.values():
        before: set[str] = set()
        for name, arm in group.items():
            preset = f"pocket,{arm.layer}" if arm.layer else "pocket"
            recipe = resolve(preset=preset, assignments=list(arm.settings))
            check(recipe, registry)
            open_policy(recipe.mixing.policy, recipe, registry)
            assert not arm.against or arm.against in before, name
            assert arm.against or not arm.fork, name
            before.add(name)


def test_a_method_is_held_against_its_own(benchmark: ModuleType) -> None:
    def outcome(right: str) -> object:
        flags = "".join("1" if one == "x" else "0" for one in right)
        return benchmark.Outcome(flags, "these", 0, 500, {"cot": 1.0}, warm_up=2000, sampled=300)

    group = {"plain": benchmark.Arm(()), "better": benchmark.Arm((), "plain"), "not run": benchmark.Arm((), "plain")}
    one_seed = {1: {"plain": outcome("xx......"), "better": outcome("xxxxxx..")}}
    plain, better = benchmark.rows(group, one_seed)
    assert list(plain.values()) == ["plain", "25.0 (7.1 to 59.1)", "", "", 2000, 500, 300, "cot 100"]
    assert list(better.values())[:3] == ["better", "75.0 (40.9 to 92.9)", "plain"]
    assert better["ahead by, in points"].startswith("+50.0 (")
    seeds = one_seed | {2: {"plain": outcome("xx......"), "better": outcome("xxxx....")}}
    _, better = benchmark.rows(group, seeds)
    assert better["right, in %"] == "62.5 (75.0, 50.0)"
    assert better["ahead by, in points"].startswith("+37.5 (")
