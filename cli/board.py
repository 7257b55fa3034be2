"""A run on the screen: the stages under way, the rounds with what they found, what was spent, when it ends.

`siked distill` and `siked watch` show the same. It fits 80 columns and 24 lines, and 60 columns with less in them. What
a colour says, a mark says too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from siked_core import figures
from siked_core.ending import Ending
from siked_core.now import StageNow
from siked_core.overview import Overview, RoundView
from siked_core.spending import Spent
from siked_core.visible import one_line

if TYPE_CHECKING:
    from siked_core.watching import Sight

NARROW = 76
"""Columns under which bars, and what stands beside them, give way."""
MARKS = {"done": ("✓", "green"), "under way": ("▸", "yellow"), "to come": ("·", "dim")}
ASCII = str.maketrans({"✓": "+", "▸": ">", "·": ".", "…": "~"})
SHOWN_ROUNDS = 7
"""Lines of rounds; the oldest give way."""
STRATEGIES = 6
"""Columns of shares."""


def stage_table(stages: Sequence[StageNow], width: int) -> RenderableType:
    """A bar for each stage under way."""
    wide = width >= NARROW
    columns = [Column(no_wrap=True, overflow="ellipsis", max_width=max(12, width // 3))]
    columns += [Column(min_width=8, max_width=24, ratio=1)] if wide else []
    columns += [Column(no_wrap=True), *(Column(no_wrap=True, justify="right") for _ in range(2))]
    columns += [Column(no_wrap=True, overflow="ellipsis", ratio=2)] if wide else []
    table = Table.grid(*columns, padding=(0, 1, 0, 0), expand=True)
    for stage in stages:
        whole = f"/{figures.count(stage.total)}" if stage.total else ""
        left = stage.left
        cells: list[RenderableType] = [Text(one_line(stage.name), style="bold")]
        if wide:
            cells.append(ProgressBar(max(1, stage.total), min(stage.done, max(1, stage.total))))
        cells += [
            Text(f"{figures.count(stage.done)}{whole} {one_line(stage.unit)}"),
            Text(figures.rate(stage.rate), style="cyan"),
            Text(f"{figures.countdown(left)} left" if left is not None else "", style="cyan"),
        ]
        if wide:
            cells.append(Text(one_line(stage.text), style="dim"))
        table.add_row(*cells)
    return table


def spent_line(spent: Spent, currency: str, caps: str = "") -> Text:
    text = f"spent  {figures.spent(spent, currency)}{caps}"
    return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def board(sight: Sight, width: int, encoding: str = "utf-8") -> RenderableType:
    """The rounds, what was spent, when it ends."""
    view = sight.view
    lines: list[RenderableType] = [_rounds(view, width)]
    if view.tests:
        lines.append(_tests(view))
    lines.append(Text())
    if view.spent is not None:
        lines.append(_pair("spent", _spending(view, width)))
    if sight.ends is not None:
        lines.append(_pair("ends", _ends(sight.ends, sight.condition)))
    elif view.stopped:
        lines.append(Text.assemble((f"{'ended':<7}", "dim"), one_line(view.stopped)))
    lines += [
        Text.assemble(("warned ", "dim"), (one_line(one), "yellow"), no_wrap=True, overflow="ellipsis")
        for one in view.messages[-2:]
    ]
    if not encoding.lower().startswith("utf"):
        lines = [_in_ascii(line) for line in lines]
    return Group(*lines)


def headline(sight: Sight) -> Text:
    """Which run it is, and how it is with it."""
    style = {"running": "bold green", "finished": "bold green", "dead": "bold red", "failed": "bold red"}
    owner = sight.owner
    where = (
        f" (process {owner.pid} on {one_line(owner.host)})" if owner and sight.condition in ("running", "dead") else ""
    )
    return Text.assemble(
        (one_line(str(sight.view.run)), "bold"),
        "  ",
        (sight.condition, style.get(sight.condition, "bold yellow")),
        where,
    )


def explanation(sight: Sight) -> str:
    """What follows for somebody who has waited for the run, in one line."""
    view, again = sight.view, "The same command that began it continues it."
    return {
        "running": "",
        "unsure": "Another machine has it open, and has not been watched for long enough to say whether it lives.",
        "not begun": f"Nothing has been done in it yet. {again}",
        "finished": f"siked solve {view.run} asks its student; siked runs lists it with the others.",
        "resting": f"A command for one stage of it is done. {again}",
        "paused": f"{one_line(view.why)}" if view.why else again,
        "interrupted": f"It was interrupted. Nothing is lost. {again}",
        "failed": f"It failed: {one_line(view.why)} {again}",
        "dead": f"Its process is gone without a word: killed, or the machine went down. Nothing is lost. {again}",
    }[sight.condition]


def line(sight: Sight) -> str:
    """The same in one line, for logs."""
    view = sight.view
    parts = [
        f"{stage.name}: {figures.count(stage.done)} of {figures.count(stage.total)} {stage.unit}"
        + (f", {stage.text}" if stage.text else "")
        for stage in view.stages
    ]
    if not parts or sight.condition not in ("running", "unsure"):
        parts = [sight.condition]
    best = max((one.card.score for one in view.rounds if one.card), key=lambda score: score.accuracy, default=None)
    if best is not None:
        parts.append(f"best on validation {figures.with_interval(best)}")
    if view.spent is not None:
        parts.append(f"spent {figures.spent(view.spent, view.currency)}")
    if sight.ends is not None:
        parts.append(f"ends {_ends(sight.ends, sight.condition)}")
    return one_line(" | ".join(parts))


def _pair(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<7}", "dim"), text, no_wrap=True, overflow="ellipsis")


def _rounds(view: Overview, width: int) -> Table:
    names = [choice.name for choice in view.recipe.strategies][:STRATEGIES]
    room = width - sum((7, 9, 19)) - sum(max(3, len(name)) + 2 for name in names)
    words = room >= len("✓rollout ✓verify ✓mix ✓train ✓evaluate") + 2
    interval = words or room >= 7
    if not interval:
        names = names[:1] if len(names) == 1 else names[: max(0, (width - 7 - 9 - 9 - 7) // 6)]
    table = Table.grid(padding=(0, 2, 0, 0))
    headings = ["round", "stages" if words else "done", "time", "validation", *(one_line(name) for name in names)]
    for place, _ in enumerate(headings):
        table.add_column(no_wrap=True, justify="right" if place in (2, *range(4, len(headings))) else "left")
    table.add_row(*(Text(name, style="dim") for name in headings))
    for one in _shown(view):
        if isinstance(one, str):
            table.add_row(Text(one, style="dim"), Text("to come" if "-" in one or one.isdigit() else "", style="dim"))
            continue
        score = one.card.score if one.card else None
        shares = {each.strategy: each.share for each in one.card.strategies} if one.card else {}
        chosen = one.number == view.chosen_round
        told = figures.with_interval(score) if interval else figures.accuracy(score)
        table.add_row(
            Text(f"{one.number} *" if chosen else str(one.number), style="bold green" if chosen else ""),
            _parts(one, words, named=room >= len("✓✓✓✓▸evaluate")),
            Text(figures.work(one.seconds) if one.seconds else ""),
            Text("" if score is None else told),
            *(Text(f"{100 * shares[name]:.0f} %" if name in shares else "") for name in names),
        )
    for name, part in view.after.items():
        mark, style = MARKS[part.state]
        table.add_row(
            "tests" if name == "test" else name if words else "base",
            Text(f"{mark} {part.state}" if words else mark, style=style),
            figures.work(part.seconds) if part.seconds else "",
        )
    return table


def _shown(view: Overview) -> list[RoundView | str]:
    """The rounds that there is room for: those that are done or under way, and one line for those to come."""
    begun = [one for one in view.rounds if one.state != "to come"]
    later = [one for one in view.rounds if one.state == "to come"]
    shown: list[RoundView | str] = list(begun[-SHOWN_ROUNDS:])
    if len(begun) > SHOWN_ROUNDS:
        shown[:1] = [f"… {len(begun) - SHOWN_ROUNDS + 1} earlier"]
    if not begun and later:
        shown.append(later.pop(0))
    if later:
        shown.append(str(later[0].number) if len(later) == 1 else f"{later[0].number}-{later[-1].number}")
    return shown


def _parts(one: RoundView, words: bool, named: bool) -> Text:
    """What a round does, each part with its mark; all by name, or only the one under way, or none."""
    names = {"sample": "teach" if one.number == 0 else "rollout"}
    text = Text()
    for name, part in one.parts.items():
        mark, style = MARKS[part.state]
        word = names.get(name, name) if words or (named and part.state == "under way") else ""
        text.append(f"{mark}{word} " if words else f"{mark}{word}", style=style)
    return text


def _tests(view: Overview) -> Text:
    told = ", ".join(f"{one_line(card.dataset)} {figures.with_interval(card.score)}" for card in view.tests)
    return _pair("test", f"{told} (round {view.chosen_round})")


def _spending(view: Overview, width: int) -> str:
    assert view.spent is not None
    caps = view.recipe.caps
    limits = [
        figures.money(caps.cost, view.recipe.prices.currency) if caps.cost is not None else "",
        f"{figures.count(caps.tokens)} tokens" if caps.tokens is not None else "",
        figures.work(3600 * caps.hours) if caps.hours is not None else "",
    ]
    told = figures.spent(view.spent, view.currency)
    if width < NARROW:
        price = figures.money(view.spent.cost, view.currency) if view.currency else "free"
        told = f"{figures.count(view.spent.tokens)} tokens, {price}, {figures.work(view.spent.seconds)}"
    capped = ", ".join(limit for limit in limits if limit)
    return f"{told}; caps: {capped}" if capped else told


def _ends(ends: Ending, condition: str) -> str:
    if ends.seconds is None:
        return "unknown until a round was measured; siked quote tells"
    sooner = ", or sooner if rounds stop paying" if ends.sooner else ""
    between = ""
    if ends.low is not None and ends.high is not None:
        between = f" ({figures.work(ends.low)} to {figures.work(ends.high)})"
    after = f"{figures.work(ends.seconds)}{between}"
    told = "as quoted" if ends.basis == "quote" else "as rounds took so far"
    if condition != "running":
        return f"after {after} more, {told}{sooner}"
    when = datetime.now() + timedelta(seconds=ends.seconds)
    day = f"{when:%a %H:%M}" if when.date() != datetime.now().date() else f"{when:%H:%M}"
    return f"about {day}, in {after}, {told}{sooner}"


def _in_ascii(part: RenderableType) -> RenderableType:
    if isinstance(part, Text):
        return Text(part.plain.translate(ASCII), style=part.style, no_wrap=True, overflow="ellipsis")
    if isinstance(part, Table):
        for column in part.columns:
            column._cells = [_in_ascii(cell) for cell in column._cells]
    return part
