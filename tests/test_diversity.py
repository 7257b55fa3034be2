"""Measures of a student's variety, and what is told of a collapse."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core.diversity import WORDS, Distinct, Diversity, alarms, distinct_ngrams, entropy
from siked_core.loop import distill
from siked_core.recipe import validate
from siked_core.recipe_stopping import AlarmsRecipe
from siked_core.reporting import SilentReporter
from siked_core.run import start
from siked_core.stages.diversity import diversity
from siked_core.stages.verify import verdicts_of
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry


class Warned(SilentReporter):
    """Keeps what it is warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_entropy_in_bits() -> None:
    assert entropy({}) is None
    assert entropy({"cot": 9}) == 0.0
    assert entropy({"cot": 5, "pot": 5, "eot": 0}) == 1.0
    assert entropy({"a": 1, "b": 1, "c": 2}) == 1.5


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 99), min_size=1, max_size=6))
def test_entropy_is_between_none_and_all_alike(counts: dict[str, int]) -> None:
    found = entropy(counts)
    assert found is not None
    assert 0 <= found <= math.log2(len(counts)) + 1e-9


def test_distinct_ngrams_by_hand() -> None:
    # "she has 0 pens": two 3-grams, and again the same two for other numbers.
    assert distinct_ngrams(["She has 3 pens", "she has 1,412 pens"]) == Distinct(2 / 4, 8)
    assert distinct_ngrams(["a b c", "c b a"]) == Distinct(1.0, 6)
    assert distinct_ngrams(["a b", ""]) is None
    found = distinct_ngrams(["a b c d e"] * WORDS)
    assert found == Distinct(3 / (3 * WORDS // 5), WORDS)


@given(st.lists(st.text("ab 1", max_size=20), max_size=5))
def test_distinct_shares_are_shares(texts: list[str]) -> None:
    found = distinct_ngrams(texts)
    assert found is None or 0 < found.share <= 1


def test_what_is_told_of_a_collapse() -> None:
    recipe = AlarmsRecipe(fall=0.3)
    whole = {"cot": Distinct(0.5, WORDS), "pot": Distinct(0.5, WORDS)}
    before = Diversity(1.0, 0.8, 2.0, whole, 100, 100)
    assert alarms(before, before, 2, recipe) == []
    assert alarms(before, Diversity(0.7, 0.56, 1.4, whole, 100, 100), 2, recipe) == [], (
        "a fall by just that share is none"
    )
    fallen = Diversity(0.69, 0.55, 1.3, {"cot": Distinct(0.3, WORDS)}, 100, 100)
    assert alarms(before, fallen, 2, recipe) == [
        "the entropy of its choices of strategy fell from 1 to 0.69 bits, by more than 30 %",
        "distinct right rationales for each solved problem fell from 2 to 1.3, by more than 30 %",
        "the share of problems that it solves fell from 0.8 to 0.55, by more than 30 %",
        "the share of distinct 3-grams in its cot rationales fell from 0.5 to 0.3, by more than 30 %",
    ]
    assert alarms(Diversity(), Diversity(0.05, 0.01, questions=100, problems=100), 2, recipe) == [
        "the entropy of its choices of strategy is 0.05 bits, below the floor of 0.1",
        "the share of problems that it solves is 0.01, below the floor of 0.02",
    ]
    few = replace(fallen, questions=99, problems=99)
    assert alarms(before, few, 2, recipe) == [
        "the share of distinct 3-grams in its cot rationales fell from 0.5 to 0.3, by more than 30 %"
    ], "of fewer questions and problems the others are chance"
    fewer = Diversity(distinct={"cot": Distinct(0.01, WORDS - 1)})
    assert alarms(before, fewer, 2, recipe) == [], "shares of other amounts of words do not compare"
    assert alarms(Diversity(), Diversity(0.0, questions=100), 1, recipe) == [], "a single strategy leaves no choice"


def test_a_run_tells_its_variety_and_warns(tmp_path: Path) -> None:
    student = make_tiny_student(tmp_path / "tiny")
    recipe = toy_recipe(student, alarms={"entropy_floor": 1.0, "paths_floor": 9.0, "least": 1})
    told = Warned()
    with start(validate(recipe), toy_registry(), told, runs=tmp_path, name="run") as run:
        found = distill(run).rounds
        table = verdicts_of(run, "round-1")
        right = table.filter(table["status"] == "correct")
        cells = {}
        for problem, strategy, rationale in right.select("problem_id", "strategy", "rationale").iter_rows():
            cells.setdefault(problem, set()).add((strategy, rationale))
        again = diversity(run, 1, found[1].pool, found[1].validation.choices)
    assert found[0].diversity.paths is None
    assert found[0].diversity.entropy == entropy(found[0].validation.choices)
    assert found[1].diversity.paths == pytest.approx(sum(map(len, cells.values())) / len(cells))
    assert found[1].diversity.coverage == pytest.approx(len(cells) / 10)
    assert found[1].diversity.distinct.keys() == {"loud", "quiet"}
    assert again == found[1].diversity
    assert any("below the floor of 9" in alarm for alarm in found[1].alarms)
    warned = [text for text in told.warnings if "may be collapsing" in text]
    assert warned == [f"round-{one.round} may be collapsing: {alarm}." for one in found for alarm in one.alarms]
