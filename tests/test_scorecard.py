"""Scores and their intervals, and reports that survive JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from siked_core.scorecard import (
    MixtureSummary,
    PoolSummary,
    RoundReport,
    RunReport,
    Score,
    Scorecard,
    StrategyScore,
)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17, 857-872), table I, method 3: the Wilson score interval.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(correct: int, total: int, low: float, high: float) -> None:
    assert Score(correct, total).interval == pytest.approx((low, high), abs=5e-5)


def test_nothing_judged_is_nothing_known() -> None:
    assert (Score(0, 0).accuracy, Score(0, 0).interval) == (0.0, (0.0, 1.0))


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_the_interval_holds_the_accuracy_and_narrows_with_more(total: int, share: float) -> None:
    correct = round(total * share)
    score, more = Score(correct, total), Score(100 * correct, 100 * total)
    low, high = score.interval
    assert 0 <= low <= score.accuracy <= high <= 1
    assert more.interval[1] - more.interval[0] < high - low


@given(st.integers(1, 10**4), st.integers(0, 10**4))
def test_the_interval_is_symmetric_in_right_and_wrong(total: int, correct: int) -> None:
    assume(correct <= total)
    low, high = Score(correct, total).interval
    assert Score(total - correct, total).interval == pytest.approx((1 - high, 1 - low))


COUNTS = st.integers(0, 50)
SCORES = st.builds(lambda right, wrong: Score(right, right + wrong), COUNTS, COUNTS)
FAMILIES = st.dictionaries(st.text(max_size=4), SCORES, max_size=3)
CARDS = st.builds(
    Scorecard,
    student=st.text(max_size=5),
    dataset=st.text(max_size=5),
    split=st.sampled_from(["validation", "test"]),
    score=SCORES,
    strategies=st.lists(
        st.builds(StrategyScore, st.text(max_size=4), SCORES, st.floats(0, 1), st.none() | SCORES, FAMILIES, FAMILIES),
        max_size=3,
    ).map(tuple),
    families=FAMILIES,
    untagged=COUNTS,
    statuses=st.dictionaries(st.text(max_size=4), COUNTS, max_size=3),
)


@given(CARDS)
def test_a_scorecard_comes_back_from_json(card: Scorecard) -> None:
    assert Scorecard.from_dict(json.loads(json.dumps(card.as_dict()))) == card


@given(CARDS)
def test_a_report_is_json_as_it_is(card: Scorecard) -> None:
    pool = PoolSummary(4, 3, {"correct": 3}, {"cot": {"samples": 4, "correct": 3}}, 10, 20, 2, 3)
    mixture = MixtureSummary(3, {"cot": 3}, {"teacher": 1, "student": 2}, 1 / 3)
    one = RoundReport(0, "round-0", pool, mixture, 99, card, {"train": 1.5})
    report = RunReport("runs/1", (one,), 0, "it was enough", (card,), "runs/1/student", {"gsm8k test": 2})
    content = report.as_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["rounds"][0]["mixture"]["by_source"] == {"teacher": 1, "student": 2}
    assert content["test"][0]["score"]["total"] == card.score.total
