"""Where a command writes: progress to stderr, results to stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from siked_core.reporting import Reporter

WIDTH_WITHOUT_TERMINAL = 100
NARROWEST = 80
"""Columns that tables are laid out for at least: better a wrapped line than a figure cut off."""


@dataclass
class Output:
    """How one command speaks."""

    json: bool = False
    """The result is one JSON document on stdout."""
    quiet: bool = False
    """No progress."""
    plain: bool = False
    """No live view and no colours."""

    @cached_property
    def reporter(self) -> Reporter:
        """The live view on a terminal, plain lines elsewhere, nothing if quiet."""
        from siked_core.reporting import SilentReporter

        if self.quiet:
            return SilentReporter()
        console = self._console(sys.stderr)
        if console.is_terminal and not console.is_dumb_terminal and not self.plain:
            from siked_cli.live import LiveReporter

            return LiveReporter(console)
        from siked_core.reporters.plain import PlainReporter

        return PlainReporter(sys.stderr)

    @cached_property
    def console(self) -> Console:
        return self._console(sys.stdout)

    def show(self, *parts: RenderableType) -> None:
        """Print a result for people; nothing with --json."""
        from rich.text import Text

        if not self.json:
            for part in parts:
                # Lines of text are left to the terminal to wrap, so that a path or a command can be copied.
                self.console.print(part, soft_wrap=isinstance(part, str | Text))

    def document(self, content: Mapping[str, Any] | list[Any]) -> None:
        """Print a result for machines; only with --json."""
        if self.json:
            print(json.dumps(content, indent=2, ensure_ascii=False, default=str))

    def _console(self, stream: TextIO) -> Console:
        from rich.console import Console

        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that has no "α" must not end a run
        on_terminal = stream.isatty() and not self.plain
        width = None if stream.isatty() or os.environ.get("COLUMNS") else WIDTH_WITHOUT_TERMINAL
        console = Console(
            file=stream,
            width=width,
            highlight=False,
            markup=False,
            emoji=False,
            no_color=None if on_terminal else True,
            force_terminal=None if on_terminal else False,
        )
        console.width = max(console.width, NARROWEST)
        return console


def warn_of_unsafe_exec(allowed: bool, output: Output) -> None:
    """Say what programs may do, where that is allowed, every time: the recipe may be somebody else's."""
    if allowed:
        output.reporter.warn(
            "allow_unsafe_exec is on: where this machine cannot cage them, model-written programs can read, change, "
            "delete and send anything that you can."
        )
