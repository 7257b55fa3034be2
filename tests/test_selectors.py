"""Selectors: what they ask for, what they learn, and what they pick; by hand, by properties, and in whole runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import Attempt, Outcome, PluginError, RecipeError, Selector, Status, Verdict, Wish
from siked_core.equal_answers import groups
from siked_core.recipe import validate
from siked_core.recipe_choice import PluginChoice
from siked_core.reporting import SilentReporter
from siked_core.results import results_of
from siked_core.run import Run, start
from siked_core.selection import open_selector
from siked_core.stages.answers import pools_of
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.stages.verify import verdicts_of
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import SameText
from siked_plugins.selectors.cascade import Cascade
from siked_plugins.selectors.two_tier import THRESHOLD, TwoTier
from siked_plugins.selectors.vote import Vote, weights, winner
from siked_plugins.verifiers.number import NumberVerifier

NAMES = ("cot", "pot", "eot")


def attempt(strategy: str | None, group: int | None, logprob: float | None = None) -> Attempt:
    verdict = Verdict(Status.CRASHED) if group is None else Verdict(Status.ANSWERED, str(group))
    return Attempt(Wish(strategy), strategy, verdict, group, logprob, 10)


ATTEMPTS = st.lists(
    st.builds(
        attempt, st.sampled_from(NAMES), st.none() | st.integers(0, 3), st.none() | st.floats(-50, 0, allow_nan=False)
    ),
    min_size=1,
    max_size=8,
)
WEIGHTS = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 0.99))


# Cascade


def test_the_published_order_is_pot_eot_cot_and_others_come_behind() -> None:
    assert [wish.strategy for wish in Cascade().plan(["l2m", "cot", "pot"])] == ["pot", "cot", "l2m"]
    assert Cascade().plan(NAMES) == (Wish("pot"), Wish("eot"), Wish("cot"))
    assert Cascade({"order": ["eot", "cot"]}).plan(NAMES) == (Wish("eot"), Wish("cot"))


@pytest.mark.parametrize("order", [["pot", "tree"], ["pot", "pot"]])
def test_an_order_that_cannot_be_is_refused(order: list[str]) -> None:
    with pytest.raises(RecipeError, match="The selector 'cascade' takes the strategies cot, pot, eot in an order"):
        Cascade({"order": order}).plan(NAMES)


@given(ATTEMPTS)
def test_a_cascade_picks_the_first_that_answers(attempts: list[Attempt]) -> None:
    place = Cascade().select(attempts, {})
    answered = [one.answered for one in attempts]
    assert not any(answered[:place])
    assert answered[place] or not any(answered)
    if not any(answered):
        assert place == 0


# Vote


def test_the_plan_of_a_vote() -> None:
    assert Vote().plan(NAMES) == (Wish("cot"), Wish("pot"), Wish("eot"))
    drawn = Vote({"mode": "free", "samples": 3, "temperature": 0.5, "top_p": 0.9}).plan(NAMES)
    assert drawn == tuple(Wish(None, draw, 0.5, 0.9) for draw in range(3))
    assert [wish.strategy for wish in Vote({"mode": "both"}).plan(["cot"])] == [None, "cot"]


def test_weights_are_laplaces_share_of_right_answers() -> None:
    crashed = attempt("pot", None)
    outcomes = [
        Outcome((attempt("cot", 0), attempt("pot", 0), crashed), (True, True, False)),
        Outcome((attempt("cot", 0), attempt("pot", 1), crashed), (False, True, False)),
    ]
    assert weights(outcomes) == {"cot": 2 / 4, "pot": 3 / 4}
    assert Vote({"weights": "equal"}).fit(outcomes) == {}
    assert Vote().learns
    assert not Cascade().learns


def test_one_good_vote_outweighs_two_bad_ones_and_the_majority_wins_where_nothing_is_known() -> None:
    votes = [attempt("cot", 0), attempt("eot", 0), attempt("pot", 1)]
    assert winner(votes, {}) == 0
    assert winner(votes, {"cot": 0.3, "eot": 0.3, "pot": 0.7}) == 2
    assert winner(votes, {"cot": 0.3, "eot": 0.3}) == 0, "what is not known weighs a half: 0.6 to 0.5"


def test_ties_go_to_the_likelier_answer_and_then_to_the_earlier() -> None:
    assert winner([attempt("cot", 0, -30.0), attempt("pot", 1, -10.0)], {}) == 1
    assert winner([attempt("cot", 0), attempt("pot", 1)], {}) == 0
    assert winner([attempt("cot", None), attempt("pot", 1)], {}) == 1
    assert winner([attempt("cot", None), attempt("pot", None)], {}) == 0
    # Of the attempts with the winning answer, the likeliest is given.
    assert winner([attempt("cot", 0, -30.0), attempt("pot", 0, -10.0), attempt("eot", 1, -1.0)], {}) == 1


@given(ATTEMPTS, WEIGHTS, st.randoms())
def test_a_vote_does_not_depend_on_the_order_but_where_all_else_is_equal(
    attempts: list[Attempt], learnt: dict[str, float], random: Any
) -> None:
    elected = attempts[winner(attempts, learnt)]
    shuffled = random.sample(attempts, len(attempts))
    again = shuffled[winner(shuffled, learnt)]
    if elected.group is not None and len({one.confidence for one in attempts}) == len(attempts):
        assert again == elected
    assert (again.group is None) == (elected.group is None)

    def votes(group: int | None) -> float:
        mine = (one for one in attempts if one.group == group)
        return round(math.fsum(learnt.get(one.strategy or "", 0.5) if learnt else 1.0 for one in mine), 12)

    if elected.group is not None:
        assert votes(again.group) == votes(elected.group) == max(votes(one.group) for one in attempts if one.answered)


@given(ATTEMPTS, st.permutations(range(4)))
def test_a_vote_does_not_depend_on_the_numbers_of_the_groups(attempts: list[Attempt], to: list[int]) -> None:
    renamed = [attempt(one.strategy, None if one.group is None else to[one.group], one.logprob) for one in attempts]
    assert winner(renamed, {}) == winner(attempts, {})


# Equal answers


def found(*answers: str) -> list[tuple[str | None, Verdict]]:
    return [("cot", Verdict(Status.ANSWERED, one) if one else Verdict(Status.NO_ANSWER)) for one in answers]


def test_equal_answers_are_one_however_they_are_written() -> None:
    number = {"cot": NumberVerifier({"latex": "off"})}
    assert groups("?", found("0.5", "3", "1/2", "", "$3.00", "4"), number) == [0, 1, 0, None, 1, 2]
    choice = "Which? (A) 5 (B) 7"
    assert groups(choice, found("B", "7", "A"), {"cot": SameText()}) == [0, 0, 1]
    assert groups("?", [(None, Verdict(Status.UNREADABLE))], number) == [None]


@given(st.lists(st.sampled_from(["0.5", "1/2", "50%", "2", "2.0", "two", "7", ""]), min_size=1), st.randoms())
def test_groups_do_not_depend_on_the_order(answers: list[str], random: Any) -> None:
    number = {"cot": NumberVerifier({"latex": "off"})}
    places = random.sample(range(len(answers)), len(answers))
    one = groups("?", found(*answers), number)
    other = groups("?", found(*(answers[place] for place in places)), number)
    for a, place_a in enumerate(places):
        for b, place_b in enumerate(places):
            assert (other[a] == other[b]) == (one[place_a] == one[place_b])


# Two tiers


def question(own: float, own_right: bool, vote_right: bool) -> Outcome:
    """The own choice answers 0 with this log-probability; both strategies answer 1."""
    attempts = (Attempt(Wish(), "cot", Verdict(Status.ANSWERED, "0"), 0, own, 10), attempt("cot", 1), attempt("pot", 1))
    return Outcome(attempts, (own_right, vote_right, vote_right))


def test_the_threshold_is_the_one_with_the_most_right_answers() -> None:
    outcomes = [
        question(-50.0, False, True),  # below -3 a token a vote gains two,
        question(-40.0, False, True),
        question(-30.0, True, False),  # and above it loses
        question(-10.0, True, False),
    ]
    learnt = TwoTier().fit(outcomes)
    assert learnt[THRESHOLD] == pytest.approx(-3.5)
    picked = [TwoTier().select(one.attempts, learnt) for one in outcomes]
    assert [place > 0 for place in picked] == [True, True, False, False]
    assert THRESHOLD not in TwoTier().fit(outcomes[2:]), "where votes gain nothing there is none"
    assert TwoTier().select(outcomes[0].attempts, {}) == 0
    silent = (attempt(None, None), attempt("cot", 2), attempt("pot", 2))
    assert TwoTier().select(silent, {}) == 1, "without an answer of its own there is always a vote"
    assert TwoTier().fit([]) == {}


# Plans are looked at before anything is made


class Odd(Selector):
    """Whatever a test wants it to plan."""

    name = "odd"
    planned: tuple[Wish, ...] = ()

    def plan(self, strategies: Sequence[str]) -> tuple[Wish, ...]:
        return self.planned

    def select(self, attempts: Sequence[Attempt], learnt: Mapping[str, float]) -> int:
        return 0


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ((), "plans no attempt"),
        ((Wish("tree"),), "plans the strategy 'tree', which is none of loud, quiet"),
        ((Wish("loud"), Wish("loud", top_p=0.5)), "plans one attempt twice"),
        ((Wish("loud", draw=1),), "plans one attempt twice"),
    ],
)
def test_a_plan_that_cannot_be_asked_is_refused(
    plan: tuple[Wish, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Odd, "planned", plan)
    with pytest.raises(PluginError, match=told):
        open_selector(PluginChoice(name="odd"), ["loud", "quiet"], toy_registry(Odd))


# In a run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that has trained round 0."""
    folder = tmp_path_factory.mktemp("runs")
    with opened(folder, make_tiny_student(folder / "tiny"), "base") as run:
        teach(run)
        mix(run, 0)
        train(run, 0)
    return folder


