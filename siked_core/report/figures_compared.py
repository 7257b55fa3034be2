"""What two runs have in common and where they differ, before the figures of each."""

from __future__ import annotations

from typing import Any

from siked_core.comparison import Comparison
from siked_core.report.figure import WIDTH, Figure, figure, percent, shown
from siked_core.report.figures import Section
from siked_core.report.gathered import Gathered

_COLOURS = {"A": "#0072B2", "B": "#D55E00"}


def compared(a: Gathered, b: Gathered, found: Comparison) -> list[Section]:
    """The sections that stand first in a page about two runs."""
    figures = [one for one in (accuracies(a, b), differences(found), took(found)) if one is not None]
    return [Section("both", "Side by side", "Both runs side by side", tuple(figures))] if figures else []


def accuracies(a: Gathered, b: Gathered) -> Figure | None:
    """Validation accuracy per round of both runs."""
    import altair as alt
    import polars as pl

    table = pl.concat(
        one.accuracies.filter((pl.col("split") == "validation") & (pl.col("dataset") == one.dataset)).with_columns(
            run=pl.lit(letter)
        )
        for letter, one in (("A", a), ("B", b))
    ).filter(pl.col("round").is_not_null())
    if table.get_column("run").n_unique() < 2:
        return None
    table = table.select("run", "round", "dataset", "correct", "total", "accuracy", "low", "high", "chosen")
    base = alt.Chart(shown()).encode(
        x=alt.X("round:O", title="round", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("run:N", scale=alt.Scale(paddingOuter=1)),
        color=alt.Color("run:N", scale=_scale(), legend=alt.Legend(symbolOpacity=1)),
        tooltip=["run:N", "round:O", alt.Tooltip("accuracy:Q", format=".1%"), "correct:Q", "total:Q"],
    )
    y = alt.Y("accuracy:Q", title="validation accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    chart = alt.layer(
        base.mark_line(opacity=0.6).encode(y),
        base.mark_rule(strokeWidth=1.5).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=80, opacity=1).encode(y, shape=alt.Shape("run:N", legend=None)),
    ).properties(width=WIDTH, height=280)
    best = table.sort("accuracy", descending=True).unique("run", keep="first").sort("run")
    said = [f"{row['run']} {percent(row['accuracy'])} in round {row['round']}" for row in best.iter_rows(named=True)]
    return figure(
        "both-accuracy",
        f"Best validation accuracy: {' and '.join(said)}",
        f"A is {a.name}, B is {b.name}. Lines are 95 % intervals. Where the two were asked other questions, only "
        "paired differences compare them.",
        f"Validation accuracy per round. Best: {' and '.join(said)}.",
        chart,
        table,
    )


def differences(found: Comparison) -> Figure | None:
    """The accuracies of both on the questions that both were asked: B minus A."""
    import altair as alt
    import polars as pl

    rows: list[dict[str, Any]] = []
    for one in found.paired:
        names = one.student_a if one.student_a == one.student_b else f"{one.student_a} and {one.student_b}"
        low, high = one.paired.interval
        label = f"{names} on {one.dataset} {one.split}"
        counts = {"questions": one.paired.total, "only_a": one.paired.only_a, "only_b": one.paired.only_b}
        bounds = {"difference": one.paired.difference, "low": low, "high": high, "p": one.paired.p_value}
        rows.append({"students": label, **counts, **bounds})
    if not rows:
        return None
    table = pl.DataFrame(rows)
    base = alt.Chart(shown()).encode(
        y=alt.Y("students:N", sort=table.get_column("students").to_list(), title=None, axis=alt.Axis(labelLimit=260)),
        tooltip=[
            "students:N",
            alt.Tooltip("difference:Q", format="+.1%"),
            "questions:Q",
            alt.Tooltip("p:Q", format=".3f"),
        ],
    )
    reach = max(0.05, *(abs(value) for row in rows for value in (row["low"], row["high"])))
    x = alt.X(
        "difference:Q",
        title="B minus A",
        axis=alt.Axis(format="+%"),
        scale=alt.Scale(domain=[-min(1.0, 1.1 * reach), min(1.0, 1.1 * reach)]),
    )
    chart = alt.layer(
        alt.Chart(shown()).mark_rule(strokeDash=[4, 3], opacity=0.6).encode(x=alt.datum(0)),
        base.mark_rule(strokeWidth=1.5).encode(alt.X("low:Q"), alt.X2("high:Q")),
        base.mark_point(filled=True, size=80, opacity=1).encode(x),
    ).properties(width=WIDTH, height=28 * len(rows))
    clear = table.filter(pl.col("p") < 0.05).height
    return figure(
        "both-differences",
        f"{clear} of {table.height} differences on the same questions are clear (p < 0.05)",
        "Only questions that both runs asked count. Right of the dashed line B is more accurate, left of it A; the "
        "line through a mark is its 95 % interval (Agresti and Min), p is McNemar’s exact test.",
        "; ".join(
            f"{row['students']}: {100 * row['difference']:+.1f} points ({100 * row['low']:+.1f} to "
            f"{100 * row['high']:+.1f}), p {row['p']:.3f}"
            for row in rows
        )
        + ".",
        chart,
        table,
    )


def took(found: Comparison) -> Figure | None:
    """Time of both by kind of stage."""
    import altair as alt
    import polars as pl

    rows: list[dict[str, Any]] = [
        {"run": letter, "stage": kind, **{name: float(value) for name, value in side.items()}}
        for kind, both in found.spent.items()
        for letter, side in (("A", both["a"]), ("B", both["b"]))
        if side
    ]
    if not rows or not any(row["seconds"] for row in rows):
        return None
    table = pl.DataFrame(rows)
    chart = (
        alt.Chart(shown())
        .mark_bar()
        .encode(
            y=alt.Y("stage:N", title=None, sort=list(found.spent)),
            yOffset=alt.YOffset("run:N"),
            x=alt.X("seconds:Q", title="seconds of work", axis=alt.Axis(tickCount=8)),
            color=alt.Color("run:N", scale=_scale(), legend=alt.Legend(symbolOpacity=1)),
            tooltip=["run:N", "stage:N", "seconds:Q", "tokens_in:Q", "tokens_out:Q", "cost:Q"],
        )
        .properties(width=WIDTH, height=28 * len(found.spent))
    )
    totals = [f"{letter} {sum(row['seconds'] for row in rows if row['run'] == letter):,.0f} s" for letter in _COLOURS]
    return figure(
        "both-time",
        f"Work: {' and '.join(totals)}",
        "Time on the wall clock by kind of stage. The table has tokens and cost too.",
        f"Seconds of work: {' and '.join(totals)}.",
        chart,
        table,
    )


def _scale() -> Any:
    import altair as alt

    return alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values()))
