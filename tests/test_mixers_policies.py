"""The policies that choose or weigh further, each on a small ledger worked out by hand."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from siked_core import MixContext, PluginChoice, PluginError, RecipeError, Status
from siked_core.ledger import candidates, few, ledger
from siked_core.mixing import open_policy
from siked_core.recipe import Recipe, resolve
from siked_core.registry import Registry
from siked_plugins.mixers.alpha import Alpha
from siked_plugins.mixers.drawing import drawn

STRATEGIES = ("cot", "pot", "l2m")
REGISTRY = Registry.discover()
Attempt = dict[str, Any]


def recipe(mode: str = "both") -> Recipe:
    return resolve(preset="pocket", changes={"rollout.mode": mode, "strategies": list(STRATEGIES)})


def attempt(
    source: str, problem: str, strategy: str | None, right: bool = True, *, requested: str | None = None,
    draw: int = 0, round: int = 1, text: str = "",
) -> Attempt:  # fmt: skip
    """A sample; its key says what it is. Rationales differ unless `text` is given."""
    key = "-".join([source[0], problem, strategy or "none", str(draw), *(["forced"] if requested else [])])
    key = key if source == "teacher" or round == 1 else f"{key}-r{round}"
    written = hashlib.blake2b((text or key).encode(), digest_size=8).digest()
    return {
        "key": key,
        "problem_id": problem,
        "strategy": strategy,
        "requested": requested,
        "source": source,
        "round": 0 if source == "teacher" else round,
        "draw": draw,
        "status": (Status.CORRECT if right else Status.WRONG).value,
        "rationale_hash": int.from_bytes(written, "little"),
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "logprob": None,
    }


def teacher(problem: str, *strategies: str, **more: Any) -> list[Attempt]:
    return [attempt("teacher", problem, strategy, **{"requested": strategy, **more}) for strategy in strategies]


def student(problem: str, strategy: str | None, right: bool = True, **more: Any) -> list[Attempt]:
    return [attempt("student", problem, strategy, right, **more)]


def opened(*attempts: Sequence[Attempt]) -> pl.DataFrame:
    """The ledger as a run opens it, with its categories."""
    schema = {
        **dict.fromkeys(("key", "problem_id", "strategy", "requested", "source", "status"), pl.String),
        **dict.fromkeys(("round", "draw", "prompt_tokens", "completion_tokens"), pl.Int32),
        "rationale_hash": pl.UInt64,
        "logprob": pl.Float64,
    }
    table = pl.DataFrame([row for some in attempts for row in some], schema=schema)
    return ledger(
        table.with_columns(
            pl.col("problem_id").cast(pl.Categorical), pl.col("strategy", "requested", "source", "status").cast(few())
        )
    )


def mixed(
    policy: str, table: pl.DataFrame, *, keep: int | None = 1, round: int = 1, mode: str = "both", seed: int = 0,
    **options: Any,
) -> pl.DataFrame:  # fmt: skip
    """What a policy chooses from a ledger, opened and asked as a run does."""
    chain = open_policy(PluginChoice(name=policy, options=options), recipe(mode), REGISTRY)
    rows = candidates(table, round, keep, chain.earlier_rounds)
    return chain.mix(rows, MixContext(round, STRATEGIES, table, seed))


def keys(chosen: pl.DataFrame) -> set[str]:
    assert not chosen.get_column("key").is_duplicated().any()
    return set(chosen.get_column("key"))


# biased

THREE = opened(
    teacher("q1", *STRATEGIES), teacher("q2", "cot", "l2m"), teacher("q3", *STRATEGIES),
    student("q1", "cot"), student("q2", "pot", right=False), student("q3", "pot"), student("q3", "l2m", draw=1),
)  # fmt: skip
"""Adaptive leaves of q1 s-cot t-pot t-l2m, of q2 t-cot t-l2m, of q3 t-cot s-pot s-l2m."""


def forced(*names: str) -> set[str]:
    """The teacher's keys: its samples are asked for under a strategy."""
    return {f"t-{name}-0-forced" for name in names}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (None, forced("q1-pot", "q2-cot") | {"s-q3-pot-0"}),
        (["cot", "pot", "l2m"], {"s-q1-cot-0"} | forced("q2-cot", "q3-cot")),
        (["l2m", "pot", "cot"], forced("q1-l2m", "q2-l2m") | {"s-q3-l2m-1"}),
        (["l2m"], forced("q1-l2m", "q2-l2m") | {"s-q3-l2m-1"}),
    ],
)
def test_biased_keeps_the_first_strategy_of_what_adaptive_leaves(order: list[str] | None, expected: set[str]) -> None:
    assert keys(mixed("biased", THREE, order=order)) == expected


