"""What a figure is: a Vega-Lite specification with its words and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

FLUID = "container"
"""As wide as the page allows."""
FAMILIES = 30
"""That a figure shows."""
_DATA = "shown"
WIDTH = 560
"""Pixels, of a figure in a file."""


@dataclass(frozen=True)
class Figure:
    """One figure. Its specification has no theme: light and dark are given when it is drawn."""

    name: str
    """Of its file, without a suffix."""
    title: str
    """What is seen."""
    reading: str
    """How to read it, in a sentence or two."""
    alt: str
    """What a person who cannot see it is told; the table has the numbers."""
    spec: Mapping[str, Any]
    table: pl.DataFrame
    """The numbers that are drawn."""
    fluid: bool = True
    """Whether it takes the page's width."""
    fine: bool = False
    """Whether it has thousands of marks, which a canvas draws faster than SVG."""


def figure(
    name: str,
    title: str,
    reading: str,
    alt: str,
    chart: Any,
    table: pl.DataFrame,
    *,
    drawn: pl.DataFrame | None = None,
    fluid: bool = True,
    fine: bool = False,
) -> Figure:
    """A figure of an Altair chart whose data is `shown()`.

    Args:
        drawn: what the chart draws, where that has more columns than the table that people read.
    """
    spec = chart.to_dict()
    for given in ("config", "usermeta"):
        spec.pop(given, None)
    # Put in now: Altair would check every row against a schema, for seconds.
    data = {_DATA: (table if drawn is None else drawn).to_dicts()}
    return Figure(name, title, reading, alt, {**spec, "datasets": data, "description": alt}, table, fluid, fine)


def shown() -> alt.NamedData:
    """A chart's data: the figure's table, in the specification itself."""
    import altair as alt

    return alt.NamedData(name=_DATA)


def coloured(colours: Mapping[str, str], used: Sequence[str], title: str = "strategy") -> dict[str, Any]:
    """Scale and legend of a colour that means the same in every figure; its legend has only what is used."""
    import altair as alt

    names = [name for name in colours if name in set(used)]
    scale = alt.Scale(domain=names, range=[colours[name] for name in names])
    return {"scale": scale, "legend": alt.Legend(title=title, symbolOpacity=1), "sort": names}


def most_common(table: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The rows of the largest families, as many as can be told apart in a figure, and a sentence where some are left
    out. A table of `siked_core.tidy` with the columns family and `total` or `problems`."""
    import polars as pl

    size = "total" if "total" in table.columns else "problems"
    sizes = table.group_by("family").agg(pl.col(size).max()).sort(size, "family", descending=[True, False])
    if sizes.height <= FAMILIES:
        return table, ""
    kept = table.join(sizes.head(FAMILIES), on="family", how="semi", maintain_order="left")
    return kept, f" Only the {FAMILIES} largest of {sizes.height:,} families are drawn."


def percent(share: float | None) -> str:
    """61.0 %"""
    return "unknown" if share is None else f"{100 * share:.1f} %"


def names(items: Sequence[str]) -> str:
    """a, b and c"""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"
