"""The mixing policy that a recipe names, with the policies that it builds on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from siked_core.contracts import MixContext, MixingPolicy, Plugin
from siked_core.recipe import Recipe
from siked_core.recipe_choice import PluginChoice
from siked_core.registry import Registry

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class OpenedPolicy:
    """A policy and what it builds on, the outermost first."""

    chain: tuple[MixingPolicy, ...]

    @property
    def name(self) -> str:
        return self.chain[0].name

    @property
    def earlier_rounds(self) -> bool:
        """Whether any of them asks for the student's samples of earlier rounds."""
        return any(policy.earlier_rounds for policy in self.chain)

    @property
    def hinted(self) -> bool:
        """Whether any of them asks for what the student wrote with the answer told."""
        return any(policy.hinted for policy in self.chain)

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """What the outermost policy chooses."""
        policy, *inner = self.chain
        if inner:
            below = OpenedPolicy(tuple(inner))
            context = replace(context, inner=lambda rows: below.mix(rows, context))
        return policy.mix(candidates, context)


def open_policy(choice: PluginChoice, recipe: Recipe, registry: Registry) -> OpenedPolicy:
    """Make a policy and what it builds on.

    Raises:
        PluginError: one of them does not exist, is switched off, or failed to load.
        RecipeError: an option is unknown or does not fit, or a policy does not go with the recipe.
    """
    made: MixingPolicy = registry.create("mixing_policy", choice.name, choice.options)
    chain = [policy for policy in with_what_it_builds_on(made, registry) if isinstance(policy, MixingPolicy)]
    for policy in chain:
        policy.check_recipe(recipe.strategy_names, recipe.rollout.mode)
    return OpenedPolicy(tuple(chain))


def with_what_it_builds_on(plugin: Plugin, registry: Registry) -> Iterator[Plugin]:
    """The plugin itself, and where it is a mixing policy that builds on another, that one, and so on."""
    yield plugin
    if isinstance(plugin, MixingPolicy) and (below := plugin.builds_on) is not None:
        yield from with_what_it_builds_on(registry.create("mixing_policy", below.name, below.options), registry)


def described(choice: PluginChoice) -> str:
    """ "alpha (alpha=0.3, by=weights)": a policy by its name and the options that it was given."""
    options = ", ".join(f"{name}={_short(value)}" for name, value in choice.options.items())
    return f"{choice.name} ({options})" if options else choice.name


def _short(value: object) -> str:
    if isinstance(value, dict) and value.keys() <= {"name", "options"} and "name" in value:
        return described(PluginChoice.model_validate(value))
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list | tuple) else str(value)
