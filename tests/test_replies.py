"""What a verifier's language model replies is kept, counted, quoted and capped like every sample."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from siked_core import Completion, Generator, Request, Sampling
from siked_core.errors import CapReached
from siked_core.loop import distill
from siked_core.quote import quote
from siked_core.quoted import against
from siked_core.recipe import Recipe, validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.spending import by_stage, free, keep_changes, spent
from siked_core.stages.teach import teach
from siked_core.stages.verify import verdicts_of, verify
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_plugins.verifiers.judge import JudgeVerifier

PRICES = {"models": {"grader": {"input": 1000, "output": 5000}}}
REPLY_TOKENS = 10 + 2
REPLY_COST = (10 * 1000 + 2 * 5000) / 1e6
TEACHERS = 20 * 7
"""Tokens of a whole teacher's pool."""


class Grader(Generator):
    """Agrees with everybody; 10 tokens in, 2 out."""

    name = "grader"
    asked = 0

    @property
    def fingerprint(self) -> str:
        return "grader"

    @property
    def chunk_size(self) -> int:
        return 3

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, _ in enumerate(requests):
            Grader.asked += 1
            yield place, Completion("Yes.", "stop", 10, 2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def recipe_of(tiny: Path, **changes: object) -> Recipe:
    verifiers = {"loud": {"name": "judge", "options": {"generator": "grader"}}}
    return validate(toy_recipe(tiny, **{"verifiers": verifiers, "prices": PRICES, **changes}))


def open_run(folder: Path, recipe: Recipe, **how: Any) -> Run:
    run = start(recipe, toy_registry(JudgeVerifier, Grader), SilentReporter(), runs=folder, name="run", **how)
    keep_changes(run)
    return run


def test_replies_are_counted_by_stage_and_asked_for_once(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny)
    assert free(recipe) == ["toy-teacher", "student"]
    asked = Grader.asked
    with open_run(tmp_path, recipe) as run:
        report = distill(run)
        stages = by_stage(run.path, recipe)
        assert stages["teach"].cost == 0
        judged = stages["verify teacher"]
        assert judged.samples == 10, "the teacher's samples of one strategy of two"
        assert judged.tokens == 10 * REPLY_TOKENS
        assert judged.cost == pytest.approx(10 * REPLY_COST)
        assert stages["verify evaluations/round-0/sums-validation"].cost > 0, "evaluations are judged as well"
        total = report.spending["total"]["cost"]
        assert total == pytest.approx((Grader.asked - asked) * REPLY_COST), "nothing was asked that is not counted"
        before = Grader.asked
        distill(run)
        assert (Grader.asked, spent(run.path, recipe).cost) == (before, pytest.approx(total))
    with open_run(tmp_path, recipe_of(tiny, mixing={"policy": "both", "keep": 2}), fork=True) as run:
        verify_again(run)
        assert Grader.asked == before
        assert spent(run.path, run.recipe).cost == 0, "a fork does not pay for what it takes over"


def verify_again(run: Run) -> None:
    teach(run)
    verify(run, "teacher")


def test_a_cap_pauses_between_replies_and_a_higher_one_goes_on(tmp_path: Path, tiny: Path) -> None:
    asked = Grader.asked
    cap = TEACHERS + 7 * REPLY_TOKENS

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with open_run(tmp_path, recipe_of(tiny)) as run, pytest.MonkeyPatch.context() as patch:
        patch.setattr("siked_core.stages.top_up.verify", stopped)
        with pytest.raises(KeyboardInterrupt):
            teach(run)
    recipe = recipe_of(tiny, caps={"tokens": cap})
    words = r"the next 3 replies for `verify teacher` may take .*a higher --max-tokens continues"
    with open_run(tmp_path, recipe) as run, pytest.raises(CapReached, match=words):
        verify(run, "teacher")
    there = Grader.asked - asked
    assert there in (0, 3, 6)
    assert spent(tmp_path / "run", recipe).tokens == TEACHERS + there * REPLY_TOKENS <= cap
    with open_run(tmp_path, recipe_of(tiny, caps={"tokens": 10 * cap})) as run:
        verify(run, "teacher")
        assert verdicts_of(run, "teacher").height == 20
    assert Grader.asked - asked == 10, "what was replied before the pause was not asked again"


def test_a_kill_between_reply_and_verdict_costs_nothing(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Grader.asked

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with open_run(tmp_path, recipe_of(tiny)) as run:
        with monkeypatch.context() as patch:
            patch.setattr("siked_core.stages.verify._Bench.judge", judged_and_then(killed))
            with pytest.raises(KeyboardInterrupt):
                teach(run)
        assert Grader.asked - asked == 10
        teach(run)
        assert verdicts_of(run, "teacher").height == 20
    assert Grader.asked - asked == 10


def judged_and_then(act: Callable[..., None]) -> Callable[..., object]:
    from siked_core.stages.verify import _Bench

    judge = _Bench.judge

    def both(bench: Any, chunk: Any) -> object:
        return judge(bench, chunk) and act()

    return both


@pytest.mark.slow
def test_a_quote_tells_what_judging_costs(tmp_path: Path, tiny: Path) -> None:
    recipe = recipe_of(tiny)
    with open_run(tmp_path, recipe) as run:
        steps = {(one["round"], one["step"]): one for one in quote(run, 4)["steps"]}
        assert steps[0, "teach"]["cost"] == pytest.approx(dict.fromkeys(("expected", "low", "high"), 10 * REPLY_COST))
        assert steps[0, "teach"]["tokens_in"]["expected"] == 20 * 3 + 10 * 10
        distill(run)
        told = {(line["round"], line["step"], line["quantity"]): line for line in against(run.path, recipe)}
    for quantity in ("tokens_in", "tokens_out", "cost"):
        line = told[0, "teach", quantity]
        assert line["actual"] == pytest.approx(line["expected"]), "the pilot's replies are the run's"
    assert told[None, "test", "cost"]["inside"]


# Through the command line, with a real model that judges


def test_a_real_judge_is_priced_and_capped(siked: Callable[..., Any], siked_says: Callable[..., str]) -> None:
    model = str(Registry.discover().create("model", "pocket", {}).folder())
    judge = f"{{name: judge, options: {{generator: transformers, generator_options: {{model: '{model}'}}}}}}"
    prices = f"prices={{models: {{'{model}': {{input: 100, output: 200}}}}}}"
    recipe = ["--preset", "pocket-smoke", "--strategies", "cot,pot", "--limit", "4", "--run", "mine"]
    recipe += ["--set", f"verifiers={{cot: {judge}}}", "--set", prices]
    said = siked("teach", *recipe, "--max-cost", "0.000001", code=4).err
    assert "Without a price, and so free: pocket, student" in said
    assert "the next 4 replies for `verify teacher` may take" in said
    assert said.endswith("the same command with a higher --max-cost continues.\n")
    siked("verify", "mine", "--pool", "teacher", "-q", code=4)
    siked("verify", "mine", "--pool", "teacher", "--max-cost", "10", "-q")
    (listed,) = json.loads(siked_says("runs", "--json"))
    assert listed["spending"]["samples"] == 4 * 2 + 4
    assert listed["spending"]["cost"] > 0
    assert siked_says("run", "check", "mine").strip()
    siked("verify", "mine", "-q")
    assert json.loads(siked_says("runs", "--json"))[0]["spending"]["cost"] == listed["spending"]["cost"]
