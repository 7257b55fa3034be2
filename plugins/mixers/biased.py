"""One row per question, by a fixed priority of strategies ("biased" in SIKeD, arXiv 2410.18574, section 3).

The published priorities are pot > cot > l2m (the default here), cot > pot > l2m and l2m > pot > cot. As published, the
priority is applied to what another mixing leaves: `mixing`, by default `adaptive`. Where a question has a teacher's
and a student's row under the strategy that is kept, or several of one source, the student's first one stays.

Two departures. `order` takes any strategies in any order; those that it leaves out come after it. With `when: before`
the priority is applied to each source's rows before they are mixed, so a strategy that the teacher solved does not
push out another that the student solved; a question may then have a row of either source. SIKeD's reviewers noted that
a fixed order says nothing about what the student is good at: `tata` goes by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, PluginChoice, RecipeError, hookimpl
from siked_core.errors import unknown

if TYPE_CHECKING:
    import polars as pl

PUBLISHED = ("pot", "cot", "l2m")


class BiasedOptions(Options):
    order: tuple[str, ...] | None = Field(
        None, description="strategies, the preferred one first; by default pot, cot, l2m, as far as there are these"
    )
    mixing: PluginChoice = Field(PluginChoice(name="adaptive"), description="the mixing that it is applied to")
    when: Literal["after", "before"] = Field(
        "after", description="keep one row per question after mixing (published), or one per question and source before"
    )


class Biased(MixingPolicy):
    """One row per question, by a fixed priority of strategies, over another mixing ("biased" in SIKeD)."""

    name = "biased"
    options_type: ClassVar[type[Options]] = BiasedOptions

    @property
    def builds_on(self) -> PluginChoice:
        mixing: PluginChoice = self.options.mixing
        return mixing

    def check_recipe(self, strategies: Sequence[str], mode: str) -> None:
        given = self.options.order or ()
        for name in given:
            if name not in strategies:
                raise RecipeError(unknown("strategy in the order of the mixing policy 'biased':", name, strategies))
        if len(set(given)) < len(given):
            raise RecipeError(f"The order of the mixing policy 'biased' names a strategy twice: {', '.join(given)}.")

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The inner mixing's rows, the best strategy's first, one per question."""
        if self.options.when == "before":
            return context.inner(self._first_of(candidates, ["problem_id", "source"], context.strategies))
        return self._first_of(context.inner(candidates), ["problem_id"], context.strategies)

    def _first_of(self, rows: pl.DataFrame, each: list[str], strategies: Sequence[str]) -> pl.DataFrame:
        """Of each, the row of the most preferred strategy; of equals the student's, then the one drawn first."""
        import polars as pl

        order = dict.fromkeys([*(self.options.order or PUBLISHED), *strategies])
        place = pl.col("strategy").cast(pl.String).replace_strict({name: n for n, name in enumerate(order)})
        teachers = pl.col("source") == "teacher"
        return rows.sort(place, teachers, "draw", "key").unique(each, keep="first", maintain_order=True)


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Biased]
