"""What a run was made with: versions of siked, of the libraries, and of the plugins that its recipe names."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from siked_core.contracts import Kind, Strategy
from siked_core.recipe import Recipe
from siked_core.registry import Registry

PACKAGES = ("siked", "torch", "transformers", "trl", "peft", "polars")


def made_with(recipe: Recipe, registry: Registry) -> dict[str, dict[str, str]]:
    """What a manifest keeps under "versions" and "plugins" ("kind:name" to the plugin's version and its package's)."""
    here = {**versions(), "platform": platform.platform()}
    return {"versions": here, "plugins": dict(sorted(_plugins(recipe, registry)))}


def versions() -> dict[str, str]:
    """Of Python, siked, and the libraries that results may depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def changes(manifest: Mapping[str, Any], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What is another than when the run was last worked on: "polars 1.30 -> 2.1", "strategy:cot 1 (...) -> 2 (...)".

    What a manifest does not tell, as one that was repaired may not, is not compared."""
    last = (manifest.get("continued") or [manifest])[-1]
    return [
        f"{name} {before} -> {after}"
        for part in ("versions", "plugins")
        for name, after in now[part].items()
        if (before := last.get(part, {}).get(name)) is not None and before != after
    ]


def _plugins(recipe: Recipe, registry: Registry) -> Iterator[tuple[str, str]]:
    for kind, name in _named(recipe, registry):
        for entry in registry.find(name, kind):
            if entry.plugin is not None and entry.status == "active":
                yield f"{kind}:{name}", f"{entry.plugin.version} ({entry.distribution} {entry.version})"


def _named(recipe: Recipe, registry: Registry) -> Iterator[tuple[Kind, str]]:
    for choice in recipe.strategies:
        yield "strategy", choice.name
        judge = recipe.verifiers.get(choice.name)
        if judge is not None:
            yield "verifier", judge.name
        for entry in registry.find(choice.name, "strategy"):
            if entry.plugin is not None and issubclass(entry.plugin, Strategy):
                yield "verifier", entry.plugin.verifier
    for choice in (recipe.dataset, *recipe.evaluate):
        yield "dataset", choice.name
    yield "generator", recipe.teacher.generator.name
    yield "generator", recipe.student.generator.name
    yield "mixing_policy", recipe.mixing.policy.name
    for choice in recipe.mixing.transforms:
        yield "transform", choice.name
    yield "objective", recipe.training.objective.name
    yield "selector", recipe.evaluation.selector.name
