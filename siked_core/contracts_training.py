"""What the plugins must be able to do that come between verified rationales and a student's training.

A transform says what becomes of a rationale's text on its way into a mixture, an objective what the loss is taken on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from siked_core.errors import PluginError
from siked_core.plugin import Kind, Plugin
from siked_core.records import Problem, Prompt
from siked_core.reporting import Progress, SilentReporter

if TYPE_CHECKING:
    import polars as pl

    from siked_core.contracts import Strategy


@dataclass(frozen=True, slots=True)
class MixtureRow:
    """A row of a mixture: a rationale that a student is to be trained on."""

    key: str
    """Of the sample."""
    problem: Problem
    strategy: str
    source: str
    """teacher or student."""
    round: int
    """0 for the teacher's; otherwise the round that the sample was drawn in."""
    rationale: str
    """The text that the student is trained to write behind the strategy's tag."""
    weight: float = 1.0
    """Of its loss."""
    merged: tuple[str, ...] = ()
    """Keys of the other samples that are in the text too."""
    hinted: bool = False
    """Whether it was written with the answer told."""


@dataclass(frozen=True, slots=True)
class TransformContext:
    """What a transform may know beside the rows."""

    round: int
    strategies: Mapping[str, Strategy]
    """The run's, by name: their `parse` reads what a student will write."""
    seed: int
    """Of the recipe and the round."""


class Transform(Plugin):
    """Changes the texts of a mixture, between verdict and training."""

    kind: ClassVar[Kind] = "transform"

    @abstractmethod
    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        """Prune, format, merge or drop rationales.

        What is returned is looked at: each row must have the key, the problem and the strategy of a row that was given
        (of merged ones those of the first; `merged` then names the others), a text that is not blank, and a weight that
        is a finite number of 0 or more. A row that is not returned is not trained on.

        Nothing judges the new texts. A student writes what it was trained on, and its strategy must be able to read
        that: siked warns of texts that `Strategy.parse` cannot read.
        """


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """A chosen sample, as texts."""

    prompt: Prompt
    target: str
    """What the student must write: the tag and the rationale, without the end-of-turn token."""
    strategy: str
    weight: float = 1.0
    problem: Problem | None = None
    """The problem that it solves; None where a row is made up."""
    rationale: str = ""
    """The target without its tag."""
    key: str = ""
    """Of the sample; empty where a row is none."""


@dataclass(frozen=True, slots=True)
class Preference:
    """That a whole target is wanted or not, beside what a reference model makes of it.

    Its loss is  weight x (1 - sigmoid(s x beta x (log P - reference))),  s = 1 where it is wanted, else -1: KTO with
    its reference point at 0 (arXiv 2402.01306), which is APO-zero of unpaired rows (arXiv 2408.06266)."""

    wanted: bool
    reference: float
    """log P (nats) of all the example's labels by the reference model."""
    beta: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A training row as tokens. The three tuples have one length, T."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    """-100 where there is no loss."""
    weights: tuple[float, ...] = ()
    """Loss weight of each token; empty means 1 everywhere."""
    epoch_weights: tuple[tuple[float, ...], ...] = ()
    """Loss weights of each token in each epoch, each of length T, where they change from epoch to epoch; the last holds
    from then on. They stand instead of `weights`."""
    preference: Preference | None = None
    """Adds to the loss of the weighted tokens. All its labels are read, also those of weight 0."""


def _no_student() -> Any:
    raise PluginError("This objective needs the student's weights, which are only there when a run trains.")


def _no_samples() -> Any:
    raise PluginError("This objective asked for samples: its `reads_samples` must say so, and they are only in a run.")


@dataclass(frozen=True, slots=True)
class ObjectiveContext:
    """What an objective may use to turn rows into examples."""

    tokenizer: Any
    """The student's `transformers` tokenizer, its chat template set."""
    max_length: int
    epochs: int
    """Of this training; a part of one counts as one."""
    seed: int
    tokenize: Any = field(repr=False)
    """`tokenize(row) -> TrainingExample` with the loss on the whole target and the end-of-turn token."""
    folder: Path | None = None
    """Of this very training: what decides it (rows, student, settings, versions) is in the name. What is put there is
    there again when the training is resumed, and stays with the run for people to look at. None: keep nothing."""
    load_student: Callable[[], Any] = field(default=_no_student, repr=False)
    """Loads the model that the training starts from, in evaluation mode, on the device that trains. It takes a while,
    and the caller lets go of it."""
    samples: Callable[[], pl.DataFrame] = field(default=_no_samples, repr=False)
    """Every judged sample, right and wrong, that the rows' mixture could have known, of the rows' problems. Columns:
    `key`, `problem_id`, `strategy`, `source`, `round`, `draw`, `status`, and the texts `text` (the whole completion)
    and `rationale` (null where it could not be read). Only for objectives that say `reads_samples`."""
    stage: Callable[[str, int, str], AbstractContextManager[Progress]] = field(
        default=SilentReporter().stage, repr=False
    )
    """Tells of long work: `with context.stage("weigh tokens", 1200, "rows") as progress: progress.advance()`."""


class Objective(Plugin):
    """What the loss is taken on.

    It works in siked's own process before a training begins, and only makes data: what its trainer does with that is
    one and the same for all. What it makes may depend on its version and options, on the rows and on the context.
    """

    kind: ClassVar[Kind] = "objective"

    @property
    def reads_samples(self) -> bool:
        """Whether it asks for `context.samples()`. What these are is then part of what keys the student."""
        return False

    @abstractmethod
    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """Turn chosen rows into tokens, labels and weights, in order; further examples may follow them.

        An example that is longer than `context.max_length` is left out, and counted.
        """

    def shown(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """The same for a few rows that somebody wants to look at (`siked prompts`), without long work: from what is
        in `context.folder` where a student was trained with it, else as near as can be."""
        return self.examples(rows, context)

    def draw(self, folder: Path, file: Path) -> None:
        """Draw what it left in the folder of a training (`siked prompts --draw`), as the file's suffix says.

        Raises:
            PluginError: there is nothing to draw, or nothing to draw with.
        """
        raise PluginError(f"The objective '{self.name}' computes nothing that could be drawn.")
