"""Recipes: layers, short forms, messages, round trips, presets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from siked_core import RecipeError
from siked_core.recipe import Recipe, differences, preset_names, preset_text, read_text_option, resolve, validate
from siked_core.recipe_choice import PluginChoice


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None = None, **layers: Any) -> str:
    """The one line with which a recipe is refused."""
    with pytest.raises(RecipeError) as raised:
        resolve(path, **layers)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# Layers


def test_each_layer_overrules_the_one_before(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 2\ntraining: {epochs: 7, batch_size: 3, accumulation: 5}\n")
    changes = {"training.batch_size": 4, "training.accumulation": 6}
    recipe = resolve(path, changes, ["training.accumulation=8"], preset="pocket")
    assert recipe.training.max_length == yaml.safe_load(preset_text("pocket"))["training"]["max_length"]
    assert (recipe.seed, recipe.training.epochs) == (2, 7)
    assert (recipe.training.batch_size, recipe.training.accumulation) == (4, 8)


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    path = write(tmp_path, "student: {lora: {r: 32}}\n")
    recipe = resolve(path, preset="paper-gemma-2b")
    plain = resolve(preset="paper-gemma-2b")
    assert differences(plain, recipe) == ["student.lora.r: 16 -> 32"]


def test_an_empty_file_is_the_preset(tmp_path: Path) -> None:
    assert resolve(write(tmp_path, "# nothing yet\n")) == resolve()


@pytest.mark.parametrize(
    ("text", "preset", "expected"),
    [
        ("", None, "pocket"),
        ("student: {model: Qwen/Qwen2-0.5B}", None, "paper"),
        ("student: {model: Qwen/Qwen2-0.5B}\npreset: pocket-smoke", None, "pocket-smoke"),
        ("student: {model: Qwen/Qwen2-0.5B}\npreset: pocket-smoke", "paper-gemma-2b", "paper-gemma-2b"),
        ("student: {model: pocket}", None, "pocket"),
    ],
)
def test_the_preset_is_asked_for_or_named_or_follows_from_the_student(
    tmp_path: Path, text: str, preset: str | None, expected: str
) -> None:
    assert resolve(write(tmp_path, text), preset=preset).preset == expected


def test_an_assignment_may_choose_preset_and_student() -> None:
    assert resolve(assignments=["student.model=Qwen/Qwen2-0.5B"]).preset == "paper"
    assert resolve(changes={"preset": "pocket-smoke"}).preset == "pocket-smoke"


def test_values_of_assignments_are_yaml() -> None:
    recipe = resolve(
        assignments=["strategies=[cot, {name: pot, options: {shots: 2}}]", "student.lora={r: 4}", "baselines=single"]
    )
    assert recipe.strategy_names == ("cot", "pot")
    assert recipe.strategies[1].options == {"shots": 2}
    assert recipe.student.lora is not None
    assert recipe.student.lora.r == 4
    assert recipe.baselines == "single"
    assert resolve(assignments=["student.lora=null"], preset="paper").student.lora is None


def test_null_sections_can_be_filled_again() -> None:
    assert resolve(preset="pocket").student.lora is None
    recipe = resolve(assignments=["student.lora.r=8"], preset="pocket")
    assert recipe.student.lora is not None
    assert (recipe.student.lora.r, recipe.student.lora.alpha) == (8, 32)


# Plugins

SMOKE_OPTIONS = {"train": 48, "validation": 24, "test": 24}


@pytest.mark.parametrize(
    ("text", "assignments", "expected"),
    [
        ("", [], ("pocket", SMOKE_OPTIONS)),
        ("dataset: pocket", [], ("pocket", SMOKE_OPTIONS)),
        ("dataset: gsm8k", [], ("gsm8k", {})),
        ("dataset: {name: gsm8k}", [], ("gsm8k", {})),
        ("dataset: {name: pocket, options: {train: 9}}", [], ("pocket", SMOKE_OPTIONS | {"train": 9})),
        ("dataset: {options: {train: 9}}", [], ("pocket", SMOKE_OPTIONS | {"train": 9})),
        ("dataset: {name: jsonl, options: {question: q}}", [], ("jsonl", {"question": "q"})),
        ("dataset: {name: jsonl, options: {question: q}}", ["dataset=pocket"], ("pocket", {})),
        ("dataset: {name: jsonl, options: {question: q}}", ["dataset.name=pocket"], ("pocket", {})),
        ("dataset: {name: jsonl, options: {question: q}}", ["dataset=jsonl"], ("jsonl", {"question": "q"})),
        ("dataset: {options: {train: 9}}", ["dataset=pocket"], ("pocket", SMOKE_OPTIONS | {"train": 9})),
        ("dataset: jsonl", ["dataset.options.question=q"], ("jsonl", {"question": "q"})),
        ("", ["dataset.options.train=9"], ("pocket", SMOKE_OPTIONS | {"train": 9})),
        ("", ["dataset=jsonl", "dataset.options.question=q"], ("jsonl", {"question": "q"})),
        ("", ["dataset.options.question=q", "dataset.name=jsonl"], ("jsonl", {"question": "q"})),
    ],
)
def test_a_plugin_keeps_its_options_until_another_is_named(
    tmp_path: Path, text: str, assignments: list[str], expected: tuple[str, dict[str, Any]]
) -> None:
    recipe = resolve(write(tmp_path, text), assignments=assignments, preset="pocket-smoke")
    assert (recipe.dataset.name, recipe.dataset.options) == expected


def test_options_may_be_given_to_a_plugin_that_no_layer_names() -> None:
    recipe = resolve(assignments=["training.objective.options.focus=2"], preset="pocket")
    assert recipe.training.objective == PluginChoice(name="sft", options={"focus": 2})


def test_the_short_form_is_the_name() -> None:
    assert PluginChoice.model_validate("cot") == PluginChoice(name="cot")
    assert str(PluginChoice(name="cot", options={"shots": 3})) == "cot"


# Refusals


def _places(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(where, a key that exists there) for every section of the recipe."""
    for name, field in model.model_fields.items():
        yield prefix, name
        members = () if get_origin(field.annotation) is dict else getattr(field.annotation, "__args__", ())
        for inner in (field.annotation, *members):
            if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not PluginChoice:
                yield from _places(inner, f"{prefix}{name}.")


