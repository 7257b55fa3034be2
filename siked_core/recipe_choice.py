"""How a recipe names a plugin."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from siked_core.layers import choice

POCKET = "pocket"
"""The name of the embedded world: data set, teacher and student."""


class PluginChoice(BaseModel):
    """A plugin and its options: `cot`, `vllm:MODEL`, or `{name: cot, options: {shots: 4}}`.

    No `Section`: that one reads its fields' docstrings from the source, for which `siked plugins list` would wait.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return choice(value) if isinstance(value, str) else value

    def __str__(self) -> str:
        return self.name