def test_biased_before_mixing_keeps_one_row_of_each_source() -> None:
    """The student's: q1 cot, q3 pot. The teacher's: q1 pot, q2 cot, q3 pot; of these adaptive needs the first two."""
    expected = {"s-q1-cot-0", "s-q3-pot-0"} | forced("q1-pot", "q2-cot")
    assert keys(mixed("biased", THREE, when="before")) == expected
    per_problem = {"name": "adaptive", "options": {"per": "problem"}}
    chosen = mixed("biased", THREE, when="before", mixing=per_problem)
    assert keys(chosen) == {"s-q1-cot-0", "s-q3-pot-0"} | forced("q2-cot")


def test_biased_over_another_mixing_prefers_the_students_own_row() -> None:
    table = opened(teacher("q", "pot"), student("q", "pot", draw=3), student("q", "pot", draw=1, text="another"))
    assert keys(mixed("biased", table, keep=2, mixing="all")) == {"s-q-pot-1"}
    assert keys(mixed("biased", table, keep=2, mixing="teacher_only")) == forced("q-pot")


def test_biased_takes_what_weights_the_inner_mixing_gave() -> None:
    table = opened(teacher("q1", "pot"), teacher("q2", "pot"), student("q1", "pot"))
    chosen = mixed("biased", table, mixing={"name": "alpha", "options": {"alpha": 0.75, "by": "weights"}})
    assert dict(chosen.select("key", "weight").iter_rows()) == {"s-q1-pot-0": 0.75, "t-q2-pot-0-forced": 1.125}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": ["cot", "ptt"]}, RecipeError, "'ptt'. Did you mean 'pot'?"),
        ({"order": ["cot", "cot"]}, RecipeError, "names a strategy twice: cot, cot"),
        ({"mixing": "adaptve"}, PluginError, "Unknown mixing policy 'adaptve'. Did you mean 'adaptive'?"),
        ({"mixing": {"name": "adaptive", "options": {"pre": 1}}}, RecipeError, "'pre'"),
    ],
)
def test_what_biased_cannot_do_is_said_at_once(options: dict[str, Any], error: type[Exception], message: str) -> None:
    from siked_core.recipe_check import check

    named = {"mixing.policy": {"name": "biased", "options": options}}
    with pytest.raises(error) as raised:
        check(resolve(preset="pocket", changes=named), REGISTRY)
    assert message in str(raised.value)


# alpha

EIGHT_AND_FOUR = opened(*(teacher(f"q{n}", "cot") for n in range(8)), *(student(f"q{n}", "pot") for n in range(4)))


@pytest.mark.parametrize(
    ("alpha", "of_student", "of_teacher"), [(0.5, 4, 4), (0.8, 2, 8), (0.25, 4, 1), (0.1, 4, 0), (0, 4, 0), (1, 0, 8)]
)
def test_alpha_is_the_teachers_share_and_the_scarcer_source_is_taken_whole(
    alpha: float, of_student: int, of_teacher: int
) -> None:
    chosen = mixed("alpha", EIGHT_AND_FOUR, alpha=alpha)
    sources = dict(chosen.group_by(pl.col("source").cast(pl.String)).len().iter_rows())
    assert (sources.get("student", 0), sources.get("teacher", 0)) == (of_student, of_teacher)


def test_alpha_by_weights_keeps_every_row() -> None:
    chosen = mixed("alpha", EIGHT_AND_FOUR, alpha=0.25, by="weights")
    assert chosen.height == 12
    weights = dict(chosen.group_by(pl.col("source").cast(pl.String)).agg(pl.col("weight").unique()).iter_rows())
    assert weights == {"teacher": [0.375], "student": [2.25]}
    assert chosen.get_column("weight").sum() == pytest.approx(12)
    assert keys(mixed("alpha", EIGHT_AND_FOUR, alpha=1, by="weights")) == forced(*(f"q{n}-cot" for n in range(8)))


