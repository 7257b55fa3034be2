"""A quote is told from a pilot that the run takes over, and is held against what the run then took."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core.errors import CapReached
from siked_core.forecast import Resampled, at_most, each, exactly, total, unlike, up_to
from siked_core.loop import distill
from siked_core.quote import quote
from siked_core.quoted import against, step_of
from siked_core.recipe import Recipe, validate
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.spending import by_stage, keep_changes, spent
from siked_core.stopwatch import Stopwatch, Timing
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry
from siked_plugins.selectors.vote import Vote

PILOT = 4
PRICES = {"models": {"toy-teacher": {"input": 1000, "output": 5000}}}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def recipe_of(tiny: Path, **changes: object) -> Recipe:
    return validate(toy_recipe(tiny, **{"prices": PRICES, **changes}))


def open_run(folder: Path, recipe: Recipe) -> Run:
    run = start(recipe, toy_registry(), SilentReporter(), runs=folder)
    keep_changes(run)
    return run


@pytest.mark.slow
def test_the_pilot_is_part_of_the_run_and_not_paid_for_again(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny)
    calls = ToyTeacher.calls
    with open_run(tmp_path, recipe) as run:
        found = quote(run, PILOT)
        path = run.path
    assert ToyTeacher.calls - calls == 2 * PILOT
    assert (found["problems"], found["of"]) == (PILOT, 10)
    assert found["spent"]["samples"] == spent(path, recipe).samples
    with open_run(tmp_path, recipe) as run:
        assert run.path == path, "the same recipe continues what the quote began"
        report = distill(run)
    assert ToyTeacher.calls - calls == 2 * 10, "each of the teacher's samples was drawn once"
    stages = by_stage(path, recipe)
    assert stages["teach"].samples == 20
    assert stages["quote: rollout round-1"].samples == 2 * PILOT, "the pilot's student is counted"
    assert report.spending["quoted"] == against(path, recipe)


def test_what_does_not_vary_is_quoted_as_it_is(tmp_path: Path, tiny: Path) -> None:
    """The toys take 3 tokens in and 4 or 6 out for every sample, so a quote has no excuse."""
    recipe = recipe_of(tiny)
    with open_run(tmp_path, recipe) as run:
        found = quote(run, PILOT)
        distill(run)
        lines = against(run.path, recipe)
    steps = {(step["round"], step["step"]): step for step in found["steps"]}
    assert list(steps) == [
        (0, "teach"),
        (0, "train"),
        (0, "evaluate"),
        (1, "rollout"),
        (1, "train"),
        (1, "evaluate"),
        (None, "test"),
    ]
    assert steps[0, "teach"]["tokens_in"] == {"expected": 60, "low": 60, "high": 60}
    assert steps[0, "teach"]["tokens_out"]["expected"] == 80
    assert steps[0, "teach"]["cost"]["expected"] == pytest.approx((60 * 1000 + 80 * 5000) / 1e6)
    assert set(steps[0, "teach"]["yield"]) == {"loud", "quiet"}
    assert found["total"]["cost"]["expected"] == pytest.approx(steps[0, "teach"]["cost"]["expected"])
    told = {(line["round"], line["step"], line["quantity"]): line for line in lines}
    for quantity in ("tokens_in", "tokens_out", "cost"):
        line = told[0, "teach", quantity]
        assert line["inside"]
        assert line["actual"] == pytest.approx(line["expected"])
    test = told[None, "test", "tokens_out"]
    assert test["low"] <= test["actual"] <= test["expected"], "one student or two are tested"
    assert test["high"] == 8 * steps[None, "test"]["samples"]["high"], "no completion is longer than its limit"
    assert {line["quantity"] for line in lines} == {"tokens_in", "tokens_out", "cost", "seconds", "bytes"}
    training = steps[0, "train"]["seconds"]
    assert 0 < 2 * training["low"] < training["expected"] < training["high"] / 2, "another time may be a busier one"
    assert steps[0, "train"]["bytes"]["expected"] > 10_000


@pytest.mark.slow
def test_a_second_quote_draws_only_what_is_new_and_keeps_its_times(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, recipe_of(tiny)) as run:
        first = quote(run, PILOT)
        calls = ToyTeacher.calls
        again = quote(run, PILOT)
        assert ToyTeacher.calls == calls
        assert [step["seconds"] for step in again["steps"]] == [step["seconds"] for step in first["steps"]]
        whole = quote(run, 1000)
        assert ToyTeacher.calls - calls == 2 * (10 - PILOT)
        assert whole["problems"] == whole["of"] == 10
        teaching = whole["steps"][0]["samples"]
        assert teaching["low"] == teaching["high"] == 20, "nothing is left to be told"


def test_rounds_of_so_many_tokens_are_quoted_by_them(tmp_path: Path, tiny: Path) -> None:
    training = {"objective": "plain", "epochs": 1, "batch_size": 4, "accumulation": 1, "warm_up_steps": 0}
    seconds = []
    for budget in (1_000, 100_000):
        recipe = recipe_of(tiny, training={**training, "tokens_per_round": budget})
        with open_run(tmp_path / str(budget), recipe) as run:
            steps = {(step["round"], step["step"]): step for step in quote(run, PILOT)["steps"]}
        seconds.append(steps[1, "train"]["seconds"]["expected"])
    assert seconds[1] > 3 * seconds[0]


def test_baselines_and_rounds_are_quoted(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, recipe_of(tiny, baselines="equal_budget", stopping={"rounds": 2})) as run:
        steps = quote(run, PILOT)["steps"]
    names = [(step["round"], step["step"]) for step in steps]
    assert names[-2:] == [(None, "baselines"), (None, "test")]
    assert (2, "rollout") in names
    assert steps[-1]["samples"]["expected"] == 5 * 6 * 3, "two rounds' students and three baselines, three ways to ask"


def test_a_vote_over_samples_is_quoted_with_its_samples(tmp_path: Path, tiny: Path) -> None:
    vote = {"name": "vote", "options": {"samples": 3}}
    recipe = recipe_of(tiny, evaluation={"max_tokens": 8, "forced": False, "selector": vote}, stopping={"rounds": 0})
    with start(recipe, toy_registry(Vote), SilentReporter(), runs=tmp_path, name="run") as run:
        found = quote(run, PILOT)
        distill(run)
        told = {(line["step"], line["quantity"]): line for line in against(run.path, recipe)}
    steps = {step["step"]: step for step in found["steps"]}
    each = 1 + 2 * 3  # the student's own choice, and three votes of each strategy
    assert steps["evaluate"]["samples"]["expected"] == 2 * each
    assert steps["test"]["samples"]["expected"] == 6 * each
    assert told["test", "tokens_in"]["actual"] == told["test", "tokens_in"]["expected"] == 3 * 6 * each


def test_a_pilot_keeps_to_the_caps_of_its_run(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, recipe_of(tiny, caps={"tokens": 20})) as run, pytest.raises(CapReached):
        quote(run, PILOT)


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        ("teach", (0, "teach")),
        ("verify teacher", (0, "teach")),
        ("mix round-0", (0, "train")),
        ("train round-2", (2, "train")),
        ("rollout round-12", (12, "rollout")),
        ("verify round-1", (1, "rollout")),
        ("evaluate round-1 on gsm8k validation", (1, "evaluate")),
        ("verify evaluations/round-1/gsm8k-validation", (1, "evaluate")),
        ("evaluate round-1 on svamp test", (None, "test")),
        ("verify evaluations/only-cot/gsm8k-test", (None, "test")),
        ("train only-cot", (None, "baselines")),
        ("train combined", (None, "baselines")),
        ("quote: teach", None),
    ],
)
def test_stages_belong_to_steps(stage: str, step: object) -> None:
    assert step_of(stage) == step


# Forecasts


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.integers(0, 500))
def test_a_forecast_holds_its_expectation_and_what_is_known(values: list[float], others: int) -> None:
    found = Resampled(len(values), others).over_all(values)
    mean = sum(values) / len(values)
    assert found.expected == pytest.approx(sum(values) + others * mean, abs=1e-3)
    assert found.low <= found.high
    assert found.low >= sum(values) * (1 - 1e-9), "what was seen is known, and nothing is less than 0"
    if not others:
        assert found.low == found.high


def test_the_interval_holds_what_it_promises() -> None:
    """Of many populations with a skewed quantity, the total lies in the interval nearly as often as it says."""
    rng = np.random.default_rng(7)
    inside = 0
    for trial in range(200):
        values = rng.lognormal(4, 0.5, size=400)
        found = Resampled(20, 380, seed=trial).over_all(list(values[:20]))
        inside += found.low <= values.sum() <= found.high
    assert 0.90 <= inside / 200 <= 0.99


def test_a_factor_is_as_wide_as_it_was_measured() -> None:
    """Student's t with 6 degrees of freedom: its 97.5 % quantile is 2.447."""
    found = unlike(0.5)
    assert found.expected == 1
    assert found.high == pytest.approx(np.exp(0.5 * 2.447), rel=0.15)
    assert found.low == pytest.approx(np.exp(-0.5 * 2.447), rel=0.15)
    assert unlike(0.0).as_dict() == {"expected": 1, "low": 1, "high": 1}
    held = at_most(exactly(10) * found, exactly(12))
    assert (held.expected, held.high) == (10, 12)
    assert held.low == pytest.approx(10 * found.low)


