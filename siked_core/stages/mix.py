"""The mixture that a student is trained on: the mixing policy's choice among the verified samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from siked_core.contracts import MixContext
from siked_core.errors import PluginError, RunError
from siked_core.finished import Finished
from siked_core.hint import hinted as hinted_pool
from siked_core.ledger import PLACE, candidates, ledger
from siked_core.mixing import OpenedPolicy, open_policy
from siked_core.pool import write_parquet
from siked_core.run import Run
from siked_core.scorecard import MixtureSummary
from siked_core.stages.attempts import attempts_of
from siked_core.stages.evidence import asked_of
from siked_core.stages.prepare import dealt, problems
from siked_core.stages.teach import POOL
from siked_core.transforms import transformed

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
    pools = [*pools_of(round), *hinted_pools_of(run, round)]
    finished = Finished(run, f"mix {name}", pools=pools, files=[run.mixture(name)])
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
        mixture = transformed(run, name, round, _with_rationales(run, round, chosen))
        if mixture.is_empty():
            raise RunError(f"There is nothing to train on in {name}: the transforms left no rationale.")
        write_parquet(mixture, run.mixture(name))
        summary = summarise(mixture)
        notes["worked"] = False  # it takes no time worth adding up
        progress.advance()
        told = f", {summary.hinted:,} of them written with the answer told" if summary.hinted else ""
        progress.finish(f"{summary.rows:,} rows{told}, teacher's share {summary.alpha:.2f}")
    finished.keep(asdict(summary))
    return summary


def choose(run: Run, round: int, baseline: str | None = None) -> pl.DataFrame:
    """The rows of a mixture with their weights, without their texts: the ledger is opened, and the policy chooses.

    Columns: those of the ledger, `hinted`, and `weight`.
    """
    import polars as pl

    attempts = ledger(judged(run, round))
    if round > 0:
        policy = open_policy(run.recipe.mixing.policy, run.recipe, run.registry)
        rows = offered(run, round, attempts, policy.earlier_rounds, policy.hinted)
        return choose_by(run, round, policy, rows, attempts)
    if baseline is None:
        rows = offered(run, round, attempts)  # warm-up: supervised fine-tuning on the teacher's pool (section 3.1)
    else:
        rows = _with_hinted(run, round, candidates(attempts, round, run.recipe.mixing.keep))
        if baseline != COMBINED:
            rows = rows.filter(pl.col("strategy") == baseline.removeprefix("only-"))
    return _weighed(run, rows, rows)


def choose_by(run: Run, round: int, policy: OpenedPolicy, rows: pl.DataFrame, attempts: pl.DataFrame) -> pl.DataFrame:
    """What a policy, which need not be the recipe's, chooses for a round (1, 2, ...), with weights.

    Args:
        rows: what the round offers it (`offered`).
        attempts: the ledger of all samples that the round knows of.

    Raises:
        PluginError: it returned what it may not.
    """
    questions = partial(questions_of, run)
    context = MixContext(round, run.recipe.strategy_names, attempts, run.recipe.seed, questions=questions)
    chosen = policy.mix(rows, context)
    _check(chosen, rows, policy.name)
    return _weighed(run, chosen, rows)


def offered(run: Run, round: int, attempts: pl.DataFrame, earlier: bool = False, hinted: bool = False) -> pl.DataFrame:
    """The candidates of a round: those of its problems.

    Args:
        earlier: with the student's of earlier rounds; the problems are then those of all rounds up to this one.
        hinted: with those that the student wrote with the answer told.
    """
    import polars as pl

    keep = run.recipe.mixing.keep
    rows = _with_hinted(run, round, candidates(attempts, round, keep, earlier), earlier, students=hinted)
    if run.recipe.rollout.problems == "all":
        return rows
    of = range(round + 1) if earlier else [round]
    return rows.filter(pl.col("problem_id").is_in([problem.id for each in of for problem in dealt(run, each)]))


def _with_hinted(
    run: Run, round: int, rows: pl.DataFrame, earlier: bool = False, students: bool = False
) -> pl.DataFrame:
    """The candidates, and those that were written with the answer told; the column `hinted` tells them apart. Letter by
    letter the same rationale is not taken twice."""
    import polars as pl

    pools = [pool for pool in hinted_pools_of(run, round) if students or pool == hinted_pool(POOL)]
    if not pools:
        return rows
    told = ledger(judged_in(run, pools)).with_columns(pass_rate=pl.lit(None, pl.Float64))
    more = candidates(told, round, run.recipe.mixing.keep, earlier).with_columns(hinted=pl.lit(True))
    same = [*PLACE, "rationale_hash"]
    return pl.concat([rows, more.join(rows, on=same, how="anti", maintain_order="left")])


def questions_of(run: Run) -> pl.DataFrame:
    """The training problems' questions. Columns: problem_id, question."""
    import polars as pl

    rows = [(problem.id, problem.question) for problem in problems(run, "train")]
    return pl.DataFrame(rows, schema={"problem_id": pl.String, "question": pl.String}, orient="row")


