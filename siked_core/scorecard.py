"""Accuracies with their intervals, and everything that a run reports. Plain values: they become JSON as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Score:
    """So many right of so many, with a 95 % interval (Wilson 1927)."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Between 0 and 1; 0 where nothing was judged."""
        return self.correct / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        if not self.total:
            return (0.0, 1.0)
        share, n = self.accuracy, self.total
        middle = share + _Z**2 / (2 * n)
        margin = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        scale = 1 + _Z**2 / n
        # The ends that are exact stay so: float noise must not put 0 of 20 outside its own interval.
        low = (middle - margin) / scale if self.correct else 0.0
        high = (middle + margin) / scale if self.correct < self.total else 1.0
        return (max(0.0, low), min(1.0, high))

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {"correct": self.correct, "total": self.total, "accuracy": self.accuracy, "low": low, "high": high}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Score:
        return cls(content["correct"], content["total"])


@dataclass(frozen=True, slots=True)
class StrategyScore:
    """How one strategy fared with one student on one split."""

    strategy: str
    chosen: Score
    """Of the questions for which the student itself chose this strategy."""
    share: float
    """The share of all questions for which it chose it."""
    forced: Score | None = None
    """Of all questions, when it was told to use it."""
    chosen_families: Mapping[str, Score] = field(default_factory=dict)
    """`chosen`, by the problems' family."""
    forced_families: Mapping[str, Score] = field(default_factory=dict)
    """`forced`, by the problems' family."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "strategy": self.strategy,
            "chosen": self.chosen.as_dict(),
            "share": self.share,
            "forced": self.forced.as_dict() if self.forced else None,
            "chosen_families": _as_dicts(self.chosen_families),
            "forced_families": _as_dicts(self.forced_families),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StrategyScore:
        forced = content["forced"]
        return cls(
            content["strategy"],
            Score.from_dict(content["chosen"]),
            content["share"],
            Score.from_dict(forced) if forced else None,
            _from_dicts(content["chosen_families"]),
            _from_dicts(content["forced_families"]),
        )


def _as_dicts(scores: Mapping[str, Score]) -> dict[str, Any]:
    return {name: score.as_dict() for name, score in scores.items()}


def _from_dicts(content: Mapping[str, Any]) -> dict[str, Score]:
    return {name: Score.from_dict(item) for name, item in content.items()}


@dataclass(frozen=True, slots=True)
class Scorecard:
    """One student on one split of one data set, greedy, one sample a question."""

    student: str
    """"round-0", "round-2", "only-cot", ..."""
    dataset: str
    split: str
    score: Score
    strategies: tuple[StrategyScore, ...]
    families: Mapping[str, Score] = field(default_factory=dict)
    untagged: int = 0
    """Completions that named no known strategy."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    """How many verdicts of each status, free choice only."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "student": self.student,
            "dataset": self.dataset,
            "split": self.split,
            "score": self.score.as_dict(),
            "strategies": [strategy.as_dict() for strategy in self.strategies],
            "families": _as_dicts(self.families),
            "untagged": self.untagged,
            "statuses": dict(self.statuses),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Scorecard:
        return cls(
            content["student"],
            content["dataset"],
            content["split"],
            Score.from_dict(content["score"]),
            tuple(StrategyScore.from_dict(item) for item in content["strategies"]),
            _from_dicts(content["families"]),
            content["untagged"],
            content["statuses"],
        )


@dataclass(frozen=True, slots=True)
class MixtureSummary:
    """What a student was trained on."""

    rows: int
    by_strategy: Mapping[str, int]
    by_source: Mapping[str, int]
    alpha: float
    """The share of the teacher's rows (section 3 of the SIKeD paper)."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> MixtureSummary:
        return cls(**content)


@dataclass(frozen=True, slots=True)
class TopUpSummary:
    """What drawing again where it was needed gave, beside equally many draws of everything for as many tokens.

    A cell is a problem under one strategy, or a problem alone where the student chose.
    """

    further: int
    """Samples beyond the first ones."""
    cells: int
    solved: int
    """Cells with a correct sample."""
    tokens: int
    """Of all samples' prompts and completions."""
    uniform_draws: float
    """Draws of every cell for as many tokens, or for fewer where more is not known; a fraction is a share of cells."""
    uniform_solved: float
    uniform_tokens: int

    @property
    def per_thousand(self) -> float:
        """Solved cells per thousand tokens."""
        return 1000 * self.solved / self.tokens if self.tokens else 0.0

    @property
    def uniform_per_thousand(self) -> float:
        return 1000 * self.uniform_solved / self.uniform_tokens if self.uniform_tokens else 0.0


@dataclass(frozen=True, slots=True)
class PoolSummary:
    """What was sampled, and what became of it."""

    samples: int
    correct: int
    statuses: Mapping[str, int]
    by_strategy: Mapping[str, Mapping[str, int]]
    """Strategy -> {"samples": n, "correct": n}; samples without a known tag are under "(no tag)"."""
    prompt_tokens: int
    completion_tokens: int
    problems_solved: int
    """Problems with at least one correct sample."""
    problems: int
    set_aside: int = 0
    """Samples that a verifier failed on; they are in none of the other counts."""
    top_up: TopUpSummary | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PoolSummary:
        top_up = content["top_up"]
        return cls(**{**content, "top_up": TopUpSummary(**top_up) if top_up else None})


@dataclass(frozen=True, slots=True)
class RoundReport:
    """One round: what was sampled, mixed, trained and measured. Round 0 is the warm-up."""

    round: int
    student: str
    pool: PoolSummary
    """The teacher's pool in round 0, the student's own samples after it."""
    mixture: MixtureSummary
    training_tokens: int
    """Tokens of prompts and targets that went through training, over all epochs of this round."""
    validation: Scorecard
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage to wall-clock seconds."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "round": self.round,
            "student": self.student,
            "pool": asdict(self.pool),
            "mixture": asdict(self.mixture),
            "training_tokens": self.training_tokens,
            "validation": self.validation.as_dict(),
            "seconds": dict(self.seconds),
        }


@dataclass(frozen=True, slots=True)
class RunReport:
    """Everything that a run found out."""

    run: str
    """The run's directory."""
    rounds: tuple[RoundReport, ...]
    chosen_round: int
    """The round with the best validation accuracy (the earliest of equals)."""
    stopped: str
    """Why it stopped, in one line."""
    test: tuple[Scorecard, ...]
    """Scored once, at the end: the chosen round, "combined" (round 0), single-strategy students if asked for."""
    student: str
    """Where the chosen student lies."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Data set and split -> problems left out."""
    training_tokens: Mapping[str, int] = field(default_factory=dict)
    """Student -> tokens of prompts and targets that it was trained on, in all rounds up to it, over all epochs."""
    contaminated: Mapping[str, str] = field(default_factory=dict)
    """Of those left out, the training problems that were too near a test problem: id -> that test problem's id."""

    spending: Mapping[str, Any] = field(default_factory=dict)
    """What the run took, in all and by stage (`siked_core.spending.document`), and under "quoted" beside what it had
    been quoted to take (`siked_core.quoted.against`)."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "rounds": [one.as_dict() for one in self.rounds],
            "chosen_round": self.chosen_round,
            "stopped": self.stopped,
            "test": [card.as_dict() for card in self.test],
            "student": self.student,
            "excluded": dict(self.excluded),
            "contaminated": dict(self.contaminated),
            "training_tokens": dict(self.training_tokens),
            "spending": dict(self.spending),
        }
