"""Whether a student collapses from round to round: how varied its choices and rationales are, and what it solves.

- Entropy (bits) of the strategies that it names for the validation questions, left to choose, greedily.
- Paths: distinct right rationales, in their strategy's canonical form, for each problem that its samples solve.
- Distinct 3-grams of a strategy's rationales, as a share of all (distinct-n, Li et al. 2016, arXiv 1510.03055), numbers
  taken for one word, so that the questions' own numbers do not count. The share falls with the length of a text, so as
  many words are read of each strategy, and only shares of as many words are compared with each other.
- Coverage: the share of a round's problems that some sample of the student solves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from siked_core.recipe_stopping import AlarmsRecipe

NGRAM = 3
WORDS = 5_000
"""Words of a strategy's rationales that its 3-grams are counted in."""
_WORD = re.compile(r"[^\W\d_]+|\d[\d.,/]*|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Distinct:
    """The 3-grams of one strategy's rationales."""

    share: float
    """Of distinct ones."""
    words: int
    """That they were counted in: `WORDS`, or all that there are."""


@dataclass(frozen=True, slots=True)
class Diversity:
    """Of one round's student. Round 0's samples are the teacher's, so that only its entropy is known."""

    entropy: float | None = None
    """Bits; None where no strategy was named."""
    coverage: float | None = None
    paths: float | None = None
    distinct: Mapping[str, Distinct] = field(default_factory=dict)
    """By strategy."""
    questions: int = 0
    """Validation questions behind the entropy."""
    problems: int = 0
    """Of the round, behind coverage and paths."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def entropy(counts: Mapping[str, int]) -> float | None:
    """Of the shares that these counts are, in bits; None where there are none."""
    total = sum(counts.values())
    if not total:
        return None
    shares = [count / total for count in counts.values() if count]
    return -math.fsum(share * math.log2(share) for share in shares) + 0.0


def distinct_ngrams(texts: Iterable[str]) -> Distinct | None:
    """Of the first `WORDS` words of these texts; None where none is long enough."""
    left, total = WORDS, 0
    seen: set[tuple[str, ...]] = set()
    for text in texts:
        words = list(_words(text))[:left]
        left -= len(words)
        ngrams = list(zip(*(words[start:] for start in range(NGRAM)), strict=False))
        total += len(ngrams)
        seen.update(ngrams)
        if not left:
            break
    return Distinct(len(seen) / total, WORDS - left) if total else None


def alarms(before: Diversity, now: Diversity, strategies: int, recipe: AlarmsRecipe) -> list[str]:
    """What is worth a warning, in one line each.

    Args:
        before: of the round before.
        strategies: so many there are to choose among.
    """
    most = math.log2(strategies) if strategies > 1 else 0.0
    chosen = now.entropy if now.questions >= recipe.least else None
    paths, coverage = (now.paths, now.coverage) if now.problems >= recipe.least else (None, None)
    floors = [
        ("the entropy of its choices of strategy", before.entropy, chosen, recipe.entropy_floor * most, "bits"),
        ("distinct right rationales for each solved problem", before.paths, paths, recipe.paths_floor, ""),
        ("the share of problems that it solves", before.coverage, coverage, recipe.coverage_floor, ""),
    ]
    for name, one in now.distinct.items():
        earlier = before.distinct.get(name)
        comparable = earlier is not None and earlier.words == one.words == WORDS
        was = earlier.share if earlier is not None and comparable else None
        floors.append((f"the share of distinct 3-grams in its {name} rationales", was, one.share,
                       recipe.distinct_floor if one.words == WORDS else 0.0, ""))  # fmt: skip
    return [told for floor in floors if (told := _alarm(*floor, fall=recipe.fall))]


def _alarm(what: str, before: float | None, now: float | None, floor: float, unit: str, fall: float) -> str:
    if now is None:
        return ""
    shown = f"{now:.3g} {unit}".rstrip()
    if now < floor - 1e-9:
        return f"{what} is {shown}, below the floor of {floor:.3g}"
    if before and now < before * (1 - fall) - 1e-9:
        return f"{what} fell from {before:.3g} to {shown}, by more than {100 * fall:g} %"
    return ""


def _words(text: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        yield "0" if word[0].isdigit() else word.casefold()