def opened(folder: Path, student: Path, name: str, selector: Any = "own-choice", fork: bool = False) -> Run:
    recipe = toy_recipe(student, data={"validation": 6}, dataset={"name": "sums", "options": {"train": 40, "test": 12}})
    recipe["evaluation"] = {"max_tokens": 8, "selector": selector}
    registry = toy_registry(Cascade, Vote, TwoTier)
    return start(validate(recipe), registry, SilentReporter(), runs=folder, name=name, fork=fork)


def scored(trained: Path, selector: Any, split: str = "test") -> tuple[Run, Any]:
    with opened(trained, trained / "tiny", "base", selector, fork=True) as run:
        return run, evaluate(run, "round-0", "sums", split)


def test_scorecards_tell_every_policy_and_the_oracle(trained: Path) -> None:
    run, card = scored(trained, "own-choice")
    lines = results_of(run, "round-0", "sums", "test")
    assert len(lines) == card.score.total == 12
    assert sum(one.right for one in lines) == card.score.correct
    assert card.oracle.correct == sum(any(one.forced.values()) for one in lines)
    assert card.regret == pytest.approx((card.oracle.correct - card.score.correct) / 12)
    for one in card.strategies:
        always = card.policies[one.strategy]
        assert always.both + always.only_b == one.forced.correct == sum(each.forced[one.strategy] for each in lines)
        assert always.both + always.only_a == card.score.correct
    assert card.policies["own choice"].only_a == card.policies["own choice"].only_b == 0
    assert sum(card.choices.values()) == 12
    content = json.loads(json.dumps(card.as_dict()))
    assert type(card).from_dict(content) == card
    assert content["oracle"]["low"] <= content["oracle"]["accuracy"] <= content["oracle"]["high"]


