"""Which tokens of a training example are prompt, tag, rationale and end of turn. For objectives that weigh parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from siked_core import PluginError, TrainingExample, TrainingRow


@dataclass(frozen=True, slots=True)
class Layout:
    """An example is prompt, tag, rationale, and the one token that ends the turn."""

    prompt: int
    """Tokens."""
    tag: int
    """Tokens."""
    offsets: tuple[tuple[int, int], ...]
    """Of each of the rationale's tokens: where it begins and ends in the rationale's text (characters)."""

    @property
    def start(self) -> int:
        """The place of the rationale's first token."""
        return self.prompt + self.tag

    @property
    def end(self) -> int:
        """The place of the token that ends the turn."""
        return self.start + len(self.offsets)


def tag_of(row: TrainingRow) -> str:
    """The target without the rationale at its end."""
    return row.target[: len(row.target) - len(row.rationale)]


def layout_of(row: TrainingRow, example: TrainingExample, tokenizer: Any) -> Layout:
    """Take a row's example apart.

    Raises:
        PluginError: the tokenizer cannot say which characters a token stands for, or the example is not the row's.
    """
    if not tokenizer.is_fast:
        raise PluginError(
            f"The student's tokenizer ({type(tokenizer).__name__}) cannot say which characters a token stands for, "
            "which this objective needs. Use a fast one (tokenizer.json), or the objective sft."
        )
    read = tokenizer(row.rationale, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = read["input_ids"]
    prompt = next((place for place, label in enumerate(example.labels) if label != -100), len(example.labels))
    start = len(example.input_ids) - 1 - len(ids)
    if start < prompt or list(example.input_ids[start:-1]) != ids:
        raise PluginError("The rationale's tokens are not at the end of the row's; this objective cannot weigh them.")
    return Layout(prompt, start - prompt, tuple((begin, end) for begin, end in read["offset_mapping"]))
