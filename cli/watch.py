"""`siked watch`: a run from another terminal, or another machine, while it works or afterwards."""

from __future__ import annotations

import json as json_text
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Plain, RunName, Runs
from siked_cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from siked_core.watching import Sight, Watcher

Once = Annotated[bool, typer.Option("--once", help="Look once, and end.")]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="JSON to stdout: with --once one document, otherwise a line whenever something has changed.",
        rich_help_panel="Output",
    ),
]
PLAIN_S = 5.0
"""Between two lines where there is no terminal."""


def command(
    run: RunName, runs: Runs = DEFAULT_RUNS, once: Once = False, json: Json = False, plain: Plain = False
) -> None:
    """Watch a run: what it does now, what it found, what it has spent, what comes next, when it ends.

    It only reads, so it may begin and end at any time and the run does not notice; Ctrl-C ends the watching. It ends by
    itself when the run does. From another machine: `ssh -t HOST siked watch RUN`, or over a file system that both see.
    """
    from siked_core.run import locate
    from siked_core.watching import Watcher

    output = Output(json=json, plain=plain)
    watcher = Watcher(locate(run, runs))
    if once:
        _once(watcher, output)
    elif json:
        _json_lines(watcher)
    elif output.console.is_terminal and not output.console.is_dumb_terminal and not plain:
        _live(watcher, output.to_terminal)
    else:
        _lines(watcher)


def picture(sight: Sight, width: int, encoding: str) -> RenderableType:
    """All that is known of a run."""
    from rich.console import Group
    from rich.text import Text

    from siked_cli.board import board, explanation, headline, stage_table

    stages = sight.view.stages if sight.condition in ("running", "unsure", "dead") else []
    told = explanation(sight)
    return Group(
        headline(sight),
        *([stage_table(stages, width)] if stages else []),
        Text(),
        board(sight, width, encoding),
        *([Text(told)] if told else []),
    )


def _once(watcher: Watcher, output: Output) -> None:
    from siked_core.watching import as_dict

    sight = watcher.settle()
    output.document(as_dict(sight))
    console = output.to_terminal
    if not output.json:
        console.print(picture(sight, console.width, console.encoding))


def _json_lines(watcher: Watcher) -> None:
    from siked_core.watching import ENDED, LOOK_S, as_dict

    before = ""
    while True:
        sight = watcher.look(count=not before)
        found = as_dict(sight)
        line = json_text.dumps(found, ensure_ascii=False)
        if line != before:
            print(line, flush=True)
            before = line
        if sight.condition in ENDED:
            return
        time.sleep(LOOK_S)


def _lines(watcher: Watcher) -> None:
    from siked_cli.board import explanation, line
    from siked_core.events import EventReader
    from siked_core.visible import one_line
    from siked_core.watching import ENDED, LOOK_S, events_file

    events = EventReader(events_file(watcher.run))
    for _ in events.read():
        pass  # what happened before is not news
    before, spoke = "", -PLAIN_S
    while True:
        sight = watcher.look(count=not before)
        for event in events.read():
            if event["event"] in ("ended", "stopped"):
                rest = f": {event.get('summary')}" if event.get("summary") else ""
                how = "done" if event["event"] == "ended" else "stopped"
                print(one_line(f"{event.get('stage')}: {how} after {event.get('seconds', 0):.1f} s{rest}"), flush=True)
            elif event["event"] == "warning":
                print(one_line(f"Warning: {event.get('text')}"), flush=True)
        told, ended = line(sight), sight.condition in ENDED
        if ended or (told != before and time.monotonic() - spoke >= PLAIN_S):
            print(told, flush=True)
            before, spoke = told, time.monotonic()
        if ended:
            print(explanation(sight), flush=True)
            return
        time.sleep(LOOK_S)


def _live(watcher: Watcher, console: Console) -> None:
    from rich.live import Live

    from siked_core.watching import ENDED, LOOK_S

    sight = watcher.look(count=True)
    live = Live(picture(sight, console.width, console.encoding), console=console, auto_refresh=False, transient=True)
    try:
        live.start(refresh=True)  # a `with` would leave the cursor hidden where it is interrupted while it begins
        while sight.condition not in ENDED:
            time.sleep(LOOK_S)
            sight = watcher.look(count=sight.view.spent is None)
            live.update(picture(sight, console.width, console.encoding), refresh=True)
    finally:
        live.stop()
    console.print(picture(sight, console.width, console.encoding))
    sys.stdout.flush()
