"""Further samples go where they are needed, and what that gave is told beside what uniform sampling would have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import Completion, Request, Sampling
from siked_core.errors import RecipeError
from siked_core.recipe import validate
from siked_core.recipe_spending import TopUpRecipe
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.scorecard import Score
from siked_core.stages.mix import mix
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.top_up import compare, needs_more
from siked_core.stages.train import train
from siked_core.stages.verify import verdicts_of
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry

UNTIL = 4


class Slow(ToyTeacher):
    """Right about a problem from a certain draw on: the first, the second, ... or never."""

    name = "slow-teacher"

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, request in enumerate(requests):
            ToyTeacher.calls += 1
            left, right = (int(part) for part in request.problem.question.rstrip("?").split("+"))
            slip = int(request.draw < (left + right) % 6)
            end = getattr(request.strategy, "end", "!")
            yield place, Completion(f"sum={left + right + slip}{end}", "stop", 3, 4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def open_run(folder: Path, tiny: Path, name: str = "run", **teacher: object) -> Run:
    recipe = validate(toy_recipe(tiny, teacher={"generator": "slow-teacher", **teacher}))
    return start(recipe, toy_registry(Slow), SilentReporter(), runs=folder, name=name)


def test_only_what_is_not_solved_is_drawn_again_up_to_the_limit(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, top_up={"until": UNTIL}) as run:
        summary = teach(run)
        table = verdicts_of(run, "teacher")
    cells = table.group_by("problem_id", "requested").agg(
        pl.len().alias("draws"), (pl.col("status") == "correct").sum().alias("right")
    )
    for problem, _, draws, right in cells.iter_rows():
        first = sum(int(part) for part in problem.removeprefix("train-").split("-")) % 6 + 1
        assert (draws, right) == ((first, 1) if first <= UNTIL else (UNTIL, 0)), problem
    found = summary.top_up
    assert found is not None
    assert (found.cells, found.further) == (20, table.height - 20)
    assert (found.solved, found.tokens) == (cells["right"].sum(), 7 * table.height)
    assert summary.samples == table.height


def test_the_counterfactual_is_what_uniform_sampling_gives(tmp_path: Path, tiny: Path) -> None:
    """Measured side by side: the same draws, every one of them."""
    with open_run(tmp_path, tiny, top_up={"until": UNTIL}) as run:
        found = teach(run).top_up
    assert found is not None
    solved = []
    for samples in (1, 2, 3, UNTIL):
        with open_run(tmp_path, tiny, name=f"uniform-{samples}", samples=samples) as run:
            teach(run)
            right = verdicts_of(run, "teacher").filter(pl.col("status") == "correct")
            solved.append(right.select("problem_id", "requested").unique().height)
    assert found.solved == solved[-1], "it solves what uniform sampling with the most draws solves"
    whole = int(found.uniform_draws)
    low, high = solved[whole - 1], solved[whole]
    assert low <= found.uniform_solved <= high
    assert found.uniform_solved == pytest.approx(low + (found.uniform_draws - whole) * (high - low))
    assert found.uniform_tokens == found.tokens
    assert found.per_thousand > found.uniform_per_thousand


def test_topping_up_again_costs_nothing_and_an_interrupted_one_goes_on(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, top_up={"until": UNTIL}) as run:
        first = teach(run)
    calls = ToyTeacher.calls
    with open_run(tmp_path, tiny, top_up={"until": UNTIL}) as run:
        assert teach(run) == first
    assert ToyTeacher.calls == calls
    with open_run(tmp_path, tiny, name="other", top_up={"until": UNTIL}) as run:
        shards = sorted((tmp_path / "run" / "pools" / "teacher").glob("*.parquet"))
        folder = tmp_path / "other" / "pools" / "teacher"
        folder.mkdir(parents=True)
        for shard in shards[: len(shards) - 2]:  # as a kill would leave it
            (folder / shard.name).write_bytes(shard.read_bytes())
        assert teach(run) == first
    assert 0 < ToyTeacher.calls - calls < first.samples


def test_the_student_is_topped_up_by_problem_where_it_chooses(tmp_path: Path, tiny: Path) -> None:
    rule = {"mode": "free", "samples": 1, "max_tokens": 8, "top_up": {"until": 5}}
    recipe = validate(toy_recipe(tiny, rollout=rule))
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="run") as run:
        teach(run)
        mix(run, 0)
        train(run, 0)
        summary = rollout(run, 1)
        draws = (
            verdicts_of(run, "round-1")
            .group_by("problem_id")
            .agg(pl.len(), (pl.col("status") == "correct").any().alias("solved"))
        )
    assert summary.top_up is not None
    assert summary.top_up.cells == 10
    assert summary.top_up.further > 0
    assert all(count == 5 for _, count, solved in draws.iter_rows() if not solved)


def test_the_default_is_what_was_published(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny) as run:
        summary = teach(run)
    assert summary.top_up is None
    assert summary.samples == 20


@given(st.integers(0, 60), st.integers(1, 60), st.integers(2, 60), st.floats(0.05, 0.95))
def test_the_two_rules(correct: int, draws: int, until: int, width: float) -> None:
    correct = min(correct, draws)
    assert needs_more(correct, draws, TopUpRecipe(until=until)) == (correct == 0 and draws < until)
    low, high = Score(correct, draws).interval
    assert needs_more(correct, draws, TopUpRecipe(interval=width)) == (high - low > width)
    assert not needs_more(correct, until, TopUpRecipe(until=until, interval=width))


@given(
    st.lists(st.tuples(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(1, 50)), min_size=1, max_size=12)
)
def test_uniform_sampling_never_takes_more_tokens(cells: list[tuple[list[bool], int]]) -> None:
    found = compare([(right, [tokens] * len(right)) for right, tokens in cells], 0)
    assert found.solved == sum(any(right) for right, _ in cells)
    assert found.uniform_tokens <= found.tokens + 1
    assert 0 <= found.uniform_solved <= found.solved + 1e-9


@pytest.mark.parametrize(
    ("rule", "message"),
    [({}, "`until`"), ({"until": 1}, "until"), ({"interval": 1.5}, "interval"), ({"until": 3, "samples": 3}, "above")],
)
def test_rules_that_make_no_sense_are_refused(tiny: Path, rule: dict[str, object], message: str) -> None:
    samples = rule.pop("samples", 1)
    teacher = {"generator": "toy-teacher", "samples": samples, "top_up": rule}
    with pytest.raises(RecipeError, match=message):
        validate(toy_recipe(tiny, teacher=teacher))
    json.dumps(rule)
