"""Figures of what students scored: accuracy per round, on each test set, under each strategy; shares of strategies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from siked_core.report.figure import WIDTH, Figure, coloured, figure, most_common, names, percent, shown
from siked_core.report.gathered import Gathered
from siked_core.scorecard import Score

if TYPE_CHECKING:
    import polars as pl

BESIDE = 5
"""Families beside one another."""


def scored(found: Gathered) -> Iterator[Figure]:
    """Those of these figures that the run has something for."""
    for made in (accuracy(found), test_sets(found), forced(found), choices(found), families(found)):
        if made is not None:
            yield made


def accuracy(found: Gathered) -> Figure | None:
    """Accuracy per round on the run's own data set, and of the baselines beside the rounds."""
    import altair as alt
    import polars as pl

    table = found.accuracies.filter(pl.col("dataset") == found.dataset)
    if table.is_empty():
        return None
    table = table.with_columns(
        label=pl.when(pl.col("round").is_not_null()).then(pl.format("round {}", "round")).otherwise(pl.col("student"))
    )
    order = table.get_column("label").unique(maintain_order=True).to_list()
    base = alt.Chart(shown()).encode(
        x=alt.X("label:N", sort=order, title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("split:N", sort=["validation", "test"], scale=alt.Scale(paddingOuter=0.6)),
        tooltip=_told("student", "split"),
    )
    y = alt.Y("accuracy:Q", title="accuracy", axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1]))
    shape = alt.Shape(
        "split:N",
        title="questions",
        sort=["validation", "test"],
        scale=alt.Scale(domain=["validation", "test"], range=["circle", "diamond"]),
    )
    parts = [
        base.transform_filter("datum.split === 'validation' && isValid(datum.round)").mark_line(opacity=0.45).encode(y),
        base.mark_rule(strokeWidth=1.5).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=90, opacity=1).encode(y, shape),
        *(
            base.transform_filter(f"datum.split === '{split}'")
            .mark_text(dx=9 * side, dy=-8, align="left" if side > 0 else "right", fontSize=11)
            .encode(y, text=alt.Text("accuracy:Q", format=".1%"))
            for split, side in (("validation", -1), ("test", 1))
        ),
    ]
    if table.get_column("oracle").is_not_null().any():
        parts.insert(
            0,
            base.transform_filter("isValid(datum.oracle)")
            .mark_tick(thickness=2, size=26, opacity=0.5)
            .encode(alt.Y("oracle:Q")),
        )
    on_validation = table.filter((pl.col("split") == "validation") & pl.col("round").is_not_null()).sort("round")
    title = "Accuracy of each student"
    if on_validation.height > 1:
        first, best = (
            on_validation.row(0, named=True),
            on_validation.sort("accuracy", descending=True).row(0, named=True),
        )
        change = 100 * (best["accuracy"] - first["accuracy"])
        title = (
            f"The best round, {best['round']}, is {change:.1f} points more accurate on validation than round 0"
            if change > 0
            else "No round is more accurate on validation than round 0"
        )
    said = "; ".join(
        f"{row['label']} on {row['split']} {percent(row['accuracy'])} (95 % {percent(row['low'])} to "
        f"{percent(row['high'])})"
        for row in table.iter_rows(named=True)
    )
    has_oracle = table.get_column("oracle").is_not_null().any()
    reading = (
        "Each mark is one student; the upright line is its 95 % interval (Wilson). Round 0 is trained on the teacher "
        "alone, the published baseline “combined”; students that are no round are baselines. Rounds are chosen on "
        "validation, and test questions are asked once, at the end."
        + (" The pale tick is the oracle: the best strategy chosen for every question." if has_oracle else "")
    )
    chart = alt.layer(*parts).properties(width=WIDTH, height=300)
    numbers = table.select("student", "split", "correct", "total", "accuracy", "low", "high", "oracle", "chosen")
    return figure(
        "accuracy", title, reading, f"Accuracy of each student on {found.dataset}: {said}.", chart, numbers, drawn=table
    )


