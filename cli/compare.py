"""`siked compare`: two runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siked_cli.options import DEFAULT_RUNS, HELD, Json, NoPlugin, Open, Runs, Samples
from siked_cli.output import Output
from siked_cli.report import tell
from siked_cli.switches import open_registry
from siked_core import figures

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from siked_core.comparison import Comparison, PairedScore
    from siked_core.seeds import SeedsComparison


def command(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A run: its name under --runs, or its directory. Several of other seeds: RUN,RUN,..."
        ),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one, or several.")],
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Also write a page with every figure of both side by side, as `siked report` writes it of one.",
            rich_help_panel="Output",
        ),
    ] = None,
    samples: Samples = HELD,
    open_: Open = False,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Compare two runs: recipes, data, yields, what was spent, and how accurate their students are.

    Where both asked their students the same questions, the difference is measured on those alone, with a 95 %
    interval and McNemar's test. Runs that are not finished can be compared too. Where a side is several runs, the
    accuracies of their chosen students on test questions are, with an interval over questions and seeds.
    """
    from siked_core.comparison import Comparison, compare
    from siked_core.errors import RunError
    from siked_core.report.written import write_comparison
    from siked_core.run import attach
    from siked_core.seeds import compare_seeds

    output = Output(json=json, quiet=True)
    registry = open_registry(no_plugin)
    sides = [[a] if Path(a).exists() else a.split(","), [b] if Path(b).exists() else b.split(",")]
    with ExitStack() as opened:
        first, second = (
            [opened.enter_context(attach(name, registry, output.reporter, runs=runs, lock=False)) for name in side]
            for side in sides
        )
        single = len(first) == len(second) == 1
        if html and not single:
            raise RunError("--html compares two single runs: name one run on each side.")
        found = compare(first[0], second[0]) if single else compare_seeds(first, second)
        written = write_comparison(first[0], second[0], html, limit=samples) if html else None
    output.document({**found.as_dict(), **({"page": str(html)} if html else {})})
    output.show(*(_parts(found) if isinstance(found, Comparison) else _seeds(found)))
    if written:
        tell(output, written, open_)


def _seeds(found: SeedsComparison) -> list[RenderableType]:
    from rich.text import Text

    rows = []
    for one in found.scores:
        paired = one.paired
        low, high = paired.bootstrap()
        each = (" ".join(f"{100 * accuracy:.1f}" for accuracy in side) for side in paired.accuracies)
        told = f"{100 * paired.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        rows.append([f"{one.dataset} test", figures.count(paired.problems), *each, told])
    parts: list[RenderableType] = [Text(f"A  {', '.join(found.a)}"), Text(f"B  {', '.join(found.b)}")]
    parts.append(
        Text("\nChosen students  accuracy in %; B minus A in points, 95 % over questions and seeds", style="bold")
    )
    parts.append(_table(["", "questions", "A", "B", "difference"], rows))
    return [*parts, *(Text(f"Not compared: {note}") for note in found.notes)]


def _parts(found: Comparison) -> list[RenderableType]:
    from rich.text import Text

    parts: list[RenderableType] = [Text(f"A  {found.runs['a']}"), Text(f"B  {found.runs['b']}")]
    parts += [Text("\nRecipe  (A's -> B's)", style="bold")]
    parts += [Text(f"  {line}") for line in found.recipe] or [Text("  the same")]
    parts += [Text("\nProblems", style="bold"), _table(["", "A", "B", "in both"], _data(found))]
    parts += [Text("\nSamples of training problems", style="bold"), _table(["", "A", "B"], _pools(found))]
    parts += [Text("\nSpent  in tokens", style="bold"), _table(["", "A", "B"], _spent(found))]
    if found.accuracies:
        rows = [
            [
                f"{one.student} on {one.dataset} {one.split}",
                *(
                    figures.with_interval(score) + _mark(found, side, one)
                    for side, score in (("a", one.a), ("b", one.b))
                ),
            ]
            for one in found.accuracies
        ]
        parts += [
            Text("\nAccuracy  in %, with 95 % interval; * the chosen student", style="bold"),
            _table(["", "A", "B"], rows),
        ]
    if found.paired:
        parts += [
            Text("\nOn the same questions  B minus A in points, with 95 % interval", style="bold"),
            _table(
                ["", "questions", "only A", "only B", "difference", "p"], [_difference(one) for one in found.paired]
            ),
        ]
    return [*parts, *(Text(f"Not compared: {note}") for note in found.notes)]


def _mark(found: Comparison, side: str, one: Any) -> str:
    return " *" if getattr(one, side) is not None and found.chosen[side] == one.student else ""


def _table(columns: list[str], rows: list[list[str]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=place > 0)
    for row in rows:
        table.add_row(f"  {row[0]}", *row[1:])
    return table


def _data(found: Comparison) -> list[list[str]]:
    return [
        [name, *(_count(both[side]) for side in ("a", "b")), figures.count(both["shared"])]
        for name, both in found.data.items()
    ]


def _count(number: int | None) -> str:
    return figures.NOTHING if number is None else figures.count(number)


def _pools(found: Comparison) -> list[list[str]]:
    rows = []
    for pool, both in found.pools.items():
        rows.append([f"{pool}: correct of all", *(_yield(both[side]) for side in ("a", "b"))])
        strategies = dict.fromkeys(name for side in ("a", "b") for name in (both[side] or {}).get("by_strategy", {}))
        rows += [
            [f"  {name}", *(_yield((both[side] or {}).get("by_strategy", {}).get(name)) for side in ("a", "b"))]
            for name in strategies
        ]
        solved = [_count(both[side]["solved"]) if both[side] else figures.NOTHING for side in ("a", "b")]
        rows.append(["  problems solved", *solved])
    return rows


def _yield(counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return figures.NOTHING
    share = figures.percent(counts["correct"], counts["samples"])
    return f"{figures.count(counts['correct'])} of {figures.count(counts['samples'])} ({share})"


def _spent(found: Comparison) -> list[list[str]]:
    rows = []
    for kind, both in found.spent.items():
        if any(side and (side["tokens_in"] or side["tokens_out"]) for side in both.values()):
            rows.append([kind, *(_tokens(both[side]) for side in ("a", "b"))])
    times = [sum(both[side]["seconds"] for both in found.spent.values() if both[side]) for side in ("a", "b")]
    costs = [sum(both[side]["cost"] for both in found.spent.values() if both[side]) for side in ("a", "b")]
    rows.append(["time", *map(figures.duration, times)])
    return [*rows, *([["cost", *(f"{cost:,.2f}" for cost in costs)]] if any(costs) else [])]


def _tokens(spent: Mapping[str, float] | None) -> str:
    if spent is None:
        return figures.NOTHING
    out = f" in, {figures.count(spent['tokens_out'])} out" if spent["tokens_out"] else ""
    return f"{figures.count(spent['tokens_in'])}{out}"


def _difference(one: PairedScore) -> list[str]:
    names = one.student_a if one.student_a == one.student_b else f"{one.student_a} and {one.student_b}"
    paired = one.paired
    return [
        f"{names} on {one.dataset} {one.split}",
        figures.count(paired.total),
        figures.count(paired.only_a),
        figures.count(paired.only_b),
        figures.points(paired),
        figures.p_value(paired.p_value),
    ]
