"""The paired difference: against simulation, against exact values, and its symmetries."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core.paired import Paired, PairedSeeds

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


@given(st.integers(0, 7), st.integers(0, 7))
def test_the_p_value_is_that_of_every_way_to_deal_what_differs(only_a: int, only_b: int) -> None:
    apart = only_a + only_b
    ways = list(itertools.product((0, 1), repeat=apart))
    as_far = sum(abs(2 * sum(way) - apart) >= abs(only_b - only_a) for way in ways)
    assert Paired(4, only_a, only_b, 2).p_value == pytest.approx(as_far / len(ways))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_counts_of_pairs(pairs: list[tuple[bool, bool]]) -> None:
    paired = Paired.of([a for a, _ in pairs], [b for _, b in pairs])
    assert paired.total == len(pairs)
    assert paired.both + paired.only_a == sum(a for a, _ in pairs)
    assert paired.both + paired.only_b == sum(b for _, b in pairs)
    assert Paired.from_dict(paired.as_dict()) == paired


@given(COUNT, COUNT, COUNT, COUNT)
def test_the_bootstrap_is_the_same_for_the_same_seed(both: int, only_a: int, only_b: int, neither: int) -> None:
    paired = Paired(both, only_a, only_b, neither)
    low, high = paired.bootstrap(3)
    assert paired.bootstrap(3) == (low, high)
    assert -1 <= low <= high <= 1
    if paired.total > 50:  # both intervals are of the same thing
        assert (low, high) == pytest.approx(paired.interval, abs=0.06)


def test_the_bootstrap_draws_problems() -> None:
    """Of 400 pairs, 40 and 80 are apart: the standard error of the difference is sqrt(0.3 - 0.01) / 20."""
    low, high = Paired(200, 40, 80, 80).bootstrap()
    assert (low, high) == pytest.approx((0.1 - 1.96 * 0.02693, 0.1 + 1.96 * 0.02693), abs=0.005)
    assert Paired(9, 0, 0, 9).bootstrap() == (0.0, 0.0)


def test_seeds_are_drawn_too() -> None:
    right = [place % 2 == 0 for place in range(200)]
    same = PairedSeeds((tuple(right),), (tuple(right),))
    assert (same.difference, same.bootstrap()) == (0.0, (0.0, 0.0))
    worse, better = (tuple(place < count for place in range(200)) for count in (80, 120))
    apart = PairedSeeds((worse, better), (worse, better))
    low, high = apart.bootstrap(1)
    assert apart.bootstrap(1) == (low, high)
    assert apart.difference == pytest.approx(0.0)
    # Either side's mean is 0.4, 0.5 or 0.6, so that the seeds alone make differences up to 0.2, one time in eight.
    assert low == pytest.approx(-0.2, abs=0.08)
    assert high == pytest.approx(0.2, abs=0.08)
    told = PairedSeeds((worse,), (better, better)).as_dict()
    assert told["accuracies"] == {"a": [0.4], "b": [0.6, 0.6]}
    assert told["difference"] == pytest.approx(0.2)
    assert told["bootstrap_low"] == pytest.approx(0.2 - 1.96 * 0.4 / 200**0.5, abs=0.01)
