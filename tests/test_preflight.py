"""What would fail or lose rows hours later is told before anything is spent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from siked_core import preflight as module
from siked_core.errors import RunError
from siked_core.loop import distill
from siked_core.models import load_tokenizer
from siked_core.preflight import Finding, look_over, preflight, worst
from siked_core.recipe import validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.stages.teach import teach
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@contextmanager
def opened(folder: Path, tiny: Path, **changes: Any) -> Iterator[Run]:
    recipe = validate(toy_recipe(tiny, **changes))
    with start(recipe, toy_registry(), SilentReporter(), runs=folder, name="run") as run:
        yield run


def of(findings: list[Finding], what: str) -> Finding:
    (found,) = [one for one in findings if one.what == what]
    return found


def test_nothing_is_wrong_with_a_sound_run(tmp_path: Path, tiny: Path) -> None:
    with opened(tmp_path, tiny) as run:
        assert worst(preflight(run)) == "fine"
        teach(run)
        findings = preflight(run)
    assert worst(findings) == "fine"
    assert {one.what for one in findings} == {"vocabulary", "context", "student's prompts", "targets", "memory"}
    assert all("verified rationales" in one.says for one in findings if one.what == "targets")


def test_a_tokenizer_of_another_model(tmp_path: Path, tiny: Path) -> None:
    student = make_tiny_student(tmp_path / "student")
    tokenizer = load_tokenizer(str(student))
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(student)
    with opened(tmp_path, student) as run:
        found = of(preflight(run), "vocabulary")
    assert found.level == "error"
    assert "do not belong together" in found.says


def test_lengths(tmp_path: Path, tiny: Path) -> None:
    training = toy_recipe(tiny)["training"]
    with opened(tmp_path / "a", tiny, training=training | {"max_length": 2048}) as run:
        assert of(preflight(run), "context").level == "error"
    with opened(tmp_path / "b", tiny, rollout={"max_tokens": 1020}) as run:
        found = of(preflight(run), "student's prompts")
        assert found.level == "warning"
        assert "10 leave no room for 1,020 more in its context of 1,024" in found.says
    with opened(tmp_path / "c", tiny, training=training | {"max_length": 16}) as run:
        teach(run)
        found = [one for one in preflight(run) if one.what == "targets"]
        assert [one.level for one in found] == ["error", "error"]
        assert all("would be left out" in one.says for one in found)


def test_memory(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    weights = sum(one.numel() for one in load_file(tiny / "model.safetensors").values())
    with opened(tmp_path, tiny) as run:
        monkeypatch.setattr(module, "_room", lambda device: (16 * weights, 32 * weights))
        assert of(preflight(run), "memory").level == "fine", "four bytes each: weight, gradient, two moments"
        monkeypatch.setattr(module, "_room", lambda device: (16 * weights - 1, 32 * weights))
        assert of(preflight(run), "memory").level == "warning"
        monkeypatch.setattr(module, "_room", lambda device: (16 * weights - 1, 16 * weights - 1))
        found = of(preflight(run), "memory")
    assert found.level == "error"
    assert found.says.endswith("Use student.lora (with bits: 4), a narrower student.dtype, or a smaller student.")


def test_an_adapter_is_counted_as_peft_makes_it(tmp_path: Path, tiny: Path) -> None:
    from peft import get_peft_model

    from siked_core.models import load_config, load_weights
    from siked_core.training import lora_config

    student = toy_recipe(tiny)["student"] | {"lora": {"r": 4, "alpha": 8, "dropout": 0.0}}
    with opened(tmp_path, tiny, student=student) as run:
        real = get_peft_model(load_weights(str(tiny), torch.float32), lora_config(run.recipe.student.lora))
        expected = sum(one.numel() for one in real.parameters() if one.requires_grad)
        weights, trained = module._parameters(run, load_config(str(tiny)))
    assert trained == expected > 0
    assert weights == sum(one.numel() for one in real.get_base_model().parameters()) - expected


def test_a_local_teachers_context(tmp_path: Path, tiny: Path) -> None:
    content: dict[str, Any] = {
        "dataset": {"name": "pocket", "options": {"train": 6, "validation": 2, "test": 2}},
        "strategies": ["cot"],
        "teacher": {"generator": {"name": "transformers", "options": {"model": str(tiny)}}, "max_tokens": 64},
        "student": {"model": str(tiny), "lora": None},
    }
    with start(validate(content), Registry.discover(), SilentReporter(), runs=tmp_path, name="run") as run:
        found = of(preflight(run), "teacher's prompts")
    assert found.level == "error"
    assert found.says.endswith(
        "more than its context of 1,024. Give fewer worked examples (the strategies' option shots)."
    )
    content["strategies"] = [{"name": "cot", "options": {"shots": 0, "instruction": "Think."}}]
    with start(validate(content), Registry.discover(), SilentReporter(), runs=tmp_path, name="short") as run:
        assert of(preflight(run), "teacher's prompts").level == "fine"


def test_a_teacher_behind_a_server_may_have_a_name_of_its_own(tmp_path: Path, tiny: Path) -> None:
    options = {"model": "ours", "endpoint": "completions", "tokenizer": str(tiny), "base_url": "http://127.0.0.1:9/v1"}
    content: dict[str, Any] = {
        "dataset": {"name": "pocket", "options": {"train": 6, "validation": 2, "test": 2}},
        "strategies": ["cot"],
        "teacher": {"generator": {"name": "openai", "options": options}, "max_tokens": 64},
        "student": {"model": str(tiny), "lora": None},
    }
    with start(validate(content), Registry.discover(), SilentReporter(), runs=tmp_path, name="run") as run:
        assert not [one for one in preflight(run) if one.what == "teacher's prompts"]
    content["teacher"]["generator"] = {"name": "vllm", "options": {"model": str(tiny), "max_model_len": 99}}
    with start(validate(content), Registry.discover(), SilentReporter(), runs=tmp_path, name="short") as run:
        assert "more than its context of 99" in of(preflight(run), "teacher's prompts").says


def test_a_run_that_would_fail_is_stopped_before_the_teacher_is_asked(tmp_path: Path, tiny: Path) -> None:
    training = toy_recipe(tiny)["training"] | {"max_length": 2048}
    asked = ToyTeacher.calls
    with (
        opened(tmp_path, tiny, training=training) as run,
        pytest.raises(RunError, match=r"context: training.max_length = 2,048 is above the student's context"),
    ):
        distill(run)
    assert ToyTeacher.calls == asked


def test_warnings_are_said_once(tmp_path: Path, tiny: Path) -> None:
    for expected in (["student's prompts"], []):
        reporter = Warnings()
        recipe = validate(toy_recipe(tiny, rollout={"max_tokens": 1020}))
        with start(recipe, toy_registry(), reporter, runs=tmp_path, name="run") as run:
            look_over(run)
        assert [text.partition(":")[0] for text in reporter.said] == expected


class Warnings(SilentReporter):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def warn(self, text: str) -> None:
        self.said.append(text)


def test_a_recipe_is_looked_over_by_the_doctor(siked: Callable[..., Any], tmp_path: Path) -> None:
    findings = json.loads(siked("doctor", "--preset", "pocket-smoke", "--json").out)
    assert {one["level"] for one in findings} == {"fine"}
    (tmp_path / "recipe.yaml").write_text("preset: pocket-smoke\ntraining: {max_length: 4096}\n", encoding="utf-8")
    said = siked("doctor", "recipe.yaml", code=2).out
    assert "training.max_length = 4,096 is above the student's context" in said
    assert said.rstrip().endswith("It would fail.")
    said = siked("doctor", "recipe.yaml", "--set", "training.max_length=100").out
    assert "are longer than training.max_length = 100, and would be left out" in " ".join(said.split())
    assert said.rstrip().endswith("It would run, and lose what the warnings tell.")
    siked("teach", "--preset", "pocket-smoke", "--run", "mine", "-q")
    assert "verified rationales" in siked("doctor", "mine").out
    assert "There is no run at" in siked("doctor", "none", code=2).err
