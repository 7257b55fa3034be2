"""The paired difference: against simulation, against exact values, and its symmetries."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core.paired import Paired

COUNT = st.integers(0, 400)


@pytest.mark.parametrize(("n", "a", "b", "shared"), [(50, 0.3, 0.3, 0.2), (300, 0.5, 0.6, 0.45), (40, 0.3, 0.4, 0.2)])
def test_the_interval_holds_the_true_difference_nineteen_times_in_twenty(
    n: int, a: float, b: float, shared: float
) -> None:
    """Pairs are drawn with P(A right) = a, P(B right) = b, P(both) = shared."""
    drawn = random.Random(7)
    weights = [shared, a - shared, b - shared, 1 - a - b + shared]
    held = 0
    for _ in range(2000):
        outcomes = drawn.choices(range(4), weights, k=n)
        low, high = Paired(*(outcomes.count(kind) for kind in range(4))).interval
        held += low <= b - a <= high
    assert 0.93 <= held / 2000 <= 0.99


@pytest.mark.parametrize(
    ("only_a", "only_b", "expected"),
    [(0, 0, 1.0), (1, 0, 1.0), (0, 5, 2 / 32), (3, 1, 2 * 5 / 16), (2, 2, 1.0), (0, 20, 2 / 2**20)],
)
def test_the_p_value_is_the_exact_one(only_a: int, only_b: int, expected: float) -> None:
    assert Paired(10, only_a, only_b, 3).p_value == pytest.approx(expected)


def test_many_pairs_do_not_overflow() -> None:
    assert 0 < Paired(0, 1000, 1100, 0).p_value < 0.05


@given(COUNT, COUNT, COUNT, COUNT)
def test_swapping_the_students_turns_the_sign(both: int, only_a: int, only_b: int, neither: int) -> None:
    paired, swapped = Paired(both, only_a, only_b, neither), Paired(both, only_b, only_a, neither)
    assert paired.difference == -swapped.difference
    assert paired.interval == pytest.approx(tuple(-end for end in swapped.interval[::-1]))
    assert paired.p_value == swapped.p_value
    low, high = paired.interval
    assert -1 <= low <= high <= 1
    assert 0 < paired.p_value <= 1
    if paired.total:
        accuracies = ((both + only_a) / paired.total, (both + only_b) / paired.total)
        assert paired.difference == pytest.approx(accuracies[1] - accuracies[0])
