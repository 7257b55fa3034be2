"""`siked audit`: a second judge on the same samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.options import (
    DEFAULT_RUNS,
    AllowUnsafeExec,
    Json,
    MaxCost,
    MaxHours,
    MaxTokens,
    NoPlugin,
    Plain,
    Quiet,
    RunName,
    Runs,
    caps,
)
from siked_cli.output import warn_of_unsafe_exec
from siked_cli.recipe_command import pairs

if TYPE_CHECKING:
    from rich.console import RenderableType

    from siked_core.stages.audit import Audit

_SHOWN = 10


def command(
    run: RunName,
    verifier: Annotated[
        list[str],
        typer.Option("--verifier", metavar="[S=]NAME", help="The second judge, of one strategy or of all. Repeatable."),
    ],
    pool: Annotated[str, typer.Option("--pool", metavar="NAME", help="teacher, round-1, round-2, ...")] = "teacher",
    allow_unsafe_exec: AllowUnsafeExec = False,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    max_hours: MaxHours = None,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> None:
    """Judge a pool by another verifier as well: a confusion table, what flips, and which mixtures that went into.

    The run's own verdicts and its recipe stay as they are.
    """
    from siked_cli.attached import known_pools, open_run
    from siked_core.errors import RunError, unknown
    from siked_core.stages.audit import audit

    kept = caps(max_cost, max_tokens, max_hours)
    with open_run(run, runs, no_plugin, json, quiet, plain, kept=kept) as (opened, output):
        pools = known_pools(opened.path)
        if pool not in pools:
            raise RunError(unknown("pool", pool, pools))
        names = opened.recipe.strategy_names
        second = dict.fromkeys(names, next((name for name in verifier[::-1] if "=" not in name), ""))
        second |= pairs([one for one in verifier if "=" in one], "--verifier")
        for strategy, name in list(second.items()):
            if strategy not in names:
                raise RunError(unknown("strategy of this run", strategy, names))
            if name:
                opened.registry.get("verifier", name)
            else:
                del second[strategy]
        warn_of_unsafe_exec(allow_unsafe_exec and not opened.recipe.allow_unsafe_exec, output)
        found = audit(opened, pool, second, allow_unsafe_exec=allow_unsafe_exec)
        output.document(found.as_dict())
        output.show(*_audit_lines(found))


def _audit_lines(found: Audit) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    columns = sorted({after for row in found.confusion.values() for after in row})
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("the run's judge says")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for before, row in found.confusion.items():
        table.add_row(before.replace("_", " "), *(f"{row.get(column, 0):,}" for column in columns))
    taught = sum(bool(flip.mixtures) for flip in found.flips)
    lines: list[RenderableType] = [
        Text(f"Pool {found.pool}: {found.samples:,} samples, judged twice; in columns what the other judge says"),
        table,
        Text(
            f"{len(found.flips):,} samples flip, {taught:,} of them went into a mixture. Of what the other judge "
            f"accepts the run's accepts {_share(found.precision)}; of what the run's accepts the other accepts "
            f"{_share(found.coverage)}."
        ),
    ]
    for flip in found.flips[:_SHOWN]:
        where = f" in {', '.join(flip.mixtures)}" if flip.mixtures else ""
        why = f": {flip.why}" if flip.why else ""
        lines.append(Text(f"  {flip.problem_id} {flip.strategy}: {flip.before} -> {flip.after}{where}{why}"))
    if len(found.flips) > _SHOWN:
        lines.append(Text(f"  ... and {len(found.flips) - _SHOWN:,} more"))
    lines.append(Text(f"All samples with both verdicts: {found.table}"))
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
