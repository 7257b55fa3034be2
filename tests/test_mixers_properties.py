"""What holds of every mixing policy, whatever the samples: it chooses among its candidates, once each, and again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_core import MixContext, MixingPolicy, PluginChoice, Status
from siked_core.ledger import candidates, few, ledger
from siked_core.mixing import described, open_policy
from siked_core.recipe import resolve
from siked_core.registry import Registry
from siked_core.testing import toy_registry

STRATEGIES = ("cot", "pot", "l2m")
REGISTRY = Registry.discover()
RECIPE = resolve(preset="pocket", changes={"rollout.mode": "both"})
BUILT_IN = [entry.name for entry in REGISTRY.entries if (entry.kind, entry.distribution) == ("mixing_policy", "siked")]
CHOICES = [
    PluginChoice(name=name, options=options)
    for name, options in [
        *((name, {}) for name in BUILT_IN),
        ("adaptive", {"per": "problem"}),
        ("alpha", {"alpha": 0.2}),
        ("alpha", {"alpha": [0.9, 0.1], "by": "weights"}),
        ("biased", {"when": "before", "mixing": "all"}),
        ("biased", {"order": ["l2m"], "mixing": {"name": "rft", "options": {"rounds": "all"}}}),
        ("rarity", {"group": "problem", "count": "copies", "mixing": "all"}),
        ("rft", {"rounds": "all", "per_problem": 2}),
        ("rft", {"teacher": False}),
        ("tata", {"ties": "first", "rows": "teacher"}),
        ("smart", {"teacher": False}),
    ]
]  # fmt: skip
any_policy = pytest.mark.parametrize("choice", CHOICES, ids=described)
_sample = st.fixed_dictionaries(
    {
        "problem_id": st.sampled_from("abcd"),
        "strategy": st.sampled_from([*STRATEGIES, None]),
        "source": st.sampled_from(["teacher", "student"]),
        "free": st.booleans(),
        "round": st.integers(1, 3),
        "right": st.booleans(),
        "rationale_hash": st.integers(0, 3),
    }
)


def table(samples: list[dict[str, Any]]) -> pl.DataFrame:
    """A ledger of drawn samples: those that named no strategy are wrong, the teacher is always told one."""
    rows = []
    for number, sample in enumerate(samples):
        taught = sample["source"] == "teacher"
        strategy = sample["strategy"] or ("cot" if taught else None)
        rows.append(
            {
                "key": f"{number * 7919 % 1009:032x}",
                "problem_id": sample["problem_id"],
                "strategy": strategy,
                "requested": None if sample["free"] and not taught else strategy,
                "source": sample["source"],
                "round": 0 if taught else sample["round"],
                "draw": number,
                "status": (Status.CORRECT if sample["right"] and strategy else Status.WRONG).value,
                "rationale_hash": sample["rationale_hash"],
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "logprob": None,
            }
        )
    names = ("key", "problem_id", "strategy", "requested", "source", "status")
    whole = pl.DataFrame(
        rows,
        schema={**dict.fromkeys(names, pl.String), **dict.fromkeys(("round", "draw"), pl.Int32),
                **dict.fromkeys(("prompt_tokens", "completion_tokens"), pl.Int32), "rationale_hash": pl.UInt64,
                "logprob": pl.Float64},
    )  # fmt: skip
    categories = pl.col("strategy", "requested", "source", "status").cast(few())
    return ledger(whole.with_columns(pl.col("problem_id").cast(pl.Categorical), categories))


@dataclass(frozen=True)
class Mixed:
    rows: pl.DataFrame
    """The candidates."""
    chosen: pl.DataFrame

    def keys(self) -> list[str]:
        found: list[str] = self.chosen.get_column("key").to_list()
        return found


def mixed(choice: PluginChoice, attempts: pl.DataFrame, round: int, keep: int | None, seed: int = 0) -> Mixed:
    chain = open_policy(choice, RECIPE, REGISTRY)
    rows = candidates(attempts, round, keep, chain.earlier_rounds)
    return Mixed(rows, chain.mix(rows, MixContext(round, STRATEGIES, attempts, seed)))


@any_policy
@settings(max_examples=20)
@given(st.lists(_sample, max_size=40), st.integers(1, 3), st.sampled_from([1, 2, None]), st.integers(0, 3))
def test_it_chooses_among_its_candidates_once_each_and_again(
    choice: PluginChoice, samples: list[dict[str, Any]], round: int, keep: int | None, seed: int
) -> None:
    attempts = table(samples)
    found = mixed(choice, attempts, round, keep, seed)
    chosen = found.keys()
    assert len(chosen) == len(set(chosen))
    assert set(chosen) <= set(found.rows.get_column("key"))
    assert set(found.rows.columns) <= set(found.chosen.columns) <= {*found.rows.columns, "weight"}
    if "weight" in found.chosen.columns:
        assert all(math.isfinite(weight) and weight >= 0 for weight in found.chosen.get_column("weight"))
    assert mixed(choice, attempts, round, keep, seed).chosen.equals(found.chosen)
    shuffled = attempts.sample(fraction=1.0, shuffle=True, seed=seed)
    assert set(mixed(choice, shuffled, round, keep, seed).keys()) == set(chosen), "the order of samples decides nothing"


@given(st.lists(_sample, max_size=60), st.floats(0, 1), st.sampled_from(["rows", "weights"]))
def test_alpha_has_its_share_to_the_nearest_row(samples: list[dict[str, Any]], alpha: float, by: str) -> None:
    found = mixed(PluginChoice(name="alpha", options={"alpha": alpha, "by": by}), table(samples), 1, None)
    if found.rows.get_column("source").n_unique() < 2:
        assert found.chosen.equals(found.rows)
        return
    teachers = found.chosen.filter(pl.col("source") == "teacher")
    if by == "weights":
        total = found.chosen.get_column("weight").sum()
        assert total == pytest.approx(found.rows.height)
        assert teachers.get_column("weight").sum() == pytest.approx(alpha * total)
    else:
        assert abs(teachers.height - alpha * found.chosen.height) <= 0.5 + 1e-9
        of_source = dict(found.rows.group_by(pl.col("source").cast(pl.String)).len().iter_rows())
        taken = {"teacher": teachers.height, "student": found.chosen.height - teachers.height}
        assert any(taken[name] == of_source[name] for name in taken), "one source is taken whole"


@given(
    st.lists(_sample, max_size=40),
    st.permutations(STRATEGIES),
    st.sampled_from(["adaptive", "all", "teacher_only", "self_only"]),
)
def test_biased_leaves_each_problem_its_most_preferred_row(
    samples: list[dict[str, Any]], order: list[str], inner: str
) -> None:
    attempts = table(samples)
    whole = mixed(PluginChoice(name=inner), attempts, 1, None).chosen
    chosen = mixed(PluginChoice(name="biased", options={"order": order, "mixing": inner}), attempts, 1, None).chosen
    kept = dict(chosen.select(pl.col("problem_id").cast(pl.String), pl.col("strategy").cast(pl.String)).iter_rows())
    assert len(kept) == chosen.height, "one row per problem"
    had: dict[str, set[str]] = {}
    for problem, strategy in whole.select(pl.col("problem_id", "strategy").cast(pl.String)).iter_rows():
        had.setdefault(problem, set()).add(strategy)
    assert kept == {problem: min(names, key=order.index) for problem, names in had.items()}


@given(st.lists(_sample, max_size=40), st.sampled_from(["round", "problem"]))
def test_rarity_gives_the_strategies_of_a_group_one_weight(samples: list[dict[str, Any]], group: str) -> None:
    options = {"group": group, "mixing": "all"}
    chosen = mixed(PluginChoice(name="rarity", options=options), table(samples), 1, None).chosen
    groups: dict[str, dict[str, list[float]]] = {}
    if chosen.is_empty():
        return
    for problem, strategy, weight in chosen.select(
        pl.col("problem_id", "strategy").cast(pl.String), "weight"
    ).iter_rows():
        where = problem if group == "problem" else ""
        groups.setdefault(where, {}).setdefault(strategy, []).append(weight)
    for strategies in groups.values():
        rows = sum(map(len, strategies.values()))
        assert [sum(some) for some in strategies.values()] == pytest.approx([rows / len(strategies)] * len(strategies))


@given(st.lists(_sample, max_size=40))
def test_smart_teaches_each_solved_problem_one_strategy(samples: list[dict[str, Any]]) -> None:
    found = mixed(PluginChoice(name="smart"), table(samples), 1, None)
    student = found.chosen.filter(pl.col("source") == "student")
    assert student.get_column("problem_id").n_unique() == student.n_unique(["problem_id", "strategy"])
    offered = found.rows.filter(pl.col("source") == "student").get_column("problem_id")
    assert set(student.get_column("problem_id")) == set(offered)


# A stranger's policy that builds on others


class Halved(MixingPolicy):
    """Every other row of what adaptive leaves."""

    name = "halved"

    @property
    def builds_on(self) -> PluginChoice:
        return PluginChoice(name="biased", options={"mixing": "both", "order": ["quiet"]})

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return context.inner(candidates).gather_every(2)


def chain_of(registry: Registry) -> Iterator[str]:
    recipe = RECIPE.model_copy(update={"strategies": [PluginChoice(name="loud"), PluginChoice(name="quiet")]})
    yield from (policy.name for policy in open_policy(PluginChoice(name="halved"), recipe, registry).chain)


def test_a_policy_builds_on_one_that_builds_on_another() -> None:
    from siked_plugins.mixers.biased import Biased

    registry = toy_registry(Halved, Biased)
    assert list(chain_of(registry)) == ["halved", "biased", "both"]


def test_a_policy_that_builds_on_none_has_no_inner_one() -> None:
    context = MixContext(1, STRATEGIES, table([]), 0)
    with pytest.raises(RuntimeError, match="builds on no other"):
        context.inner(table([]))
