"""Writes docs/commands.md, every command with its options, from the program itself.

python docs/make_command_reference.py          write it
python docs/make_command_reference.py --check  say whether it is current
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from siked_cli.main import app

PAGE = Path(__file__).with_name("commands.md")
HEAD = """# Every command and option

Made from the program by `docs/make_command_reference.py`, so that it says what `siked COMMAND --help` says.
[The command line](cli.md) is the guide: which command when, what its tables mean, how a command ends.
"""
OTHERS = "Options"
VALUES = {int: "N", float: "X", Path: "PATH"}


def text() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_command(typer.main.get_command(app), "siked", 2)]).rstrip() + "\n"


def _command(command: Any, name: str, level: int) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    yield from (f"{'#' * min(level, 4)} `{name}`", "")
    if not inner or name == "siked":
        yield from (f"    {_usage(command, name)}", "")
    yield from (_words(command.help or ""), "")
    yield from _parameters(command)
    for child, one in sorted(inner.items()):
        if not one.hidden:
            yield from _command(one, f"{name} {child}", 3 if name != "siked" else 2)


def _usage(command: Any, name: str) -> str:
    arguments = [_shown(one) for one in command.params if one.param_type_name == "argument"]
    if hasattr(command, "commands"):
        return f"{name} COMMAND ..."
    return " ".join([name, "[options]", *arguments])


def _shown(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs == -1 else "")
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _parameters(command: Any) -> Iterator[str]:
    """A table for each panel of the help; of what every command has (`--help`), none."""
    panels: dict[str, list[Any]] = {}
    for one in command.params:
        if not getattr(one, "hidden", False) and one.name not in ("help", "install_completion", "show_completion"):
            panel = getattr(one, "rich_help_panel", None)
            panels.setdefault(panel or ("Arguments" if one.param_type_name == "argument" else OTHERS), []).append(one)
    for panel, parameters in panels.items():
        yield from (f"| {panel} | | default |", "|---|---|---|")
        for one in parameters:
            yield f"| {_name(one)} | {_cell(_meaning(one))} | {_default(one)} |"
        yield ""


def _name(one: Any) -> str:
    if one.param_type_name == "argument":
        return f"`{_shown(one)}`"
    flags = ", ".join(sorted({*one.opts, *one.secondary_opts}, key=lambda flag: (flag[:2] != "--", flag)))
    return f"`{flags}`" if one.is_flag else f"`{flags} {_value(one)}`"


def _value(one: Any) -> str:
    """What stands for an option's value."""
    if one.metavar:
        return str(one.metavar)
    annotation = one.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "\\|".join(str(choice.value) for choice in annotation)
    return VALUES.get(annotation, "TEXT")


def _meaning(one: Any) -> str:
    words = _words(one.help or "")
    repeated = " Repeatable." if one.multiple and "repeatable" not in words.lower() else ""
    variable = f" Also by the environment's `{one.envvar}`." if one.envvar else ""
    return f"{words}{repeated}{variable}"


def _default(one: Any) -> str:
    if one.required:
        return "to be given"
    value = one.default() if callable(one.default) else one.default
    if value in (None, False, (), []) or type(value).__name__ == "Sentinel":
        return ""
    if value is True:
        return "on"
    return f"`{getattr(value, 'value', value)}`"


def _words(help_text: str) -> str:
    """A help text as Markdown: it is that already, but for its indentation and Click's own marks."""
    return inspect.cleandoc(help_text).replace("\b\n", "").partition("\f")[0].strip()


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    fresh = text()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != fresh:
        raise SystemExit(f"{PAGE} is out of date: run python docs/make_command_reference.py")


if __name__ == "__main__":
    main()
