"""The solvability map: by family of problems, and problem by problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from siked_core.report.figure import Figure, coloured, figure, most_common, percent, shown
from siked_core.report.gathered import Gathered

if TYPE_CHECKING:
    import polars as pl

PROBLEMS = 300
"""That are drawn one by one; of more, a random draw (the lowest hashes of their ids)."""
QUESTIONS = {
    "training": "training problems, by the samples that mixtures are made of",
    "validation": "validation questions, each strategy forced where the run forces them",
}


def solvable(found: Gathered) -> Iterator[Figure]:
    """Those of these figures that the run has something for."""
    for questions in QUESTIONS:
        for made in (by_family(found, questions), by_problem(found, questions)):
            if made is not None:
                yield made


def by_family(found: Gathered, questions: str) -> Figure | None:
    """A cell for each family, strategy and round: the share of problems that are solved."""
    import altair as alt
    import polars as pl

    table = found.solved.filter(pl.col("questions") == questions).drop("questions")
    if table.is_empty():
        return None
    table = table.with_columns(family=pl.when(pl.col("family") == "").then(pl.lit("all")).otherwise(pl.col("family")))
    table, left = most_common(table)
    who = table.get_column("who").unique(maintain_order=True).to_list()
    kinds = table.get_column("family").unique().sort().to_list()
    used = [name for name in found.colours if name in set(table.get_column("strategy"))]
    base = alt.Chart().encode(
        x=alt.X("strategy:N", sort=used, title=None, axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("family:N", sort=kinds, title=None),
        tooltip=[
            "who:N",
            "family:N",
            "strategy:N",
            alt.Tooltip("share:Q", format=".1%", title="solved"),
            alt.Tooltip("solved:Q", title="problems"),
            alt.Tooltip("problems:Q", title="of"),
            alt.Tooltip("pass_rate:Q", format=".1%", title="mean pass rate"),
        ],
    )
    scale = alt.Scale(domain=[0, 1], scheme="viridis")
    legend = alt.Legend(format="%", gradientLength=120)
    cells = alt.layer(
        base.mark_rect(stroke="#80808040", strokeWidth=0.5).encode(
            color=alt.Color("share:Q", title="solved", scale=scale, legend=legend)
        ),
        base.mark_text(fontSize=10).encode(
            text=alt.Text("share:Q", format=".0%"),
            color=alt.condition("datum.share > 0.55", alt.value("#111111"), alt.value("#ffffff")),
        ),
    ).properties(width=alt.Step(46), height=alt.Step(20))
    chart = cells.facet(alt.Facet("who:N", title=None, sort=who), columns=4, data=shown())
    whole = table.group_by("who", "strategy", maintain_order=True).agg(pl.col("solved", "problems").sum())
    whole = whole.with_columns(share=pl.col("solved") / pl.col("problems"))
    best = whole.sort("share", descending=True).unique("who", keep="first", maintain_order=True)
    by_who = {row["who"]: row for row in best.iter_rows(named=True)}
    said = "; ".join(f"{name} {by_who[name]['strategy']} {percent(by_who[name]['share'])}" for name in who)
    last = by_who[who[-1]]
    return figure(
        f"solved-{questions}",
        f"{who[-1]} solves most {questions} problems by {last['strategy']}: {percent(last['share'])} of them",
        f"The share of {QUESTIONS[questions]}, that have at least one right sample, by kind of problem. Brighter is "
        f"more. A row with one bright cell is a kind that only one strategy suits.{left}",
        f"The strategy that solves most {questions} problems: {said}.",
        chart,
        table,
        fluid=False,
    )


def by_problem(found: Gathered, questions: str) -> Figure | None:
    """A thin column for each problem, a line for each strategy, a panel for each round."""
    import altair as alt
    import polars as pl

    tried = found.solvability.filter(pl.col("questions") == questions)
    total = tried.get_column("problem_id").n_unique()
    if total < 2:
        return None
    table = _arranged(tried)
    count = table.get_column("place").n_unique()
    who = table.get_column("who").unique(maintain_order=True).to_list()
    used = [name for name in found.colours if name in set(table.get_column("strategy"))]
    narrow = max(2.0, min(12.0, 840 / count))
    base = alt.Chart().encode(
        x=alt.X("place:O", title=f"{count:,} problems, by family, the easiest of each first", axis=None),
        y=alt.Y("strategy:N", sort=used, title=None),
    )
    marks = alt.layer(
        base.mark_rect(color="#80808030"),
        base.transform_filter("datum.pass_rate > 0")
        .mark_rect()
        .encode(
            color=alt.Color("strategy:N", **coloured(found.colours, used)),
            opacity=alt.Opacity("pass_rate:Q", scale=alt.Scale(domain=[0, 1], range=[0.15, 1]), legend=None),
            tooltip=["problem_id:N", "family:N", "strategy:N", "who:N", "correct:Q", "samples:Q"],
        ),
    ).properties(width=alt.Step(narrow), height=alt.Step(15))
    header = alt.Header(labelAngle=0, labelAlign="left", labelOrient="top", labelPadding=2)
    chart = marks.facet(row=alt.Row("who:N", title=None, sort=who, header=header), data=shown()).properties(spacing=6)
    solved = tried.group_by("who", "problem_id").agg(strategies=(pl.col("correct") > 0).sum())
    counts = {
        name: (
            solved.filter((pl.col("who") == name) & (pl.col("strategies") == 1)).height,
            solved.filter((pl.col("who") == name) & (pl.col("strategies") == 0)).height,
            solved.filter(pl.col("who") == name).height,
        )
        for name in who
    }
    one, none, asked = counts[who[-1]]
    left = f" {count:,} of {total:,} problems are drawn, at random." if count < total else ""
    said = "; ".join(
        f"{name}: {only:,} of {all_:,} under one strategy only, {never:,} under none"
        for name, (only, never, all_) in counts.items()
    )
    return figure(
        f"map-{questions}",
        f"Of {asked:,} {questions} problems, {who[-1]} solves {one:,} under one strategy only and {none:,} under none",
        "Each thin column is one problem, the same in every panel; it is coloured where the strategy of its line "
        f"solved it (paler: not every sample did), grey where it was tried in vain, blank where it was not.{left}",
        f"Problems solved, {QUESTIONS[questions]}. {said}.",
        chart,
        table.drop("place"),
        drawn=table,
        fluid=False,
        fine=True,
    )


def _arranged(tried: pl.DataFrame) -> pl.DataFrame:
    """At most `PROBLEMS` of them, with a column `place`: by family, then by how much of what was tried is right."""
    import polars as pl

    problems = tried.group_by("problem_id", "family").agg(
        right=pl.col("pass_rate").mean(), tried=pl.len(), who=pl.col("who").n_unique()
    )
    if problems.height > PROBLEMS:  # those that were put to most, so that rounds can be compared
        hashed = problems.with_columns(hash=pl.col("problem_id").hash(seed=0))
        problems = hashed.sort("who", "hash", descending=[True, False]).head(PROBLEMS)
    places = problems.sort("family", "right", "problem_id", descending=[False, True, False]).with_row_index("place")
    columns = ("place", "who", "problem_id", "family", "strategy", "samples", "correct", "pass_rate")
    return tried.join(places.select("problem_id", "place"), on="problem_id", maintain_order="left").select(*columns)
