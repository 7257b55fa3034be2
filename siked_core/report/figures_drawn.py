"""Figures of what was drawn and mixed: yields, verdicts, mixtures, the teacher's share and the divergence."""

from __future__ import annotations

from collections.abc import Iterator

from siked_core.report.figure import WIDTH, Figure, coloured, figure, names, percent, shown
from siked_core.report.gathered import Gathered
from siked_core.report.palette import STATUSES


def drawn(found: Gathered) -> Iterator[Figure]:
    """Those of these figures that the run has something for."""
    for made in (alpha(found), mixtures(found), yields(found), verdicts(found)):
        if made is not None:
            yield made


def alpha(found: Gathered) -> Figure | None:
    """α and KL, round by round."""
    import altair as alt
    import polars as pl

    table = found.rounds.filter(pl.col("rows").is_not_null()).select("round", "rows", "alpha", "alpha_by_weight", "kl")
    if table.is_empty():
        return None
    x = alt.X("round:O", title="round", axis=alt.Axis(labelAngle=0))
    told = [
        alt.Tooltip("round:O"),
        alt.Tooltip("alpha:Q", format=".3f", title="α"),
        alt.Tooltip("alpha_by_weight:Q", format=".3f", title="α by weight"),
        alt.Tooltip("kl:Q", format=".4f", title="KL in nats"),
        alt.Tooltip("rows:Q", format=",", title="rows of the mixture"),
    ]
    base = alt.Chart().encode(x=x, tooltip=told)
    share = alt.Y("alpha:Q", title="α, the teacher’s share", scale=alt.Scale(domain=[0, 1]))
    highest = max([value for value in table.get_column("kl").to_list() if value is not None], default=0.0)
    apart = alt.Y("kl:Q", title="KL(mixture ‖ own), nats", scale=alt.Scale(domain=[0, max(0.01, 1.15 * highest)]))
    panels = []
    for y, text in ((share, alt.Text("alpha:Q", format=".2f")), (apart, alt.Text("kl:Q", format=".3f"))):
        panels.append(
            alt.layer(
                base.mark_line(opacity=0.5).encode(y),
                base.mark_point(filled=True, size=70, opacity=1).encode(y),
                base.mark_text(dy=-12, fontSize=11).encode(y, text=text),
            ).properties(width=250, height=200)
        )
    chart = alt.hconcat(*panels, data=shown())
    first, last = table.row(0, named=True), table.row(-1, named=True)
    return figure(
        "alpha",
        f"The teacher’s share of what is trained on went from {percent(first['alpha'])} to {percent(last['alpha'])}"
        if table.height > 1
        else f"The teacher’s share of what is trained on is {percent(first['alpha'])}",
        "Left, α: the share of the teacher’s rows in each round’s mixture; it falls as the student solves more by "
        "itself. Right, how far the mixture’s strategies are from those of the student’s own right samples, in nats; 0 "
        "is the same. It is unknown in round 0, which has no samples of the student’s, and where it is infinite.",
        "; ".join(
            f"round {row['round']}: α {row['alpha']:.2f}"
            + (f", KL {row['kl']:.3f} nats" if row["kl"] is not None else "")
            for row in table.iter_rows(named=True)
            if row["alpha"] is not None
        )
        + ".",
        chart,
        table,
        fluid=False,
    )


