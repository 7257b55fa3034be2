"""The sections of a recipe about sampling: from the teacher, and from the student in a round."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from siked_core.recipe_choice import POCKET, PluginChoice
from siked_core.recipe_spending import TopUpRecipe
from siked_core.section import Section


class RationaliseRecipe(Section):
    """Asking again, with the right answer as a hint (STaR)."""

    hint: str = "{question} (Hint: the answer is {answer}.)"
    """What stands for the question in the prompt: `{question}` and `{answer}` are put in. How it was published is not
    known to us."""
    per: Literal["problem", "strategy"] = "problem"
    """What is asked again: "problem", one that no sample solves, whatever its strategy; "strategy", each problem under
    each strategy that was asked for, where no sample of just that is right."""
    samples: int = Field(1, ge=1)
    """Hinted samples per question (and strategy, where it is asked for)."""

    @model_validator(mode="after")
    def _has_places(self) -> Self:
        for place in ("{question}", "{answer}"):
            if place not in self.hint:
                raise ValueError(f"the hint must contain {place}")
        return self


class SamplingRecipe(Section):
    samples: int = Field(10, ge=1)
    """Samples per question and strategy; per question where the student chooses freely (K in the paper)."""
    temperature: float = Field(0.7, ge=0)
    """0 is greedy."""
    top_p: float = Field(0.95, gt=0, le=1)
    """The smallest set of tokens of this total probability is drawn from."""
    max_tokens: int = Field(512, ge=1)
    """New tokens per sample."""
    top_up: TopUpRecipe | None = None
    """Where further samples are drawn, beyond `samples`; null: nowhere (published)."""
    rationalise: RationaliseRecipe | None = None
    """Where nothing is right, ask again with the right answer as a hint (STaR); null: nowhere. `{}`: as below."""

    @model_validator(mode="after")
    def _tops_up(self) -> Self:
        if self.rationalise and not self.samples:
            raise ValueError("rationalise asks again what was asked before: it needs samples of 1 or more")
        if self.top_up and self.top_up.until is not None and self.top_up.until <= self.samples:
            raise ValueError(f"top_up.until counts the first samples too: it must be above samples = {self.samples}")
        return self


class TeacherRecipe(SamplingRecipe):
    generator: PluginChoice = PluginChoice(name=POCKET)
    """Who answers."""
    samples: int = Field(1, ge=0)
    """Samples per question and strategy (published: up to 10, the first correct one is kept). 0: nobody is asked, the
    pool is what `siked import` brings."""


class RolloutRecipe(SamplingRecipe):
    mode: Literal["free", "forced", "both"] = "free"
    """Whether the student writes the strategy's tag itself, is given it, or both."""
    problems: Literal["all", "fresh"] = "all"
    """Which training problems a round uses. "all" (published). "fresh": they are dealt to round 0 and the rounds in
    equal parts, so that a student is sampled on problems that it was not trained on."""
    problems_per_round: int | None = Field(None, ge=1)
    """Only with fresh problems: the size of each part, whatever the number of rounds, so that more rounds or more
    problems leave the parts as they are that were dealt before. Of too few problems all parts are smaller alike. None
    deals all problems, so another number of rounds deals anew."""
    warm_up_problems: int | None = Field(None, ge=1)
    """Only with problems_per_round: the size of round 0's part. None: the same."""

    @model_validator(mode="after")
    def _deals(self) -> RolloutRecipe:
        if self.problems_per_round is not None and self.problems == "all":
            raise ValueError("problems_per_round deals problems out: it needs problems=fresh")
        if self.warm_up_problems is not None and self.problems_per_round is None:
            raise ValueError("warm_up_problems is round 0's part: it needs problems_per_round, the others'")
        return self
