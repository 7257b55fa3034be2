"""Training problems that are too near a test problem: the same text, the same words, or largely the same n-grams.

The n-gram rule is in the manner of Tülu 3 (Lambert et al. 2024, arXiv 2411.15124), which takes a test problem for seen
where a training text covers much of it with n-grams of 8 words. It departs from it in counting n-grams rather than
the words that they cover, and in comparing whole what is shorter than an n-gram.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from siked_core.records import Problem

Rule = Literal["none", "exact", "normalised", "ngram"]
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Match:
    """A training problem and the test problem that it is too near."""

    problem: Problem
    dataset: str
    """The test problem's data set."""
    test: Problem
    how: Literal["exact", "normalised", "ngram"]
    overlap: float
    """The share of the test problem's n-grams that the training problem holds; 1 where the texts are the same."""


def words(text: str) -> tuple[str, ...]:
    """The words and numbers of a text, without case, punctuation and thousands separators; of one form in Unicode."""
    found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return tuple(word.replace(",", "") for word in found)


def too_near(
    train: Sequence[Problem], tests: Mapping[str, Sequence[Problem]], rule: Rule, ngram: int, overlap: float
) -> list[Match]:
    """The training problems that a test problem is too near, each with the nearest.

    Args:
        tests: data set to its test problems.
        rule: "exact": the same text, white space at its ends aside. "normalised": the same words and numbers in the
            same order. "ngram": that, or enough of the same n-grams. Each includes those before it. "none": nothing.
        ngram: words in an n-gram.
        overlap: the share of a test problem's n-grams, above 0 and up to 1, from which a training problem is too near.
    """
    if rule == "none":
        return []
    held_out = [(dataset, problem) for dataset, problems in tests.items() for problem in problems]
    exact = {problem.question.strip(): place for place, (_, problem) in enumerate(held_out)}
    split = [words(problem.question) for _, problem in held_out] if rule != "exact" else []
    same = {one: place for place, one in enumerate(split) if one}
    near = _Nearest(split, ngram) if rule == "ngram" else None
    matches = []
    for problem in train:
        place = exact.get(problem.question.strip())
        if place is not None:
            matches.append(Match(problem, *held_out[place], "exact", 1.0))
            continue
        if rule == "exact":
            continue
        mine = words(problem.question)
        place = same.get(mine)
        if place is not None:
            matches.append(Match(problem, *held_out[place], "normalised", 1.0))
        elif near is not None:
            share, place = near.find(mine)
            if share >= overlap:
                matches.append(Match(problem, *held_out[place], "ngram", share))
    return matches


class _Nearest:
    """An index of n-grams: which test problems hold one."""

    def __init__(self, texts: Sequence[tuple[str, ...]], ngram: int) -> None:
        self._holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._sizes: list[int] = []
        self._shorter: set[int] = set()
        self._ngram = ngram
        for place, text in enumerate(texts):
            grams = set(_ngrams(text, ngram))
            self._sizes.append(len(grams))
            if 0 < len(text) < ngram:
                self._shorter.add(len(text))
            for gram in grams:
                self._holders[gram].append(place)

    def find(self, text: tuple[str, ...]) -> tuple[float, int]:
        """The largest share of a test problem's n-grams that a text holds, and which problem that is."""
        mine = set(_ngrams(text, self._ngram))
        for length in self._shorter:  # a test problem that is shorter than an n-gram may stand within the text
            mine.update(_ngrams(text, length))
        held = Counter(place for gram in mine for place in self._holders.get(gram, ()))
        return max(((count / self._sizes[place], place) for place, count in held.items()), default=(0.0, -1))


def _ngrams(text: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    length = min(length, len(text))
    if length:
        yield from (text[start : start + length] for start in range(len(text) - length + 1))
