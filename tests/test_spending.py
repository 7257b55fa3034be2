"""Money and time: counted from what is on disk, capped before they are spent, and never counted twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core.errors import CapReached, RecipeError, RunError
from siked_core.loop import distill
from siked_core.meter import SAVE_S, SEEN, Meter, Tally, amount, prompt_limit
from siked_core.pool import write_parquet
from siked_core.recipe import Recipe, differences, validate
from siked_core.records import Message, Prompt
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.spending import Spent, by_stage, check_caps, free, keep_changes, price, spent, written
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry

PRICES = {"currency": "EUR", "models": {"toy-teacher": {"input": 1000, "output": 5000}}}
SAMPLE_COST = (3 * 1000 + 4 * 5000) / 1e6
"""Of a toy teacher's sample: 3 tokens in, 4 out."""
ENOUGH = 15 * 7 + 5 * 14
"""Tokens: what three chunks take, and what a fourth may."""


class Telling(SilentReporter):
    """Remembers what it was told of money."""

    def __init__(self) -> None:
        self.told: list[tuple[Spent, str]] = []

    def spent(self, spent: Spent, currency: str) -> None:
        self.told.append((spent, currency))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def recipe_of(tiny: Path, **changes: object) -> Recipe:
    return validate(toy_recipe(tiny, **{"prices": PRICES, **changes}))


def open_run(
    folder: Path,
    recipe: Recipe,
    name: str = "run",
    reporter: SilentReporter | None = None,
    registry: Registry | None = None,
    fork: bool = False,
) -> Run:
    run = start(recipe, registry or toy_registry(), reporter or SilentReporter(), runs=folder, name=name, fork=fork)
    keep_changes(run)
    return run


# Prices


def test_who_has_no_price_is_free_and_said_to_be(tiny: Path) -> None:
    recipe = recipe_of(tiny)
    assert free(recipe) == ["student"]
    assert price(recipe, "student") is None
    found = price(recipe, "teacher")
    assert found is not None
    assert (found.input, found.output) == (1000, 5000)
    named = recipe_of(tiny, teacher={"generator": {"name": "toy-teacher", "options": {"model": "org/big.model-7B"}}})
    assert free(named) == ["org/big.model-7B", "student"]


def test_a_cap_on_the_cost_of_nothing_is_refused(tiny: Path) -> None:
    check_caps(recipe_of(tiny, caps={"cost": 1}))
    check_caps(recipe_of(tiny, prices={"models": {"student": {"input": 0, "output": 1}}}, caps={"cost": 1}))
    misspelt = {"models": {"toy-taecher": {"input": 1, "output": 1}}}
    with pytest.raises(RecipeError, match=r"neither 'toy-teacher' nor 'student' has a price.*priced: toy-taecher"):
        check_caps(recipe_of(tiny, prices=misspelt, caps={"cost": 1}))


# What was spent


def test_a_run_counts_all_its_samples_once_by_stage_also_after_a_resume(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny, caps={"cost": 100})
    telling = Telling()
    with open_run(tmp_path, recipe, reporter=telling) as run:
        found = distill(run).spending
        samples = sum(written(run.path, pool).height for pool in ("teacher", "round-1"))
        stages = by_stage(run.path, recipe)
    assert stages["teach"].samples == 20
    assert stages["teach"].cost == pytest.approx(20 * SAMPLE_COST)
    assert stages["rollout round-1"].cost == 0
    assert stages["train round-0"].seconds > 0
    assert samples == 40
    assert found["total"]["cost"] == pytest.approx(20 * SAMPLE_COST)
    assert found["total"]["samples"] == sum(one.samples for one in stages.values()) > samples
    assert (found["currency"], found["free"], found["quoted"]) == ("EUR", ["student"], [])
    costs = [told.cost for told, _ in telling.told]
    assert costs == sorted(costs)
    assert costs[-1] == pytest.approx(20 * SAMPLE_COST)
    assert {currency for _, currency in telling.told} == {"EUR"}
    assert json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["spending"] == found
    with attach("run", toy_registry(), SilentReporter(), runs=tmp_path) as run:
        assert distill(run).spending == found


def test_without_any_price_no_currency_is_shown(tmp_path: Path, tiny: Path) -> None:
    telling = Telling()
    with open_run(tmp_path, recipe_of(tiny, prices={}), reporter=telling) as run:
        teach(run)
    assert {currency for _, currency in telling.told} == {""}


def test_a_sample_that_is_drawn_again_under_a_higher_limit_is_paid_twice(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny)
    with open_run(tmp_path, recipe) as run:
        teach(run)
        rows = run.pool("teacher").read().head(3).to_dicts()
        run.pool("teacher").append([{**row, "max_tokens": 2 * row["max_tokens"]} for row in rows])
        assert run.pool("teacher").read().height == 20
        assert spent(run.path, recipe).samples == 23
        run.pool("teacher").append(rows)  # the very same completions, as a kill in a repair may leave them
        assert spent(run.path, recipe).samples == 23