def test_sets(found: Gathered) -> Figure | None:
    """Test accuracy on each data set, where there is more than one."""
    import altair as alt
    import polars as pl

    table = found.accuracies.filter(pl.col("split") == "test")
    sets = table.get_column("dataset").unique(maintain_order=True).to_list()
    if len(sets) < 2:
        return None
    order = table.get_column("student").unique(maintain_order=True).to_list()
    base = alt.Chart().encode(y=alt.Y("student:N", sort=order, title=None), tooltip=_told("student", "dataset"))
    x = alt.X("accuracy:Q", title="accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    layers = alt.layer(
        base.mark_rule(strokeWidth=1.5).encode(alt.X("low:Q"), alt.X2("high:Q")),
        base.mark_point(filled=True, size=70, opacity=1).encode(x),
    ).properties(width=180, height=alt.Step(24))
    chart = layers.facet(alt.Facet("dataset:N", title=None, sort=sets), columns=3, data=shown())
    best = [
        f"on {name} {percent(row['accuracy'])} ({row['student']})"
        for name in sets
        for row in [table.filter(pl.col("dataset") == name).sort("accuracy", descending=True).row(0, named=True)]
    ]
    return figure(
        "test-sets",
        f"Test accuracy on {names(sets)}",
        "One row a student, one panel a data set: the dot is its accuracy, the line its 95 % interval. Data sets other "
        f"than {found.dataset} were not trained on.",
        f"The highest test accuracies are {names(best)}.",
        chart,
        table.select("student", "dataset", "correct", "total", "accuracy", "low", "high"),
        fluid=False,
    )