def _weighed(run: Run, chosen: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The chosen rows with the weights that the policy and the recipe (`mixing.weights`) give them."""
    import polars as pl

    if "hinted" not in chosen.columns:
        chosen = chosen.join(rows.select("key", "hinted"), on="key", how="left", maintain_order="left")
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
    round, but for what was written with the answer told. Columns: those of the ledger, without the pass rate."""
    return judged_in(run, pools_of(round))


def judged_in(run: Run, pools: Sequence[str]) -> pl.DataFrame:
    """The same of these pools of training problems."""
    import polars as pl

    asked = asked_of(problems(run, "train"))
    with run.verifiers() as verifiers:
        tables = (attempts_of(run, pool, verifiers, asked) for pool in pools)
        return pl.concat(table.filter(pl.col("status").is_not_null()) for table in tables)


def pools_of(round: int) -> list[str]:
    """The pools whose samples a round knows of: the teacher's, and the student's of the rounds up to this one."""
    return [POOL, *(f"round-{earlier}" for earlier in range(1, round + 1))]


def hinted_pools_of(run: Run, round: int) -> list[str]:
    """The pools of what was written with the answer told that a round knows of, as far as the recipe asks for them and
    they have been filled."""
    teachers, students = run.recipe.teacher.rationalise, run.recipe.rollout.rationalise
    told = [hinted_pool(pool) for pool in pools_of(round) if (teachers if pool == POOL else students)]
    return [pool for pool in told if run.wanted(pool).exists()]


def _with_rationales(run: Run, round: int, chosen: pl.DataFrame) -> pl.DataFrame:
    """The mixture as it is stored: the chosen rows with their texts, which are read now, and of no other rows."""
    import polars as pl

    names = pl.col("problem_id", "strategy", "source").cast(pl.String)
    mixture = chosen.select("key", names, "round", "weight", "rationale_hash", "hinted")
    hashes = mixture.get_column("rationale_hash").unique().implode()
    texts = [
        run.verdicts(pool)
        .scan(["key", "rationale_hash", "rationale"])
        .filter(pl.col("rationale_hash").is_in(hashes))
        .collect(engine="streaming")
        for pool in [*pools_of(round), *hinted_pools_of(run, round)]
    ]
    found = pl.concat(texts).unique(["key", "rationale_hash"])
    columns = ["key", "problem_id", "strategy", "source", "round", "weight", "rationale", "hinted"]
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
        hinted=int(mixture.get_column("hinted").sum()),
    )


def _check(chosen: pl.DataFrame, rows: pl.DataFrame, policy: str) -> None:
    """A policy is a stranger's code: what it returns is looked at before anything is trained on it."""
    where = f"The mixing policy '{policy}'"
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