def test_a_vote_over_samples_draws_them_apart_and_learns_on_validation_only(trained: Path) -> None:
    vote = {"name": "vote", "options": {"samples": 3}}
    run, card = scored(trained, vote)
    pools = pools_of(run, "round-0", "sums", "test")
    assert list(pools) == ["evaluations/round-0/sums-test", "evaluations/round-0/t0.7-p0.95/sums-test"]
    drawn = verdicts_of(run, list(pools)[1])
    assert drawn.height == 12 * 2 * 3
    assert set(drawn["draw"]) == {0, 1, 2}
    validation = evaluate(run, "round-0", "sums", "validation")
    table = verdicts_of(run, "evaluations/round-0/t0.7-p0.95/sums-validation")
    for name, weight in card.learnt.items():
        mine = table.filter(table["strategy"] == name)["status"].to_list()
        assert weight == (mine.count("correct") + 1) / (len(mine) + 2)
    assert card.learnt == validation.learnt != {}
    assert card.selector == "vote"


def test_a_cascade_in_a_run_is_its_first_strategy_that_answers(trained: Path) -> None:
    _, card = scored(trained, {"name": "cascade", "options": {"order": ["quiet", "loud"]}})
    assert card.policies["quiet"].only_a == card.policies["quiet"].only_b == 0, "toys always answer"
    assert {one.strategy: one.share for one in card.strategies} == {"loud": 0.0, "quiet": 1.0}


