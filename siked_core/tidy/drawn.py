"""Tables of what was drawn and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from siked_core.errors import RunError
from siked_core.ledger import few
from siked_core.records import Status
from siked_core.run import Run
from siked_core.scorecard import Score
from siked_core.spending import JUDGES, pools
from siked_core.stages.attempts import attempts_of
from siked_core.stages.evidence import NO_TAG, asked_of
from siked_core.stages.generate import is_evaluation, split_of
from siked_core.stages.prepare import problems
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.scored import in_order

if TYPE_CHECKING:
    import polars as pl


def attempts(run: Run, tell: Callable[[str], None] = lambda _: None, *, evaluations: bool = True) -> pl.DataFrame:
    """Every sample that the run's recipe asks for, with its verdict, without texts. Columns: `COLUMNS["attempts"]`.

    Args:
        tell: hears, in a line each, of pools that cannot be read, such as one that is being filled; they are left out.
        evaluations: also the answers to validation and test questions.
    """
    import polars as pl

    parts = []
    for pool in drawn_pools(run):
        if is_evaluation(pool) and not evaluations:
            continue
        try:
            dataset, split = split_of(run, pool)
            known = problems(run, split, dataset)
            with run.verifiers(scoring=is_evaluation(pool)) as verifiers:
                found = attempts_of(run, pool, verifiers, asked_of(known))
        except RunError as error:
            tell(f"The samples of {pool} are left out: {error}")
            continue
        families = pl.DataFrame(
            [(one.id, one.family) for one in known],
            schema={"problem_id": pl.String, "family": pl.Categorical},
            orient="row",
        )
        part = (
            found.with_columns(pl.col("problem_id").cast(pl.String))
            .join(families, on="problem_id", how="left", maintain_order="left")
            .with_columns(
                pool=pl.lit(pool).cast(pl.Categorical),
                family=pl.col("family").fill_null(""),
                strategy=pl.col("strategy").fill_null(NO_TAG),
            )
        )
        parts.append(part.select(*COLUMNS["attempts"]))
    if not parts:
        numbers = dict.fromkeys(("round", "draw", "prompt_tokens", "completion_tokens"), pl.Int32)
        kinds = dict.fromkeys(("strategy", "requested", "source", "status"), few())
        names = dict.fromkeys(("pool", "family"), pl.Categorical)
        other = {**numbers, **kinds, **names, "rationale_hash": pl.UInt64, "logprob": pl.Float64}
        return pl.DataFrame(schema={name: other.get(name, pl.String) for name in COLUMNS["attempts"]})
    return pl.concat(parts)


def yields(attempts: pl.DataFrame) -> pl.DataFrame:
    """How many samples of training problems are correct, by pool and strategy. Columns: `COLUMNS["yields"]`."""
    import polars as pl

    counted = (
        of_training(attempts)
        .group_by(pl.col("pool", "strategy").cast(pl.String))
        .agg(samples=pl.len().cast(pl.Int64), correct=(pl.col("status") == Status.CORRECT.value).sum().cast(pl.Int64))
    )
    scores = [Score(*row) for row in counted.select("correct", "samples").iter_rows()]
    found = counted.with_columns(
        share=pl.Series([one.accuracy for one in scores], dtype=pl.Float64),
        low=pl.Series([one.interval[0] for one in scores], dtype=pl.Float64),
        high=pl.Series([one.interval[1] for one in scores], dtype=pl.Float64),
    )
    return pools_in_order(found).select(*COLUMNS["yields"])


def verdicts(attempts: pl.DataFrame) -> pl.DataFrame:
    """What became of the samples of training problems, by pool and strategy. Columns: `COLUMNS["verdicts"]`."""
    import polars as pl

    counted = (
        of_training(attempts)
        .group_by(pl.col("pool", "strategy", "status").cast(pl.String))
        .agg(samples=pl.len().cast(pl.Int64))
        .with_columns(share=pl.col("samples") / pl.col("samples").sum().over("pool", "strategy"))
    )
    return pools_in_order(counted).select(*COLUMNS["verdicts"])


def of_training(attempts: pl.DataFrame) -> pl.DataFrame:
    """The judged samples of training problems."""
    import polars as pl

    evaluations = pl.col("pool").cast(pl.String).str.starts_with("evaluations/")
    return attempts.filter(pl.col("status").is_not_null() & ~evaluations)


def pools_in_order(table: pl.DataFrame) -> pl.DataFrame:
    """The teacher's pool first, then the rounds', then by strategy and verdict."""
    import polars as pl

    order = {name: place for place, name in enumerate(sorted(table.get_column("pool").unique(), key=in_order))}
    place = pl.col("pool").replace_strict(order, return_dtype=pl.Int64) if order else pl.lit(0)
    rest = [name for name in ("strategy", "status") if name in table.columns]
    return table.with_columns(_place=place).sort("_place", *rest).drop("_place")


def drawn_pools(run: Run) -> list[str]:
    """The pools of samples: the teacher's, the rounds', then those of evaluations."""
    names = [name for name in pools(run.path) if not name.startswith(f"{JUDGES}/")]
    return sorted(names, key=lambda name: (is_evaluation(name), in_order(name)))
