"""An ordered fall-back (ETD, arXiv 2401.11864): a strategy's answer counts where those before it have none.

The published order is PoT, EoT, CoT: where the program does not execute, the equations are solved; where they do not
solve, the chain of thought is read. A wrong answer is not noticed, and so does not fall back. Departure: any order, and
any strategies; those that the published order lacks come behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from siked_core import Attempt, Options, RecipeError, Selector, Wish, hookimpl

PUBLISHED = ("pot", "eot", "cot")


class CascadeOptions(Options):
    order: list[str] = Field(
        [],
        description="strategies, first choice first; empty: pot, eot, cot, as far as they are there, then the others",
    )


class Cascade(Selector):
    """The first strategy of an order that comes to an answer: by default pot, then eot, then cot (ETD)."""

    name = "cascade"
    options_type = CascadeOptions

    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        """Each strategy of the order once, greedily.

        Raises:
            RecipeError: the order names a strategy that is not there, or one twice.
        """
        order = self.options.order or [
            *(name for name in PUBLISHED if name in strategies),
            *(name for name in strategies if name not in PUBLISHED),
        ]
        strange = [name for name in order if name not in strategies]
        if strange or len(set(order)) < len(order):
            wrong = f"names '{strange[0]}', which is not among them" if strange else "names one twice"
            raise RecipeError(
                f"The selector 'cascade' takes the strategies {', '.join(strategies)} in an order; "
                f"{', '.join(order)} {wrong} (its option order)."
            )
        return tuple(Wish(name) for name in order)

    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        """The first attempt with an answer; the first of all where none has one."""
        return next((place for place, one in enumerate(attempts) if one.answered), 0)


@hookimpl
def siked_selectors() -> list[type[Selector]]:
    return [Cascade]