def forced(found: Gathered) -> Figure | None:
    """Accuracy under each strategy on validation, when told to use it, round by round."""
    import altair as alt
    import polars as pl

    tried = found.solvability.filter(pl.col("questions") == "validation")
    table = tried.group_by("round", "strategy", maintain_order=True).agg(
        correct=pl.col("correct").sum(), total=pl.len().cast(pl.Int64)
    )
    if table.is_empty() or table.group_by("strategy").agg(pl.col("total").n_unique()).get_column("total").max() != 1:
        return None  # strategies were not forced: each has questions of its own choice
    table = _with_intervals(table).sort("round", "strategy")
    used = table.get_column("strategy").unique().to_list()
    base = alt.Chart(shown()).encode(
        x=alt.X("round:O", title="round", axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("strategy:N", scale=alt.Scale(paddingOuter=1)),
        color=alt.Color("strategy:N", **coloured(found.colours, used)),
        tooltip=_told("strategy", "round"),
    )
    y = alt.Y("accuracy:Q", title="accuracy if forced", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    chart = alt.layer(
        base.mark_line(opacity=0.6).encode(y),
        base.mark_rule(strokeWidth=1.5).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=70, opacity=1).encode(y),
    ).properties(width=WIDTH, height=260)
    last = table.filter(pl.col("round") == table.get_column("round").max()).sort("accuracy", descending=True)
    best = last.row(0, named=True)
    return figure(
        "forced",
        f"In round {best['round']} the student is most accurate when told to use {best['strategy']}",
        "Every validation question, answered under every strategy: what the student could do, whatever it would have "
        "chosen. Lines are 95 % intervals.",
        "Accuracy if forced: "
        + "; ".join(
            f"round {row['round']} {row['strategy']} {percent(row['accuracy'])}" for row in table.iter_rows(named=True)
        )
        + ".",
        chart,
        table,
    )


def choices(found: Gathered) -> Figure | None:
    """How often the student chooses each strategy on validation, round by round."""
    import altair as alt
    import polars as pl

    table = _shares(found).filter(pl.col("family").is_null())
    if table.is_empty():
        return None
    table = table.select("round", "strategy", "questions", "total", "share", "correct").sort("round", "strategy")
    chart = _stacked(alt.Chart(shown()), found, table, "share of validation questions").properties(
        width=WIDTH, height=260
    )
    last = table.filter(pl.col("round") == table.get_column("round").max()).sort("share", descending=True)
    top = last.row(0, named=True)
    first = table.filter((pl.col("round") == table.get_column("round").min()) & (pl.col("strategy") == top["strategy"]))
    began = first.get_column("share")[0] if first.height else 0.0
    rounds = table.get_column("round").n_unique()
    moved = f"from {percent(began)} to {percent(top['share'])}" if rounds > 1 else f"for {percent(top['share'])}"
    return figure(
        "choices",
        f"The student’s own choice of {top['strategy']} " + (f"went {moved}" if rounds > 1 else f"stands {moved}"),
        "Left to choose, which strategy the student names for the validation questions. A bar is one round; one colour "
        "that takes the whole bar is a student that has stopped to choose.",
        "Share of validation questions by strategy: "
        + "; ".join(
            f"round {row['round']} {row['strategy']} {percent(row['share'])}" for row in table.iter_rows(named=True)
        )
        + ".",
        chart,
        table,
    )


def families(found: Gathered) -> Figure | None:
    """The same for each family of problems."""
    import altair as alt
    import polars as pl

    table = _shares(found).filter(pl.col("family").is_not_null() & (pl.col("questions") > 0))
    kinds = table.get_column("family").unique().sort().to_list()
    if len(kinds) < 2:
        return None
    by = table.get_column("by")[0]
    table, left = most_common(table)
    kinds = table.get_column("family").unique().sort().to_list()
    table = table.select("family", "round", "strategy", "questions", "total", "share", "correct")
    bars = _stacked(alt.Chart(), found, table, "share").properties(width=120, height=90)
    chart = bars.facet(alt.Facet("family:N", title=None, sort=kinds), columns=BESIDE, data=shown()).properties(
        spacing=14
    )
    last = table.filter(pl.col("round") == table.get_column("round").max())
    top = last.sort("share", descending=True).unique("family", keep="first", maintain_order=True).sort("family")
    said = "; ".join(f"{row['family']} {row['strategy']} {percent(row['share'])}" for row in top.iter_rows(named=True))
    most, count = top.get_column("strategy").value_counts(sort=True).row(0)
    return figure(
        "families",
        f"In round {top.get_column('round')[0]} {most} is the most used in {count} of {top.height} families",
        "One panel a family of problems, one bar a round"
        + (": which strategy the student names." if by == "own choice" else f": by which strategy the {by} answers.")
        + " Problems of different kinds are solved best in different ways; here it shows whether the student knows."
        + left,
        f"The strategy that is used most in the last round, by family: {said}.",
        chart,
        table,
        fluid=False,
    )


def _shares(found: Gathered) -> pl.DataFrame:
    import polars as pl

    own = (pl.col("dataset") == found.dataset) & (pl.col("split") == "validation") & pl.col("round").is_not_null()
    return found.shares.filter(own)


def _stacked(chart: Any, found: Gathered, table: pl.DataFrame, title: str) -> Any:
    import altair as alt

    used = table.get_column("strategy").unique().to_list()
    order = json.dumps(list(found.colours))
    return (
        chart.transform_calculate(place=f"indexof({order}, datum.strategy)")
        .mark_bar()
        .encode(
            x=alt.X("round:O", title="round", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title=title, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]), stack=True),
            color=alt.Color("strategy:N", **coloured(found.colours, used)),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("strategy:N"),
                alt.Tooltip("round:O"),
                alt.Tooltip("share:Q", format=".1%"),
                alt.Tooltip("questions:Q"),
                alt.Tooltip("total:Q", title="of"),
            ],
        )
    )


def _with_intervals(table: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    scores = [Score(*row) for row in table.select("correct", "total").iter_rows()]
    return table.with_columns(
        accuracy=pl.Series([one.accuracy for one in scores], dtype=pl.Float64),
        low=pl.Series([one.interval[0] for one in scores], dtype=pl.Float64),
        high=pl.Series([one.interval[1] for one in scores], dtype=pl.Float64),
    )


def _told(*first: str) -> list[Any]:
    import altair as alt

    return [
        *(alt.Tooltip(f"{name}:N") for name in first),
        alt.Tooltip("accuracy:Q", format=".1%"),
        alt.Tooltip("low:Q", format=".1%", title="95 % from"),
        alt.Tooltip("high:Q", format=".1%", title="to"),
        alt.Tooltip("correct:Q"),
        alt.Tooltip("total:Q", title="of"),
    ]
