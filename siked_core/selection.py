"""The selector that a recipe names, and the attempts that it wants of a student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from siked_core.contracts import Attempt, Selector, Wish
from siked_core.errors import PluginError
from siked_core.recipe_choice import PluginChoice
from siked_core.registry import Registry


def open_selector(choice: PluginChoice, strategies: Sequence[str], registry: Registry) -> tuple[Selector, list[Wish]]:
    """A selector and its plan for these strategies.

    Raises:
        PluginError: there is none of that name, or its plan cannot be asked.
        RecipeError: an option does not fit, or does not go with these strategies.
    """
    selector: Selector = registry.create("selector", choice.name, choice.options)
    plan = [replace(wish, top_p=1.0) if wish.temperature == 0 else wish for wish in selector.plan(strategies)]
    strange = [wish for wish in plan if wish.strategy is not None and wish.strategy not in strategies]
    greedy = [wish for wish in plan if wish.temperature == 0 and wish.draw]
    wrong = (
        "no attempt"
        if not plan
        else f"the strategy '{strange[0].strategy}', which is none of {', '.join(strategies)}"
        if strange
        else "one attempt twice"
        if len(set(plan)) < len(plan) or greedy
        else ""
    )
    if wrong:
        raise PluginError(f"The selector '{choice.name}' plans {wrong}.")
    return selector, plan


class Always(Selector):
    """One strategy, whatever the question: how a student is asked that knows no other."""

    name = "always"

    def __init__(self, strategy: str) -> None:
        super().__init__()
        self._strategy = strategy

    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        return (Wish(self._strategy),)

    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        return 0
