"""The pages on methods: their commands make sound recipes, every policy and preset of a method is told of."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from siked_core.mixing import open_policy
from siked_core.recipe import Recipe, preset_names, resolve
from siked_core.recipe_check import check
from siked_core.registry import Registry

FOLDER = Path(__file__).parents[1] / "docs" / "methods"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
COMMANDS = [
    (page, line.strip())
    for page, text in PAGES.items()
    for line in text.splitlines()
    if line.strip().startswith("siked distill ")
]
KEYS = {
    "--mixing": "mixing.policy",
    "--mode": "rollout.mode",
    "--strategies": "strategies",
    "--rounds": "stopping.rounds",
    "--epochs": "training.epochs",
    "--teacher": "teacher.generator",
}
NUMBERS = ("--rounds", "--epochs")
OF_STUDENTS = re.compile(r"paper|pocket|gpu|qwen|smollm|gemma|llama")
MIXERS = ("siked", "mixing", "rft", "star", "tata", "smart", "utility")


def recipe_of(command: str) -> Recipe:
    words = shlex.split(command)[2:]
    given = list(zip(words[::2], words[1::2], strict=True))
    assert {option for option, _ in given} <= {"--preset", "--set", *KEYS}
    changes: dict[str, object] = {}
    for option, value in given:
        if option == "--strategies":
            changes[KEYS[option]] = value.split(",")
        elif option == "--teacher":
            changes[KEYS[option]] = {"name": "vllm", "options": {"model": value.partition(":")[2]}}
        elif option in KEYS:
            changes[KEYS[option]] = int(value) if option in NUMBERS else value
    preset = next((value for option, value in given if option == "--preset"), None)
    return resolve(preset=preset, changes=changes, assignments=[value for option, value in given if option == "--set"])


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_every_command_makes_a_sound_recipe(page: str, command: str) -> None:
    recipe = recipe_of(command)
    policy = open_policy(recipe.mixing.policy, recipe, Registry.discover())
    if recipe.student.model == "pocket":  # others are on the hub
        check(recipe, Registry.discover())
    if page in MIXERS:
        section = PAGES[page][: PAGES[page].index(command)].rpartition("\n## ")[2]
        told = section if page == "mixing" else PAGES[page]
        assert f"`{policy.name}`" in told, "the command stands where its policy is told of"


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"README", "mixing"}))
def test_every_method_runs_in_the_pocket_world_and_is_listed(page: str) -> None:
    mine = [command for of, command in COMMANDS if of == page]
    assert any(recipe_of(command).student.model == "pocket" for command in mine)
    assert f"({page}.md)" in PAGES["README"]
    assert re.search(r"\d{4}\.\d{4,5}|Ours", PAGES[page]), "where it is from"


def test_every_policy_is_told_of() -> None:
    known = {entry.name for entry in Registry.discover().entries if entry.kind == "mixing_policy"}
    named = set(
        re.findall(r"`(\w+)`", "".join(line for line in PAGES["mixing"].splitlines() if line.startswith("| [`")))
    )
    assert named == known


def test_every_preset_of_a_method_is_used_by_a_page() -> None:
    used = {name for _, command in COMMANDS for name in re.findall(r"--preset (\S+)", command)[0:1]}
    layers = {layer for preset in used for layer in preset.split(",")}
    methods = {name for name in preset_names() if not OF_STUDENTS.match(name)}
    assert methods <= layers
