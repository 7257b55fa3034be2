"""The pocket world: its problems are exact, reproducible, and in one split only."""

from __future__ import annotations

import keyword
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_core import DataError, Problem
from siked_plugins.datasets.pocket import PocketWorld
from siked_plugins.pocket.facts import FACTS
from siked_plugins.pocket.sketch import Difficulty, evaluate, plain
from siked_plugins.pocket.words import spoken
from siked_plugins.pocket.world import FAMILIES, SPLITS, Split, draw_problem, sample, split_of

DRAWN = {
    "seed": st.integers(0, 2**32),
    "split": st.sampled_from(SPLITS),
    "index": st.integers(0, 10_000),
    "family": st.sampled_from(sorted(FAMILIES)),
    "difficulty": st.sampled_from(Difficulty),
}


@given(**DRAWN)
@settings(max_examples=400, deadline=None)
def test_every_step_evaluates_to_its_value_and_the_last_to_the_answer(
    seed: int, split: Split, index: int, family: str, difficulty: Difficulty
) -> None:
    problem = draw_problem(seed, split, index, family, difficulty)
    solution = problem.solution
    assert solution is not None
    values: dict[str, Fraction] = {}
    for step in solution.steps:
        assert step.name.isidentifier()
        assert not keyword.iskeyword(step.name)
        assert step.name not in values
        assert step.name not in ("ans", "answer")
        values[step.name] = evaluate(step.expression, values)
        assert plain(values[step.name]) == step.value
        assert f" = {step.value}" in step.text
        assert step.question.endswith("?")
        assert "\n" not in step.question + step.text
    assert solution.steps[-1].value == solution.answer == problem.answer
    assert values[solution.steps[-1].name] > 0


@given(**DRAWN)
@settings(max_examples=200, deadline=None)
def test_a_problem_depends_on_its_arguments_only(
    seed: int, split: Split, index: int, family: str, difficulty: Difficulty
) -> None:
    first = draw_problem(seed, split, index, family, difficulty)
    assert draw_problem(seed, split, index, family, difficulty) == first
    assert split_of(first.question) == split
    assert first.family == family


@given(**DRAWN)
@settings(max_examples=200, deadline=None)
def test_every_number_of_a_solution_is_told_or_worked_out(
    seed: int, split: Split, index: int, family: str, difficulty: Difficulty
) -> None:
    """Nothing is computed from a number that a reader of the question could not know."""
    problem = draw_problem(seed, split, index, family, difficulty)
    words = {spoken(n): n for n in range(100)}
    words |= {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "twice": 2, "doubled": 2, "tripled": 3, "four": 4}
    known = {2, 100, 1}  # a pair, per cent, one share more
    known |= {n for unit, n in (("week", 7), ("minute", 60), ("day", 24), ("dozen", 12)) if unit in problem.question}
    known |= {fact.number for fact in FACTS if fact.many in problem.question}
    for token in problem.question.replace("%", " ").replace(",", " ").replace(".", " ").replace("?", " ").split():
        if token.isdigit() or token in words:
            known.add(int(token) if token.isdigit() else words[token])
    for step in problem.solution.steps:
        for token in step.expression.replace("(", " ").replace(")", " ").split():
            assert not token[0].isdigit() or int(token) in known, (problem.question, step.expression)


@pytest.mark.parametrize("difficulty", Difficulty)
def test_no_question_is_in_two_splits_whatever_the_seeds(difficulty: Difficulty) -> None:
    seen: dict[str, str] = {}
    for seed, split in zip((1, 1, 1, 2, 3, 4), SPLITS * 2, strict=True):
        for problem in sample(seed, split, 280, difficulty):
            assert seen.setdefault(problem.question, split) == split


def test_families_come_in_equal_numbers_and_are_at_least_eight() -> None:
    counted = Counter(problem.family for problem in sample(1, "train", 40 * len(FAMILIES)))
    assert len(counted) == len(FAMILIES) >= 8
    assert min(counted.values()) >= 36  # a repeated question is passed over


def test_harder_problems_have_larger_numbers() -> None:
    def size(difficulty: Difficulty) -> float:
        drawn = sample(1, "train", 280, difficulty)
        return sum(float(step.value) for p in drawn for step in p.solution.steps) / len(drawn)

    assert size(Difficulty.EASY) * 2 < size(Difficulty.MEDIUM) < size(Difficulty.HARD) / 2


def test_unknown_first_problems_follow_the_story() -> None:
    problems = [p for p in sample(5, "train", 280) if p.family in ("unknown", "pair")]
    for problem in problems:
        assert problem.solution.equations
        assert any("ans" in equation.text for equation in problem.solution.equations)
    assert not any(p.solution.equations for p in sample(5, "train", 280) if p.family not in ("unknown", "pair"))


# The data set plugin


def test_the_data_set_gives_what_it_is_asked_for() -> None:
    world = PocketWorld({"seed": 3, "train": 30, "validation": 10, "test": 12, "families": ["bill", "gap"]})
    assert world.splits() == ("train", "validation", "test")
    loaded = {split: world.load(split).problems for split in SPLITS}
    assert [len(problems) for problems in loaded.values()] == [30, 10, 12]
    assert {problem.family for problem in loaded["train"]} == {"bill", "gap"}
    assert world.load("train", limit=7).problems == loaded["train"][:7]
    assert len({problem.id for problems in loaded.values() for problem in problems}) == 52
    assert all(isinstance(p, Problem) for p in loaded["test"])


def test_a_larger_data_set_begins_with_the_smaller_one() -> None:
    small, large = PocketWorld({"train": 50}), PocketWorld({"train": 90})
    assert large.load("train").problems[:50] == small.load("train").problems


def test_another_seed_gives_other_problems() -> None:
    first, second = ({p.question for p in PocketWorld({"seed": seed}).load("test").problems} for seed in (1, 2))
    assert len(first & second) < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"families": ["bil"]}, "there is no family 'bil'"),
        ({"families": ["gap", "gap"]}, "named twice"),
        ({"families": []}, "at least 1 item"),
        ({"train": 0}, "greater than or equal to 1"),
        ({"difficulty": "fiendish"}, "'easy', 'medium' or 'hard'"),
        ({"tain": 3}, "Extra inputs"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PocketWorld(options)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(DataError, match="no split 'dev'"):
        PocketWorld().load("dev")