def test_alpha_takes_all_where_there_is_only_one_source() -> None:
    only = opened(teacher("a", "cot"), teacher("b", "cot"), student("a", "cot", right=False))
    assert keys(mixed("alpha", only, alpha=0.1)) == forced("a-cot", "b-cot")


def test_alpha_draws_other_rows_with_another_seed_and_in_another_round() -> None:
    table = opened(*(teacher(f"q{n}", "cot") for n in range(60)), *(student(f"q{n}", "pot") for n in range(30)))
    assert keys(mixed("alpha", table, seed=1)) == keys(mixed("alpha", table, seed=1))
    assert keys(mixed("alpha", table, seed=1)) != keys(mixed("alpha", table, seed=2))


def test_alphas_schedules() -> None:
    def shares(**options: Any) -> list[float]:
        return [round(Alpha(options).options.share(number), 6) for number in range(1, 6)]

    assert shares(alpha=0.3) == [0.3] * 5
    assert shares(alpha=[0.9, 0.4]) == [0.9, 0.4, 0.4, 0.4, 0.4]
    assert shares(alpha=0.8, to=0.2, rounds=4) == [0.8, 0.6, 0.4, 0.2, 0.2]
    half = (1 + math.cos(math.pi / 4)) / 2
    assert shares(alpha=1, to=0, rounds=5, shape="cosine") == [1, round(half, 6), 0.5, round(1 - half, 6), 0]


@pytest.mark.parametrize(
    "options",
    [{"alpha": 1.1}, {"alpha": []}, {"alpha": float("nan")}, {"to": 0.1}, {"alpha": [0.5], "to": 0.1, "rounds": 3}],
)
def test_a_share_that_is_none_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        mixed("alpha", EIGHT_AND_FOUR, **options)


def test_drawing_is_the_published_mixing_of_bits() -> None:
    """Against plain arithmetic, so that no version of a library can change which rows are drawn."""
    whole = 2**64 - 1

    def mix(word: int) -> int:
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & whole
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & whole
        return word ^ (word >> 31)

    names = [hashlib.blake2b(str(n).encode(), digest_size=16).hexdigest() for n in range(200)] + ["k1", "k2"]
    start = int.from_bytes(hashlib.blake2b(repr((7, 1)).encode(), digest_size=8).digest(), "little")
    words = {name: [int.from_bytes(name.ljust(16)[at : at + 8].encode(), "little") for at in (0, 8)] for name in names}
    expected = sorted(names, key=lambda name: mix(mix(words[name][0] ^ start) ^ words[name][1]))
    for count in (0, 1, 50, 202, 300):
        chosen = drawn(pl.DataFrame({"key": names}), count, 7, 1).get_column("key").to_list()
        assert chosen == [name for name in names if name in set(expected[:count])]


# rft

REPEATED = opened(
    teacher("q1", "cot", text="the teacher's"), teacher("q2", "pot"),
    student("q1", "cot", draw=0, text="mine"), student("q1", "cot", draw=1, text="mine"),
    student("q1", "cot", draw=2, text="the teacher's"), student("q1", "cot", draw=3, text="mine too"),
    student("q1", "pot", draw=4), student("q1", "pot", draw=5, right=False), student("q3", "cot"),
    student("q1", "cot", round=2, text="newer"), student("q1", "cot", draw=1, round=2, text="mine too"),
)  # fmt: skip
FIRST_ROUND = {"s-q1-cot-0", "s-q1-cot-3", "s-q1-pot-4", "s-q3-cot-0"}
TAUGHT = forced("q1-cot", "q2-pot")


def test_rft_takes_every_distinct_correct_row_and_a_rationale_of_both_once() -> None:
    assert keys(mixed("rft", REPEATED, keep=None)) == FIRST_ROUND | TAUGHT


def test_rest_em_takes_the_students_own_rows_alone() -> None:
    assert keys(mixed("rft", REPEATED, keep=None, teacher=False)) == FIRST_ROUND | {"s-q1-cot-2"}