def test_the_order_of_a_cascade_is_checked_before_a_run_is_made(siked_says: Callable[..., str]) -> None:
    order = 'evaluation.selector={"name": "cascade", "options": {"order": ["eot"]}}'
    said = siked_says("distill", "--preset", "pocket-smoke", "--strategies", "cot,pot", "--set", order, code=2)
    assert "eot names 'eot', which is not among them" in said
    assert not Path("runs").exists()


@pytest.mark.slow
def test_whole_runs_with_a_cascade_and_a_vote_through_the_command(siked_says: Callable[..., str]) -> None:
    base = ["--preset", "pocket-smoke", "--strategies", "cot,pot", "--rounds", "0", "-q", "--run", "mine"]
    base += ["--set", "evaluation.forced=true"]
    told = json.loads(siked_says("distill", *base, "--set", "evaluation.selector=cascade", "--json"))
    (test,) = told["test"]
    assert test["selector"] == "cascade"
    assert set(test["policies"]) == {"own choice", "cot", "pot", "oracle"}
    assert test["policies"]["oracle"]["score"]["accuracy"] >= test["policies"]["pot"]["score"]["accuracy"]
    voted = json.loads(siked_says("distill", *base, "--set", "evaluation.selector=vote", "--fork", "--json"))
    assert voted["test"][0]["learnt"] == voted["rounds"][0]["validation"]["learnt"]
    assert set(voted["test"][0]["learnt"]) <= {"cot", "pot"}
    assert voted["test"][0]["oracle"] == test["oracle"], "the same attempts, chosen among otherwise"
    shown = siked_says("evaluate", "mine", "--split", "test")
    for text in ("answers (cascade)", "always pot", "oracle"):
        assert text in shown
    asked = ("solve", "mine", "Ann has 12 pens and buys 7 more. How many pens has Ann?", "--json")
    for options in ((), ("--selector", "vote", "--samples", "2"), ("--selector", "self")):
        assert set(json.loads(siked_says(*asked, *options))["verdict"]) == {"status", "answer", "why"}
    assert "samples" in siked_says(*asked, "--samples", "2", code=2), "a cascade takes none"
    assert "Unknown selector 'votes'" in siked_says(*asked, "--selector", "votes", code=2)


@pytest.mark.slow
def test_etd_trains_views_by_their_suffix_and_falls_back(siked_says: Callable[..., str]) -> None:
    told = json.loads(siked_says("distill", "--preset", "pocket-smoke,etd", "-q", "--run", "views", "--json"))
    assert [one["round"] for one in told["rounds"]] == [0]
    (test,) = told["test"]
    assert test["selector"] == "cascade"
    assert {one["strategy"] for one in test["strategies"]} == {"cot", "pot", "eot"}
    assert all(one["forced"]["total"] == 24 for one in test["strategies"])
    assert test["oracle"]["total"] == 24
    prompts = siked_says("prompts", "views", "--strategy", "pot")
    assert "Solve it with a Python program." in prompts
    assert "Solve it with equations." not in prompts
    card = Path("runs/views/students/round-0/README.md").read_text(encoding="utf-8")
    assert "by the selector `cascade`" in card


def test_a_suffix_is_part_of_what_a_student_is_asked_and_of_nothing_else() -> None:
    from siked_core import Problem
    from siked_core.keys import reading
    from siked_core.testing.toys import Loud

    problem = Problem("1", "1+1?", "2")
    plain, view = Loud(), Loud({"suffix": "\nLoudly."})
    assert (plain.student_question(problem), view.student_question(problem)) == ("1+1?", "1+1?\nLoudly.")
    assert plain.teacher_prompt(problem) == view.teacher_prompt(problem)
    assert reading(plain) == reading(view), "verdicts stay valid"
