"""The mixture that a student is trained on: the mixing policy's choice among the verified samples."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from siked_core.contracts import MixContext, MixingPolicy
from siked_core.errors import PluginError, RunError
from siked_core.finished import Finished
from siked_core.ledger import candidates, ledger
from siked_core.pool import write_parquet
from siked_core.run import Run
from siked_core.scorecard import MixtureSummary
from siked_core.stages.attempts import attempts_of
from siked_core.stages.evidence import asked_of
from siked_core.stages.prepare import dealt, problems
from siked_core.stages.teach import POOL

if TYPE_CHECKING:
    import polars as pl


COMBINED = "combined"
"""All of the teacher's pool, and the student that is trained on it for as many tokens as the whole run."""


def mix(run: Run, round: int, baseline: str | None = None) -> MixtureSummary:
    """Choose the rows of a round and write them as `mixtures/round-N.parquet`.

    Args:
        round: 0 is the warm-up: there are the teacher's rows only, whatever the policy makes of them.
        baseline: round 0 only: `combined`, all of the teacher's pool, or `only-NAME`, its rows of one strategy. The
            mixture has that name.

    Raises:
        RunError: there is nothing to train on.
    """
    name = baseline or f"round-{round}"
    finished = Finished(run, f"mix {name}", pools=_pools(round), files=[run.mixture(name)])
    if (outcome := finished.outcome()) is not None:
        return MixtureSummary.from_dict(outcome)
    with run.timed(f"mix {name}") as notes, run.reporter.stage(f"mix {name}", 1, "mixture") as progress:
        if round > 0:
            notes["policy"] = run.recipe.mixing.policy.model_dump(mode="json")  # also where it is for one command
        chosen = choose(run, round, baseline)
        if chosen.is_empty():
            source = "the teacher" if round == 0 else "the mixing policy"
            raise RunError(
                f"There is nothing to train on in {name}: {source} left no verified rationale. "
                f"See the verdicts in {run.path / 'verdicts'}."
            )
        mixture = _with_rationales(run, round, chosen)
        write_parquet(mixture, run.mixture(name))
        summary = summarise(mixture)
        notes["worked"] = False  # it takes no time worth adding up
        progress.advance()
        progress.finish(f"{summary.rows:,} rows, teacher's share {summary.alpha:.2f}")
    finished.keep(asdict(summary))
    return summary


def choose(run: Run, round: int, baseline: str | None = None) -> pl.DataFrame:
    """The rows of a mixture with their weights, without their texts: the ledger is opened, and the policy chooses.

    Columns: those of the ledger, and `weight`.
    """
    import polars as pl

    attempts = ledger(judged(run, round))
    rows = candidates(attempts, round, run.recipe.mixing.keep)
    if baseline is None and run.recipe.rollout.problems != "all":
        rows = rows.filter(pl.col("problem_id").is_in([problem.id for problem in dealt(run, round)]))
    elif baseline not in (None, COMBINED):
        rows = rows.filter(pl.col("strategy") == baseline.removeprefix("only-"))
    if round == 0:
        chosen = rows  # warm-up: supervised fine-tuning on the teacher's pool (section 3.1)
    else:
        choice = run.recipe.mixing.policy
        policy: MixingPolicy = run.registry.create("mixing_policy", choice.name, choice.options)
        chosen = policy.mix(rows, MixContext(round, run.recipe.strategy_names, attempts, run.recipe.seed))
        _check(chosen, rows, policy)
    if "weight" not in chosen.columns:
        chosen = chosen.with_columns(weight=pl.lit(1.0))
    if run.recipe.mixing.weights == "copies" and not chosen.is_empty():
        copies = rows.select("key", "copies")
        weighed = chosen.drop("copies", strict=False).join(copies, on="key", maintain_order="left")
        weight = pl.col("weight") * pl.col("copies")
        chosen = weighed.with_columns(weight=weight / weight.mean())  # the step size stays what it was
    return chosen


def judged(run: Run, round: int) -> pl.DataFrame:
    """Every sample with its verdict, without texts, that a round knows of: the teacher's, and the student's up to that
    round. Columns: those of the ledger, without the pass rate."""
    import polars as pl

    asked = asked_of(problems(run, "train"))
    with run.verifiers() as verifiers:
        tables = (attempts_of(run, pool, verifiers, asked) for pool in _pools(round))
        return pl.concat(table.filter(pl.col("status").is_not_null()) for table in tables)


def _pools(round: int) -> list[str]:
    return [POOL, *(f"round-{earlier}" for earlier in range(1, round + 1))]


def _with_rationales(run: Run, round: int, chosen: pl.DataFrame) -> pl.DataFrame:
    """The mixture as it is stored: the chosen rows with their texts, which are read now, and of no other rows."""
    import polars as pl

    names = pl.col("problem_id", "strategy", "source").cast(pl.String)
    mixture = chosen.select("key", names, "round", "weight", "rationale_hash")
    hashes = mixture.get_column("rationale_hash").unique().implode()
    texts = [
        run.verdicts(pool)
        .scan(["key", "rationale_hash", "rationale"])
        .filter(pl.col("rationale_hash").is_in(hashes))
        .collect(engine="streaming")
        for pool in _pools(round)
    ]
    found = pl.concat(texts).unique(["key", "rationale_hash"])
    columns = ["key", "problem_id", "strategy", "source", "round", "weight", "rationale"]
    return mixture.join(found, on=["key", "rationale_hash"], maintain_order="left").select(columns)


def summarise(mixture: pl.DataFrame) -> MixtureSummary:
    """Count a mixture."""
    import polars as pl

    by_source = dict(mixture.group_by("source").agg(pl.len()).sort("source").iter_rows())
    return MixtureSummary(
        rows=mixture.height,
        by_strategy=dict(mixture.group_by("strategy").agg(pl.len()).sort("strategy").iter_rows()),
        by_source=by_source,
        alpha=by_source.get("teacher", 0) / mixture.height if mixture.height else 0.0,
    )


def _check(chosen: pl.DataFrame, rows: pl.DataFrame, policy: MixingPolicy) -> None:
    """A policy is a stranger's code: what it returns is looked at before anything is trained on it."""
    where = f"The mixing policy '{policy.name}'"
    if "key" not in chosen.columns:
        raise PluginError(f"{where} returned a table without the column 'key'.")
    if not chosen.join(rows, on="key", how="anti").is_empty():
        raise PluginError(f"{where} returned rows that are not among its candidates.")
    if chosen.get_column("key").is_duplicated().any():
        raise PluginError(f"{where} returned a row twice; give it a weight instead.")
    if (
        "weight" in chosen.columns
        and not (chosen.get_column("weight").is_finite() & (chosen.get_column("weight") >= 0)).all()
    ):
        raise PluginError(f"{where} returned a weight that is not a finite number of 0 or more.")
