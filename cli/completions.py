"""What the shell offers for a half-written word: runs, presets, plugins, recipe keys, each with what it is.

Typer does the talking with bash, zsh, fish and PowerShell (`siked --install-completion`). Nothing here may fail or be
slow: whoever presses TAB has not asked for anything yet, so what cannot be read is not offered.
"""

from __future__ import annotations

import importlib.util
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from siked_core.registry import Entry

Offers = list[tuple[str, str]]
"""Words and what each stands for."""
LONGEST = 64
"""Characters of what a word stands for: it is to fit beside the word."""


def runs(ctx: typer.Context, incomplete: str) -> Offers:
    """The runs in the folder that the line names, or else where they are kept."""
    import json

    folder = Path(ctx.params.get("runs") or os.environ.get("SIKED_RUNS") or "runs")
    found = []
    for manifest in sorted(folder.glob(f"{_literal(incomplete)}*/manifest.json")):
        about = ""
        try:
            recipe = json.loads(manifest.read_text(encoding="utf-8"))["recipe"]
            about = f"{recipe['dataset']['name']}, {recipe['student']['model']}"
        except (OSError, ValueError, KeyError, TypeError):
            pass  # a damaged run is a run all the same
        found.append((manifest.parent.name, _shown(about)))
    return found


def presets(incomplete: str) -> Offers:
    """The presets; several may stand in a list."""
    return _in_list(incomplete, _presets())


def _presets() -> Iterator[tuple[str, str]]:
    """Read from their folder: to import siked_core takes longer than that."""
    package = importlib.util.find_spec("siked_core")
    for folder in (package.submodule_search_locations if package else None) or ():
        for path in sorted(Path(folder, "presets").glob("*.yaml")):
            with path.open(encoding="utf-8") as file:
                first = file.readline().strip()
            yield path.stem, first.lstrip("# ") if first.startswith("#") else ""


def plugins_of(kind: str) -> Callable[[str], Offers]:
    """The active plugins of a kind; several may stand in a list."""

    def offered(incomplete: str) -> Offers:
        return _in_list(incomplete, ((one.name, one.summary) for one in _plugins() if one.kind == kind))

    return offered


def plugins(incomplete: str) -> Offers:
    """Every active plugin."""
    return _in_list(incomplete, ((one.name, f"{one.kind}: {one.summary}") for one in _plugins()))


def kinds(incomplete: str) -> Offers:
    """The kinds of plugins."""
    from siked_core.registry import KINDS

    return _in_list(incomplete, ((kind, "") for kind in KINDS))


def keys(incomplete: str) -> Offers:
    """The recipe's keys, ready for a value."""
    from siked_core.recipe import Recipe

    return [(f"{key}=", _shown(about)) for key, about in _keys(Recipe, "") if key.startswith(incomplete)]


def words(**offered: str) -> Callable[[str], Offers]:
    """A fixed choice: word and meaning."""

    def chosen(incomplete: str) -> Offers:
        return _in_list(incomplete, offered.items())

    return chosen


def _plugins() -> list[Entry]:
    from siked_cli.switches import open_registry

    return [one for one in open_registry(None).entries if one.status == "active"]


def _keys(model: type[BaseModel], above: str) -> Iterator[tuple[str, str]]:
    from siked_core.recipe_choice import PluginChoice
    from siked_core.validation import nested_model

    for name, field in model.model_fields.items():
        inner = nested_model(field.annotation)
        if inner is None or inner is PluginChoice:
            yield f"{above}{name}", (field.description or "").split("\n", 1)[0]
        else:
            yield from _keys(inner, f"{above}{name}.")


def _in_list(incomplete: str, offered: Iterable[tuple[str, str]]) -> Offers:
    """Those that the last word of a comma-separated list may become, with what stands before it."""
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [
        (f"{before}{comma}{word}", _shown(about))
        for word, about in sorted(set(offered))
        if word.startswith(last) and word not in taken
    ]


def _shown(about: str) -> str:
    """In one line, and without the marks of rich, with which typer reads it."""
    line = "".join(letter if letter.isprintable() else " " for letter in about).replace("[", "(").replace("]", ")")
    return textwrap.shorten(line, LONGEST, placeholder="...")


def _literal(text: str) -> str:
    """A text as part of a glob pattern."""
    import glob

    return glob.escape(text)
