"""The policy `utility`: what it learns of a student from questions that are asked alike, and what it then chooses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import MixContext
from siked_plugins.mixers.pass_rates import pass_rates
from siked_plugins.mixers.utility import Utility

STRATEGIES = ("cot", "pot")
KINDS = {"gap": "How many more {n} figs has the richer one?", "bill": "What do {n} apples cost in all?"}
RATES = {("gap", "cot"): 0.8, ("gap", "pot"): 0.3, ("bill", "cot"): 0.1, ("bill", "pot"): 0.9}


def world(seed: int, count: int = 60) -> tuple[pl.DataFrame, MixContext]:
    """Two kinds of questions, each strategy tried once; the teacher knows all. Candidates, and the context."""
    random = np.random.default_rng(seed)
    attempts, questions = [], []
    for number in range(count):
        kind = ("gap", "bill")[number % 2]
        questions.append((f"{kind}-{number}", KINDS[kind].format(n=random.integers(1, 99))))
        for source in ("teacher", "student"):
            for strategy in STRATEGIES:
                right = source == "teacher" or random.random() < RATES[kind, strategy]
                attempts.append(
                    {
                        "key": f"{source}-{strategy}-{number}",
                        "problem_id": f"{kind}-{number}",
                        "strategy": strategy,
                        "source": source,
                        "round": int(source == "student"),
                        "status": "correct" if right else "wrong",
                    }
                )
    table = pl.DataFrame(attempts)
    asked = pl.DataFrame(questions, schema=["problem_id", "question"], orient="row")
    context = MixContext(1, STRATEGIES, table, seed, questions=lambda: asked)
    return table.filter(pl.col("status") == "correct"), context


def shares(chosen: pl.DataFrame, kind: str) -> dict[str, float]:
    mine = chosen.filter(pl.col("problem_id").str.starts_with(kind))
    return {name: mine.filter(pl.col("strategy") == name).height / mine.height for name in STRATEGIES}


def test_a_kind_of_question_goes_to_the_strategy_that_suits_the_student() -> None:
    candidates, context = world(1)
    chosen = Utility({"floor": 0}).mix(candidates, context)
    assert shares(chosen, "gap") == {"cot": 1.0, "pot": 0.0}
    assert shares(chosen, "bill") == {"cot": 0.0, "pot": 1.0}
    assert chosen.height == 60, "one row a problem"
    own = chosen.filter(pl.col("source") == "student")
    right = candidates.filter(pl.col("source") == "student")
    assert own.height == right.join(chosen, on=["problem_id", "strategy"], how="semi").height, (
        "its own where it has one"
    )
    assert 0 < own.height < 60, "the teacher's where it has none"


def test_a_lucky_answer_does_not_change_the_choice() -> None:
    """A problem that only the worse strategy solved is trained on under the better one, by the teacher's row."""
    candidates, context = world(1)
    student = candidates.filter(pl.col("source") == "student")
    lucky = student.filter(pl.col("problem_id").str.starts_with("bill") & (pl.col("strategy") == "cot"))
    lucky = lucky.join(student.filter(pl.col("strategy") == "pot"), on="problem_id", how="anti")
    chosen = Utility({"floor": 0}).mix(candidates, context).join(lucky, on="problem_id", how="semi")
    assert chosen.select("strategy", "source").unique().rows() in ([], [("pot", "teacher")])


def test_a_margin_lets_strategies_stay_that_are_not_credibly_worse() -> None:
    candidates, context = world(1, count=12)
    narrow, wide = (Utility({"margin": margin, "floor": 0}).mix(candidates, context) for margin in (0.0, 50.0))
    assert narrow.height == 12
    assert wide.height == 24
    assert set(narrow["key"]) < set(wide["key"])


