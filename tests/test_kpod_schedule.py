"""KPOD's schedule and steps: properties of the one, cases of the other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_plugins.objectives.kpod.clusters import k_means
from siked_plugins.objectives.kpod.difficulty import step_difficulties
from siked_plugins.objectives.kpod.schedule import Budget, lazy_greedy, progressive
from siked_plugins.objectives.kpod.steps import steps_of

DIFFICULTY = st.floats(0, 20, allow_nan=False)
RATIONALES = st.lists(
    st.tuples(st.lists(DIFFICULTY, min_size=1, max_size=6), st.integers(0, 4)), min_size=1, max_size=25
)


@given(RATIONALES, st.integers(1, 12), st.floats(0.05, 0.9), st.floats(0, 2), st.floats(0.1, 1), st.floats(0, 30))
@settings(max_examples=200, deadline=None)
def test_a_schedule_keeps_its_promises(
    rationales: list[tuple[list[float], int]], epochs: int, share: float, power: float, stages: float, beta: float
) -> None:
    difficulties = [steps for steps, _ in rationales]
    clusters = [cluster for _, cluster in rationales]
    settings = {"start_share": share, "power": power, "share_of_epochs": stages, "beta": beta}
    found = progressive(difficulties, clusters, epochs, **settings)
    assert found == progressive(difficulties, clusters, epochs, **settings)
    assert len(found.given) == len(found.budget) == len(found.difficulty) == epochs
    if epochs > 1:
        assert found.given[0] == tuple(len(steps) - 1 for steps in difficulties)
    assert found.given[-1] == (0,) * len(difficulties)
    for before, after in zip(found.given, found.given[1:], strict=False):
        assert all(now <= then for then, now in zip(before, after, strict=True))
    for epoch, given_now in enumerate(found.given):
        learnt = sum(sum(steps[first:]) for steps, first in zip(difficulties, given_now, strict=True))
        assert found.difficulty[epoch] == pytest.approx(learnt)
        whole = epoch >= min(math.ceil(stages * epochs), epochs - 1)
        # The start is what it is; from there, nothing is added that the budget does not allow.
        assert whole or learnt <= max(found.budget[epoch], found.difficulty[0]) + 1e-9


def test_the_budget_is_the_papers() -> None:
    budget = Budget(total=100.0, start=30.0, power=0.5, stages=5.0)
    assert budget.at(0) == 30
    assert budget.at(5) == budget.at(7) == 100
    rate = 70 * 1.5 / 5**1.5
    assert budget.at(2) == pytest.approx(rate * 2**1.5 / 1.5 + 30)


def plain_greedy(free: list[int], costs: list[float], clusters: list[int], room: float, beta: float) -> list[int]:
    """Every gain anew before every choice."""
    chosen: list[int] = []
    left = list(free)
    while True:
        fitting = [i for i in left if costs[i] <= room]
        if not fitting:
            return chosen
        counts = {k: sum(clusters[i] == k for i in chosen) for k in set(clusters)}
        gains = {i: costs[i] + beta / (math.sqrt(counts[clusters[i]] + 1) + math.sqrt(counts[clusters[i]]))
                 for i in fitting}  # fmt: skip
        best = min(fitting, key=lambda i: (-gains[i], i))
        chosen.append(best)
        left.remove(best)
        room -= costs[best]


@given(st.lists(st.tuples(DIFFICULTY, st.integers(0, 3)), max_size=20), st.floats(-5, 120), st.floats(0, 30))
@settings(max_examples=200, deadline=None)
def test_the_lazy_greedy_is_the_greedy(items: list[tuple[float, int]], room: float, beta: float) -> None:
    costs, clusters = [cost for cost, _ in items], [cluster for _, cluster in items]
    free = list(range(len(items)))
    found = lazy_greedy(free, costs, clusters, room, beta)
    assert found == plain_greedy(free, costs, clusters, room, beta)


def test_diversity_spreads_over_clusters() -> None:
    costs, clusters = [2.0, 2.0, 2.0, 1.0], [0, 0, 0, 1]
    assert lazy_greedy([0, 1, 2, 3], costs, clusters, 3.0, beta=0.0) == [0, 3]
    assert lazy_greedy([0, 1, 2, 3], costs, clusters, 4.0, beta=0.0) == [0, 1]
    assert lazy_greedy([0, 1, 2, 3], costs, clusters, 4.0, beta=12.0) == [0, 3]


def test_a_steps_difficulty_is_weighed_within_the_step() -> None:
    weights, logprobs = [0.0, 1.0, 0.5], [-1.0, -3.0, -0.25]
    share = [1 / (1 + math.e), math.e / (1 + math.e)]
    assert step_difficulties(logprobs, weights, [0, 0, 1]) == pytest.approx([share[0] + 3 * share[1], 0.25])


STEPS = {
    "decimals are no stops": ["It is 3.5 times 2.\n", "That is 7.0.\n", "The answer is 7."],
    "sentences of a line": ["He has 2. ", "She has 3.5 more. ", "Mr. Lee has 1.\n", "The answer is 5."],
    "no answer stated": ["2 + 3 = 5", ""],
    "sub-questions": ["Q: How many?\nA: 5.\n", "Q: And now?\nA: 6.\n", "The answer is 6."],
    "nothing but an answer": ["The answer is 5.", ""],
    "blank lines": ["One.\n\n", "Two.\n", "#### 4"],
}
"""The steps of a text, and the answer that it states."""


@pytest.mark.parametrize("case", STEPS)
def test_steps_in_words(case: str) -> None:
    *wanted, answer = STEPS[case]
    text = "".join(STEPS[case])
    split = steps_of(text, sentences=True)
    starts = [0, *split.ends[:-1]]
    assert [text[begin:end] for begin, end in zip(starts, split.ends, strict=True)] == wanted
    assert text[split.answer :] == answer


def test_steps_of_a_program_are_lines_with_their_comments() -> None:
    text = "a = 2.5\n# twice. As said\nb = a * 2\nanswer = b"
    split = steps_of(text, sentences=False)
    assert [text[:end] for end in split.ends] == ["a = 2.5\n", "a = 2.5\n# twice. As said\nb = a * 2\n", text]
    assert split.answer == len(text)


@given(st.text(alphabet="ab1. \n#QA:%", max_size=60))
@settings(deadline=None)
def test_steps_cover_a_text(text: str) -> None:
    for sentences in (True, False):
        split = steps_of(text, sentences)
        assert list(split.ends) == sorted(set(split.ends))
        assert split.ends[-1] == split.answer <= len(text)


def test_clusters_are_those_that_are_there() -> None:
    import torch

    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = torch.cat([corner + 0.1 * torch.randn(9, 2, generator=torch.manual_seed(3)) for corner in corners])
    found = k_means(points, 3, seed=5)
    assert found == k_means(points, 3, seed=5)
    groups = [set(found[first : first + 9]) for first in (0, 9, 18)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups)) == 3
    assert set(k_means(torch.zeros(4, 2), 3, seed=0)) == {0}
