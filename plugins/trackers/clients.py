"""Whether a tracker's client is installed, found out without importing it."""

from __future__ import annotations

from importlib.util import find_spec

from siked_core import PluginError


def need(tracker: str, *modules: str) -> None:
    """Raise what to do where one of a client's modules is missing.

    Raises:
        PluginError: it is.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise PluginError(
            f"The tracker '{tracker}' needs {' and '.join(missing)}, which is not installed: "
            f"pip install 'siked[{tracker}]'."
        )
