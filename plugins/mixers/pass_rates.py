"""How often a student is right on questions that are asked alike: estimated from a handful of samples each.

For each strategy a Bayesian linear regression of right and wrong on the words of the question. Its prior, that no word
matters, is as strong as predicts left-out questions best, so that where words tell nothing all questions have the
strategy's mean. Each estimate comes with its deviation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

WORDS, RARE, COMMON = 1000, 5, 0.95
"""Words that are told apart, at most; questions that one must be in; the share of them above which it tells nothing."""
SEEN, CHUNK = 20_000, 10_000
"""Questions that are learnt from, at most; that are estimated at once."""
STIFFNESS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Precisions of the prior that are tried."""
_WORD = re.compile(r"[^\W\d_]+|\d+")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The pass rate under one strategy, for each question."""

    mean: np.ndarray
    """(N,), not cut at 0 and 1."""
    deviation: np.ndarray
    """(N,)"""


def pass_rates(questions: Sequence[str], tried: Sequence[int], right: Sequence[float], seed: int) -> Estimate:
    """The pass rate on each question.

    Args:
        questions: all that an estimate is wanted for.
        tried: which of them the student was asked, each once.
        right: the share of right answers on those, between 0 and 1.
        seed: chooses what is learnt from, where there is more than that.
    """
    import numpy as np

    count = len(questions)
    if not len(tried):
        return Estimate(np.full(count, 0.5), np.full(count, 0.5))
    places, outcomes = np.asarray(tried), np.asarray(right, float)
    if len(places) > SEEN:
        some = np.random.default_rng(seed).choice(len(places), SEEN, replace=False)
        places, outcomes = places[some], outcomes[some]
    seen = [questions[place] for place in places]
    words = _vocabulary(seen)
    table = _table(seen, words)
    centre = outcomes.mean()
    values, vectors = np.linalg.eigh(table.T @ table)
    values, turned = np.maximum(values, 0.0), table @ vectors
    pull = turned.T @ (outcomes - centre)
    error, stiffness = min((_left_out(turned, outcomes - centre, values, pull, one), one) for one in STIFFNESS)
    means, deviations = [], []
    for start in range(0, count, CHUNK):
        asked = _table(questions[start : start + CHUNK], words) @ vectors
        means.append(centre + asked @ (pull / (values + stiffness)))
        spread = (asked**2 / (values + stiffness)).sum(axis=1) + 1 / len(outcomes)
        deviations.append(np.sqrt(error * spread))
    return Estimate(np.concatenate(means), np.concatenate(deviations))


def _left_out(
    turned: np.ndarray, outcomes: np.ndarray, values: np.ndarray, pull: np.ndarray, stiffness: float
) -> float:
    """The mean squared error on each question, of the regression on all others (in closed form)."""
    fitted = turned @ (pull / (values + stiffness))
    leverage = (turned**2 / (values + stiffness)).sum(axis=1) + 1 / len(outcomes)
    if leverage.max() >= 1 - 1e-9:  # a single question
        return 0.25
    return float((((outcomes - fitted) / (1 - leverage)) ** 2).mean())


def _vocabulary(questions: Sequence[str]) -> dict[str, int]:
    """The words that tell questions apart, the most frequent first."""
    counts = Counter(word for question in questions for word in _words(question))
    telling = [word for word, count in counts.items() if RARE <= count <= COMMON * len(questions)]
    chosen = sorted(telling, key=lambda word: (-counts[word], word))[:WORDS]
    return {word: place for place, word in enumerate(chosen)}


def _table(questions: Sequence[str], words: dict[str, int]) -> np.ndarray:
    """Which words each question has: (N, W), rows of length 1 or 0."""
    import numpy as np

    table = np.zeros((len(questions), max(1, len(words))))
    for row, question in enumerate(questions):
        table[row, [words[word] for word in _words(question) if word in words]] = 1.0
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1.0)
    return table


def _words(question: str) -> set[str]:
    """Its words; of a number, how many digits it has."""
    return {f"#{len(word)}" if word.isdigit() else word.casefold() for word in _WORD.findall(question)}
