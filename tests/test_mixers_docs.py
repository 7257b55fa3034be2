"""The page on mixing: its commands make sound recipes, and it names every policy."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from siked_core.mixing import open_policy
from siked_core.recipe import resolve
from siked_core.recipe_check import check
from siked_core.registry import Registry

PAGE = (Path(__file__).parents[1] / "docs" / "methods" / "mixing.md").read_text(encoding="utf-8")
COMMANDS = [line.strip() for line in PAGE.splitlines() if line.strip().startswith("siked distill ")]
KEYS = {"--mixing": "mixing.policy", "--mode": "rollout.mode", "--strategies": "strategies"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_makes_a_sound_recipe(command: str) -> None:
    words = shlex.split(command)[2:]
    given = list(zip(words[::2], words[1::2], strict=True))
    (preset,) = [value for option, value in given if option == "--preset"]
    changes = {KEYS[option]: value for option, value in given if option in KEYS}
    if "strategies" in changes:
        changes["strategies"] = changes["strategies"].split(",")
    recipe = resolve(
        preset=preset, changes=changes, assignments=[value for option, value in given if option == "--set"]
    )
    assert {option for option, _ in given} <= {"--preset", "--set", *KEYS}
    check(recipe, Registry.discover())
    section = PAGE[: PAGE.index(command)].rpartition("\n## ")[2]
    policy = open_policy(recipe.mixing.policy, recipe, Registry.discover())
    assert f"`{policy.name}`" in section, "the command stands where its policy is told of"


def test_every_policy_is_told_of_with_its_source() -> None:
    names = {entry.name for entry in Registry.discover().entries if entry.kind == "mixing_policy"}
    named = set(re.findall(r"`(\w+)`", "".join(line for line in PAGE.splitlines() if line.startswith("| [`"))))
    built_in = {
        entry.name
        for entry in Registry.discover().entries
        if (entry.kind, entry.distribution) == ("mixing_policy", "siked")
    }
    assert named <= names
    assert {
        "adaptive",
        "all",
        "self_only",
        "teacher_only",
        "biased",
        "alpha",
        "rft",
        "tata",
        "smart",
        "rarity",
        "utility",
    } <= built_in
    assert built_in <= named
    assert len(COMMANDS) >= 8
