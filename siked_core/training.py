"""Fine-tuning a student with TRL's `SFTTrainer` on rows that are already tokens.

Rows are tokenised here rather than by TRL: the prompt and the target are encoded apart, exactly as at sampling
time, and the loss falls on the target and the end-of-turn token only. (TRL's own prompt/completion form would
also train the newline that many chat templates put after the end of a turn.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from siked_core import launch_strategy, processes
from siked_core.checkpoints import newest_whole
from siked_core.contracts import Strategy, TrainingExample, TrainingRow
from siked_core.errors import ModelError
from siked_core.format import StudentFormat
from siked_core.merging import merge
from siked_core.models import Encoder, choose_device, load_weights
from siked_core.order import Order, in_order
from siked_core.packing import check_apart, check_unweighted
from siked_core.precision import fault, keep_adapter_precise, load_for_training, precision_of
from siked_core.recipe_launch import LaunchRecipe, shared
from siked_core.recipe_student import LoraRecipe, TrainingRecipe
from siked_core.records import Problem
from siked_core.reporting import Progress
from siked_core.trainer import columns, follow, quiet, weighted_collator, weighted_trainer

_SENTINEL = "siked-answer"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run did."""

    steps: int
    tokens: int
    """Tokens of prompts and targets, without padding, over all epochs."""
    loss: float
    """Mean over the steps of the training loss per target token (nats)."""
    merge_difference: float | None = None
    """How much merging the adapter changed the student's logits, relative to their size; None where there was none."""


def training_row(
    format: StudentFormat, strategy: Strategy, problem: Problem, rationale: str, weight: float = 1.0, key: str = ""
) -> TrainingRow:
    """A problem and its rationale under a strategy, as the student is trained on them."""
    prompt = format.prompt(strategy.student_question(problem))
    return TrainingRow(prompt, format.target(strategy.name, rationale), strategy.name, weight, problem, rationale, key)


def row_encoder(tokenizer: Any, format: StudentFormat) -> Callable[[TrainingRow], TrainingExample]:
    """A function from a training row to tokens, the loss on the whole target and the end of the turn."""
    end, encode = end_of_turn(tokenizer), Encoder(tokenizer)

    def tokenize(row: TrainingRow) -> TrainingExample:
        prompt = encode(row.prompt)
        # The tag is encoded apart from the rationale, as it is when sampling is forced to begin with it.
        tag = format.tag_of(row.strategy) if row.target.startswith(format.tag_of(row.strategy)) else ""
        target = (*encode.part(tag), *tokenizer(row.target[len(tag) :], add_special_tokens=False)["input_ids"])
        return TrainingExample((*prompt, *target, end), (*[-100] * len(prompt), *target, end))

    return tokenize


