"""What mixing policies would choose, as tables. Figures of one policy stand in the row that has its number."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from siked_core import figures
from siked_core.simulate import Simulated, Simulation

GAP = 3
"""Columns between two columns of a table."""
CELL = 6
"""Columns of a share or an overlap."""


def simulation_tables(found: Simulation, width: int) -> list[RenderableType]:
    """Which rows, which strategies, how long and how heavy they are, and how far the policies agree.

    Args:
        width: columns that there are; what does not fit goes into a further table.
    """
    names = [f"{place} {one.policy.partition(' ')[0]}" for place, one in enumerate(found.policies, 1)]
    parts: list[RenderableType] = [
        Text.assemble(
            (f"Round {found.round}", "bold"),
            f"  {figures.count(found.problems)} problems; the student has {figures.count(sum(found.own.values()))} "
            "correct samples. Nothing was mixed.",
        ),
        *(Text(f"  {place}  {one.policy}") for place, one in enumerate(found.policies, 1)),
        _title("Rows", "problems that have one, how many each of these has, the teacher's share"),
        _rows(found, names),
        *_strategies(found, names, width),
        _title("Lengths and weights", "tokens of a completion; what a row counts in the loss"),
        _lengths(found, names),
    ]
    if len(names) > 1:
        parts += _overlap(found, names, width)
    return parts


def _title(text: str, small: str) -> Text:
    return Text.assemble("\n", (text, "bold"), (f"  {small}", "dim"))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def _rows(found: Simulation, names: Sequence[str]) -> Table:
    table = _table(
        "\npolicy", "\nrows", "cover-\nage", "per\nproblem", "at\nmost", "share\nα", "α by\nweight", "dupli-\ncates"
    )
    for name, one in zip(names, found.policies, strict=True):
        table.add_row(
            name,
            figures.count(one.rows),
            figures.percent(one.problems, found.problems),
            f"{one.rows_per_problem:.2f}",
            figures.count(one.most_per_problem),
            f"{one.alpha:.2f}" if one.rows else figures.NOTHING,
            f"{one.alpha_by_weight:.2f}" if one.rows else figures.NOTHING,
            figures.count(one.duplicates),
        )
    return table


def _strategies(found: Simulation, names: Sequence[str], width: int) -> list[RenderableType]:
    strategies = sorted({*found.own, *(name for one in found.policies for name in one.strategy_shares)})
    total = sum(found.own.values())
    first = max(map(len, [*names, "student's own"]))
    each = max([CELL, *map(len, strategies)]) + GAP
    fit = max(1, (width - first - GAP - len("KL (nats)")) // each)
    parts: list[RenderableType] = [
        _title("Strategies", "in % of all weight; KL to the student's own correct samples"),
    ]
    for start in range(0, max(1, len(strategies)), fit):
        some, last = strategies[start : start + fit], start + fit >= len(strategies)
        table = _table("policy", *some, *(["KL (nats)"] if last else []))
        table.add_row(
            Text("student's own", style="dim"),
            *(_percent(found.own.get(name, 0) / total if total else None) for name in some),
            *([figures.NOTHING] if last else []),
        )
        for name, one in zip(names, found.policies, strict=True):
            shares = [_percent(one.strategy_shares.get(strategy, 0.0) if one.rows else None) for strategy in some]
            table.add_row(name, *shares, *([_divergence(one, total)] if last else []))
        parts += [Text(), table] if start else [table]
    return parts


def _percent(share: float | None) -> str:
    return figures.NOTHING if share is None else f"{100 * share:.1f}"


def _divergence(one: Simulated, own: int) -> str:
    if one.kl_to_own is not None:
        return f"{one.kl_to_own:.3f}"
    return "∞" if one.never_own and own else figures.NOTHING


def _lengths(found: Simulation, names: Sequence[str]) -> Table:
    table = _table(
        "\npolicy", "tokens\nin all", "\nmean", "\n95 %", "\nlongest", "weights\nfrom", "\nto", "effective\nrows"
    )
    for name, one in zip(names, found.policies, strict=True):
        if one.tokens is None or one.weights is None:
            table.add_row(name, *[figures.NOTHING] * 7)
            continue
        tokens, weights = one.tokens, one.weights
        table.add_row(
            name,
            figures.count(tokens.total),
            f"{tokens.mean:.1f}",
            figures.count(tokens.high),
            figures.count(tokens.longest),
            f"{weights.smallest:.2f}",
            f"{weights.largest:.2f}",
            figures.count(weights.effective_rows),
        )
    return table


def _overlap(found: Simulation, names: Sequence[str], width: int) -> list[RenderableType]:
    parts: list[RenderableType] = [_title("Overlap", "rows that both choose, of those that either does, in %")]
    fit = max(1, (width - max(map(len, names))) // (CELL + GAP))
    for start in range(0, len(names), fit):
        table = _table("policy", *(str(place + 1) for place in range(start, min(start + fit, len(names)))))
        for name, shares in zip(names, found.overlap, strict=True):
            table.add_row(name, *(_percent(share) for share in shares[start : start + fit]))
        parts += [Text(), table] if start else [table]
    return parts
