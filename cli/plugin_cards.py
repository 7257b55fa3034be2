"""How plugins are shown: the list, and one plugin in full."""

from __future__ import annotations

import inspect
import traceback
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from siked_core.contracts import Plugin
from siked_core.registry import Entry

COLOURS = {"active": "green", "disabled": "yellow", "failed": "red"}


def entry_dict(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "status": entry.status,
        "why": entry.why,
        "distribution": entry.distribution,
        "version": entry.version,
        "entry_point": entry.entry_point,
        "summary": entry.summary,
        "notes": list(entry.notes),
    }


def plugin_table(entries: Sequence[Entry]) -> RenderableType:
    """Kind, name, where from, status, and one line of what it does or why it cannot."""
    if not entries:
        return Text("No plugin is installed.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("kind", "name", "from", "status"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it does")
    for entry in entries:
        table.add_row(
            entry.kind,
            Text(entry.name, style="bold"),
            f"{entry.distribution} {entry.version}".strip(),
            Text(entry.status, style=COLOURS[entry.status]),
            _said(entry),
        )
    return table


def _said(entry: Entry) -> Text:
    """What an active plugin does, and what of it will go; of another, why it is none."""
    if entry.status != "active":
        return Text(entry.why)
    return Text.assemble(entry.summary, *((f"\nIt {note}.", "yellow") for note in entry.notes))


def card_dict(entry: Entry) -> dict[str, Any]:
    """Everything about one plugin, as plain values."""
    content = entry_dict(entry)
    if entry.plugin is not None:
        content |= {
            "docstring": inspect.getdoc(entry.plugin) or "",
            "options": [_option_dict(name, field) for name, field in _fields(entry.plugin)],
            "source": _source(entry.plugin),
        }
    if entry.error is not None:
        content["error"] = "".join(traceback.format_exception(entry.error))
    return content


def card(entry: Entry) -> RenderableType:
    """Everything about one plugin, to read."""
    heading = Text.assemble(
        (f"{entry.kind} ", ""), (entry.name, "bold"), "  ", (entry.status, COLOURS[entry.status]), f"  {entry.why}"
    )
    parts: list[RenderableType] = [heading]
    if entry.plugin is not None:
        parts.append(Padding(Text(inspect.getdoc(entry.plugin) or "It has no docstring."), (1, 0, 1, 2)))
        options = _fields(entry.plugin)
        parts.append(Padding(_option_table(options), (0, 0, 1, 2)) if options else Text("  It has no options.\n"))
        parts.append(Text(f"  source  {_source(entry.plugin)}"))
    parts.append(Text(f"  from    {entry.distribution} {entry.version}, entry point {entry.entry_point}"))
    if entry.error is not None:
        shown = "".join(traceback.format_exception(entry.error)).rstrip()
        parts.append(Padding(Text(shown, style="red"), (1, 0, 0, 2)))
    return Padding(Group(*parts), (0, 0, 1, 0))


def _fields(plugin: type[Plugin]) -> list[tuple[str, FieldInfo]]:
    return list(plugin.options_type.model_fields.items())


def _option_table(fields: Sequence[tuple[str, FieldInfo]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("option", "type", "default"):
        table.add_column(name, no_wrap=name == "option")
    table.add_column("description")
    for name, field in fields:
        option = _option_dict(name, field)
        default = "(required)" if option["required"] else _shown(option["default"])
        table.add_row(Text(name, style="bold"), option["type"], default, option["description"])
    return table


def _option_dict(name: str, field: FieldInfo) -> dict[str, Any]:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    limits = [_limit(one) for one in field.metadata]
    return {
        "name": name,
        "type": ", ".join([type_name(field.annotation), *(text for text in limits if text)]),
        "required": field.is_required(),
        "default": None if default is PydanticUndefined else default,
        "description": field.description or "",
    }


def type_name(annotation: Any) -> str:
    """How a person would write the type: "int", "path or none", "'a' or 'b'", "list of str"."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "none"
    if annotation is Any:
        return "anything"
    if origin is Literal:
        return " or ".join(repr(value) for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(one) for one in arguments)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin in (list, tuple, set, frozenset):
        return f"list of {type_name(arguments[0])}" if arguments else "list"
    if origin is dict:
        return f"mapping of {type_name(arguments[0])} to {type_name(arguments[1])}"
    name = getattr(annotation, "__name__", str(annotation))
    return {"Path": "path", "str": "text", "bool": "true or false", "PluginChoice": "plugin"}.get(name, name)


def _limit(metadata: Any) -> str:
    """ "at least 0", from annotated-types' Ge and its like; empty for what has no short form."""
    for attribute, words in (("ge", "at least"), ("gt", "over"), ("le", "at most"), ("lt", "under")):
        if hasattr(metadata, attribute):
            return f"{words} {getattr(metadata, attribute)}"
    return ""


def _shown(value: object) -> str:
    return "none" if value is None else repr(value) if isinstance(value, str) else str(value)


def _source(plugin: type[Plugin]) -> str:
    """ "FILE:LINE", or the module where there is no file."""
    try:
        return f"{inspect.getsourcefile(plugin)}:{inspect.getsourcelines(plugin)[1]}"
    except (OSError, TypeError):
        return plugin.__module__
