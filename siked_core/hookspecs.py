"""What a plugin package can contribute. This page is the whole contract of the `siked` entry-point group.

A package names a module (or an object) in the group `siked`; the module has functions of these names, marked
with `siked_core.hookimpl`, that return classes. See `siked_core.contracts` for what each kind must do.
"""

from __future__ import annotations

import pluggy

from siked_core.contracts import (
    Dataset,
    Generator,
    MixingPolicy,
    Model,
    Objective,
    Selector,
    Strategy,
    Tracker,
    Transform,
    Verifier,
)

GROUP = "siked"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def siked_strategies() -> list[type[Strategy]]:  # type: ignore[empty-body]
    """Ways of writing a solution down."""


@hookspec
def siked_verifiers() -> list[type[Verifier]]:  # type: ignore[empty-body]
    """Judges of rationales."""


@hookspec
def siked_mixing_policies() -> list[type[MixingPolicy]]:  # type: ignore[empty-body]
    """Choices of what the student is trained on next."""


@hookspec
def siked_generators() -> list[type[Generator]]:  # type: ignore[empty-body]
    """Teachers, students and servers that answer prompts."""


@hookspec
def siked_datasets() -> list[type[Dataset]]:  # type: ignore[empty-body]
    """Problems with gold answers."""


@hookspec
def siked_transforms() -> list[type[Transform]]:  # type: ignore[empty-body]
    """What becomes of rationales between verdict and training."""


@hookspec
def siked_objectives() -> list[type[Objective]]:  # type: ignore[empty-body]
    """What the loss is taken on."""


@hookspec
def siked_selectors() -> list[type[Selector]]:  # type: ignore[empty-body]
    """How an answer is chosen at inference."""


@hookspec
def siked_models() -> list[type[Model]]:  # type: ignore[empty-body]
    """Students that come with a package."""


@hookspec
def siked_trackers() -> list[type[Tracker]]:  # type: ignore[empty-body]
    """Where a run's figures are shown beside its own directory."""