def mixtures(found: Gathered) -> Figure | None:
    """Rows of each mixture by strategy and source."""
    import altair as alt
    import polars as pl

    table = found.composition
    if table.is_empty():
        return None
    order = table.get_column("student").unique(maintain_order=True).to_list()
    sources = [name for name in ("teacher", "student") if name in set(table.get_column("source"))]
    used = table.get_column("strategy").unique().to_list()
    chart = (
        alt.Chart(shown())
        .mark_bar()
        .encode(
            x=alt.X("student:N", sort=order, title=None, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("source:N", sort=sources),
            y=alt.Y("rows:Q", title="rows", stack=True),
            color=alt.Color("strategy:N", **coloured(found.colours, used)),
            opacity=alt.Opacity(
                "source:N", sort=sources, scale=alt.Scale(domain=["teacher", "student"], range=[0.45, 1])
            ),
            tooltip=["student:N", "source:N", "strategy:N", "rows:Q", alt.Tooltip("share:Q", format=".1%"), "weight:Q"],
        )
        .properties(width=WIDTH, height=240)
    )
    rows = table.group_by("student", maintain_order=True).agg(pl.col("rows").sum())
    said = names([f"{count:,} in {name}" for name, count in rows.iter_rows()])
    return figure(
        "mixtures",
        f"Rows that were trained on: {said}",
        "One group a mixture: the teacher’s rows pale, the student’s own in full colour, by strategy. Rows may be "
        "weighted in the loss; the table has the weights.",
        f"Rows of each mixture: {said}.",
        chart,
        table,
    )


def yields(found: Gathered) -> Figure | None:
    """The share of right samples by pool and strategy."""
    import altair as alt

    table = found.yields
    if table.is_empty():
        return None
    order = table.get_column("pool").unique(maintain_order=True).to_list()
    used = table.get_column("strategy").unique().to_list()
    base = alt.Chart(shown()).encode(
        x=alt.X("pool:N", sort=order, title=None, axis=alt.Axis(labelAngle=0)),
        xOffset=alt.XOffset("strategy:N", sort=list(found.colours), scale=alt.Scale(paddingOuter=1)),
        color=alt.Color("strategy:N", **coloured(found.colours, used)),
        tooltip=[
            "pool:N",
            "strategy:N",
            alt.Tooltip("share:Q", format=".1%", title="correct"),
            alt.Tooltip("low:Q", format=".1%", title="95 % from"),
            alt.Tooltip("high:Q", format=".1%", title="to"),
            alt.Tooltip("correct:Q", format=",", title="samples"),
            alt.Tooltip("samples:Q", format=",", title="of"),
        ],
    )
    y = alt.Y("share:Q", title="correct samples", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    chart = alt.layer(
        base.mark_rule(strokeWidth=1.5).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=70, opacity=1).encode(y),
    ).properties(width=WIDTH, height=240)
    totals = [
        f"{pool} {percent(sum(part.get_column('correct')) / sum(part.get_column('samples')))}"
        for (pool,), part in table.group_by("pool", maintain_order=True)
    ]
    return figure(
        "yields",
        f"Correct samples of training problems: {names(totals)}",
        "Of all samples of training problems that were drawn and judged, the share that is right, with a 95 % "
        "interval. Only right ones can be trained on.",
        "; ".join(
            f"{row['pool']} {row['strategy']} {percent(row['share'])} of {row['samples']:,}"
            for row in table.iter_rows(named=True)
        )
        + ".",
        chart,
        table,
    )


def verdicts(found: Gathered) -> Figure | None:
    """What became of samples, by pool and strategy."""
    import altair as alt
    import polars as pl

    table = found.verdicts
    if table.is_empty():
        return None
    order = table.get_column("pool").unique(maintain_order=True).to_list()
    used = set(table.get_column("status"))
    words = {name: str(name).replace("_", " ") for name in STATUSES}
    table = table.with_columns(verdict=pl.col("status").replace({str(name): word for name, word in words.items()}))
    colours = {words[name]: colour for name, colour in STATUSES.items()}
    place = {str(name): number for number, name in enumerate(STATUSES)}
    drawn = table.with_columns(place=pl.col("status").replace_strict(place, default=len(place), return_dtype=pl.Int64))
    bars = (
        alt.Chart()
        .mark_bar()
        .encode(
            y=alt.Y("strategy:N", sort=list(found.colours), title=None),
            x=alt.X(
                "share:Q",
                title="of its samples",
                axis=alt.Axis(format="%", values=[0, 0.5, 1]),
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=alt.Color("verdict:N", **coloured(colours, [words.get(name, name) for name in used], "verdict")),
            order=alt.Order("place:Q"),
            tooltip=["pool:N", "strategy:N", "verdict:N", "samples:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=230, height=alt.Step(22))
    )
    chart = bars.facet(alt.Facet("pool:N", title=None, sort=order), columns=3, data=shown()).resolve_scale(
        y="independent"
    )
    failed = table.filter(pl.col("status") != "correct").group_by("verdict").agg(pl.col("samples").sum())
    worst = failed.sort("samples", "verdict", descending=[True, False])
    said = "; ".join(f"{name} {count:,}" for name, count in worst.iter_rows())
    return figure(
        "verdicts",
        f"Most samples that are not correct are {worst.row(0)[0]}" if worst.height else "Every sample is correct",
        "Every sample has a verdict; none is dropped in silence. One bar is all samples of one strategy in one pool.",
        f"Samples that are not correct, over all pools: {said or 'none'}.",
        chart,
        table.drop("status"),
        drawn=drawn,
        fluid=False,
    )
