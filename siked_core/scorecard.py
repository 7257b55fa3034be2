"""Accuracies with their intervals, and everything that a run reports. Plain values: they become JSON as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any

from siked_core.diversity import Diversity
from siked_core.paired import Gain, Paired

_Z = NormalDist().inv_cdf(0.975)
ORIGINAL = "original"
"""What the student is called before it has been trained."""


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


OWN_CHOICE, ORACLE = "own choice", "oracle"
"""Policies beside the selector's: what the student itself chooses, and whichever strategy is right, if any is."""


@dataclass(frozen=True, slots=True)
class StrategyScore:
    """How one strategy fared with one student on one split."""

    strategy: str
    chosen: Score
    """Of the questions whose answer is by this strategy: where the selector is `self`, those for which the student
    itself chose it."""
    share: float
    """The share of all questions that these are."""
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
    """One student on one split of one data set, answering as the recipe's selector has it."""

    student: str
    """"round-0", "round-2", "only-cot", ..."""
    dataset: str
    split: str
    score: Score
    strategies: tuple[StrategyScore, ...]
    families: Mapping[str, Score] = field(default_factory=dict)
    untagged: int = 0
    """Questions to which the student, left to choose, names no known strategy."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    """How many verdicts of each status, of the answers that count."""
    selector: str = "self"
    choices: Mapping[str, int] = field(default_factory=dict)
    """How often the student, left to choose, names each strategy, or none ("(no tag)")."""
    policies: Mapping[str, Paired] = field(default_factory=dict)
    """Other ways to answer the same questions (b) beside this one (a): the student's own choice, always the same
    strategy, and the oracle over strategies, where each was forced."""
    learnt: Mapping[str, float] = field(default_factory=dict)
    """What the selector learnt on the validation split, e.g. the weights of votes."""

    @property
    def oracle(self) -> Score | None:
        """A question counts if any strategy, forced, is right: no choice among them can do better."""
        found = self.policies.get(ORACLE)
        return Score(found.both + found.only_b, found.total) if found else None

    @property
    def regret(self) -> float | None:
        """How far the answers stay behind the oracle, as a difference of accuracies. (Below 0 where an answer that was
        not forced is right and no forced one is.)"""
        found = self.policies.get(ORACLE)
        return found.difference if found and found.total else None

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
            "selector": self.selector,
            "choices": dict(self.choices),
            "oracle": self.oracle.as_dict() if self.oracle else None,
            "regret": self.regret,
            "policies": {
                name: {"score": Score(one.both + one.only_b, one.total).as_dict(), "paired": one.as_dict()}
                for name, one in self.policies.items()
            },
            "learnt": dict(self.learnt),
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
            content["selector"],
            content["choices"],
            {name: Paired.from_dict(one["paired"]) for name, one in content["policies"].items()},
            content["learnt"],
        )


@dataclass(frozen=True, slots=True)
class Perplexity:
    """How well a model predicts a text: its general ability, as far as one number can tell."""

    tokens: int
    bytes: int
    """Of the text as UTF-8."""
    nats: float
    """The negative log-probability of all tokens."""

    @property
    def perplexity(self) -> float:
        """Per token. To be compared only where the vocabulary is the same."""
        return math.exp(self.nats / self.tokens)

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / self.bytes

    def rise(self, other: Perplexity) -> float:
        """Per cent by which this model needs more bits per byte than another; negative where it needs fewer."""
        return 100 * (self.bits_per_byte / other.bits_per_byte - 1)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "perplexity": self.perplexity, "bits_per_byte": self.bits_per_byte}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Perplexity:
        return cls(content["tokens"], content["bytes"], content["nats"])


@dataclass(frozen=True, slots=True)
class MixtureSummary:
    """What a student was trained on."""

    rows: int
    by_strategy: Mapping[str, int]
    by_source: Mapping[str, int]
    alpha: float
    """The share of the teacher's rows (section 3 of the SIKeD paper)."""
    hinted: int = 0
    """Rows that were written with the answer told."""

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
    hinted: PoolSummary | None = None
    """Of what was asked again with the answer told, apart from all the counts above; None where nothing was."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PoolSummary:
        top_up, hinted = content["top_up"], content.get("hinted")
        return cls(
            **{
                **content,
                "top_up": TopUpSummary(**top_up) if top_up else None,
                "hinted": cls.from_dict(hinted) if hinted else None,
            }
        )


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
    base: int | None = None
    """The round whose student this one sampled from and was trained on from; None in round 0. Where the round before
    was rolled back, it is an earlier one."""
    gain: Gain | None = None
    """Beside the best round before it, on validation; None in round 0."""
    diversity: Diversity = field(default_factory=Diversity)
    alarms: tuple[str, ...] = ()
    """What tells of a collapse, in one line each."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "round": self.round,
            "student": self.student,
            "base": self.base,
            "pool": asdict(self.pool),
            "mixture": asdict(self.mixture),
            "training_tokens": self.training_tokens,
            "validation": self.validation.as_dict(),
            "gain": self.gain.as_dict() if self.gain else None,
            "diversity": self.diversity.as_dict(),
            "alarms": list(self.alarms),
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

    perplexity: Mapping[str, Perplexity] = field(default_factory=dict)
    """`ORIGINAL` and each round's student -> how well it predicts the file of `evaluation.perplexity`; empty where the
    recipe names none."""
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
            "perplexity": {student: found.as_dict() for student, found in self.perplexity.items()},
            "spending": dict(self.spending),
        }
