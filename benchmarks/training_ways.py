"""Three ways to train a student on the same rows, for `training.py`, and what they are given."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from siked_core.contracts import TrainingExample
from siked_core.models import load_tokenizer
from siked_core.pool import read_parquet
from siked_core.recipe_student import TrainingRecipe
from siked_core.reporting import SilentProgress
from siked_core.run import Run
from siked_core.stages.prepare import problems
from siked_core.student import prepare_tokenizer, resolve_model

FIRST_STEPS = 10
"""Not part of the steady rate."""
HELD_OUT = 64
FEW = 16
"""Rows where only the first step is of interest."""
SEED = 1
OURS, BARE, TRL, TRL_FAST = "siked", "bare loop", "SFTTrainer", "SFTTrainer, no checkpointing"


@dataclass
class Material:
    """What every side is given."""

    base: str
    tokenizer: Any
    recipe: TrainingRecipe
    examples: list[TrainingExample]
    held_out: list[TrainingExample]
    texts: list[dict[str, Any]]
    """The same rows as conversations, as TRL reads them."""

    @property
    def steps(self) -> int:
        return len(self.examples) // self.recipe.batch_size

    def rate(self, ends: Sequence[float]) -> float:
        """Tokens a second after the first steps, from the times at which steps ended."""
        first = min(FIRST_STEPS, len(ends) // 2)
        mean = statistics.mean(len(one.input_ids) for one in self.examples)
        return (len(ends) - first) * self.recipe.batch_size * mean / (ends[-1] - ends[first - 1])


@dataclass
class Outcome:
    """One training: when its steps ended, and the loss on held-out rows afterwards, in nats a target token."""

    ends: list[float]
    loss: float


class Clock(SilentProgress):
    """When steps ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def advance(self, amount: int = 1) -> None:
        self.ends += [time.process_time()] * amount


def material(run: Run, rows: int) -> Material:
    """The first rows of the warm-up's mixture, and some more that are held out."""
    from siked_core.training import row_encoder, training_row

    base = resolve_model(run.recipe.student.model, run.registry)
    tokenizer = load_tokenizer(base)
    prepare_tokenizer(tokenizer, run.recipe.student, run.format)
    encoder = row_encoder(tokenizer, run.format)
    known = {problem.id: problem for problem in problems(run, "train")}
    mixture = read_parquet(run.mixture("round-0")).sample(fraction=1.0, shuffle=True, seed=SEED)
    made = [
        training_row(run.format, run.strategies[row["strategy"]], known[row["problem_id"]], row["rationale"])
        for row in mixture.to_dicts()
    ]
    batch = run.recipe.training.batch_size
    used = min(rows, len(made) - HELD_OUT) // batch * batch
    turns = [
        {
            "prompt": [{"role": "user", "content": row.prompt.messages[-1].content}],
            "completion": [{"role": "assistant", "content": row.target}],
        }
        for row in made[:used]
    ]
    examples = [encoder(row) for row in made]
    recipe = run.recipe.training.of_warm_up
    return Material(base, tokenizer, recipe, examples[:used], examples[used : used + HELD_OUT], turns)


def siked(given: Material) -> Outcome:
    from transformers import AutoModelForCausalLM

    from siked_core.training import fit

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            base=given.base,
            tokenizer=given.tokenizer,
            examples=given.examples,
            epochs=1,
            recipe=given.recipe,
            lora=None,
            dtype="float32",
            seed=SEED,
            checkpoints=Path(folder) / "checkpoints",
            destination=Path(folder) / "student",
            progress=clock,
        )
        return Outcome(clock.ends, loss_of(AutoModelForCausalLM.from_pretrained(Path(folder) / "student"), given))


def bare(given: Material) -> Outcome:
    """What one writes who wants no library around the model."""
    import torch
    from transformers import AutoModelForCausalLM, get_linear_schedule_with_warmup

    model = AutoModelForCausalLM.from_pretrained(given.base, dtype=torch.float32).train()
    recipe, ends = given.recipe, []
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = get_linear_schedule_with_warmup(optimiser, recipe.warm_up_steps, given.steps)
    torch.manual_seed(SEED)
    order = torch.randperm(len(given.examples)).tolist()
    for start in range(0, len(order), recipe.batch_size):
        batch = padded([given.examples[place] for place in order[start : start + recipe.batch_size]], given)
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        ends.append(time.process_time())
    return Outcome(ends, loss_of(model, given))


def sft_trainer(given: Material, checkpointing: bool) -> Outcome:
    """As in TRL's README, with the settings that the others have."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    ends: list[float] = []

    class Clocked(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            ends.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=given.base,
            train_dataset=Dataset.from_list(given.texts),
            args=SFTConfig(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=given.recipe.batch_size,
                learning_rate=given.recipe.learning_rate,
                warmup_steps=given.recipe.warm_up_steps,
                weight_decay=given.recipe.weight_decay,
                use_cpu=True,
                bf16=False,
                seed=SEED,
                report_to="none",
                disable_tqdm=True,
                **({} if checkpointing else {"gradient_checkpointing": False, "activation_checkpointing": False}),
            ),
            callbacks=[Clocked()],
        )
        trainer.train()
        model = trainer.model
        model.__dict__.pop("forward", None)
    return Outcome(ends, loss_of(model, given))


def padded(examples: Sequence[TrainingExample], given: Material) -> dict[str, Any]:
    import torch

    width = max(len(one.input_ids) for one in examples)
    pad = given.tokenizer.pad_token_id
    rows = [(width - len(one.input_ids), one) for one in examples]
    return {
        "input_ids": torch.tensor([[*one.input_ids, *[pad] * missing] for missing, one in rows]),  # (B, T)
        "labels": torch.tensor([[*one.labels, *[-100] * missing] for missing, one in rows]),
        "attention_mask": torch.tensor([[1] * len(one.input_ids) + [0] * missing for missing, one in rows]),
    }


def loss_of(model: Any, given: Material) -> float:
    import torch

    with torch.inference_mode():
        return float(model.eval()(**padded(given.held_out, given)).loss)


def store(given: Material, folder: Path) -> None:
    """Some rows for the processes that are timed from their start."""
    folder.mkdir(parents=True)
    given.tokenizer.save_pretrained(folder)
    kept = {
        "base": given.base,
        "recipe": given.recipe.model_dump(mode="json"),
        "examples": [[one.input_ids, one.labels] for one in given.examples[:FEW]],
        "held_out": [[one.input_ids, one.labels] for one in given.held_out[:1]],
        "texts": given.texts[:FEW],
    }
    (folder / "rows.json").write_text(json.dumps(kept), encoding="utf-8")


def stored(folder: Path) -> Material:
    kept = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    recipe, tokenizer = TrainingRecipe.model_validate(kept["recipe"]), load_tokenizer(str(folder))
    rows = {
        name: [TrainingExample(tuple(ids), tuple(labels)) for ids, labels in kept[name]]
        for name in ("examples", "held_out")
    }
    return Material(kept["base"], tokenizer, recipe, texts=kept["texts"], **rows)


WAYS: dict[str, Callable[[Material], Outcome]] = {
    OURS: siked,
    BARE: bare,
    TRL: partial(sft_trainer, checkpointing=True),
    TRL_FAST: partial(sft_trainer, checkpointing=False),
}
