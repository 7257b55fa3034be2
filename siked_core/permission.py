"""May programs run where they cannot be caged? Whoever gives a command says so, for all that judges programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from siked_core.registry import Registry

OPTION = "allow_unsafe_exec"
"""The option of a verifier that runs programs. Any verifier that has one of that name is given the user's word."""


def permitted(registry: Registry, name: str, options: Mapping[str, Any], *, unsafe: bool) -> dict[str, Any]:
    """A verifier's options with the permission in them, whatever they said of it; unchanged if it runs no programs.

    Raises:
        PluginError: there is no such verifier, or it cannot be used.
    """
    runs_programs = OPTION in registry.get("verifier", name).options_type.model_fields
    return {**options, OPTION: unsafe} if runs_programs else dict(options)
