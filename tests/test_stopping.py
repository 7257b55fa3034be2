"""When rounds end, and where the next one starts: by points, and by evidence; by hand, by properties, and in a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core.errors import RunError
from siked_core.loop import distill
from siked_core.models import read_side_file
from siked_core.paired import Gain, Paired
from siked_core.recipe import validate
from siked_core.recipe_stopping import StoppingRecipe
from siked_core.reporting import SilentReporter
from siked_core.results import Result, results_file, results_of, write_results
from siked_core.run import Run, start
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import mix
from siked_core.stages.rollout import rollout
from siked_core.stages.train import train
from siked_core.stopping import base_after, base_of, best, gains, rounds_before, stop_reason
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry


def of(*right: int, total: int = 1000) -> list[list[bool]]:
    """Rounds that answer so many of so many questions rightly: the first ones."""
    return [[place < count for place in range(total)] for count in right]


@pytest.mark.parametrize(
    ("right", "patience", "stops"),
    [
        ([200, 300], 1, False),
        ([200, 204], 1, True),
        ([200, 205], 1, False),
        ([200, 300, 300], 1, True),
        ([200, 300, 250], 2, False),
        ([200, 300, 250, 301], 2, True),
        ([200, 300, 250, 350], 2, False),
        ([200], 1, False),
    ],
)
def test_by_gain_a_round_pays_by_its_points(right: list[int], patience: int, stops: bool) -> None:
    assert bool(stop_reason(of(*right), StoppingRecipe(min_gain=0.5, patience=patience))) == stops
    assert base_after(of(*right), StoppingRecipe()) == len(right) - 1, "nothing is rolled back"


@pytest.mark.parametrize(
    ("right", "patience", "stops", "base"),
    [
        # Of questions that only one answers rightly, all are the better one's: p is 2 / 2**n, so 6 are evidence.
        ([200, 206], 1, False, 1),
        ([200, 205], 1, True, 1),
        ([200, 205], 2, False, 1),
        ([200, 205, 203], 2, True, 2),
        ([200, 194], 2, False, 0),
        ([200, 210, 204], 2, False, 1),
        ([200, 210, 205], 2, False, 2),
        ([200, 194, 206], 2, False, 2),
    ],
)
def test_by_evidence_a_round_pays_by_its_p_value(right: list[int], patience: int, stops: bool, base: int) -> None:
    rule = StoppingRecipe(rule="evidence", patience=patience)
    assert bool(stop_reason(of(*right), rule)) == stops
    assert base_after(of(*right), rule) == base


def test_the_level_is_the_recipes() -> None:
    assert Gain(0, Paired(10, 0, 5, 0)).verdict(2 / 32) == "better"
    assert Gain(0, Paired(10, 5, 0, 0)).verdict(2 / 32) == "worse"
    assert Gain(0, Paired(10, 0, 5, 0)).verdict(0.05) == "undecided"
    reason = stop_reason(of(200, 205), StoppingRecipe(rule="evidence"))
    assert reason is not None
    assert "p above 0.05 on 1,000 validation questions" in reason


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=5), st.integers(1, 3))
def test_every_gain_is_to_the_best_before(rounds: list[list[bool]], patience: int) -> None:
    found = gains(rounds)
    assert len(found) == len(rounds) - 1
    for number, gain in enumerate(found, start=1):
        before = [sum(one) for one in rounds[:number]]
        assert before[gain.against] == max(before)
        assert gain.against == before.index(max(before))
        assert gain.paired.difference == pytest.approx((sum(rounds[number]) - max(before)) / 7)
    assert sum(rounds[best(rounds)]) == max(map(sum, rounds))
    for rule in ("gain", "evidence"):
        recipe = StoppingRecipe(rule=rule, patience=patience)
        if len(rounds) <= patience:
            assert stop_reason(rounds, recipe) is None, "patience has not run out yet"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def begun(folder: Path, tiny: Path) -> Run:
    stopping = {"rounds": 1, "rule": "evidence", "patience": 3}
    recipe = toy_recipe(tiny, stopping=stopping, dataset={"name": "sums", "options": {"train": 40}})
    return start(
        validate({**recipe, "data": {"validation": 8}}), toy_registry(), SilentReporter(), runs=folder, name="run"
    )


def pretend(run: Run, student: str, right: int) -> None:
    """Write results as an evaluation would have, with so many right answers."""
    path = results_file(run, student, "sums", "validation")
    if not path.exists():
        evaluate(run, student, "sums", "validation")
    ids = [one.problem_id for one in results_of(run, student, "sums", "validation")]
    write_results(path, [Result(one, place < right, "loud", "", "", True) for place, one in enumerate(ids)])


@pytest.mark.slow
def test_a_worse_round_is_rolled_back_and_the_next_goes_on_from_the_best(tmp_path: Path, tiny: Path) -> None:
    with begun(tmp_path, tiny) as run:
        found = distill(run)
        assert found.rounds[1].base == 0
        assert found.rounds[1].gain is not None
        assert found.rounds[1].gain.paired.total == 8
        pretend(run, "round-0", 8)
        keys = set()
        for right, base in ((7, 1), (0, 0)):  # undecided, then worse
            pretend(run, "round-1", right)
            assert base_of(run, 2) == base
            assert rounds_before(run, 2) == ([1, 0] if base else [0])
            rollout(run, 2)
            mix(run, 2)
            side = read_side_file(train(run, 2))
            drawn = run.pool("round-2").read().height
            assert drawn == (64 if base else 128), "another student's samples are others"
            keys.add(side["training_key"])
        assert len(keys) == 2, "and so is the student"
        results_file(run, "round-1", "sums", "validation").unlink()
        with pytest.raises(RunError, match="has not been scored on sums validation: siked evaluate"):
            base_of(run, 2)
        assert base_of(run, 1) == 0, "round 1 has nothing to choose from"
