"""The sections of a recipe that are about money and time: prices, caps, and where further samples are drawn."""

from __future__ import annotations

from pydantic import Field, model_validator

from siked_core.section import Section

STUDENT = "student"
"""The name under which `prices.models` prices what the student writes."""


class Price(Section):
    input: float = Field(ge=0)
    """Of a million tokens of prompts."""
    output: float = Field(ge=0)
    """Of a million tokens of completions."""


class PricesRecipe(Section):
    currency: str = Field("USD", min_length=1, max_length=12)
    """A label: nothing is converted."""
    models: dict[str, Price] = Field(default_factory=dict)
    """Model to {input, output}: what a million tokens cost. A teacher is known by its generator's option `model`, or by
    the generator's name where that has none; `student` is what the student writes. Who is not named is free."""


class CapsRecipe(Section):
    cost: float | None = Field(None, gt=0)
    """Most that may be spent, in `prices.currency`."""
    tokens: int | None = Field(None, ge=1)
    """Most tokens that may be generated, prompts and completions together."""
    hours: float | None = Field(None, gt=0)
    """Most hours that the run's stages may work."""


class TopUpRecipe(Section):
    until: int | None = Field(None, ge=2)
    """Draw again, one by one and up to so many in all, where no sample is correct yet."""
    interval: float | None = Field(None, gt=0, lt=1)
    """Draw again wherever the 95 % interval of the pass rate (Wilson) is wider than this, solved or not; with `until`,
    at most so many in all."""

    @model_validator(mode="after")
    def _ends(self) -> TopUpRecipe:
        if self.until is None and self.interval is None:
            raise ValueError("a top-up needs `until` (draws) or `interval` (a width), or both")
        return self