def test_a_flipped_byte_is_named_and_not_counted(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny)
    with open_run(tmp_path, recipe) as run:
        teach(run)
        shard = sorted((run.path / "pools" / "teacher").glob("*.parquet"))[1]
        content = bytearray(shard.read_bytes())
        content[len(content) // 3] ^= 1
        shard.write_bytes(content)
        with pytest.raises(RunError, match=f"{shard.name} is damaged: its content is not what was written"):
            spent(run.path, recipe)


def test_what_was_brought_in_from_a_file_is_not_paid_here(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny)
    with open_run(tmp_path, recipe) as run:
        teach(run)
        keys = run.pool("teacher").read().head(5).select("key")
        write_parquet(keys, run.path / "imports" / "teacher.parquet")
        assert spent(run.path, recipe).samples == 15


def test_a_fork_does_not_pay_for_what_it_takes_over(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, recipe_of(tiny)) as run:
        teach(run)
    changed = recipe_of(tiny, teacher={"generator": "toy-teacher", "samples": 3})
    with open_run(tmp_path, changed, fork=True) as run:
        assert spent(run.path, changed).samples == 0
        teach(run)
        assert spent(run.path, changed).samples == 40
        path = run.path
    assert spent(path, changed).cost == pytest.approx(40 * SAMPLE_COST)


# Caps


def test_prices_and_caps_may_change_and_are_kept(tmp_path: Path, tiny: Path) -> None:
    first = recipe_of(tiny)
    with open_run(tmp_path, first) as run:
        teach(run)
    second = recipe_of(tiny, caps={"tokens": 5000}, prices={"models": {"student": {"input": 1, "output": 1}}})
    assert first == second
    assert differences(first, second) == []
    calls = ToyTeacher.calls
    with open_run(tmp_path, second) as run:
        assert run.resumed
        teach(run)
    assert ToyTeacher.calls == calls
    with attach("run", toy_registry(), SilentReporter(), runs=tmp_path) as run:
        assert run.recipe.caps.tokens == 5000
        assert run.recipe.prices == second.prices
        assert "tokens: 5000" in (run.path / "recipe.yaml").read_text(encoding="utf-8")
    # Without a name, the unfinished run of the same recipe is found, whatever its caps.
    third = recipe_of(tiny, caps={"hours": 5})
    with start(first, toy_registry(), SilentReporter(), runs=tmp_path) as run:
        numbered = run.path
    with start(third, toy_registry(), SilentReporter(), runs=tmp_path) as run:
        assert run.path == numbered


@pytest.mark.parametrize(
    ("caps", "option"),
    [
        ({"cost": 12 * SAMPLE_COST}, "--max-cost"),
        ({"tokens": 15 * 7}, "--max-tokens"),
    ],
)
def test_a_run_pauses_before_a_cap_and_a_higher_one_continues_it(
    tmp_path: Path, tiny: Path, caps: dict[str, float], option: str
) -> None:
    asked = {"generator": "toy-teacher", "max_tokens": 4}
    calls = ToyTeacher.calls
    recipe = recipe_of(tiny, teacher=asked, caps=caps)
    with open_run(tmp_path, recipe) as run, pytest.raises(CapReached, match=f"a higher {option} continues"):
        teach(run)
    assert spent(tmp_path / "run", recipe).samples == ToyTeacher.calls - calls == 10, "two chunks of five, not three"
    # The same again: nothing more is drawn.
    with open_run(tmp_path, recipe) as run, pytest.raises(CapReached, match="the next 5 samples of `teach`"):
        teach(run)
    assert ToyTeacher.calls - calls == 10
    higher = recipe_of(tiny, teacher=asked, caps={key: 100 * value for key, value in caps.items()})
    with open_run(tmp_path, higher) as run:
        broken = teach(run)
    assert ToyTeacher.calls - calls == 20
    with open_run(tmp_path, recipe_of(tiny, teacher=asked), name="unbroken") as run:
        assert teach(run) == broken


@pytest.mark.parametrize("cap", [1, 12 * 7, 15 * 7, 20 * 7, ENOUGH])
def test_no_cap_is_ever_passed(tmp_path: Path, tiny: Path, cap: int) -> None:
    recipe = recipe_of(tiny, teacher={"generator": "toy-teacher", "max_tokens": 4}, caps={"tokens": cap})
    with open_run(tmp_path, recipe) as run:
        if cap == ENOUGH:
            teach(run)
        else:
            with pytest.raises(CapReached):
                teach(run)
        assert spent(run.path, recipe).tokens <= cap


def test_a_finished_run_is_read_whatever_its_cap(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, recipe_of(tiny, stopping={"rounds": 0})) as run:
        distill(run)
    with open_run(tmp_path, recipe_of(tiny, stopping={"rounds": 0}, caps={"tokens": 1, "hours": 1e-9})) as run:
        distill(run)


def test_training_pauses_at_a_checkpoint_and_continues_from_there(tmp_path: Path, tiny: Path) -> None:
    training = {**toy_recipe(tiny)["training"], "checkpoint_steps": 2, "epochs": 3}
    recipe = recipe_of(tiny, training=training, caps={"hours": 1000})
    with open_run(tmp_path, recipe) as run:
        teach(run)
        mix(run, 0)
        used = spent(run.path, recipe).hours
    # What is left is less than any training takes, and more than getting there does.
    with open_run(tmp_path, recipe_of(tiny, training=training, caps={"hours": used + 0.001 / 3600})) as run:
        with pytest.raises(CapReached, match="--max-hours"):
            train(run, 0)
        assert list((run.path / "checkpoints").rglob("checkpoint-2"))
        assert not (run.student("round-0") / "config.json").exists()
        assert spent(run.path, recipe).hours > used, "the time that a pause ended is counted"
    with open_run(tmp_path, recipe) as run:
        folder = train(run, 0)
        steps = json.loads((folder / "siked.json").read_text(encoding="utf-8"))["steps"]
    with open_run(tmp_path, recipe, name="unbroken") as run:
        teach(run)
        mix(run, 0)
        other = json.loads((train(run, 0) / "siked.json").read_text(encoding="utf-8"))
    assert steps == other["steps"]


# What is expected


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rows_of(count: int, out: int = 10) -> list[dict[str, object]]:
    return [{"requested": "loud", "prompt_tokens": 100, "completion_tokens": out} for _ in range(count)]


def test_what_is_not_known_is_taken_at_its_limit_and_then_from_the_mean(tmp_path: Path, tiny: Path) -> None:
    clock = Clock()
    with open_run(tmp_path, recipe_of(tiny)) as run:
        meter = Meter(run, "teach", clock)
        unknown = meter.expect(["loud", "quiet"], [200, 100], 50, "teacher")
        assert (unknown.tokens_in, unknown.tokens_out, unknown.seconds) == (300, 100, 0)
        clock.now += 4
        with run.timed("teach"):
            meter.add(rows_of(SEEN), "teacher")
        known = meter.expect(["loud", "quiet"], [200, 100], 50, "teacher")
        assert (known.tokens_in, known.tokens_out) == (100 + 100, 10 + 50), "each strategy by itself"
        assert known.cost == pytest.approx((200 * 1000 + 60 * 5000) / 1e6)
        assert known.seconds == pytest.approx(2 * 4 / SEEN)
        assert meter.spent.samples == SEEN
        assert meter.spent.seconds == 4


def test_a_stages_time_is_written_every_few_seconds_and_when_it_ends_badly(tmp_path: Path, tiny: Path) -> None:
    clock = Clock()

    def kept(run: Run) -> float:
        return float(run.manifest["stages"]["teach"].get("seconds", 0.0))

    with open_run(tmp_path, recipe_of(tiny)) as run:
        with suppress(KeyboardInterrupt), run.timed("teach"):
            meter = Meter(run, "teach", clock)
            for clock.now, expected in ((1.0, 0.0), (SAVE_S, SAVE_S), (SAVE_S + 1, SAVE_S), (2 * SAVE_S, 2 * SAVE_S)):
                meter.add(rows_of(1), "teacher")
                assert kept(run) == expected
            raise KeyboardInterrupt
        assert 0 < kept(run) < SAVE_S, "what the stage's own clock says"
        assert run.manifest["stages"]["teach"]["state"] == "running"


@given(st.lists(st.integers(0, 500), min_size=SEEN, max_size=60), st.integers(1, 300))
def test_what_is_expected_lies_between_the_mean_and_the_limit(seen: list[int], more: int) -> None:
    tally = Tally()
    for value in seen:
        tally.add(value)
    found = tally.at_most(more, 500 * more)
    assert found <= 500 * more
    assert found >= more * sum(seen) / len(seen) - 1e-6


def test_a_prompt_is_not_taken_for_shorter_than_it_is() -> None:
    prompt = Prompt((Message("user", "What is 12 + 7?"), Message("assistant", "\u4e09" * 10)))
    assert prompt_limit(prompt) == 8 + 5 + 8 + 10


def test_amounts_have_the_digits_that_they_need() -> None:
    assert amount(1234.5, "USD") == "1,234.50 USD"
    assert amount(0.003123, "USD") == "0.00312 USD"
    assert amount(12345.4, "tokens") == "12,345 tokens"


def interrupted_after(calls: int) -> type[ToyTeacher]:
    class Interrupted(ToyTeacher):
        left = calls

        def generate(self, requests: Sequence[object], sampling: object) -> Iterator[object]:  # type: ignore[override]
            for item in super().generate(requests, sampling):  # type: ignore[arg-type]
                Interrupted.left -= 1
                if Interrupted.left == 0:
                    raise KeyboardInterrupt
                yield item

    return Interrupted


def test_an_interruption_loses_no_figure(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny)
    registry = toy_registry(interrupted_after(12))
    with open_run(tmp_path, recipe, registry=registry) as run, pytest.raises(KeyboardInterrupt):
        teach(run)
    before = spent(tmp_path / "run", recipe)
    with open_run(tmp_path, recipe) as run:
        assert before.samples == run.pool("teacher").read().height > 0
        assert before.seconds > 0
        teach(run)
    after = spent(tmp_path / "run", recipe)
    assert (after.samples, after.tokens) == (20, 140)
    assert after.seconds > before.seconds
