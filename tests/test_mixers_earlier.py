"""A policy that asks for earlier rounds' samples, in a run: what it is offered, what is stored, what `why` says."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from siked_core import MixContext, MixingPolicy, PluginChoice
from siked_core.ledger import ledger
from siked_core.lineage import lineage
from siked_core.mixing import open_policy
from siked_core.pool import read_parquet
from siked_core.recipe import validate
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.stages.mix import choose_by, judged, mix, offered
from siked_core.stages.prepare import dealt
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.stages.verify import verdicts_of
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_plugins.mixers.rft import Rft


class Everything(MixingPolicy):
    """All that it is offered, earlier rounds' samples too."""

    name = "everything"

    @property
    def earlier_rounds(self) -> bool:
        return True

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return candidates


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Two rounds, each on problems of its own."""
    folder = tmp_path_factory.mktemp("earlier")
    changes = {
        "rollout": {"mode": "forced", "samples": 2, "max_tokens": 8, "problems": "fresh"},
        "mixing": {"policy": "everything", "keep": None},
        "stopping": {"rounds": 2},
    }
    recipe = validate(toy_recipe(make_tiny_student(folder / "student"), **changes))
    with start(recipe, toy_registry(Rft, Everything), SilentReporter(), runs=folder, name="run") as opened:
        teach(opened)
        mix(opened, 0)
        train(opened, 0)
        for number in (1, 2):
            rollout(opened, number)
            mix(opened, number)
            if number == 1:
                train(opened, number)
        yield opened


def of(run: Run, *rounds: int) -> set[str]:
    return {problem.id for number in rounds for problem in dealt(run, number)}


def test_rows_of_all_rounds_are_stored_with_their_texts(run: Run) -> None:
    mixture = read_parquet(run.mixture("round-2"))
    assert mixture.get_column("rationale").null_count() == 0
    by_round = {
        number: set(mixture.filter((pl.col("source") == "student") & (pl.col("round") == number))["problem_id"])
        for number in (1, 2)
    }
    assert all(by_round.values())
    assert by_round[1] <= of(run, 1)
    assert by_round[2] <= of(run, 2)
    assert set(mixture.filter(pl.col("source") == "teacher")["problem_id"]) - of(run, 1, 2), "round 0's problems too"
    only_first = read_parquet(run.mixture("round-1"))
    assert set(only_first["round"]) <= {0, 1}
    assert set(only_first["problem_id"]) <= of(run, 0, 1)


def test_a_policy_that_does_not_ask_is_offered_its_own_round(run: Run) -> None:
    attempts = ledger(judged(run, 2))
    here = offered(run, 2, attempts)
    assert set(here.get_column("problem_id").cast(pl.String)) <= of(run, 2)
    assert set(here.get_column("round")) <= {0, 2}
    more = offered(run, 2, attempts, earlier=True)
    assert set(here.get_column("key")) < set(more.get_column("key"))


def test_rft_may_ask_too(run: Run) -> None:
    attempts = ledger(judged(run, 2))
    options = {"rounds": "all", "teacher": False}
    policy = open_policy(PluginChoice(name="rft", options=options), run.recipe, run.registry)
    chosen = choose_by(run, 2, policy, offered(run, 2, attempts, policy.earlier_rounds), attempts)
    assert set(chosen.get_column("round")) == {1, 2}


def test_why_a_sample_of_an_earlier_round_is_in_a_mixture_or_not(run: Run) -> None:
    first = verdicts_of(run, "round-1")
    second = read_parquet(run.mixture("round-2"))
    inside = first.filter(pl.col("key").is_in(second.get_column("key").implode())).get_column("key")
    assert inside.len()
    places = {place.mixture: place for place in lineage(run, inside[0]).mixtures}
    assert places["round-2"].weight == 1.0
    assert places["round-2"].policy == "everything"
    right = first.filter((pl.col("status") == "correct") & ~pl.col("key").is_in(second.get_column("key").implode()))
    for key in right.get_column("key"):
        why = {place.mixture: place.why_not for place in lineage(run, key).mixtures}["round-2"]
        assert why.startswith(("it is a duplicate of ", "the mixing policy everything did not choose it")), why
    wrong = first.filter(pl.col("status") == "wrong").get_column("key")
    assert {place.why_not for place in lineage(run, wrong[0]).mixtures if place.mixture == "round-2"} == {
        "it is not correct (wrong)"
    }


def test_another_mixing_for_once_is_remembered(run: Run) -> None:
    stored = run.recipe
    try:
        run.recipe = stored.model_copy(
            update={"mixing": stored.mixing.model_copy(update={"policy": PluginChoice(name="rft")})}
        )
        assert set(read_parquet(run.mixture("round-2"))["round"]) >= {1, 2}
        mix(run, 2)
        assert set(read_parquet(run.mixture("round-2"))["round"]) <= {0, 2}
        key = verdicts_of(run, "round-1").filter(pl.col("status") == "correct").get_column("key")[0]
        why = {place.mixture: place.why_not for place in lineage(run, key).mixtures}["round-2"]
        assert why == "it was drawn in round 1, and a mixture takes the student's samples of its own round only"
    finally:
        run.recipe = stored
        mix(run, 2)
