"""`siked plugins`: what can be named in a recipe and where it comes from (`list`, `show`); `new` and `check`, for those
who write plugins, are in modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli import plugin_check, plugin_new
from siked_cli.completions import kinds, plugins
from siked_cli.options import Json, NoPlugin
from siked_cli.output import Output
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from siked_core.contracts import Kind
    from siked_core.registry import Entry

app = typer.Typer(no_args_is_help=True, help="Show, check and begin plugins: strategies, verifiers, teachers, ...")
KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind", metavar="KIND", help="Only this kind, e.g. strategy or mixing_policy.", autocompletion=kinds
    ),
]


@app.command("list")
def list_plugins(kind: KindOption = None, no_plugin: NoPlugin = None, json: Json = False) -> None:
    """List every plugin that is installed, those that are switched off or broken included."""
    from siked_cli.plugin_cards import entry_dict, plugin_table

    if kind is not None:
        check_kind(kind)
    registry = open_registry(no_plugin)
    entries = [entry for entry in registry.entries if kind is None or entry.kind == kind or _may_be(entry, kind)]
    output = Output(json=json)
    output.document([entry_dict(entry) for entry in entries])
    output.show(plugin_table(entries))


@app.command("show")
def show_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A plugin's name; several kinds may share it.", autocompletion=plugins)
    ],
    kind: KindOption = None,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Show what a plugin does, its options with their defaults, and where its source is."""
    from siked_cli.plugin_cards import card, card_dict
    from siked_core.errors import PluginError, unknown

    if kind is not None:
        check_kind(kind)
    registry = open_registry(no_plugin)
    entries = registry.find(name, kind) or [
        entry
        for entry in registry.entries
        if (entry.entry_point == name or entry.name.endswith(f"-{name}"))
        and entry.status != "active"
        and (kind is None or entry.kind in (kind, "?"))
    ]
    if not entries:
        what = kind.replace("_", " ") if kind else "plugin"
        available = {entry.name for entry in registry.entries if kind is None or entry.kind == kind}
        raise PluginError(unknown(what, name, available))
    output = Output(json=json)
    output.document([card_dict(entry) for entry in entries])
    for entry in entries:
        output.show(card(entry))


def check_kind(kind: str) -> Kind:
    """A kind of plugin, if it is one.

    Raises:
        PluginError: there is no such kind.
    """
    from siked_core.errors import PluginError, unknown
    from siked_core.registry import KINDS

    for known in KINDS:
        if kind == known:
            return known
    raise PluginError(unknown("kind of plugin", kind, KINDS))


def _may_be(entry: Entry, kind: str) -> bool:
    """A module that could not be loaded does not say its kind; its entry point's name usually does."""
    return entry.kind == "?" and entry.entry_point.startswith(f"{kind.replace('_', '-')}-")


app.command("new")(plugin_new.command)
app.command("check")(plugin_check.command)
