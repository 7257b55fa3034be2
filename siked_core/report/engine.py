"""What draws: Vega-Lite, from vl-convert. It has the JavaScript for a page, and draws files without a browser."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from siked_core.errors import RunError

VEGA_LITE = "6.4"
"""The version that Altair 6 writes for."""
_PACKAGES = {"altair": "altair", "vl_convert": "vl-convert-python"}


def check_engine() -> None:
    """What draws is installed.

    Raises:
        RunError: it is not.
    """
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise RunError(f"Figures need {' and '.join(missing)}, which is not installed: pip install 'siked[report]'.")


def converter() -> Any:
    """vl-convert."""
    import vl_convert

    return vl_convert


def javascript() -> str:
    """Vega, Vega-Lite and vega-embed as one script that needs no network; it defines `vega` and `vegaEmbed`."""
    snippet = "window.vega = vega; window.vegaEmbed = vegaEmbed;"
    return str(converter().javascript_bundle(snippet, vl_version=VEGA_LITE))