def end_of_turn(tokenizer: Any) -> int:
    """The token with which the chat template closes the assistant's turn (Gemma's is not its EOS token)."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _SENTINEL}]
    rendered = tokenizer.apply_chat_template(turns, tokenize=False)
    after = rendered.rpartition(_SENTINEL)[2].lstrip()
    # Not every token of a turn is among the tokenizer's named ones: Gemma 3's are not.
    special = {*tokenizer.all_special_ids, *(id for id, one in tokenizer.added_tokens_decoder.items() if one.special)}
    for token in tokenizer(after, add_special_tokens=False)["input_ids"] if after else []:
        if token in special:
            return int(token)
    return int(tokenizer.eos_token_id)


def fit(
    *,
    base: str,
    tokenizer: Any,
    examples: Sequence[TrainingExample],
    epochs: float,
    recipe: TrainingRecipe,
    lora: LoraRecipe | None,
    dtype: str,
    seed: int,
    checkpoints: Path,
    destination: Path,
    progress: Progress,
    at_checkpoint: Callable[[], None] | None = None,
    launch: LaunchRecipe | None = None,
) -> Trained:
    """Train `base` on the examples and write a whole, merged Hugging Face folder to `destination`.

    Resumes from the newest whole checkpoint where there is one. The checkpoints are left to the caller, who removes
    them when what was written is in its place.

    Args:
        base: a model folder or hub name.
        tokenizer: goes with the model, its chat template set.
        destination: a folder that does not exist yet.
        at_checkpoint: called after each checkpoint but the last; what it raises ends the training there.
        launch: where this is one of several processes, each of which calls this with the same arguments. The first
            one writes the student; only its progress is of use.

    Raises:
        ModelError: the base cannot be loaded or trained in this precision, the device lacks memory, packed rows would
            see one another, or merging the adapter changed what the student says.
        RecipeError: weighted rows were to be packed.
    """
    import datasets
    import torch
    from trl import SFTConfig, SFTTrainer
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    datasets.disable_progress_bars()
    device = choose_device()
    on_cpu = device == "cpu"
    launch = launch or LaunchRecipe()
    precision = precision_of(dtype, lora, device, base)
    if why := fault(precision, device, launch):
        raise ModelError(why)
    packed = recipe.packing
    if packed:
        check_unweighted(examples)
    model = load_for_training(base, precision)
    if packed:
        check_apart(model, examples)
    batch_size, accumulation = shared(recipe.batch_size, recipe.accumulation, launch.world)
    order = Order(
        [len(example.input_ids) for example in examples],
        group=recipe.batch_size * recipe.accumulation,
        seed=seed,
        at_once=batch_size * launch.world if launch.world > 1 else 1,
    )
    ours: dict[str, Any] = {
        "output_dir": str(checkpoints),
        "num_train_epochs": epochs,
        "per_device_train_batch_size": batch_size,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.schedule,
        "warmup_steps": recipe.warm_up_steps,
        "weight_decay": recipe.weight_decay,
        "max_length": recipe.max_length,
        "packing": packed,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": on_cpu,
        "bf16": precision.autocast == "bf16",
        "fp16": precision.autocast == "fp16",
        "activation_checkpointing": not on_cpu,
        "save_strategy": "steps",
        "save_steps": recipe.checkpoint_steps,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": not on_cpu,
        "include_num_input_tokens_seen": "non_padding",
        **launch_strategy.arguments(launch, on_cpu),
    }
    config = SFTConfig(**(ours | recipe.args))  # those that we must have our way with are refused in a recipe
    trainer_type, collator = SFTTrainer, None
    if not packed:
        targets = sum(label != -100 for example in examples for label in example.labels)
        trainer_type = weighted_trainer(targets / len(examples), order.steps)
        collator = weighted_collator(DataCollatorForLanguageModeling, tokenizer.pad_token_id)
        trainer_type = in_order(trainer_type, order)
    filler = tokenizer.pad_token_id if order.missing and not packed else None
    trainer = trainer_type(
        model=model,
        args=config,
        train_dataset=datasets.Dataset.from_dict(columns(examples, filler, weighted=not packed)),
        processing_class=tokenizer,
        peft_config=lora_config(lora),
        data_collator=collator,
        callbacks=[follow(progress, checkpoints, at_checkpoint)],
    )
    quiet(trainer)
    keep_adapter_precise(trainer.model, precision)
    try:
        newest = processes.of_first(lambda: newest_whole(checkpoints))
        trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    except torch.OutOfMemoryError:
        raise ModelError(
            f"The device ran out of memory while training '{base}'. Lower training.batch_size (raising "
            "training.accumulation keeps the effective batch) or training.max_length."
        ) from None
    trained = launch_strategy.trained_model(trainer, launch, lambda: _with_adapter(base, precision.loaded, lora))
    difference = None
    if trained is not None:
        if lora is not None:
            unquantised = partial(_with_adapter, base, precision.written, lora) if lora.bits else None
            trained, difference = merge(trained, examples, unquantised)
        trained.to(precision.written)
        trained.__dict__.pop("forward", None)  # the trainer's fused language-model head sits on this instance
        _save(trained, tokenizer, destination)
    processes.wait_for_all()
    # The state is part of every checkpoint, so a resumed training knows the tokens and losses of its earlier steps too.
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    steps = trainer.state.global_step
    tokens = trainer.state.num_input_tokens_seen if packed else order.tokens(steps)
    return Trained(steps, tokens, sum(losses) / len(losses), difference)


def _with_adapter(base: str, dtype: Any, lora: LoraRecipe | None) -> Any:
    """The student as it is before it is trained."""
    model = load_weights(base, dtype)
    if lora is None:
        return model
    from peft import get_peft_model

    return get_peft_model(model, lora_config(lora))


def _save(model: Any, tokenizer: Any, destination: Path) -> None:
    model.config.use_cache = True
    ends = {token for token in _as_list(model.generation_config.eos_token_id) if token is not None}
    ends |= {tokenizer.eos_token_id, end_of_turn(tokenizer)}
    model.generation_config.eos_token_id = sorted(ends)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    # A student is sampled as the caller says, not as its base's authors liked best; sampling settings that go
    # with greedy decoding would also be refused on saving.
    model.generation_config.do_sample = False
    for setting in ("temperature", "top_p", "top_k"):
        setattr(model.generation_config, setting, None)
    model.save_pretrained(destination)
    tokenizer.save_pretrained(destination)


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def lora_config(lora: LoraRecipe | None) -> Any:
    """The adapter that a recipe asks for, as PEFT knows it; None for none."""
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )
