"""What a verdict rests on: who judged, and what was judged.

A sample's evidence is made of its text's hash, a hash of the question and the gold answer, and, where its verifier
judges all samples of a problem together, a hash of those. A verdict on a text that has been replaced, or against a gold
answer that was another, is thus not taken for one on this.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from siked_core.contracts import Verifier
from siked_core.keys import digest, reading
from siked_core.reasoning import ReasoningRecipe
from siked_core.records import Problem
from siked_core.run import Run

if TYPE_CHECKING:
    import polars as pl

NO_TAG = "(no tag)"
"""What judges a completion that names no strategy."""


def present_judges(run: Run, verifiers: Mapping[str, Verifier]) -> dict[str, str]:
    """What judges each strategy's rationales."""
    return {name: judge_of(run, name, verifier) for name, verifier in verifiers.items()}


def judge_of(run: Run, strategy: str, verifier: Verifier) -> str:
    """What judges a strategy's rationales, as a short hash: it changes when a verdict could."""
    parts: list[Any] = [reading(run.strategies[strategy]), verifier.fingerprint]
    if run.recipe.reasoning != ReasoningRecipe():
        parts.append(run.recipe.reasoning.model_dump() if run.recipe.reasoning else None)
    return digest(parts)


def judge(judges: Mapping[str, str]) -> pl.Expr:
    """What judges a sample, by its strategy. (`replace_strict` would have Polars hold all samples at once.)"""
    import polars as pl

    found = pl.lit(NO_TAG)
    for strategy, one in judges.items():
        found = pl.when(pl.col("strategy") == strategy).then(pl.lit(one)).otherwise(found)
    return found


def whole(verifiers: Mapping[str, Verifier]) -> list[str]:
    """The strategies whose verifier judges all samples of a problem together."""
    return [name for name, verifier in verifiers.items() if verifier.scope == "problem"]


def with_evidence(samples: pl.LazyFrame, known: Iterable[Problem], together: Collection[str]) -> pl.LazyFrame:
    """The samples with a column `evidence`. Null for a sample of a problem that is not known.

    Args:
        samples: with the columns key, problem_id, strategy and text_hash.
        known: the problems that they answer.
        together: the strategies whose verifier judges all samples of a problem together (`whole`).
    """
    return with_evidence_on(asked_of(known), samples, together)


def with_evidence_on(asked: pl.DataFrame, samples: pl.LazyFrame, together: Collection[str]) -> pl.LazyFrame:
    """The same, where it is known what was asked (`asked_of`)."""
    import polars as pl

    problems = asked.lazy()
    parts = [pl.col("text_hash").cast(pl.String), pl.col("asked")]
    if together:
        problems = problems.join(_together(samples, together).lazy(), on="problem_id", how="left")
        mine = pl.col("strategy").is_in(list(together))
        parts.append(pl.when(mine).then(pl.col("together")).otherwise(pl.lit("")))
    return (
        samples.join(problems, on="problem_id", how="left", maintain_order="left")
        .with_columns(evidence=pl.concat_str(parts, separator="."))
        .drop("asked", "together", strict=False)
    )


def asked_of(known: Iterable[Problem]) -> pl.DataFrame:
    """A hash of each problem's question and gold answer. Columns: problem_id, asked."""
    import polars as pl

    rows = [(problem.id, asked(problem)) for problem in known]
    return pl.DataFrame(rows, schema={"problem_id": pl.String, "asked": pl.String}, orient="row")


def asked(problem: Problem) -> str:
    """A hash of a problem's question and gold answer."""
    return digest([problem.question, problem.answer])[:16]


def _together(samples: pl.LazyFrame, strategies: Collection[str]) -> pl.DataFrame:
    """A hash, for each problem, of all its samples that are judged together."""
    import polars as pl

    rows = samples.filter(pl.col("strategy").is_in(list(strategies)))
    rows = rows.select("problem_id", "key", "text_hash").collect().sort("problem_id", "key")
    found = [
        (problem_id, digest(list(group.select("key", "text_hash").iter_rows()))[:16])
        for (problem_id,), group in rows.group_by("problem_id", maintain_order=True)
    ]
    return pl.DataFrame(found, schema={"problem_id": pl.String, "together": pl.String}, orient="row")
