"""A recipe is checked against the plugins and files that there are, before anything is made of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from siked_core.errors import DataError, ModelError, PluginError, RecipeError
from siked_core.recipe import preset_names, resolve
from siked_core.recipe_check import check
from siked_core.registry import Registry
from siked_core.training_arguments import KEYS, OURS


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.mark.parametrize("preset", [name for name in preset_names() if name.startswith("pocket")])
def test_the_presets_of_the_embedded_world_pass(registry: Registry, preset: str) -> None:
    check(resolve(preset=preset), registry)


@pytest.mark.parametrize("preset", [name for name in preset_names() if name.startswith("paper")])
def test_the_other_presets_pass_with_a_student_that_is_there(registry: Registry, preset: str) -> None:
    changes = {"student.model": "pocket", "teacher.generator": "annotations"}
    check(resolve(preset=preset, changes=changes), registry)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"strategies": ["cot", "tree"]}, PluginError, "Unknown strategy 'tree'"),
        ({"verifiers": {"cot": "jury"}}, PluginError, "Unknown verifier 'jury'"),
        ({"evaluate": ["svamp", "gsm9k"]}, PluginError, "Unknown dataset 'gsm9k'"),
        ({"teacher.generator": "llama"}, PluginError, "Unknown generator 'llama'"),
        ({"student.generator": "llama"}, PluginError, "Unknown generator 'llama'"),
        ({"mixing.policy": "mix"}, PluginError, "Unknown mixing policy 'mix'"),
        ({"training.objective": "rl"}, PluginError, "Unknown objective 'rl'"),
        ({"evaluation.selector": "majority"}, PluginError, "Unknown selector 'majority'"),
        ({"strategies": [{"name": "cot", "options": {"shots": -1}}]}, RecipeError, "strategy 'cot': 'shots'"),
        ({"teacher.generator": {"name": "replay", "options": {"path": "no.jsonl"}}}, RecipeError, "no.jsonl"),
        ({"student.chat_template": "@no.jinja"}, RecipeError, "Cannot read the student's chat template"),
        ({"data.path": "no/where"}, RecipeError, "There is no file or folder no/where (data.path)"),
        ({"student.model": "/no/where"}, ModelError, "/no/where"),
        ({"training.args": {"num_train_epochs": 2}}, RecipeError, "this is what training.epochs sets"),
        ({"training.args": {"output_dir": "x"}}, RecipeError, "training.args.output_dir: siked sets this itself"),
        ({"training.args": {"max_gradnorm": 1}}, RecipeError, "Did you mean 'max_grad_norm'?"),
        ({"training.args": {"optim": "adamx"}}, RecipeError, "the trainer does not take optim='adamx'"),
    ],
)
def test_what_is_not_there_is_refused(
    registry: Registry, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        check(resolve(changes=changes), registry)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_trainer_takes_beside_the_recipes_own_keys_is_accepted(registry: Registry) -> None:
    args = {"max_grad_norm": 0.5, "optim": "adafactor", "gradient_checkpointing": True, "report_to": "none"}
    check(resolve(preset="pocket-smoke", changes={"training.args": args}), registry)


def test_every_argument_that_is_refused_exists() -> None:
    from trl import SFTConfig

    assert {*KEYS, *OURS} <= {field.name for field in dataclasses.fields(SFTConfig)}
    keys = resolve(preset="pocket-smoke").model_dump()
    for key in KEYS.values():
        section, _, name = key.rpartition(".")
        assert name in (keys[section] if section else keys), key


def test_a_bank_is_read_at_once(registry: Registry, tmp_path: Path) -> None:
    bank = tmp_path / "bank.yaml"
    bank.write_text("template: no question here\n", encoding="utf-8")
    recipe = resolve(changes={"strategies": [{"name": "cot", "options": {"bank": str(bank)}}]})
    with pytest.raises(DataError, match="must contain"):
        check(recipe, registry)
    bank.write_text("template: 'Q: {question}'\n", encoding="utf-8")
    check(recipe, registry)


def test_a_strategys_own_verifier_must_be_usable(tmp_path: Path) -> None:
    without = Registry.discover(["verifier:number"])
    with pytest.raises(PluginError, match=r"The verifier 'number' .* is disabled"):
        check(resolve(changes={"strategies": ["cot"]}), without)
    check(resolve(changes={"strategies": ["cot"], "verifiers": {"cot": "program"}}), without)


def test_a_folder_that_is_no_model_is_refused(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        check(resolve(changes={"student.model": str(tmp_path)}), registry)


def test_a_model_of_the_hub_that_is_in_the_cache_needs_no_network(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cached(repository: str, file: str) -> str:
        assert (repository, file) == ("someone/model", "config.json")
        return str(tmp_path / "config.json")

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    changes = {"student.model": "someone/model", "teacher.generator": "annotations"}
    check(resolve(preset="paper", changes=changes), registry)


def test_checking_makes_no_directory(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(resolve(), registry)
    assert list(tmp_path.iterdir()) == []


def test_the_pocket_teacher_is_kept_to_its_world() -> None:
    with pytest.raises(RecipeError, match=r"knows the pocket world only, not 'gsm8k'.*--teacher"):
        check(resolve(changes={"dataset": "gsm8k"}), Registry.discover())
