"""The embedded world's base model: what a pocket student starts from."""

from __future__ import annotations

from pathlib import Path

from siked_core import Model, hookimpl


class Pocket(Model):
    """A Llama of about a million parameters that ships with siked: reads, copies, calculates a little."""

    name = "pocket"

    def folder(self) -> Path:
        return Path(__file__).parent / "base"


@hookimpl
def siked_models() -> list[type[Model]]:
    return [Pocket]