def test_rft_sees_what_keep_leaves() -> None:
    """Of q1 under cot the first distinct rationale only; the teacher's is not among the student's then."""
    assert keys(mixed("rft", REPEATED)) == {"s-q1-cot-0", "s-q1-pot-4", "s-q3-cot-0"} | TAUGHT


def test_rft_caps_what_a_problem_may_contribute_by_draw() -> None:
    assert keys(mixed("rft", REPEATED, keep=None, per_problem=2)) == {"s-q1-cot-0", "s-q1-cot-3", "s-q3-cot-0"} | TAUGHT
    assert keys(mixed("rft", REPEATED, keep=None, per_problem=1)) == {"s-q1-cot-0", "s-q3-cot-0"} | TAUGHT


def test_rft_with_earlier_rounds_takes_a_rationale_where_it_was_written_last() -> None:
    newest = {"s-q1-cot-0-r2", "s-q1-cot-1-r2"}
    assert keys(mixed("rft", REPEATED, keep=None, round=2)) == newest | TAUGHT
    chosen = mixed("rft", REPEATED, keep=None, round=2, rounds="all")
    assert keys(chosen) == newest | FIRST_ROUND - {"s-q1-cot-3"} | TAUGHT
    copies = dict(chosen.select("key", "copies").iter_rows())
    assert (copies["s-q1-cot-1-r2"], copies["s-q1-cot-0"], copies["s-q1-cot-0-r2"]) == (2, 2, 1)
    capped = mixed("rft", REPEATED, keep=None, round=2, rounds="all", per_problem=2)
    assert keys(capped) == newest | {"s-q3-cot-0"} | TAUGHT


# tata

APTITUDE = opened(
    teacher("q1", *STRATEGIES), teacher("q2", "cot", "l2m"), teacher("q3", "cot", "pot"),
    student("q1", "cot", draw=0), student("q1", "cot", False, draw=1),
    student("q1", "pot", draw=2), student("q1", "pot", draw=3),
    student("q2", "cot", draw=0), student("q2", "pot", draw=1), student("q2", "l2m", False, draw=2),
    student("q3", "l2m", False),
)  # fmt: skip
"""Pass rates: q1 cot 1/2 pot 1; q2 cot 1 pot 1 l2m 0; q3 l2m 0."""


def test_tata_takes_the_strategy_that_the_student_does_best_with() -> None:
    unsolved = forced("q3-cot", "q3-pot")
    assert keys(mixed("tata", APTITUDE)) == {"s-q1-pot-2", "s-q2-cot-0", "s-q2-pot-1"} | unsolved
    assert keys(mixed("tata", APTITUDE, ties="first")) == {"s-q1-pot-2", "s-q2-cot-0"} | unsolved
    teachers = mixed("tata", APTITUDE, rows="teacher")
    assert keys(teachers) == forced("q1-pot", "q2-cot") | {"s-q2-pot-1"} | unsolved
    both = mixed("tata", APTITUDE, rows="both", ties="first")
    assert keys(both) == {"s-q1-pot-2", "s-q2-cot-0"} | forced("q1-pot", "q2-cot") | unsolved


# smart


def test_smart_keeps_a_first_choice_that_succeeds_and_corrects_one_that_fails() -> None:
    table = opened(
        *(teacher(f"q{n}", "cot") for n in range(1, 7)),
        # q1: the first choice is right, and so is another
        student("q1", "cot", draw=0), student("q1", "pot", requested="pot"),
        # q2: it fails; forced, two others are right, pot more often
        student("q2", "cot", False, draw=0), student("q2", "l2m", requested="l2m"),
        student("q2", "l2m", False, requested="l2m", draw=1), student("q2", "pot", requested="pot"),
        # q3: it fails at first and is right later, and so is another: the other is taught
        student("q3", "cot", False, draw=0), student("q3", "cot", draw=1), student("q3", "pot", draw=2),
        # q4: it fails at first and is right later, and nothing else is
        student("q4", "pot", False, draw=0), student("q4", "pot", draw=1),
        # q5: the first sample names no strategy
        student("q5", None, False, draw=0), student("q5", "l2m", draw=1),
        # q6: nothing is right
        student("q6", "pot", False, draw=0),
    )  # fmt: skip
    expected = {"s-q1-cot-0", "s-q2-pot-0-forced", "s-q3-pot-2", "s-q4-pot-1", "s-q5-l2m-1"}
    assert keys(mixed("smart", table)) == expected | forced("q6-cot")
    assert keys(mixed("smart", table, teacher=False)) == expected


