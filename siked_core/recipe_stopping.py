"""The sections of a recipe about going on: when the rounds end, and what of them is worth a warning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from siked_core.section import Section


class StoppingRecipe(Section):
    rounds: int = Field(5, ge=0)
    """At most so many rounds after the warm-up (published: 3 to 5)."""
    rule: Literal["gain", "evidence"] = "gain"
    """What a round is held to: points of accuracy (published, more or less), or evidence, by a paired test on the
    validation questions, that it is better than the best round before it. By the latter, a round that is worse is
    rolled back: the next one goes on from the best student."""
    min_gain: float = 0.5
    """Only with rule=gain: stop when validation accuracy has not risen by so many points ..."""
    level: float = Field(0.05, gt=0, le=1)
    """Only with rule=evidence: stop when the p-value of being better has not been this or less ..."""
    patience: int = Field(1, ge=1)
    """... for so many rounds."""


class AlarmsRecipe(Section):
    fall: float = Field(0.3, gt=0, le=1)
    """Warn when a measure of diversity, or coverage, falls by more than this share of itself from one round to the
    next."""
    least: int = Field(100, ge=1)
    """No measure of fewer validation questions, or problems of a round, raises an alarm: it moves by chance."""
    entropy_floor: float = Field(0.1, ge=0, le=1)
    """Warn when the entropy of the student's choices is below this share of the most that so many strategies can
    have."""
    paths_floor: float = Field(1.0, ge=0)
    """Warn when the student has fewer distinct right rationales than this for each problem that it solves; there is 1
    at the least."""
    distinct_floor: float = Field(0.02, ge=0, le=1)
    """Warn when fewer than this share of the 3-grams of a strategy's rationales are distinct."""
    coverage_floor: float = Field(0.02, ge=0, le=1)
    """Warn when the student solves less than this share of a round's problems."""
