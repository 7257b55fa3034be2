"""Figures of what a run took, and of what it had been quoted to take."""

from __future__ import annotations

from collections.abc import Iterator

from siked_core.report.figure import WIDTH, Figure, coloured, figure, shown
from siked_core.report.gathered import Gathered
from siked_core.report.palette import STAGES

UNITS = {
    "seconds": "seconds",
    "cost": "cost",
    "tokens_in": "tokens of prompts",
    "tokens_out": "tokens written",
    "bytes": "bytes kept",
}


def spent(found: Gathered) -> Iterator[Figure]:
    """Those of these figures that the run has something for."""
    for made in (times(found), predictions(found)):
        if made is not None:
            yield made


def times(found: Gathered) -> Figure | None:
    """Time by round and kind of stage."""
    import altair as alt
    import polars as pl

    table = found.stages.with_columns(
        part=pl.when(pl.col("round").is_not_null())
        .then(pl.format("round {}", "round"))
        .otherwise(pl.lit("tests and baselines"))
    )
    table = table.group_by("part", "kind", maintain_order=True).agg(
        pl.col("round").first(), pl.col("seconds", "samples", "tokens_in", "tokens_out", "cost").sum()
    )
    table = table.sort("round", nulls_last=True, maintain_order=True)
    if not table.get_column("seconds").sum():
        return None
    order = table.get_column("part").unique(maintain_order=True).to_list()
    total = table.get_column("seconds").sum()
    unit, size = ("hours", 3600) if total > 7200 else ("minutes", 60) if total > 120 else ("seconds", 1)
    drawn = table.with_columns(time=pl.col("seconds") / size)
    chart = (
        alt.Chart(shown())
        .mark_bar()
        .encode(
            y=alt.Y("part:N", sort=order, title=None),
            x=alt.X("time:Q", title=f"{unit} of work", stack=True, axis=alt.Axis(tickCount=8)),
            color=alt.Color("kind:N", **coloured(STAGES, table.get_column("kind").to_list(), "stage")),
            tooltip=[
                alt.Tooltip("part:N", title="of"),
                alt.Tooltip("kind:N", title="stage"),
                alt.Tooltip("seconds:Q", format=",.1f"),
                alt.Tooltip("tokens_in:Q", format=","),
                alt.Tooltip("tokens_out:Q", format=","),
                alt.Tooltip("cost:Q", format=",.4f", title=f"cost ({found.run.recipe.prices.currency})"),
            ],
        )
        .properties(width=WIDTH, height=30 * len(order))
    )
    kinds = table.group_by("kind", maintain_order=True).agg(pl.col("seconds").sum()).sort("seconds", descending=True)
    top, took = kinds.row(0)
    return figure(
        "time",
        f"{total / size:,.1f} {unit} of work, of which {top} took {100 * took / total:.0f} %",
        "Time on the wall clock that stages worked, all attempts together; pauses between them do not count. The table "
        "has tokens and cost too.",
        "Seconds of work by stage: " + "; ".join(f"{kind} {seconds:,.1f}" for kind, seconds in kinds.iter_rows()) + ".",
        chart,
        table.drop("round"),
        drawn=drawn,
    )


def predictions(found: Gathered) -> Figure | None:
    """What the quote expected beside what it was."""
    import altair as alt
    import polars as pl

    table = found.predictions
    if table.is_empty():
        return None
    table = table.with_columns(
        label=pl.when(pl.col("round").is_not_null())
        .then(pl.format("round {}: {}", "round", "step"))
        .otherwise(pl.col("step")),
        unit=pl.col("quantity").replace(UNITS),
        met=pl.when(pl.col("inside")).then(pl.lit("inside")).otherwise(pl.lit("outside")),
    )
    order = table.sort("round", nulls_last=True, maintain_order=True).get_column("label").unique(maintain_order=True)
    base = alt.Chart().encode(
        y=alt.Y("label:N", sort=order.to_list(), title=None),
        tooltip=["label:N", "unit:N", "expected:Q", "low:Q", "high:Q", "actual:Q", "met:N"],
    )
    scale = alt.Scale(domain=["inside", "outside"], range=["#44AA99", "#CC6677"])
    marks = alt.layer(
        base.mark_bar(height=7, opacity=0.35, color="#8A929B").encode(alt.X("low:Q", title=None), alt.X2("high:Q")),
        base.mark_tick(thickness=2, size=13).encode(alt.X("expected:Q")),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            alt.X("actual:Q", axis=alt.Axis(format="~s", tickCount=5)),
            color=alt.Color("met:N", title="actual", scale=scale),
            shape=alt.Shape("met:N", title="actual", scale=alt.Scale(domain=scale.domain, range=["circle", "cross"])),
        ),
    ).properties(width=230, height=alt.Step(22))
    units = [unit for unit in UNITS.values() if unit in set(table.get_column("unit"))]
    chart = marks.facet(alt.Facet("unit:N", title=None, sort=units), columns=2, data=shown()).resolve_scale(
        x="independent"
    )
    inside = int(table.get_column("inside").sum())
    return figure(
        "predictions",
        f"{inside} of {table.height} figures of the quote held",
        "The grey bar is the interval that `siked quote` gave before the run, the upright tick what it expected, and "
        "the mark what it was.",
        "; ".join(
            f"{row['label']}, {row['unit']}: expected {row['expected']:,.4g}, was {row['actual']:,.4g}"
            for row in table.iter_rows(named=True)
        )
        + ".",
        chart,
        table.drop("round", "step", "quantity", "met"),
        drawn=table,
        fluid=False,
    )