@pytest.mark.parametrize(("where", "key"), list(_places(Recipe)), ids=str)
def test_a_misspelt_key_is_answered_with_the_right_one_at_every_depth(where: str, key: str) -> None:
    wrong = f"{key[:-1]}zz" if len(key) > 2 else f"{key}zz"
    message = refusal(assignments=[f"{where}{wrong}=1"], preset="paper")
    assert f"'{wrong}'" in message
    assert key in message.partition("Available: ")[2].rstrip(".").split(", ")
    if len(key) > 3:
        assert f"Did you mean '{key}'?" in message
    if where:
        assert f"in '{where.rstrip('.')}'" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "strategies: [{name: cot, optios: {}}]",
            "Unknown recipe key in 'strategies': 'optios'. Did you mean 'options'?",
        ),
        ("verifiers: {cot: {name: number, opt: 1}}", "Unknown recipe key in 'verifiers.cot': 'opt'."),
        (
            "teacher: {generator: {nam: replay}}",
            "Unknown recipe key in 'teacher.generator': 'nam'. Did you mean 'name'?",
        ),
        ("strategies: []", "Bad recipe key 'strategies': name at least one strategy."),
        ("strategies: [cot, pot, cot]", "a strategy is named twice in cot, pot, cot."),
        ("strategies: cot", "Bad recipe key 'strategies': input should be a valid list, not 'cot'."),
        ("verifiers: {eot: number}", "verifiers names the strategy 'eot', which is not among cot, l2m, pot."),
        ("student: {tag: '<s>'}", "Bad recipe key 'student.tag': the tag must contain {strategy}, not '<s>'."),
        ("student: {lora: {target_modules: 3}}", "Bad recipe key 'student.lora.target_modules': input should be"),
        ("rollout: {top_p: 1.5}", "Bad recipe key 'rollout.top_p': input should be less than or equal to 1, not 1.5."),
        ("seed: -1", "Bad recipe key 'seed': input should be greater than or equal to 0, not -1."),
        ("training: {learning_rate: .inf}", "Bad recipe key 'training.learning_rate': input should be a finite number"),
        ("seed: many", "Bad recipe key 'seed': input should be a valid integer"),
        ("student:", "Bad recipe key 'student': should be a mapping of keys, not None."),
        ("1: 2", "Bad recipe key '1': keys should be strings"),
        ("preset: pocke", "Unknown preset 'pocke'. Did you mean 'pocket'? Available: "),
        ("preset: [pocket]", "The recipe's preset must be a name, not ['pocket']."),
        ("- cot", "must be a mapping of keys, not a list."),
        ("a: 'b", "is not YAML: "),
        ("a: 2024-13-45", "is not YAML: month must be in 1..12"),
        ("[" * 3000, "is not YAML: "),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(write(tmp_path, text))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    assert refusal(missing) == f"Cannot read the recipe {missing}: No such file or directory."
    path = tmp_path / "latin.yaml"
    path.write_bytes("seed: 1 # caf\xe9".encode("latin-1"))
    assert refusal(path) == f"Cannot read the recipe {path}: it is not UTF-8 text."


@pytest.mark.parametrize("assignment", ["seed", "=3", "  =3"])
def test_an_assignment_needs_key_and_value(assignment: str) -> None:
    message = f"--set takes key=value, e.g. training.epochs=2; got '{assignment}'."
    assert refusal(assignments=[assignment]) == message


