"""What every plugin is, of whatever kind: a name, options, a version."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from siked_core.errors import PluginError
from siked_core.records import Companion

Kind = Literal[
    "strategy",
    "verifier",
    "mixing_policy",
    "generator",
    "dataset",
    "transform",
    "objective",
    "selector",
    "model",
    "tracker",
]


class PluginDeprecationWarning(FutureWarning):
    """A plugin uses what siked will take away. See `siked_core.deprecation`."""

    def __init__(self, what: str, use: str, until: str) -> None:
        super().__init__(f"uses {what}, which goes in {until}: use {use} instead")
        self.use = use


class Options(BaseModel):
    """Base of every plugin's options: unknown keys are refused. What checks them is built when it is first used."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Plugin(ABC):
    """Base of every kind."""

    kind: ClassVar[Kind]
    name: ClassVar[str]
    version: ClassVar[str] = "1"
    """Raise it when the same input would give another output: it is part of what keys a stage's result."""
    options_type: ClassVar[type[Options]] = Options
    renamed: ClassVar[Mapping[str, PluginDeprecationWarning]] = {}
    """Former name -> what a plugin that still has a method of that name is told; set on the base of a kind only."""

    def __init__(self, options: Options | Mapping[str, Any] | None = None) -> None:
        """Validate and keep the options. Cheap: heavy things are made when first used.

        Raises:
            pydantic.ValidationError: an option is unknown or does not fit.
        """
        if not isinstance(options, self.options_type):
            options = self.options_type.model_validate(dict(options or {}))
        self.options: Any = options

    @classmethod
    def companion(cls) -> Companion | None:
        """What it works with beside siked's own environment, as found on this machine; None where there is no such
        thing. Shown by `siked doctor`."""
        return None

    @classmethod
    def make_companion(cls, say: Callable[[str], None]) -> None:
        """Make that, unless it is there, telling what goes on: `siked doctor --make NAME`.

        Raises:
            PluginError: it could not be made, or there is nothing to make.
        """
        raise PluginError(f"The {cls.kind.replace('_', ' ')} '{cls.name}' needs nothing made for it.")

    def equip(self, create: Callable[[Kind, str, Mapping[str, Any]], Any]) -> None:  # noqa: B027 - most need nothing
        """Called once, when the registry has made it. Cheap, as the constructor is.

        Args:
            create: makes any plugin from kind, name and options, for one that works through another.
        """

    @property
    def original(self) -> Plugin:
        """The plugin that decides what comes out: itself, or the one whose work it only has done elsewhere. Results
        are kept under that one's name, version and fingerprint, and it takes this one's place in a released student."""
        return self

    def check_machine(self) -> None:  # noqa: B027 - most plugins have nothing to check
        """Raise what would else be raised when it is first used: a program or environment that is not there. Called
        before anything is made of a recipe, so it is quick, and loads and sends nothing."""
