"""The mixing policies against the published set definitions, the `self` selector, and the `sft` objective."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import (
    Attempt,
    Message,
    MixContext,
    MixingPolicy,
    ObjectiveContext,
    Prompt,
    Status,
    TrainingExample,
    TrainingRow,
    Verdict,
    Wish,
)
from siked_plugins.mixers.adaptive import Adaptive
from siked_plugins.mixers.all import All
from siked_plugins.mixers.self_only import SelfOnly
from siked_plugins.mixers.teacher_only import TeacherOnly
from siked_plugins.objectives.sft import SupervisedFineTuning
from siked_plugins.selectors.self import Self

SCHEMA = {
    "key": pl.String,
    "problem_id": pl.String,
    "strategy": pl.String,
    "requested": pl.String,
    "source": pl.String,
    "round": pl.Int64,
    "draw": pl.Int64,
    "status": pl.String,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "logprob": pl.Float64,
}
STRATEGIES = ("cot", "pot", "l2m")
Row = tuple[str, str, str]
"""(problem, strategy, source)"""


def table(rows: list[Row], round_: int = 1) -> pl.DataFrame:
    """Candidates as the loop hands them over, with distinct keys."""
    return pl.DataFrame(
        [
            {
                **{"key": f"k{number}", "problem_id": problem, "strategy": strategy, "requested": None},
                **{"source": source, "round": round_ if source == "student" else 0, "draw": number},
                **{"status": Status.CORRECT.value, "prompt_tokens": 9, "completion_tokens": 5, "logprob": None},
            }
            for number, (problem, strategy, source) in enumerate(rows)
        ],
        schema=SCHEMA,
    )


def mixed(policy: MixingPolicy, candidates: pl.DataFrame, round_: int = 1) -> list[str]:
    """The keys that the policy chooses, its output checked for shape."""
    chosen = policy.mix(candidates, MixContext(round_, STRATEGIES, candidates, seed=0))
    assert dict(chosen.select(*SCHEMA).schema) == SCHEMA
    keys: list[str] = chosen["key"].to_list()
    return keys


def published(policy: str, candidates: pl.DataFrame) -> set[str]:
    """The definitions of arXiv 2410.18574, section 3, strategy by strategy, in plain sets."""
    rows = candidates.rows(named=True)
    union: set[str] = set()
    for strategy in STRATEGIES:
        d_self = {r["key"] for r in rows if r["strategy"] == strategy and r["source"] == "student"}
        d_llm = {r["key"] for r in rows if r["strategy"] == strategy and r["source"] == "teacher"}
        solved = {r["problem_id"] for r in rows if r["key"] in d_self}
        unsolved = {r["key"] for r in rows if r["key"] in d_llm and r["problem_id"] not in solved}
        union |= {
            "adaptive": d_self | unsolved,
            "all": d_self | d_llm,
            "self_only": d_self,
            "teacher_only": d_llm,
        }[policy]
    return union


POLICIES: list[MixingPolicy] = [Adaptive(), All(), SelfOnly(), TeacherOnly()]
by_name = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
_rows = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from(STRATEGIES), st.sampled_from(["teacher", "student"])),
    max_size=30,
)


@by_name
@given(rows=_rows)
def test_chooses_the_published_set(policy: MixingPolicy, rows: list[Row]) -> None:
    candidates = table(rows)
    chosen = mixed(policy, candidates)
    assert len(chosen) == len(set(chosen))
    assert set(chosen) == published(policy.name, candidates)


@by_name
@given(rows=_rows)
def test_the_order_depends_on_nothing_but_the_rows(policy: MixingPolicy, rows: list[Row]) -> None:
    candidates = table(rows)
    chosen = mixed(policy, candidates)
    assert chosen == mixed(policy, candidates)
    for source in ("teacher", "student"):
        of_source = candidates.filter(pl.col("source") == source)["key"].to_list()
        kept = [key for key in chosen if key in set(of_source)]
        assert kept == sorted(kept, key=of_source.index)


@by_name
def test_the_warm_up_learns_from_all_of_the_teacher(policy: MixingPolicy) -> None:
    candidates = table([("a", "cot", "teacher"), ("a", "pot", "teacher"), ("b", "cot", "teacher")], round_=0)
    assert mixed(policy, candidates, round_=0) == ["k0", "k1", "k2"]


@by_name
def test_nothing_in_nothing_out(policy: MixingPolicy) -> None:
    assert mixed(policy, table([])) == []


def test_adaptive_replaces_per_strategy_not_per_problem() -> None:
    rows = [("a", "cot", "teacher"), ("a", "pot", "teacher"), ("b", "cot", "teacher"), ("a", "cot", "student")]
    assert mixed(Adaptive(), table(rows)) == ["k3", "k1", "k2"]


def test_adaptive_per_problem_teaches_only_what_the_student_solves_under_no_strategy() -> None:
    rows: list[Row] = [
        ("q1", "cot", "teacher"), ("q1", "pot", "teacher"), ("q2", "cot", "teacher"), ("q2", "pot", "teacher"),
        ("q1", "pot", "student"),
    ]  # fmt: skip
    assert mixed(Adaptive({"per": "problem"}), table(rows)) == ["k4", "k2", "k3"]


def test_adaptive_needs_less_of_the_teacher_as_the_student_solves_more() -> None:
    teacher = [(problem, "cot", "teacher") for problem in "abcd"]
    shares = []
    for solved in range(5):
        candidates = table([*teacher, *((problem, "cot", "student") for problem in "abcd"[:solved])])
        context = MixContext(1, STRATEGIES, candidates, seed=0)
        shares.append(Adaptive().mix(candidates, context).select((pl.col("source") == "teacher").mean()).item())
    assert shares == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_self_selector_makes_one_free_attempt() -> None:
    assert Self().plan(STRATEGIES) == (Wish(),)
    assert Self().select([Attempt(Wish(), "pot", Verdict(Status.ANSWERED, "72"))], {}) == 0


def test_sft_weighs_every_token_of_a_weighted_row() -> None:
    def tokenize(row: TrainingRow) -> TrainingExample:
        ids = tuple(range(len(row.target)))
        return TrainingExample(ids, (-100, *ids[1:]), weights=(2.0,) * len(ids) if row.strategy == "own" else ())

    prompt = Prompt((Message("user", "How many?"),))
    rows = [
        TrainingRow(prompt, "abc", "cot"),
        TrainingRow(prompt, "ab", "pot", weight=0.5),
        TrainingRow(prompt, "ab", "own", weight=0.25),
    ]
    context = ObjectiveContext(tokenizer=None, max_length=16, epochs=1, seed=0, tokenize=tokenize)
    first, second, third = SupervisedFineTuning().examples(rows, context)
    assert first == tokenize(rows[0])
    assert first.weights == ()
    assert second == TrainingExample((0, 1), (-100, 1), (0.5, 0.5))
    assert third.weights == (0.5, 0.5)
