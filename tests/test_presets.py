"""The presets for real students: each is sound, and works on a tiny model of the same architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from siked_core import Message, Problem, Prompt, Request, Sampling, TrainingRow
from siked_core.errors import RecipeError
from siked_core.mixing import open_policy
from siked_core.models import encode, load_config, load_tokenizer
from siked_core.preflight import preflight, worst
from siked_core.prompts import shown
from siked_core.recipe import preset_names, resolve
from siked_core.recipe_check import check
from siked_core.registry import Registry
from siked_core.reporting import SilentProgress, SilentReporter
from siked_core.run import start
from siked_core.student import prepare_tokenizer
from siked_core.training import fit, row_encoder
from siked_plugins.generators.transformers import TransformersGenerator

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN3 = CHATML.replace(
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
SMOLLM3 = "{{ '<|im_start|>system\nToday: ' + strftime_now('%d %B %Y') + '<|im_end|>\n' }}" + CHATML
GEMMA3 = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else 'user' }}\n"
    "{{ message['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' }}"
    "{{ strftime_now('%d %b %Y') + '<|eot_id|>' }}"
    "{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
STUDENTS = {
    "qwen3-0.6b": ("Qwen3Config", QWEN3, "<|im_end|>", None, "<|endoftext|>"),
    "qwen3-1.7b": ("Qwen3Config", QWEN3, "<|im_end|>", None, "<|endoftext|>"),
    "smollm3-3b": ("SmolLM3Config", SMOLLM3, "<|im_end|>", None, "<|im_end|>"),
    "gemma3-1b": ("Gemma3TextConfig", GEMMA3, "<end_of_turn>", "<bos>", "<pad>"),
    "llama3.2-1b": ("LlamaConfig", LLAMA3, "<|eot_id|>", "<|begin_of_text|>", None),
}
"""Preset -> configuration, chat template, end of turn, BOS and pad token, as the real student has them."""
SIZES = ["gpu-24gb", "gpu-80gb", "gpu-8x80gb"]
METHODS = {
    "biased": {"mixing.policy": "biased"},
    "dcot": {"mixing.transforms": ["dcot"], "mixing.keep": None},
    "edit": {"training.objective": "edit"},
    "eotd": {"strategies": ["eot"], "stopping.rounds": 0},
    "etd": {
        "strategies": [
            {"name": "cot", "options": {"suffix": "\nSolve it step by step."}},
            {"name": "pot", "options": {"suffix": "\nSolve it with a Python program."}},
            {"name": "eot", "options": {"suffix": "\nSolve it with equations."}},
        ],
        "student.instruction": "",
        "rollout.mode": "forced",
        "stopping.rounds": 0,
        "evaluation.selector": {"name": "cascade", "options": {"order": ["pot", "eot", "cot"]}},
    },
    "kpod": {"training.objective": "kpod"},
    "smart": {"mixing.policy": "smart", "rollout.mode": "both"},
    "socratic": {"strategies": ["socratic"], "stopping.rounds": 0},
    "star": {"rollout.rationalise": {}, "mixing.policy": "star", "training.start": "restart"},
    "tata": {"mixing.policy": "tata", "rollout.mode": "forced"},
    "utility": {"mixing.policy": "utility", "rollout.mode": "forced"},
    "rft": {"mixing.policy": "rft", "mixing.keep": None, "training.start": "restart", "stopping.rounds": 1},
    "rest-em": {
        "mixing.policy": {"name": "rft", "options": {"teacher": False}},
        "mixing.keep": None,
        "training.start": "restart",
    },
}
"""Preset of a method -> all that it changes in the preset before it."""


def tiny(folder: Path, preset: str) -> Path:
    """A random model of the preset's architecture, with a tokenizer that has the real one's special tokens."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    config_type, template, turn, bos, pad = STUDENTS[preset]
    special = ["</s>", turn, "<|im_start|>", "<start_of_turn>", "<|start_header_id|>", "<|end_header_id|>"]
    special += [token for token in (bos, pad, "<|finetune_right_pad_id|>") if token and token not in special]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(special)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=turn if bos is None else "</s>", bos_token=bos, pad_token=pad
    )
    tokenizer.chat_template = template
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 4096,
        "eos_token_id": vocabulary[turn],
        "bos_token_id": vocabulary.get(bos or ""),
        "pad_token_id": vocabulary.get(pad or ""),
    }
    if config_type == "Gemma3TextConfig":
        sizes["sliding_window"] = 16  # shorter than the prompts, as it is in earnest
    config = getattr(transformers, config_type)(**sizes)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_every_preset_for_a_real_student_is_tried_here() -> None:
    ours = {name for name in preset_names() if not name.startswith(("paper", "pocket"))}
    assert ours == {*STUDENTS, *SIZES, *METHODS}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("student", ["paper-gemma-2b", "paper-qwen2-0.5b", "pocket"])
