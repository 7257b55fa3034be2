"""Colours and themes of figures.

Strategies have the colours of Okabe and Ito (2008), which people with any colour vision tell apart; verdicts and stages
have those of Paul Tol's muted scheme (2021), so that neither is taken for a strategy. What is neither, such as an
accuracy, is drawn in the ink of the theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siked_core.records import Status
from siked_core.stages.evidence import NO_TAG

_STRATEGIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#B8A800", "#7F5AA8")
_MUTED = ("#44AA99", "#CC6677", "#DDCC77", "#AA4499", "#6666BB", "#882255", "#88CCEE", "#999933", "#117733", "#999999")
NOTHING = "#9AA0A6"
"""What has no strategy."""
STATUSES: dict[str, str] = {
    Status.CORRECT.value: _MUTED[0],
    Status.WRONG.value: _MUTED[1],
    Status.UNREADABLE.value: _MUTED[2],
    Status.NO_ANSWER.value: _MUTED[3],
    Status.TIMEOUT.value: _MUTED[4],
    Status.CRASHED.value: _MUTED[5],
    Status.REFUSED.value: _MUTED[6],
    Status.UNDERDETERMINED.value: _MUTED[7],
    Status.INCONSISTENT.value: _MUTED[8],
    Status.UNDECIDED.value: _MUTED[9],
    Status.ANSWERED.value: "#B0B7BF",
    Status.SEVERAL_ROOTS.value: "#5F7F3F",
    Status.TOO_LARGE.value: "#7A4B3A",
}
"""In the order in which bars are stacked."""
STAGES = dict(zip(("teach", "rollout", "verify", "train", "evaluate", "mix", "quote", "import", "audit"), _MUTED,
                  strict=False))  # fmt: skip

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"


def strategy_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each strategy, by its place in the recipe, and one for answers without any."""
    found = {name: _STRATEGIES[place % len(_STRATEGIES)] for place, name in enumerate(names)}
    return {**found, NO_TAG: NOTHING}


def theme(dark: bool, background: str | None = None) -> dict[str, Any]:
    """A Vega-Lite configuration.

    Args:
        background: None is transparent, as in a page that has its own.
    """
    ink, soft, line = ("#E8EAED", "#AEB4BB", "#3C4249") if dark else ("#1F2328", "#59636E", "#DDE1E6")
    marks = {name: {"color": ink} for name in ("point", "line", "rule", "tick", "text")}
    titles = {"titleColor": ink, "titleFontSize": 12, "titleFontWeight": 600, "labelFontSize": 11}
    return {
        "background": background or "transparent",
        "font": _FONT,
        **marks,
        "axis": {**titles, "labelColor": soft, "gridColor": line, "domainColor": line, "tickColor": line,
                 "titlePadding": 8, "labelLimit": 160},
        "legend": {**titles, "labelColor": ink, "symbolStrokeWidth": 2, "symbolBaseFillColor": ink},
        "header": {**titles, "labelColor": ink, "labelFontWeight": 600},
        "title": {"color": ink, "fontSize": 14, "anchor": "start", "subtitleColor": soft},
        "view": {"stroke": line},
    }  # fmt: skip
