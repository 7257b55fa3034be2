"""Finds plugins, keeps broken ones apart, resolves names, refuses duplicates.

Entry points are loaded one by one: `PluginManager.load_setuptools_entrypoints` stops at the first that fails.
What fails is remembered, listed, and raised only when that plugin is asked for.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, Literal, Protocol, TypeGuard, get_args

import pluggy
from pydantic import PydanticUserError, ValidationError

from siked_core import contracts, hookspecs
from siked_core.contract_version import misfit
from siked_core.contracts import Kind, Plugin
from siked_core.deprecation import take_old_names, told_of
from siked_core.errors import PluginError, RecipeError, UnusablePluginError, unknown
from siked_core.plugin import PluginDeprecationWarning
from siked_core.validation import explain

HOOKS: dict[str, type[Plugin]] = {
    "siked_strategies": contracts.Strategy,
    "siked_verifiers": contracts.Verifier,
    "siked_mixing_policies": contracts.MixingPolicy,
    "siked_generators": contracts.Generator,
    "siked_datasets": contracts.Dataset,
    "siked_transforms": contracts.Transform,
    "siked_objectives": contracts.Objective,
    "siked_selectors": contracts.Selector,
    "siked_models": contracts.Model,
    "siked_trackers": contracts.Tracker,
}
RENAMED_HOOKS: dict[str, str] = {}
"""Former names of hooks that are still asked, and warned of: see `siked_core.deprecation`."""
HOOK_ARGUMENTS: dict[str, object] = {}
"""What hooks that ask for it are given, by the argument's name."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One plugin as found: what it is, where it comes from, and whether it can be used."""

    kind: str
    """A `Kind`, or "?" where the module that would say so cannot be loaded."""
    name: str
    status: Literal["active", "disabled", "failed"]
    distribution: str
    version: str
    entry_point: str
    summary: str = ""
    why: str = ""
    """Why it is disabled or failed."""
    plugin: type[Plugin] | None = None
    error: BaseException | None = None
    notes: tuple[str, ...] = ()
    """What is used that will go: "uses the hook ..., which goes in siked 0.4: use ... instead"."""


class Point(Protocol):
    """What is needed of an entry point: `importlib.metadata.EntryPoint`, or what stands for one."""

    @property
    def name(self) -> str: ...
    @property
    def dist(self) -> Any:
        """With `name` and `version`; None where it is not known."""

    def load(self) -> Any: ...


def plural(kind: str) -> str:
    return (
        "mixing policies" if kind == "mixing_policy" else kind.replace("y", "ies") if kind == "strategy" else f"{kind}s"
    )