@pytest.mark.parametrize("value", ["[1, 2", "2024-13-45", "{", "'"])
def test_an_assignments_value_must_be_yaml(value: str) -> None:
    assert refusal(assignments=[f"seed={value}"]).startswith(f"--set seed: the value {value!r} is not YAML: ")


def refused(make: Callable[[], Recipe]) -> str | None:
    """Why a recipe is refused; None where it is not. Anything but a `RecipeError` is a failure of the test."""
    try:
        make()
    except RecipeError as error:
        return str(error)
    return None


TYPED = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8)
"""What can be typed in one line."""


@given(st.dictionaries(TYPED, TYPED | st.integers() | st.none(), max_size=3))
def test_any_assignments_give_a_recipe_or_one_line(values: dict[str, Any]) -> None:
    message = refused(lambda: resolve(assignments=[f"{key}={value}" for key, value in values.items()]))
    assert message is None or "\n" not in message


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Recipe.model_fields, "other"]), YAML_VALUES, max_size=4))
def test_any_content_gives_a_recipe_or_one_line(content: dict[str, Any]) -> None:
    message = refused(lambda: validate(content))
    assert message is None or message.startswith(("Bad recipe key", "Unknown recipe key", "Missing recipe key"))


# Round trips


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_comes_back_from_its_yaml(name: str) -> None:
    recipe = resolve(preset=name)
    assert recipe.preset == name
    assert validate(yaml.safe_load(recipe.to_yaml())) == recipe
    assert differences(recipe, validate(yaml.safe_load(recipe.to_yaml()))) == []


def test_presets_have_a_line_that_says_what_they_are() -> None:
    for name in preset_names():
        assert preset_text(name).startswith("# "), name


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    names = draw(st.lists(st.sampled_from(["cot", "pot", "l2m", "eot", "table"]), min_size=1, unique=True))
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    options = st.dictionaries(
        text, st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text | st.booleans(), max_size=2
    )
    content: Mapping[str, Any] = {
        "seed": draw(st.integers(0, 2**40)),
        "strategies": [{"name": name, "options": draw(options)} for name in names],
        "verifiers": {name: "number" for name in names if draw(st.booleans())},
        "data": {"path": draw(st.none() | st.sampled_from(["a.jsonl", "/data/b c"]))},
        "student": {
            "lora": draw(st.none() | st.builds(dict, r=st.integers(1, 64), target_modules=st.lists(text, max_size=2))),
            "instruction": draw(text),
            "tag": draw(text) + "{strategy}",
        },
        "training": {
            "learning_rate": draw(st.floats(1e-9, 10)),
            "epochs": draw(st.floats(0.01, 20)),
            "warm_up_epochs": draw(st.none() | st.integers(1, 9)),
        },
    }
    return validate(content)


@given(recipes())
def test_any_recipe_comes_back_from_its_yaml(recipe: Recipe) -> None:
    again = validate(yaml.safe_load(recipe.to_yaml()))
    assert again == recipe
    assert differences(recipe, again) == []


def test_a_number_that_is_written_another_way_is_no_difference() -> None:
    one, other = (resolve(changes={"teacher.generator.options": {"share": share}}) for share in (0, 0.0))
    assert one == other
    assert differences(one, other) == []
    told = differences(one, resolve(changes={"teacher.generator.options": {"share": 0.5}}))
    assert told == ["teacher.generator.options.share: 0 -> 0.5"]


@given(recipes(), recipes())
def test_differences_are_empty_only_for_equal_recipes(one: Recipe, other: Recipe) -> None:
    assert (differences(one, other) == []) == (one == other)


def test_differences_name_keys_and_both_values() -> None:
    old = resolve(preset="pocket")
    new = resolve(assignments=["seed=9", "student.lora.r=8", "dataset=gsm8k"], preset="pocket")
    lines = differences(old, new)
    assert "seed: 1 -> 9" in lines
    assert "dataset.name: pocket -> gsm8k" in lines
    assert "student.lora.r: (none) -> 8" in lines
    assert "student.lora: null -> (none)" in lines
    assert all("\n" not in line for line in lines)
    keys = [line.partition(":")[0] for line in lines]
    assert keys == sorted(keys)


# Files as values


def test_a_text_option_may_name_a_file(tmp_path: Path) -> None:
    path = tmp_path / "instruction.txt"
    path.write_text("Think first. \u00e9", encoding="utf-8")
    assert read_text_option(f"@{path}", "instruction") == "Think first. \u00e9"
    assert read_text_option("Think first.", "instruction") == "Think first."
    with pytest.raises(RecipeError, match=r"Cannot read the instruction from .*none\.txt: "):
        read_text_option(f"@{tmp_path / 'none.txt'}", "instruction")