def test_smart_goes_by_this_rounds_first_choice() -> None:
    table = opened(
        student("q", "cot", draw=0), student("q", "cot", False, draw=0, round=2), student("q", "pot", draw=1, round=2)
    )
    assert keys(mixed("smart", table, round=1)) == {"s-q-cot-0"}
    assert keys(mixed("smart", table, round=2)) == {"s-q-pot-1-r2"}


def test_smart_needs_the_students_own_choice() -> None:
    with pytest.raises(RecipeError, match=r"rollout\.mode=forced it never chooses"):
        mixed("smart", THREE, mode="forced")
    assert mixed("smart", THREE, mode="free").height


# rarity


def weights(chosen: pl.DataFrame) -> dict[str, float]:
    return {key: round(weight, 6) for key, weight in chosen.select("key", "weight").iter_rows()}


def test_rarity_gives_each_strategy_of_a_round_the_same_weight() -> None:
    """Three rows of cot, one of pot: 4 / (2 * 3) and 4 / (2 * 1)."""
    table = opened(student("q1", "cot"), student("q2", "cot"), student("q3", "cot"), student("q4", "pot"))
    assert weights(mixed("rarity", table)) == {
        "s-q1-cot-0": 0.666667, "s-q2-cot-0": 0.666667, "s-q3-cot-0": 0.666667, "s-q4-pot-0": 2.0,
    }  # fmt: skip


def test_rarity_among_the_rows_of_a_problem() -> None:
    table = opened(
        student("q1", "cot", draw=0), student("q1", "cot", draw=1), student("q1", "pot", draw=2), student("q2", "cot")
    )
    found = weights(mixed("rarity", table, keep=2, group="problem"))
    assert found == {"s-q1-cot-0": 0.75, "s-q1-cot-1": 0.75, "s-q1-pot-2": 1.5, "s-q2-cot-0": 1.0}
    assert set(weights(mixed("rarity", table, group="problem")).values()) == {1.0}, "one row per strategy: all alike"


def test_rarity_by_copies_is_even_once_copies_weigh() -> None:
    table = opened(
        student("q1", "cot", draw=0, text="same"), student("q1", "cot", draw=1, text="same"),
        student("q1", "cot", draw=2, text="same"), student("q2", "pot"),
    )  # fmt: skip
    chosen = mixed("rarity", table, count="copies")
    assert weights(chosen) == {"s-q1-cot-0": 0.666667, "s-q2-pot-0": 2.0}
    assert chosen.select((pl.col("weight") * pl.col("copies")).sum().over("strategy")).to_series().to_list() == [2, 2]


def test_rarity_fades_and_scales_a_weight_that_is_there() -> None:
    def table(round: int) -> pl.DataFrame:
        return opened(*(student(f"q{n}", "pot" if n == 4 else "cot", round=round) for n in range(1, 5)))

    def of_pot(round: int) -> float:
        return weights(mixed("rarity", table(round), round=round, fade=3))[
            f"s-q4-pot-0{'' if round == 1 else f'-r{round}'}"
        ]

    assert [of_pot(round) for round in (1, 2, 3, 4)] == [2.0, 1.5, 1.0, 1.0]
    inner = {"name": "alpha", "options": {"alpha": 0.75, "by": "weights"}}
    both = opened(teacher("q1", "cot"), teacher("q2", "cot"), teacher("q3", "cot"), student("q4", "pot"))
    assert weights(mixed("rarity", both, mixing=inner)) == {
        **dict.fromkeys(forced("q1-cot", "q2-cot", "q3-cot"), 0.666667), "s-q4-pot-0": 2.0,
    }  # fmt: skip


def test_the_warm_up_is_the_teachers_whatever_the_policy() -> None:
    table = opened(teacher("q1", "cot", "pot"), teacher("q2", "cot"))
    for policy in ("alpha", "rarity", "rft", "smart", "tata"):
        assert keys(mixed(policy, table, round=0)) == forced("q1-cot", "q1-pot", "q2-cot"), policy
