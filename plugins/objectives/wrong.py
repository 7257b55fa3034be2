"""The wrong rationales of a run, by problem and strategy. For objectives that learn from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siked_core import Status

if TYPE_CHECKING:
    import polars as pl

Rationales = dict[tuple[str, str], list[str]]
"""(problem, strategy) -> texts."""


def wrong_rationales(samples: pl.DataFrame) -> Rationales:
    """The wrong rationales that can be read, each text once, in the order in which they were drawn.

    Args:
        samples: as `ObjectiveContext.samples` has them.
    """
    import polars as pl

    rows = samples.filter(
        (pl.col("status") == Status.WRONG.value)
        & pl.col("rationale").is_not_null()
        & pl.col("strategy").is_not_null()
        & (pl.col("rationale").str.strip_chars() != "")
    )
    rows = rows.sort("round", "source", "draw", "key").unique(
        ["problem_id", "strategy", "rationale"], keep="first", maintain_order=True
    )
    found: Rationales = {}
    for problem, strategy, text in rows.select("problem_id", "strategy", "rationale").iter_rows():
        found.setdefault((problem, strategy), []).append(text)
    return found
