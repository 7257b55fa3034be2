"""Which plugins somebody means: by name, by distribution, or in a folder or file that need not be installed."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from siked_core.errors import PluginError, unknown
from siked_core.hookspecs import GROUP
from siked_core.registry import Entry, Point, Registry


@dataclass(frozen=True, slots=True)
class _Origin:
    """What an uninstalled project says of itself."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class _ProjectPoint:
    """An entry point of a project that need not be installed."""

    name: str
    value: str
    dist: _Origin

    def load(self) -> Any:
        module, _, attribute = self.value.partition(":")
        found = import_module(module.strip())
        for part in filter(None, attribute.strip().split(".")):
            found = getattr(found, part)
        return found


@dataclass(frozen=True, slots=True)
class Targets:
    """What was meant."""

    entries: tuple[Entry, ...]
    """Those that cannot be used included."""
    registry: Registry
    """All plugins, with those that were meant among them."""


def find_targets(target: str, registry: Registry, kind: str | None = None, disabled: Iterable[str] = ()) -> Targets:
    """The plugins that a text means.

    Args:
        target: "cot", "strategy:cot", "strategy-cot" (an entry point), "siked-strategy-table" (a distribution), a
            folder with a pyproject.toml, or a module's file. Code in a folder or file is loaded, and so run.
        registry: what is installed.
        disabled: plugins that are switched off.

    Raises:
        PluginError: nothing is meant by it.
    """
    found = _installed(target, registry, kind)
    if found:
        return Targets(tuple(found), registry)
    path = Path(target).expanduser()
    if not path.exists():
        if _looks_like_a_path(target):
            raise PluginError(f"There is no file or folder {target}.")
        names = {entry.name for entry in registry.entries} | {entry.distribution for entry in registry.entries}
        raise PluginError(
            f"{unknown('plugin or distribution', target, names)} A folder with a pyproject.toml or a module's file "
            "would do as well."
        )
    points = _of_folder(path) if path.is_dir() else [_of_file(path)]
    origins = {_plain(point.dist.name) for point in points}
    others: list[Point] = [
        point
        for point in entry_points(group=GROUP)
        if point.dist is None or _plain(point.dist.name or "") not in origins
    ]
    whole = Registry.discover(disabled, [*others, *points])
    mine = [entry for entry in whole.entries if _plain(entry.distribution) in origins and kind in (None, entry.kind)]
    if not mine:
        raise PluginError(f"{target} offers no plugin{f' of the kind {kind}' if kind else ''}.")
    return Targets(tuple(mine), whole)


def _installed(target: str, registry: Registry, kind: str | None) -> list[Entry]:
    if _looks_like_a_path(target):
        return []
    of_kind, colon, name = target.partition(":")
    if colon:
        return registry.find(name, of_kind)
    entries = [entry for entry in registry.entries if kind in (None, entry.kind)]
    ways = (
        [entry for entry in entries if entry.name == target],
        [entry for entry in entries if _plain(entry.distribution) == _plain(target)],
        [entry for entry in entries if entry.entry_point == target],
    )
    return next((found for found in ways if found), [])


def _looks_like_a_path(target: str) -> bool:
    return target.startswith((".", "~")) or "/" in target or target.endswith(".py")


def _of_folder(folder: Path) -> list[_ProjectPoint]:
    """The entry points of a project, its sources put where they can be imported."""
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except FileNotFoundError:
        raise PluginError(f"The folder {folder} has no pyproject.toml: give a project's folder.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PluginError(f"Cannot read {file}: {error}.") from None
    points = project.get("entry-points", {}).get(GROUP, {})
    if not points:
        raise PluginError(
            f'{file} names no plugin: write [project.entry-points.{GROUP}], and below it NAME = "MODULE".'
        )
    _importable(folder / "src" if (folder / "src").is_dir() else folder, points.values())
    origin = _Origin(str(project.get("name", folder.name)), str(project.get("version", "")))
    return [_ProjectPoint(str(name), str(value), origin) for name, value in points.items()]


def _of_file(file: Path) -> _ProjectPoint:
    """A module's file as the only entry point of something without a name but its own."""
    if file.suffix != ".py":
        raise PluginError(f"{file} is no Python module: give a file that ends in .py, or a project's folder.")
    parts, folder = [] if file.stem == "__init__" else [file.stem], file.resolve().parent
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    _importable(folder, parts[:1])
    return _ProjectPoint(parts[-1], ".".join(parts), _Origin(str(file), ""))


def _importable(folder: Path, modules: Iterable[object]) -> None:
    """Let modules be imported from a folder, also where others of their names were imported from elsewhere."""
    place = folder.resolve()
    if str(place) in sys.path:
        sys.path.remove(str(place))
    sys.path.insert(0, str(place))
    packages = {re.split("[.:]", str(module).strip())[0] for module in modules}
    for name, module in list(sys.modules.items()):
        source = getattr(module, "__file__", None)
        if name.split(".")[0] in packages and source and not Path(source).resolve().is_relative_to(place):
            del sys.modules[name]


def _plain(name: str) -> str:
    """A distribution's name as installers compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