def test_sums_products_and_choices() -> None:
    one, two = exactly(2), exactly(3)
    assert total([one, two]).as_dict() == {"expected": 5, "low": 5, "high": 5}
    assert (one * two).expected == 6
    assert up_to(one, two).as_dict() == {"expected": 3, "low": 2, "high": 3}
    assert total([]).expected == 0


def test_the_pace_of_laps() -> None:
    assert each([(2.0, 4), (1.0, 2)]).as_dict() == pytest.approx({"expected": 0.5, "low": 0.5, "high": 0.5})
    found = each([(1.0, 1), (3.0, 1)] * 10)
    assert found.low < found.expected == 2 < found.high
    assert each([]).expected == 0


def test_a_stopwatch_tells_getting_ready_from_working() -> None:
    now = [0.0]
    watch = Stopwatch(SilentReporter(), lambda: now[0])
    with watch.stage("teach", 30, "samples") as progress:
        now[0] += 5  # loads
        progress.advance(10)
        for _ in range(2):
            now[0] += 2
            progress.advance(10)
        now[0] += 1  # writes
    timing = watch.timings["teach"]
    assert (timing.fixed_s, timing.units, list(timing.laps)) == (6, 20, [(2, 10), (2, 10)])
    assert each(timing.work).expected == 0.2
    alone = Timing(ready_s=8, first=4)
    assert (alone.fixed_s, each(alone.work).expected) == (0, 2), "all in one report: the stage is shared among them"
    assert json.dumps(Timing(1.0, 2, [(3.0, 4)]).laps) == "[[3.0, 4]]"
