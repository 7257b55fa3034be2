"""What a selector must be able to do: how a student's answer is chosen at inference.

A selector says which attempts it wants, may learn a few numbers from the validation split, and then picks one attempt
of each question. It never sees a gold answer, but for what is right on validation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from siked_core.plugin import Kind, Plugin
from siked_core.records import Status, Verdict


@dataclass(frozen=True, slots=True)
class Wish:
    """One attempt that a selector wants."""

    strategy: str | None = None
    """The strategy that the student is told to use; None lets it choose."""
    draw: int = 0
    """0, 1, 2, ...: tells apart the attempts of one strategy at one temperature."""
    temperature: float = 0.0
    """0 is greedy: there is one such attempt of a strategy."""
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One of the ways in which a student answered one question at inference."""

    wish: Wish
    strategy: str | None
    """The strategy it used; None where it wrote no known tag."""
    verdict: Verdict
    """`ANSWERED` with the answer, or why there is none. Never compared with a gold answer."""
    group: int | None = None
    """Attempts at one question whose answers are equal, as the strategies' verifiers compare them ("0.5" and "1/2"),
    have one number; None where there is no answer."""
    logprob: float | None = None
    """Sum over the completion's tokens (nats), where known."""
    tokens: int = 0
    """Of the completion."""

    @property
    def answered(self) -> bool:
        return self.verdict.status is Status.ANSWERED

    @property
    def confidence(self) -> float | None:
        """Mean log-probability of a token (nats, 0 or less), so that long attempts compare with short ones."""
        return self.logprob / self.tokens if self.logprob is not None and self.tokens else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all attempts at one validation question."""

    attempts: tuple[Attempt, ...]
    right: tuple[bool, ...]
    """Whether each attempt's answer is the gold one."""


class Selector(Plugin):
    """Chooses the answer at inference."""

    kind: ClassVar[Kind] = "selector"

    @property
    def learns(self) -> bool:
        """Whether it has a `fit` of its own."""
        return type(self).fit is not Selector.fit

    @abstractmethod
    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        """Which attempts to make at every question, one or more and each once.

        Raises:
            RecipeError: its options do not go with these strategies. Called before anything is made of a recipe too.
        """

    def fit(self, outcomes: Sequence[Outcome]) -> dict[str, float]:
        """What it learns from the validation split: plain numbers, kept in the scorecard and given to `select`.

        Where the validation split itself is scored, each half of it is answered with what the other half taught.
        """
        return {}

    @abstractmethod
    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        """The index of the attempt whose answer is given.

        Args:
            attempts: at one question, in the order of the plan.
            learnt: what `fit` returned; empty where there is no validation split to learn from.
        """
