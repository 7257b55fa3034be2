"""What mixing policies would choose from the samples that a run has: side by side, without training anything.

The ledger of a round is opened once, and every policy chooses from it as `siked_core.stages.mix` would have it choose.
Nothing is written. All figures are relational: a million candidates take seconds a policy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from siked_core.errors import RunError
from siked_core.ledger import ledger
from siked_core.mixing import described, open_policy
from siked_core.recipe_choice import PluginChoice
from siked_core.records import Status
from siked_core.run import Run
from siked_core.stages.mix import choose_by, judged, offered
from siked_core.stages.prepare import dealt

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of the chosen completions, as they were counted when they were written."""

    total: int
    mean: float
    median: float
    high: float
    """95 of 100 are no longer."""
    longest: int


@dataclass(frozen=True, slots=True)
class Weights:
    """How unevenly rows count in the loss."""

    smallest: float
    largest: float
    effective_rows: float
    """(Σw)² / Σw² (Kish 1965): so many rows of equal weight would vary as much. The number of rows where all weigh the
    same."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What one policy would choose."""

    policy: str
    """Its name and the options that it was given."""
    rows: int
    problems: int
    """With at least one row."""
    coverage: float
    """Their share of the round's problems."""
    rows_per_problem: float
    """Mean over the problems with a row."""
    most_per_problem: int
    by_strategy: Mapping[str, int]
    by_source: Mapping[str, int]
    by_source_and_strategy: Mapping[str, Mapping[str, int]]
    alpha: float
    """The share of the teacher's rows."""
    alpha_by_weight: float
    """Their share of all weight."""
    duplicates: int
    """Rows whose rationale another row of the same problem has, letter by letter."""
    strategy_shares: Mapping[str, float]
    """Each strategy's share of all weight."""
    kl_to_own: float | None
    """KL(strategies of the mixture, by weight ‖ strategies of the student's own correct samples), in nats. None where
    the student has none, or none of a strategy that the mixture has: the divergence is infinite then."""
    never_own: tuple[str, ...]
    """Strategies of the mixture under which the student has no correct sample in this round."""
    tokens: Lengths | None
    """None where there are no rows."""
    weights: Weights | None


@dataclass(frozen=True, slots=True)
class Simulation:
    """Several policies on one round of a run."""

    run: str
    round: int
    problems: int
    """That the round is about."""
    own: Mapping[str, int]
    """The student's correct samples of this round by strategy, as often as they were drawn."""
    policies: tuple[Simulated, ...]
    overlap: tuple[tuple[float, ...], ...]
    """Of each two policies: rows that both choose, of those that either does (Jaccard). 1 where neither has any."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def simulate(run: Run, round: int, choices: Sequence[PluginChoice]) -> Simulation:
    """Let each policy choose the mixture of a round (1, 2, ...).

    Raises:
        RunError: the student has not sampled in that round; in round 0 no policy chooses.
        PluginError, RecipeError: a policy cannot be used, does not go with the run, or returned what it may not.
    """
    import polars as pl

    if round < 1:
        raise RunError(
            "No policy chooses in round 0, the warm-up: it has all of the teacher's rows. Name a round from 1."
        )
    policies = [open_policy(choice, run.recipe, run.registry) for choice in choices]
    attempts = ledger(judged(run, round))
    kinds = dict.fromkeys((one.earlier_rounds, one.hinted) for one in policies)
    rows_for = {kind: offered(run, round, attempts, *kind) for kind in kinds}
    mine = (pl.col("source") == "student") & (pl.col("round") == round) & (pl.col("status") == Status.CORRECT.value)
    own = _counts(attempts.filter(mine), "strategy")
    problems = len(dealt(run, round))
    found, keys = [], []
    for choice, policy in zip(choices, policies, strict=True):
        candidates = rows_for[policy.earlier_rounds, policy.hinted]
        chosen = choose_by(run, round, policy, candidates, attempts).select("key", "weight")
        rows = candidates.join(chosen, on="key")
        found.append(_simulated(described(choice), rows, problems, own))
        keys.append(rows.select(pl.col("key").hash()))
    overlap = tuple(tuple(_jaccard(one, other) for other in keys) for one in keys)
    return Simulation(str(run.path), round, problems, own, tuple(found), overlap)


def _simulated(policy: str, rows: pl.DataFrame, problems: int, own: Mapping[str, int]) -> Simulated:
    import polars as pl

    per_problem = rows.group_by("problem_id").len().get_column("len")
    by_source = _counts(rows, "source")
    shares = _shares(rows, "strategy")
    distinct = rows.select(pl.struct("problem_id", "rationale_hash").n_unique()).item()
    return Simulated(
        policy=policy,
        rows=rows.height,
        problems=per_problem.len(),
        coverage=per_problem.len() / problems if problems else 0.0,
        rows_per_problem=rows.height / per_problem.len() if per_problem.len() else 0.0,
        most_per_problem=per_problem.max() or 0,
        by_strategy=_counts(rows, "strategy"),
        by_source=by_source,
        by_source_and_strategy={
            source: _counts(rows.filter(pl.col("source") == source), "strategy") for source in by_source
        },
        alpha=by_source.get("teacher", 0) / rows.height if rows.height else 0.0,
        alpha_by_weight=_shares(rows, "source").get("teacher", 0.0),
        duplicates=rows.height - distinct,
        strategy_shares=shares,
        kl_to_own=divergence(shares, own),
        never_own=tuple(name for name in shares if not own.get(name)),
        tokens=_lengths(rows.get_column("completion_tokens")) if rows.height else None,
        weights=_weights(rows.get_column("weight")) if rows.height else None,
    )


def divergence(shares: Mapping[str, float], own: Mapping[str, int]) -> float | None:
    """KL(shares ‖ own) in nats. None where it is infinite or there is nothing to compare."""
    total = sum(own.values())
    used = {name: share for name, share in shares.items() if share}
    if not used or not total or not all(own.get(name) for name in used):
        return None
    return max(0.0, sum(share * math.log(share * total / own[name]) for name, share in used.items()))


def _counts(rows: pl.DataFrame, column: str) -> dict[str, int]:
    import polars as pl

    counted = rows.group_by(pl.col(column).cast(pl.String)).agg(pl.len()).sort(column)
    return {str(name): int(number) for name, number in counted.iter_rows()}


def _shares(rows: pl.DataFrame, column: str) -> dict[str, float]:
    import polars as pl

    summed = rows.group_by(pl.col(column).cast(pl.String)).agg(pl.col("weight").sum()).sort(column)
    total = sum(summed.get_column("weight"))
    return {str(name): weight / total for name, weight in summed.iter_rows()} if total else {}


def _lengths(tokens: pl.Series) -> Lengths:
    return Lengths(
        total=int(tokens.sum()),
        mean=float(tokens.mean()),
        median=float(tokens.median()),
        high=float(tokens.quantile(0.95, interpolation="higher")),
        longest=int(tokens.max()),
    )


def _weights(weights: pl.Series) -> Weights:
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    return Weights(float(weights.min()), float(weights.max()), effective)


def _jaccard(one: pl.DataFrame, other: pl.DataFrame) -> float:
    shared = one.join(other, on="key", how="semi").height
    either = one.height + other.height - shared
    return shared / either if either else 1.0
