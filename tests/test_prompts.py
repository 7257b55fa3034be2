"""`siked prompts`: what is shown is what is sent, sampled from and trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

from siked_core import Message, Prompt
from siked_core.models import encode, load_tokenizer, render
from siked_core.prompts import shown
from siked_core.recipe import validate
from siked_core.reporting import SilentReporter
from siked_core.run import start
from siked_core.stages.prepare import problems
from siked_core.stages.teach import teach
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_plugins.generators.transformers import TransformersGenerator

NO_SYSTEM = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
DROPS_SYSTEM = NO_SYSTEM.replace("{{ raise_exception('System role not supported') }}", "").replace(
    "<|{{ message['role'] }}|>{{ message['content'] }}<|end|>",
    "{% if message['role'] != 'system' %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endif %}",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def test_the_loss_is_on_the_whole_target_and_on_nothing_else(tmp_path: Path, tiny: Path) -> None:
    recipe = validate(toy_recipe(tiny, teacher={"generator": "toy-teacher", "samples": 9}))
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="run") as run:
        teach(run)
        found = shown(run, 2)
        questions = {problem.id: problem.question for problem in problems(run, "train")}
    assert [(one.problem_id, one.strategy) for one in found] == [
        (name, strategy) for name in list(questions)[:2] for strategy in ("loud", "quiet")
    ]
    for one in found:
        (tokens,) = one.examples
        target = "".join(token.text for token in tokens if token.weight)
        assert target.startswith(one.tag)
        assert target.endswith("<|end|>")
        assert one.student_text == "".join(token.text for token in tokens if not token.weight)
        assert questions[one.problem_id] in one.student_text
        assert one.target_of == "a verified sample of the teacher"
        first = next(place for place, token in enumerate(tokens) if token.weight)
        assert first == one.student_tokens
        assert all(token.weight == 1 for token in tokens[first:])


def test_characters_of_several_tokens_are_shown_whole(tmp_path: Path, tiny: Path) -> None:
    student = toy_recipe(tiny)["student"] | {"tag": "«{strategy}» 数\n"}
    recipe = validate(toy_recipe(tiny, student=student, teacher={"generator": "toy-teacher", "samples": 9}))
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="run") as run:
        teach(run)
        (one,) = shown(run, 1, ["loud"])
    (tokens,) = one.examples
    assert "".join(token.text for token in tokens if token.weight).startswith("«loud» 数\n")
    assert len(load_tokenizer(str(tiny))("数")["input_ids"]) == 3


def test_a_local_teacher_shows_the_very_text_that_it_reads(tiny: Path) -> None:
    generator = TransformersGenerator({"model": str(tiny)})
    prompt = Prompt((Message("system", "Be brief."), Message("user", "Two and two?")), prefix="<cot>")
    tokenizer = load_tokenizer(str(tiny))
    text = generator.rendered(prompt)
    assert text == "<|system|>Be brief.<|end|>\n<|user|>Two and two?<|end|>\n<|assistant|><cot>"
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == encode(tokenizer, prompt)


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM], ids=["refuses", "drops"])
def test_a_template_without_a_system_role_has_it_in_the_first_turn(tiny: Path, template: str) -> None:
    tokenizer = load_tokenizer(str(tiny))
    tokenizer.chat_template = template
    prompt = Prompt((Message("system", "Be brief."), Message("user", "Two?"), Message("assistant", "2")))
    assert render(tokenizer, prompt) == "<|user|>Be brief.\n\nTwo?<|end|><|assistant|>2<|end|><|assistant|>"
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }};{% endfor %}"
    )
    assert render(tokenizer, prompt) == "system: Be brief.;user: Two?;assistant: 2;"


def test_from_a_recipe_nothing_is_kept(
    siked: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    pools = f"storage.pools=memory://{tmp_path.name}"
    said = siked("prompts", "--preset", "pocket-smoke", "--strategy", "pot", "--set", pools, "--json")
    (one,) = json.loads(said.out)
    assert one["strategy"] == "pot"
    assert one["target_of"] == "the first worked example of the bank"
    assert [message["role"] for message in one["teacher"]["messages"]][-1] == "user"
    (tokens,) = one["examples"]
    assert "answer = " in "".join(token["text"] for token in tokens if token["weight"])
    assert not list(scratch.iterdir())
    assert not (tmp_path / "runs").exists()
    assert not fsspec.filesystem("memory").find(f"/{tmp_path.name}")


def test_of_a_run_its_own_samples_are_shown(siked: Callable[..., Any]) -> None:
    siked("teach", "--preset", "pocket-smoke", "--strategies", "cot,pot", "--run", "mine", "-q")
    said = siked("prompts", "mine", "--strategy", "cot")
    assert "The student is trained on (a verified sample of the teacher):" in said.out
    assert "<|end|>" in said.out
    assert "no loss, " in said.out
    assert "is a run, and has a recipe" in siked("prompts", "mine", "--set", "seed=3", code=2).err
    assert "Unknown strategy 'poet'. Did you mean 'pot'?" in siked("prompts", "mine", "--strategy", "poet", code=2).err
    assert "There is no run at" in siked("prompts", "none", code=2).err
    assert "Cannot read the recipe none.yaml" in siked("prompts", "none.yaml", code=2).err


def test_a_bank_without_examples_has_no_target_to_show(siked: Callable[..., Any], tmp_path: Path) -> None:
    bank = tmp_path / "bank.yaml"
    bank.write_text("instruction: Write a program.\n", encoding="utf-8")
    strategies = f"strategies=[{{name: pot, options: {{bank: {bank}}}}}]"
    said = siked("prompts", "--preset", "pocket-smoke", "--set", strategies)
    assert "bank has no worked example" in said.out
