"""Opens the registry with the plugins that the user switched off."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siked_core.registry import Registry

VARIABLE = "SIKED_DISABLE_PLUGINS"


def disabled(no_plugin: Sequence[str] | None) -> list[str]:
    """What is switched off for this command, and everywhere."""
    everywhere = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    return [*(name.strip() for name in no_plugin or ()), *everywhere]


def open_registry(no_plugin: Sequence[str] | None) -> Registry:
    """Discover the plugins.

    A name in the variable may belong to a package that only some environments have, so it may match nothing;
    a name that was typed for this command may not.

    Raises:
        PluginError: a name in `no_plugin` is not that of a plugin, an entry point or a distribution.
    """
    import warnings

    from siked_core.errors import PluginError, unknown
    from siked_core.plugin import PluginDeprecationWarning
    from siked_core.registry import Registry

    typed = [name.strip() for name in no_plugin or ()]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", PluginDeprecationWarning)
        registry = Registry.discover(disabled(no_plugin))
    for one in told:
        if isinstance(one.message, PluginDeprecationWarning):
            _warn(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    plain = {entry.name for entry in registry.entries}
    with_kind = {f"{entry.kind}:{entry.name}" for entry in registry.entries if entry.kind != "?"}
    origins = {origin for entry in registry.entries for origin in (entry.entry_point, entry.distribution)}
    for name in typed:
        if name not in plain | with_kind | origins:
            raise PluginError(f"--no-plugin: {unknown('plugin', name, with_kind if ':' in name else plain)}")
    return registry


def _warn(line: str) -> None:
    """Tell of a plugin that will not always work, where no progress is shown yet."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, highlight=False).print(Text(f"Warning: {line}", style="yellow"), soft_wrap=True)