def test_a_floor_keeps_every_strategy() -> None:
    candidates, context = world(1)
    nothing = context.attempts.with_columns(  # the student fails at everything by words
        status=pl.when((pl.col("source") == "student") & (pl.col("strategy") == "cot"))
        .then(pl.lit("wrong"))
        .otherwise("status")
    )
    context = MixContext(1, STRATEGIES, nothing, 1, questions=context.questions)
    candidates = candidates.join(nothing.filter(pl.col("status") == "correct"), on="key", how="semi")
    without = Utility({"floor": 0}).mix(candidates, context)
    assert without["strategy"].unique().to_list() == ["pot"]
    kept = Utility({"floor": 0.1}).mix(candidates, context)
    assert kept.filter(pl.col("strategy") == "cot")["problem_id"].n_unique() == 6
    assert kept.filter(pl.col("strategy") == "cot")["source"].unique().to_list() == ["teacher"]


def test_difficulty_weighs_what_the_student_is_bad_at() -> None:
    candidates, context = world(1)
    chosen = Utility({"difficulty": 2.0}).mix(candidates, context)
    assert chosen["weight"].mean() == pytest.approx(1.0)
    mean = chosen.group_by(pl.col("problem_id").str.head(3)).agg(pl.col("weight").mean()).sort("problem_id")
    assert mean["weight"][0] < mean["weight"][1], "bills, at which it is better, weigh less than gaps"


def test_where_words_tell_nothing_everything_has_the_mean() -> None:
    random = np.random.default_rng(3)
    questions = [" ".join(random.choice(list("abcdefgh"), 4)) for _ in range(300)]
    right = (random.random(300) < 0.4).astype(float)
    found = pass_rates(questions, range(300), right, seed=0)
    assert found.mean == pytest.approx(np.full(300, right.mean()), abs=0.12)
    assert (found.deviation > 0).all()


def test_more_questions_leave_less_doubt() -> None:
    few, many = (
        pass_rates(questions, range(count), [float(n % 3 > 0) for n in range(count)], seed=0)
        for count in (20, 2000)
        for questions in [[KINDS["gap"].format(n=n) for n in range(count)]]
    )
    assert many.deviation.max() < few.deviation.min()


def test_a_strategy_that_was_never_tried_is_in_doubt() -> None:
    found = pass_rates(["a", "b"], [], [], seed=0)
    assert (found.mean.tolist(), found.deviation.tolist()) == ([0.5, 0.5], [0.5, 0.5])


def test_a_million_questions_are_learnt_from_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("siked_plugins.mixers.pass_rates.SEEN", 200)
    monkeypatch.setattr("siked_plugins.mixers.pass_rates.CHUNK", 150)
    kinds = ["gap", "bill"] * 500
    questions = [KINDS[kind].format(n=n) for n, kind in enumerate(kinds)]
    right = [float(kind == "gap") for kind in kinds]
    found = pass_rates(questions, range(1000), right, seed=0)
    assert found.mean == pytest.approx(np.array(right), abs=0.2)
    assert (found.mean == pass_rates(questions, range(1000), right, seed=0).mean).all()


@given(st.integers(0, 50), st.integers(1, 30), st.floats(0, 3), st.floats(0, 0.4), st.floats(0, 5))
def test_what_is_chosen_is_sound(seed: int, count: int, margin: float, floor: float, difficulty: float) -> None:
    candidates, context = world(seed, count)
    policy = Utility({"margin": margin, "floor": floor, "difficulty": difficulty})
    chosen = policy.mix(candidates, context)
    assert chosen["key"].is_unique().all()
    assert set(chosen["key"]) <= set(candidates["key"])
    assert set(chosen["problem_id"]) == set(candidates["problem_id"]), "no problem is lost"
    if "weight" in chosen.columns:
        assert (chosen["weight"].is_finite() & (chosen["weight"] >= 0)).all()
    both = chosen.group_by("problem_id", "strategy").agg(pl.col("source").n_unique())
    assert (both["source"] == 1).all(), "never the teacher's row beside the student's"
