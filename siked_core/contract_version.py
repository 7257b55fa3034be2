"""The version of the plugin contract, and whether a plugin that was written for another can be used.

A plugin's module may state the version that it was written for, `SIKED_CONTRACT = "1.0"`; one that does not is taken as
it is. MAJOR.MINOR: a minor version only adds, so what was written for an older one works; a new major version takes
away what was deprecated in the one before, which goes on being accepted with a warning until `OLDEST` passes it.
"""

from __future__ import annotations

import re

CONTRACT_VERSION = "1.0"
"""Of what `siked_core.hookspecs` and `siked_core.contracts` say."""
OLDEST = "1.0"
"""The oldest version that plugins may be written for."""
STATED_IN = "SIKED_CONTRACT"
"""The name in a plugin's module."""
OLDEST_GOES_IN = "siked 2.0"
"""The release in which older major versions than the present one are no longer accepted."""


def misfit(module: object) -> tuple[str, str]:
    """(why a module cannot be used, what to warn of): both empty where the version that it states fits, or it states
    none."""
    stated = getattr(module, STATED_IN, None)
    if stated is None:
        return "", ""
    wanted = _read(stated)
    if wanted is None:
        return f'{STATED_IN} is {stated!r}: it is to be a text such as "{CONTRACT_VERSION}"', ""
    present, oldest = _read(CONTRACT_VERSION), _read(OLDEST)
    assert present is not None
    assert oldest is not None
    has = f"this siked has {CONTRACT_VERSION}"
    if wanted > present:
        return f"it was written for version {stated} of the plugin contract, and {has}: upgrade siked", ""
    if wanted < oldest:
        return f"it was written for version {stated} of the plugin contract, and {has}: upgrade the plugin", ""
    if wanted[0] < present[0]:
        return "", (
            f"was written for version {stated} of the plugin contract, and {has}. That is accepted until "
            f"{OLDEST_GOES_IN}: upgrade the plugin"
        )
    return "", ""


def _read(text: object) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text) if isinstance(text, str) else None
    return (int(found[1]), int(found[2])) if found else None
