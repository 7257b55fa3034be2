"""The sections of a recipe about the student: the model, and how it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from siked_core.recipe_choice import POCKET, PluginChoice
from siked_core.section import Section


class LoraRecipe(Section):
    r: int = Field(16, ge=1)
    """Rank."""
    alpha: int = Field(32, ge=1)
    """Scale: the update counts alpha / r times."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On the adapter's input."""
    target_modules: str | list[str] = "all-linear"
    """"all-linear" is every attention and MLP projection."""
    bits: Literal[4, 8] | None = None
    """QLoRA: the weights under the adapter are held in so many bits while it is trained (4: NF4, doubly quantised; 8:
    int8), and it is merged into those of full precision. Needs siked[qlora]."""


class StudentRecipe(Section):
    model: str = POCKET
    """A folder, a hub name, or "pocket"."""
    generator: PluginChoice = PluginChoice(name="transformers")
    """What samples from the student; it is given the student's folder as its option `model`."""
    lora: LoraRecipe | None = LoraRecipe()
    """None trains every weight."""
    tag: str = "<{strategy}>\n"
    """What a target begins with: writing it is choosing the strategy."""
    instruction: str = (
        "Choose the strategy that suits the problem best: {strategies}. "
        "Name it first, then solve the problem with it.\n\n"
    )
    """Put before the question, and built into the exported chat template; a file with `@FILE`. Empty: none."""
    chat_template: str | None = None
    """Replaces the model's: Jinja text, a file with `@FILE`, or "plain" (a question, then the answer)."""
    pad_token: str | None = None
    """For tokenizers without one: an existing token."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights in training and sampling; "auto": float32 on a CPU, the model's own on a GPU. float16 trains in
    mixed precision, on a GPU only: what is trained is float32 until it is written."""

    @field_validator("tag")
    @classmethod
    def _names_strategy(cls, value: str) -> str:
        if "{strategy}" not in value:
            raise ValueError("the tag must contain {strategy}")
        return value


class ReplayRecipe(Section):
    path: Path
    """JSON Lines, JSON or Parquet with `messages`, with `prompt` and `completion`, or with `text`."""
    share: float = Field(0.1, gt=0, lt=1)
    """Of all rows that a student is trained on."""


class TrainingRecipe(Section):
    objective: PluginChoice = PluginChoice(name="sft")
    """What the loss is taken on."""
    start: Literal["continue", "restart"] = "continue"
    """Whether a round trains on from the previous round's student or from the original one."""
    epochs: float = Field(3, gt=0)
    """Epochs of a round."""
    warm_up_epochs: float | None = Field(None, gt=0)
    """Epochs of round 0; None is `epochs`."""
    tokens_per_round: int | None = Field(None, ge=1)
    """Train a round for so many tokens of prompts and targets, whatever its mixture's size, and not for `epochs`, so
    that mixing policies compare at equal training. Round 0 keeps its epochs."""
    batch_size: int = Field(2, ge=1)
    """Rows at once."""
    accumulation: int = Field(4, ge=1)
    """Batches per optimiser step."""
    learning_rate: float = Field(2e-4, gt=0)
    """The highest one of a round, after its warm_up_steps."""
    warm_up_learning_rate: float | None = Field(None, gt=0)
    """That of round 0, and of baselines; None is `learning_rate`."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls."""
    warm_up_steps: int = Field(5, ge=0)
    """Optimiser steps over which the learning rate rises."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled, as in AdamW."""
    max_length: int = Field(1024, ge=16)
    """Tokens of prompt and target; longer rows are left out and counted."""
    packing: bool = False
    """Several rows in one sequence, none of which sees another. Published, but only worth it on a GPU. Not with rows or
    tokens of different weight."""
    replay: ReplayRecipe | None = None
    """Ordinary conversations or texts of your own among each student's rows, so that it forgets less of what it could
    do before."""
    checkpoint_steps: int = Field(200, ge=1)
    """Optimiser steps between checkpoints: what a kill can lose."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the trainer (TRL's `SFTConfig`, transformers' `TrainingArguments`), by their own names."""

    @property
    def of_warm_up(self) -> TrainingRecipe:
        """As it is for round 0."""
        own = {"epochs": self.warm_up_epochs, "learning_rate": self.warm_up_learning_rate}
        given = {name: value for name, value in own.items() if value is not None}
        return self.model_copy(update={**given, "tokens_per_round": None})
