"""Opens the registry with the plugins that the user switched off."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siked_core.registry import Registry

VARIABLE = "SIKED_DISABLE_PLUGINS"


def open_registry(no_plugin: Sequence[str] | None) -> Registry:
    """Discover the plugins.

    A name in the variable may belong to a package that only some environments have, so it may match nothing;
    a name that was typed for this command may not.

    Raises:
        PluginError: a name in `no_plugin` is not that of a plugin, an entry point or a distribution.
    """
    from siked_core.errors import PluginError, unknown
    from siked_core.registry import Registry

    typed = [name.strip() for name in no_plugin or ()]
    everywhere = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    registry = Registry.discover([*typed, *everywhere])
    plain = {entry.name for entry in registry.entries}
    with_kind = {f"{entry.kind}:{entry.name}" for entry in registry.entries if entry.kind != "?"}
    origins = {origin for entry in registry.entries for origin in (entry.entry_point, entry.distribution)}
    for name in typed:
        if name not in plain | with_kind | origins:
            raise PluginError(f"--no-plugin: {unknown('plugin', name, with_kind if ':' in name else plain)}")
    return registry