def test_a_methods_preset_changes_only_what_makes_the_method(student: str, method: str) -> None:
    recipe = resolve(preset=f"{student},{method}")
    expected = resolve(preset=student, changes=METHODS[method])
    assert recipe == expected.model_copy(update={"preset": recipe.preset})
    open_policy(recipe.mixing.policy, recipe, Registry.discover())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preset", STUDENTS)
def test_a_students_preset_goes_with_a_machines(preset: str, size: str) -> None:
    recipe = resolve(preset=f"{preset},{size}", changes={"student.model": "pocket"})
    Registry.discover().create("generator", "vllm", recipe.teacher.generator.options)  # vLLM itself may be elsewhere
    assert recipe.preset == f"{preset},{size}"
    assert recipe.training.batch_size * recipe.training.accumulation == 8
    assert recipe.teacher.generator.options["gpu_memory_utilization"] == 0.9
    assert recipe.teacher.generator.options["tensor_parallel" if size == "gpu-8x80gb" else "max_model_len"] == (
        8 if size == "gpu-8x80gb" else 8192
    )


@pytest.mark.parametrize("preset", STUDENTS)
def test_a_preset_works_on_a_tiny_model_of_the_architecture(tmp_path: Path, preset: str) -> None:
    import torch

    folder = tiny(tmp_path / "model", preset)
    changes = {
        "student.model": str(folder),
        "teacher.generator": "pocket",
        "dataset": {"name": "pocket", "options": {"train": 8, "validation": 2, "test": 2}},
    }
    recipe = resolve(preset=f"{preset},gpu-24gb", changes=changes)
    with start(recipe, Registry.discover(), SilentReporter(), runs=tmp_path, name="run") as run:
        findings = preflight(run)
        (prompt, *_) = shown(run, 1)
        format = run.format
    # Byte by byte the worked examples are longer than max_length: only the lengths may be complained of.
    assert worst([one for one in findings if one.what != "targets"]) == "fine", findings
    assert "Today" not in prompt.student_text
    tokenizer = load_tokenizer(str(folder))
    prepare_tokenizer(tokenizer, recipe.student, format)
    (tokens,) = prompt.examples
    end = [token.text for token in tokens if token.weight][-1]
    assert end == ("</s>" if recipe.student.chat_template == "plain" and STUDENTS[preset][3] else STUDENTS[preset][2])
    training = recipe.training.model_copy(update={"epochs": 1, "max_length": 2048, "batch_size": 2, "accumulation": 1})
    encode_row = row_encoder(tokenizer, format)
    rows = [TrainingRow(format.prompt(f"{n}+{n}?"), format.target("cot", f"{2 * n}."), "cot") for n in range(4)]
    fit(
        base=str(folder),
        tokenizer=tokenizer,
        examples=[encode_row(row) for row in rows],
        epochs=1,
        recipe=training,
        lora=recipe.student.lora,
        dtype="float32",
        seed=0,
        checkpoints=tmp_path / "checkpoints",
        destination=tmp_path / "student",
        progress=SilentProgress(),
    )
    generator = TransformersGenerator({"model": str(tmp_path / "student"), "batch_size": 2})
    questions = ["What is 2+2?", "A?", "Ann has 3 pens and finds 4 more in the desk of her brother. How many has she?"]
    requests = [
        Request(Problem("p", question, "0"), None, Prompt((Message("user", question),)), 0, 0) for question in questions
    ]
    found = dict(generator.generate(requests, Sampling(max_tokens=12)))
    model, sampler = generator._load()
    for place, question in enumerate(questions):
        ids = torch.tensor([encode(sampler, Prompt((Message("user", question),)))])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
        assert found[place].text == sampler.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    assert load_config(str(tmp_path / "student")).model_type == load_config(str(folder)).model_type


def test_a_template_that_writes_the_date_is_told_of(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "model", "smollm3-3b")
    changes = {"student.model": str(folder), "student.chat_template": None, "teacher.generator": "pocket"}
    recipe = resolve(preset="smollm3-3b", changes={**changes, "dataset": "pocket", "dataset.options.train": 8})
    with start(recipe, Registry.discover(), SilentReporter(), runs=tmp_path, name="run") as run:
        (found,) = [one for one in preflight(run) if one.what == "chat template"]
    assert found.level == "warning"
    assert "the day's date" in found.says


def test_a_machine_alone_is_no_recipe() -> None:
    with pytest.raises(RecipeError, match="gpu_memory_utilization"):
        check(resolve(preset="gpu-24gb"), Registry.discover())
    with pytest.raises(RecipeError, match="Did you mean 'gpu-24gb'"):
        resolve(preset="qwen3-0.6b,gpu-23gb")