class Registry:
    """All plugins, by kind and name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: (_order(entry.kind), entry.name, entry.distribution)))

    @classmethod
    def discover(cls, disabled: Iterable[str] = (), points: Iterable[Point] | None = None) -> Registry:
        """Load every entry point of the group `siked`.

        Args:
            disabled: names that are switched off: of a plugin ("cot"), of a kind and plugin ("verifier:number"),
                of an entry point, or of a distribution (whose modules are then not even imported).
            points: instead of the installed entry points (for tests).
        """
        switched_off = frozenset(disabled)
        manager = _Manager(hookspecs.GROUP)
        manager.add_hookspecs(hookspecs)
        found: list[Entry] = []
        origins: dict[int, tuple[str, str]] = {}
        for point in entry_points(group=hookspecs.GROUP) if points is None else points:
            # A distribution reads its metadata anew whenever it is asked, and may have many entry points.
            if id(point.dist) not in origins:
                origins[id(point.dist)] = _provider(point)
            found.extend(_load(manager, point, origins[id(point.dist)], switched_off))
        for entry in found:
            for note in entry.notes:
                warnings.warn(
                    _Told(f"The {entry.kind.replace('_', ' ')} '{entry.name}' ({_origin(entry)}) {note}."), stacklevel=1
                )
        return cls(_refuse_duplicates(found))

    def names(self, kind: Kind) -> list[str]:
        return [entry.name for entry in self.entries if entry.kind == kind and entry.status == "active"]

    def get(self, kind: Kind, name: str) -> type[Plugin]:
        """The class of an active plugin.

        Raises:
            PluginError: there is none of that name.
            UnusablePluginError: it is disabled, or it failed (chained to the stored error).
        """
        what = kind.replace("_", " ")
        candidates = [(_likeness(entry, kind, name), entry) for entry in self.entries]
        likeness, best = max(candidates, key=lambda candidate: candidate[0], default=(0, None))
        if best is None or not likeness:
            lost = sum(entry.kind in (kind, "?") and entry.status == "failed" for entry in self.entries)
            hint = f" ({lost} could not be loaded: see siked plugins list.)" if lost else ""
            raise PluginError(unknown(what, name, self.names(kind)) + hint)
        if best.status == "active" and best.plugin is not None:
            return best.plugin
        origin = _origin(best)
        state = "is disabled" if best.status == "disabled" else "cannot be used"
        raise UnusablePluginError(f"The {what} '{name}' ({origin}) {state}: {best.why}") from best.error

    def create(self, kind: Kind, name: str, options: Mapping[str, Any] | None = None) -> Any:
        """Make a plugin from its name and options.

        Raises:
            PluginError: as `get`.
            RecipeError: an option is unknown or does not fit.
        """
        plugin = self.get(kind, name)
        try:
            made = plugin(dict(options or {}))
        except PydanticUserError as error:  # its options themselves are wrong, whatever they are given
            said = str(error).split("\n", 1)[0]
            raise UnusablePluginError(f"The {kind.replace('_', ' ')} '{name}' cannot be used: {said}") from error
        except ValidationError as error:
            what = f"option of the {kind.replace('_', ' ')} '{name}':"
            line = explain(error, plugin.options_type, what)
            if "model" in (options or {}) and "model" not in plugin.options_type.model_fields:
                line += f" ('{name}:VALUE' is short for its option 'model', which it does not have.)"
            raise RecipeError(line) from None
        made.equip(self.create)
        return made

    def find(self, name: str, kind: str | None = None) -> list[Entry]:
        """Every entry of that name, whatever its status."""
        return [entry for entry in self.entries if entry.name == name and kind in (None, entry.kind)]


class _Manager(pluggy.PluginManager):
    """Looks closely only at a module's functions: pluggy would do so with each of its attributes, twice."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        if inspect.ismodule(plugin) and not inspect.isroutine(vars(plugin).get(name)):
            return None
        return super().parse_hookimpl_opts(plugin, name)


class _Told(PluginDeprecationWarning):
    """A whole line."""

    def __init__(self, line: str) -> None:
        FutureWarning.__init__(self, line)


def _origin(entry: Entry) -> str:
    return f"{entry.distribution} {entry.version}".strip()


def _order(kind: str) -> int:
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


def _likeness(entry: Entry, kind: Kind, name: str) -> int:
    """How well an entry answers to a kind and a name; 0 where it does not.

    A module that could not be loaded never said what it offers: its entry point's name is all there is.
    """
    if (entry.kind, entry.name) == (kind, name):
        return 5 if entry.status == "active" else 4
    if entry.plugin is not None or entry.kind not in (kind, "?"):
        return 0
    point, prefix, dashed = (text.replace("_", "-") for text in (entry.entry_point, kind, name))
    if point == f"{prefix}-{dashed}":
        return 3
    belongs_elsewhere = point.startswith(tuple(f"{other.replace('_', '-')}-" for other in KINDS))
    return 1 if not belongs_elsewhere and f"-{point}".endswith(f"-{dashed}") else 0


def _provider(point: Point) -> tuple[str, str]:
    """The distribution that a point comes from, and its version."""
    if point.dist is None:
        return "unknown", ""
    return point.dist.name or "unknown", point.dist.version or ""


