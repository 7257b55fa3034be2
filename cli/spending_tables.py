"""Money and time as tables: a quote, and what a run took beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from siked_core import figures
from siked_core.scorecard import Score


def quote_tables(quote: Mapping[str, Any]) -> list[RenderableType]:
    """A quote (`siked_core.quote.quote`): each step of each round with its intervals, the sum, and the yields."""
    currency = quote["currency"]
    table = _table("round", "step", "tokens in", "tokens out", "cost", "time left", "disk")
    shown: list[Callable[[float], str]] = [
        figures.count,
        figures.count,
        lambda cost: figures.money(cost, "").rstrip(),
        figures.work,
        figures.size,
    ]
    names = ("tokens_in", "tokens_out", "cost", "seconds", "bytes")
    for step in quote["steps"]:
        cells = [_interval(step[name], show) for name, show in zip(names, shown, strict=True)]
        table.add_row(_round(step["round"]), step["step"], *cells)
    table.add_section()
    table.add_row("all", "", *[_interval(quote["total"][name], show) for name, show in zip(names, shown, strict=True)])
    lines: list[RenderableType] = [
        Text.assemble(
            ("Quote", "bold"),
            f"  from {quote['problems']:,} of {quote['of']:,} training problems; intervals are {quote['intervals']}",
        ),
        table,
        *_yields(quote["steps"]),
    ]
    if quote["free"]:
        lines.append(Text(f"Free, for want of a price in prices.models: {', '.join(quote['free'])}"))
    spent = quote["spent"]
    took = f"{spent['tokens_in'] + spent['tokens_out']:,} tokens, {figures.money(spent['cost'], currency)}"
    lines += [
        Text(f"Cost in {currency}. Rounds are at most so many: the run may stop earlier."),
        Text(f"The pilot has spent {took}, {figures.work(spent['seconds'])}; the teacher's part of it is the run's."),
        Text.assemble("Go on with the same options: ", ("siked distill", "bold green"), f"  (in {quote['run']})"),
    ]
    return lines


def spending_tables(spending: Mapping[str, Any]) -> list[RenderableType]:
    """What a run took in all, and where it had been quoted, how far off the quote was."""
    total, currency = spending["total"], spending["currency"]
    cost = figures.money(total["cost"], currency) if total["cost"] else "free"
    parts: list[RenderableType] = [
        Text(
            f"Spent: {figures.count(total['tokens_in'])} tokens in, {figures.count(total['tokens_out'])} out, {cost}, "
            f"{figures.work(total['seconds'])} of work"
        )
    ]
    if not spending["quoted"]:
        return parts
    table = _table("round", "step", "quantity", "quoted", "actual", "quoted / actual", "inside")
    shown: dict[str, Callable[[float], str]] = {
        "seconds": figures.work,
        "bytes": figures.size,
        "cost": lambda value: figures.money(value, currency),
    }
    for line in spending["quoted"]:
        show = shown.get(line["quantity"], figures.count)
        ratio = f"{line['expected'] / line['actual']:.2f}" if line["actual"] else figures.NOTHING
        table.add_row(
            _round(line["round"]),
            line["step"],
            line["quantity"].replace("_", " "),
            _interval(line, show),
            show(line["actual"]),
            ratio,
            "yes" if line["inside"] else "no",
        )
    return [Text("\nQuoted and actual", style="bold"), table, Text(), *parts]


def _yields(steps: Sequence[Mapping[str, Any]]) -> list[Text]:
    lines = []
    seen = set()
    for step in steps:
        if not step["yield"] or step["step"] in seen:
            continue
        seen.add(step["step"])
        who = "the teacher" if step["step"] == "teach" else "the pilot's student"
        each = ", ".join(
            f"{name} {figures.with_interval(Score.from_dict(score))} %" for name, score in step["yield"].items()
        )
        lines.append(Text(f"Yield of {step['step']} ({who}): {each}"))
    return lines


def _interval(figure: Mapping[str, float], show: Callable[[float], str]) -> str:
    """12,345 (11,000-13,000), or the figure alone where it is known."""
    if not figure["expected"] and not figure["high"]:
        return figures.NOTHING
    low, high = show(max(0.0, figure["low"])), show(figure["high"])
    return show(figure["expected"]) if low == high else f"{show(figure['expected'])}\n({low}-{high})"


def _round(number: int | None) -> str:
    return "end" if number is None else str(number)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place < 2 else "right", no_wrap=True)
    return table
