"""Whose work a student rests on: its data sets, its base model, its teacher, and under which licences they are.

A licence is told where its owner has stated it: a data set's plugin, or the card that a model brings along. Nothing is
asked of a network, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core.dataset_card import public_name
from siked_core.recipe import Recipe
from siked_core.registry import Registry
from siked_core.stages.prepare import make_dataset


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that went into a student."""

    role: str
    name: str
    hub: str
    """Its name on the Hugging Face hub; empty where it was not taken from there, or has none."""
    licence: str
    """Empty where it is not known."""


def sources(recipe: Recipe, registry: Registry) -> list[Source]:
    """The data set that it was trained on, its base model, its teacher."""
    return list(_sources(recipe, registry))


def hub_of(recipe: Recipe, registry: Registry, dataset: str) -> str:
    """The name of one of the recipe's data sets on the hub; empty where it was read from elsewhere."""
    choice = {one.name: one for one in (*recipe.evaluate, recipe.dataset)}[dataset]
    options = make_dataset(recipe, registry, choice).options
    hub = getattr(options, "hub", None)
    return str(hub) if hub and getattr(options, "path", None) is None else ""


def _sources(recipe: Recipe, registry: Registry) -> Iterator[Source]:
    data = recipe.dataset
    licence = make_dataset(recipe, registry, data).licence
    yield Source("training data", data.name, hub_of(recipe, registry, data.name), licence)
    model = recipe.student.model
    if model in registry.names("model"):  # comes with a package
        yield Source("base model", model, "", _licence_of_model(str(registry.create("model", model).folder())))
    else:
        yield Source("base model", public_name(model), _on_hub(model), _licence_of_model(model))
    teacher = recipe.teacher.generator
    if not recipe.teacher.samples:
        yield Source("teacher", "rationales that were brought in from files", "", "")
        return
    named = _model_of(teacher.options)
    if named:
        yield Source(f"teacher, through `{teacher.name}`", public_name(named), _on_hub(named), _licence_of_model(named))
    else:
        yield Source("teacher", f"siked's generator {teacher.name}: no language model that the recipe names", "", "")


def _model_of(options: dict[str, Any]) -> str:
    """The model of a generator, or of the one that it has its work done by."""
    inner = options.get("generator_options")
    return str(options.get("model") or (inner.get("model") if isinstance(inner, dict) else "") or "")


def _on_hub(model: str) -> str:
    return model if model.count("/") == 1 and not model.startswith((".", "/", "~")) and not Path(model).exists() else ""


def _licence_of_model(model: str) -> str:
    """The licence that the model's own card states, where the card lies in its folder or in the hub's cache."""
    from huggingface_hub import ModelCard, try_to_load_from_cache

    card: Any = Path(model) / "README.md"
    if _on_hub(model):
        card = try_to_load_from_cache(model, "README.md")
    with suppress(Exception):  # a stranger's file: whatever is wrong with it, no licence is known from it
        stated = ModelCard.load(Path(card)).data.license
        return stated if isinstance(stated, str) else ""
    return ""