def _load(
    manager: pluggy.PluginManager, point: Point, origin: tuple[str, str], disabled: frozenset[str]
) -> list[Entry]:
    distribution, version = origin
    blank = Entry("?", point.name, "failed", distribution, version, point.name)
    for switch in sorted(disabled & {point.name, distribution}):
        return [replace(blank, status="disabled", why=f"switched off by '{switch}'")]
    try:
        module = point.load()
        refused, note = misfit(module)
        if refused:
            return [replace(blank, why=refused)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", PluginDeprecationWarning)
            if not manager.is_registered(module):  # one module may stand behind two entry points
                manager.register(module)
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything; the rest must go on
        return [replace(blank, why=_describe(error), error=error)]
    known = {**HOOKS, **{old: HOOKS[new] for old, new in RENAMED_HOOKS.items()}}
    entries = [replace(blank, name=f"{point.name}.{hook}", why=why) for hook, why in _misspelt(manager, module)]
    hooks = [hook for hook in known if hasattr(module, hook) and manager.parse_hookimpl_opts(module, hook) is not None]
    if not hooks and not entries:
        entries = [replace(blank, why="it has no hook of siked's; see siked_core/hookspecs.py")]
    for hook in hooks:
        implementation = getattr(module, hook)
        notes = (*((note,) if note else ()), *told_of(implementation, caught))
        own = replace(blank, kind=known[hook].kind, notes=notes)
        entries.extend(_offers(own, hook, implementation, known[hook], disabled))
    return entries


def _offers(
    blank: Entry, hook: str, implementation: Callable[..., object], base: type[Plugin], disabled: frozenset[str]
) -> list[Entry]:
    """What one hook of one module returns, each plugin judged on its own."""
    nameless = replace(blank, name=f"{blank.name}.{hook}", notes=())
    try:
        offered = implementation(
            **{name: HOOK_ARGUMENTS[name] for name in inspect.signature(implementation).parameters}
        )
    except (Exception, SystemExit) as error:
        return [replace(nameless, why=_describe(error), error=error)]
    if not isinstance(offered, list | tuple):
        return [replace(nameless, why=f"it returned {offered!r}, which is not a list of classes")]
    entries = []
    for plugin in offered:
        old = take_old_names(plugin, base) if inspect.isclass(plugin) and issubclass(plugin, base) else []
        problem = _unfit(plugin, base)
        name: Any = getattr(plugin, "name", None)
        if problem:
            entries.append(replace(nameless, name=name if is_name(name) else nameless.name, why=problem))
            continue
        summary = (inspect.getdoc(plugin) or "").split("\n", 1)[0]
        found = replace(blank, name=name, plugin=plugin, summary=summary, notes=(*blank.notes, *old))
        switches = sorted(disabled & {plugin.name, f"{plugin.kind}:{plugin.name}"})
        if switches:
            entries.append(replace(found, status="disabled", why=f"switched off by '{switches[0]}'"))
        else:
            entries.append(replace(found, status="active"))
    return entries


def _misspelt(manager: pluggy.PluginManager, module: object) -> Iterable[tuple[str, str]]:
    """Hooks that nothing will ever call: marked but not known, or known but not marked."""
    for name in dir(module):
        if not inspect.isroutine(getattr(module, name, None)):
            continue
        marked = manager.parse_hookimpl_opts(module, name) is not None
        if marked and name not in HOOKS and name not in RENAMED_HOOKS:
            yield name, unknown("hook", name, HOOKS)
        elif not marked and name in HOOKS and callable(getattr(module, name)):
            yield name, f"'{name}' is not marked with @siked_core.hookimpl, so it is never called"


def _unfit(plugin: object, base: type[Plugin]) -> str:
    """Why an offered object is not a plugin of that kind; empty where it is one."""
    if not (inspect.isclass(plugin) and issubclass(plugin, base)):
        return f"it returned {plugin!r}, which is not a subclass of siked_core.{base.__name__}"
    name = getattr(plugin, "name", None)
    if not is_name(name):
        return f"{plugin.__qualname__} has the name {name!r}; a name is lower-case letters, digits, '-' and '_'"
    if plugin.kind != base.kind:
        return f"{plugin.__qualname__} ('{name}') says that it is a {plugin.kind}, not a {base.kind}"
    if inspect.isabstract(plugin):
        missing = ", ".join(sorted(plugin.__abstractmethods__))
        return f"{plugin.__qualname__} ('{name}') lacks {missing}"
    return ""


def is_name(name: object) -> TypeGuard[str]:
    """Whether a plugin may be called so."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _refuse_duplicates(entries: list[Entry]) -> list[Entry]:
    """Two active plugins of one kind and name: neither is used until one of them is switched off."""
    by_name: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.status == "active":
            by_name[entry.kind, entry.name].append(entry)
    result = []
    for entry in entries:
        twins = by_name[entry.kind, entry.name]
        if entry.status == "active" and len(twins) > 1:
            both = " and ".join(f"{twin.distribution} ({twin.entry_point})" for twin in twins)
            why = f"the name is offered by {both}; switch one off with SIKED_DISABLE_PLUGINS or --no-plugin"
            entry = replace(entry, status="failed", why=why)  # noqa: PLW2901
        result.append(entry)
    return result


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
