"""The loop on toys: whole, resumable, and never paying twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from siked_core import (
    Completion,
    MixContext,
    MixingPolicy,
    PluginError,
    Rationale,
    Request,
    RunError,
    Sampling,
    Verdict,
)
from siked_core.errors import DataError, ModelError, RecipeError, VerifierFault
from siked_core.loop import distill, report
from siked_core.models import hash_files, read_side_file
from siked_core.recipe import validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.spending import by_stage, keep_changes
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import mix
from siked_core.stages.prepare import dealt, problems
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.stages.verify import verdicts_of, verify
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import SameText


class TeacherOnly(MixingPolicy):
    """The teacher's rows."""

    name = "teacher-only"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return candidates.filter(pl.col("source") == "teacher")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def open_run(folder: Path, tiny: Path, registry: Registry | None = None, name: str = "run", **changes: object) -> Run:
    recipe = validate(toy_recipe(tiny, **changes))
    return start(recipe, registry or toy_registry(), SilentReporter(), runs=folder, name=name)


def test_whole_loop_and_its_report(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, baselines="single") as run:
        found = distill(run)
        again = report(run)
    assert [one.round for one in found.rounds] == [0, 1]
    assert found.rounds[0].mixture.alpha == 1.0
    assert found.rounds[0].pool.samples == 2 * 10  # 12 problems, 2 of them held out, 2 strategies
    assert 0 < found.rounds[0].pool.correct < 20, "the teacher's mistakes are filtered"
    assert found.rounds[0].mixture.rows == found.rounds[0].pool.correct
    assert {card.student for card in found.test} >= {"round-0", "only-loud", "only-quiet"}
    assert all(card.split == "test" and card.score.total == 6 for card in found.test)
    assert Path(found.student, "model.safetensors").exists()
    assert json.loads(json.dumps(found.as_dict())) == again


@pytest.mark.slow
def test_rounds_of_different_mixtures_are_trained_on_as_many_tokens(tmp_path: Path, tiny: Path) -> None:
    """To a batch, as a budget of tokens is no whole number of steps; the warm-up keeps its epochs."""
    taken = {}
    for policy, budget in (("both", None), ("both", 2500), ("teacher-only", 2500)):
        training = {"objective": "plain", "epochs": 1, "batch_size": 2, "accumulation": 1, "warm_up_steps": 0}
        name = f"{policy}-{budget}"
        settings = {"training": {**training, "tokens_per_round": budget}, "mixing": {"policy": policy}}
        with open_run(tmp_path, tiny, toy_registry(TeacherOnly), name, **settings) as run:
            distill(run)
            taken[name] = [read_side_file(run.student(f"round-{n}")) for n in (0, 1)]
    row = max(one["training_tokens"] / one["rows"] for one, _ in taken.values())
    assert taken["both-None"][1]["rows"] > taken["teacher-only-2500"][1]["rows"]
    for name in ("both-2500", "teacher-only-2500"):
        assert abs(taken[name][1]["training_tokens"] - 2500) <= 2 * 2 * row
        assert taken[name][0]["training_key"] == taken["both-None"][0]["training_key"]


def test_baselines_of_equal_budget_are_trained_on_as_many_tokens_as_all_rounds(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, baselines="equal_budget") as run:
        found = distill(run)
        rows = pl.read_parquet(run.mixture("round-0")).height
        longest = max(read_side_file(run.student(name))["training_tokens"] for name in ("round-0", "round-1")) / rows
    budget = sum(one.training_tokens for one in found.rounds)
    assert {card.student for card in found.test} >= {"round-0", "combined", "only-loud", "only-quiet"}
    assert found.training_tokens["round-1"] == budget > found.training_tokens["round-0"]
    for student in ("combined", "only-loud", "only-quiet"):
        # Training ends with a whole batch, so at most a batch lies between.
        assert budget - 2 * longest <= found.training_tokens[student] <= budget + 4 * longest, student


def test_combined_alone_may_be_the_baseline(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, baselines="combined") as run:
        found = distill(run)
    assert not any(name.startswith("only-") for name in found.training_tokens)
    assert found.training_tokens["combined"] > found.training_tokens["round-0"]
    assert "combined" in {card.student for card in found.test}


def test_fresh_rounds_sample_and_train_on_problems_that_no_student_has_seen(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, rollout={"problems": "fresh", "samples": 2}, baselines="equal_budget") as run:
        found = distill(run)
        parts = [{problem.id for problem in dealt(run, number)} for number in (0, 1)]
        sampled = set(run.pool("round-1").read().get_column("problem_id"))
        trained = [set(pl.read_parquet(run.mixture(name)).get_column("problem_id"))
                   for name in ("round-0", "round-1", "combined")]  # fmt: skip
        everything = {problem.id for problem in problems(run, "train")}
    assert parts[0] | parts[1] == everything
    assert not parts[0] & parts[1]
    assert abs(len(parts[0]) - len(parts[1])) <= 1
    assert sampled == parts[1]
    assert found.rounds[1].pool.problems == len(parts[1])
    assert trained[0] <= parts[0]
    assert trained[1] <= parts[1]
    assert trained[2] & parts[0]
    assert trained[2] & parts[1], "the baselines have all of the teacher's rows"


def test_too_few_problems_for_fresh_rounds_are_refused(tmp_path: Path, tiny: Path) -> None:
    few = {"rollout": {"problems": "fresh"}, "stopping": {"rounds": 12}}
    with open_run(tmp_path, tiny, **few) as run, pytest.raises(RunError, match="cannot be dealt to round 0 and 12"):
        distill(run)


def test_parts_of_a_given_size_stay_when_rounds_and_problems_are_added(tmp_path: Path, tiny: Path) -> None:
    def parts(name: str, size: int | None, limit: int, rounds: int) -> list[set[str]]:
        rollout = {"problems": "fresh", "samples": 2, "problems_per_round": size}
        recipe = toy_recipe(tiny, rollout=rollout, data={"validation": 2, "limit": limit}, stopping={"rounds": rounds})
        with start(validate(recipe), toy_registry(), SilentReporter(), runs=tmp_path, name=name) as run:
            return [{problem.id for problem in dealt(run, number)} for number in range(rounds + 1)]

    first = parts("two", 3, 6, 1)
    more = parts("three", 3, 10, 2)
    assert more[:2] == first
    assert [len(part) for part in more] == [3, 3, 3]
    assert len(set().union(*more)) == 9, "one problem waits for a fourth part"
    assert parts("equal", None, 10, 1)[0] != parts("anew", None, 10, 2)[0], "without a size, all is dealt anew"
    few = parts("few", 8, 10, 2)
    assert [len(part) for part in few] == [3, 3, 4], "too few problems: all parts shrink alike"
    assert len(set().union(*few)) == 10
    with pytest.raises(RunError, match="3 training problems cannot be dealt to round 0 and 3 rounds"):
        parts("none", 8, 3, 3)
    with pytest.raises(RecipeError, match="problems_per_round deals problems out: it needs problems=fresh"):
        validate(toy_recipe(tiny, rollout={"problems_per_round": 4}))


def test_the_warm_up_may_have_a_part_of_its_own_size(tmp_path: Path, tiny: Path) -> None:
    def parts(name: str, rounds: int) -> list[set[str]]:
        rollout = {"problems": "fresh", "problems_per_round": 2, "warm_up_problems": 5}
        recipe = toy_recipe(tiny, rollout=rollout, data={"validation": 2, "limit": 10}, stopping={"rounds": rounds})
        with start(validate(recipe), toy_registry(), SilentReporter(), runs=tmp_path, name=name) as run:
            return [{problem.id for problem in dealt(run, number)} for number in range(rounds + 1)]

    two = parts("two", 2)
    assert [len(part) for part in two] == [5, 2, 2]
    assert len(set().union(*two)) == 9
    assert parts("one", 1) == two[:2]
    assert [len(part) for part in parts("three", 3)] == [4, 2, 2, 2], "there are ten, and it wants eleven"
    with pytest.raises(RecipeError, match=r"warm_up_problems is round 0's part: it needs problems_per_round"):
        validate(toy_recipe(tiny, rollout={"problems": "fresh", "warm_up_problems": 4}))


def test_a_rate_of_the_rounds_leaves_the_warm_up_as_it_is(tmp_path: Path, tiny: Path) -> None:
    """Epochs and learning rate of the rounds have no part in round 0 where it has its own."""

    def weights(name: str, **training: float) -> list[str]:
        own = {"objective": "plain", "batch_size": 4, "warm_up_epochs": 1, "warm_up_learning_rate": 1e-2, **training}
        with open_run(tmp_path, tiny, name=name, training=own) as run:
            distill(run)
            return [hash_files(run.student(f"round-{number}")) for number in (0, 1)]

    first, second = weights("first", learning_rate=1e-2), weights("second", learning_rate=1e-4, epochs=2)
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_a_further_round_of_fresh_problems_repeats_none_of_those_before(tmp_path: Path, tiny: Path) -> None:
    rollout = {"problems": "fresh", "samples": 2, "problems_per_round": 3}
    with open_run(tmp_path, tiny, rollout=rollout) as run:
        distill(run)
        weights = hash_files(run.student("round-1"))
    calls = ToyTeacher.calls
    longer = validate(toy_recipe(tiny, rollout=rollout, stopping={"rounds": 2, "min_gain": -100}))
    with start(longer, toy_registry(), SilentReporter(), runs=tmp_path, name="run", fork=True) as run:
        keep_changes(run)
        report = distill(run)
        drawn = {stage: one.samples for stage, one in by_stage(run.path, longer).items() if one.samples}
        assert hash_files(run.student("round-1")) == weights
    assert [one.round for one in report.rounds] == [0, 1, 2]
    assert ToyTeacher.calls == calls
    assert "rollout round-1" not in drawn
    assert drawn["rollout round-2"] == 3 * 2


def test_resuming_a_finished_run_costs_nothing_and_finds_the_same(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny) as run:
        first = distill(run).as_dict()
        weights = hash_files(run.student("round-1"))
    calls = ToyTeacher.calls
    with attach("run", toy_registry(), SilentReporter(), runs=tmp_path) as run:
        assert run.resumed
        second = distill(run).as_dict()
        assert hash_files(run.student("round-1")) == weights
    assert ToyTeacher.calls == calls
    assert first == second


class Interrupted(ToyTeacher):
    """Dies after so many answers."""

    left = 12

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for item in super().generate(requests, sampling):
            Interrupted.left -= 1
            if Interrupted.left == 0:
                raise KeyboardInterrupt
            yield item


def test_interrupted_teaching_goes_on_where_it_was(tmp_path: Path, tiny: Path) -> None:
    Interrupted.left = 12
    with open_run(tmp_path, tiny, toy_registry(Interrupted)) as run, pytest.raises(KeyboardInterrupt):
        teach(run)
    with attach("run", toy_registry(), SilentReporter(), runs=tmp_path) as run:
        assert len(run.pool("teacher").keys()) == 11, "two whole chunks of five, and what the third had"
        calls = ToyTeacher.calls
        broken = teach(run)
        assert ToyTeacher.calls - calls == 9
        rows = verdicts_of(run, "teacher").select("key", "text", "status")
    with open_run(tmp_path, tiny, name="unbroken") as run:
        assert teach(run) == broken
        assert verdicts_of(run, "teacher").select("key", "text", "status").equals(rows)


class Swayed(ToyTeacher):
    """Answers are swayed by what is in their batch: it divides chunks of five into batches of two."""

    batch_sensitive = True
    left = 99
    divided: Sequence[Sequence[int]] | None = None

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[int]]:
        if Swayed.divided is not None:
            return Swayed.divided
        order = range(len(requests))[::-1]
        return [order[start : start + 2] for start in range(0, len(requests), 2)]

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, completion in super().generate(requests, sampling):
            Swayed.left -= 1
            if Swayed.left == 0:
                raise KeyboardInterrupt
            yield place, replace(completion, text=f"({len(requests)}) {completion.text}")


def test_of_a_chunk_whose_batches_sway_answers_whole_batches_are_kept(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Swayed, "left", 9)
    with open_run(tmp_path, tiny, toy_registry(Swayed)) as run, pytest.raises(KeyboardInterrupt):
        teach(run)
    assert len(run.pool("teacher").keys()) == 7, "a chunk of five, and of the second the first batch of two"
    monkeypatch.setattr(Swayed, "left", 99)
    with attach("run", toy_registry(Swayed), SilentReporter(), runs=tmp_path) as run:
        calls = ToyTeacher.calls
        broken = teach(run)
        assert ToyTeacher.calls - calls == 13
        rows = verdicts_of(run, "teacher").select("key", "text", "status")
    with open_run(tmp_path, tiny, toy_registry(Swayed), name="unbroken") as run:
        assert teach(run) == broken
        assert verdicts_of(run, "teacher").select("key", "text", "status").equals(rows)


@pytest.mark.parametrize("divided", [[[0, 1], [3, 4]], [[0, 1, 2, 3, 4], [0]], [[0, 1, 2, 3, 9]], []])
def test_batches_are_of_the_requests_of_the_chunk(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, divided: list[list[int]]
) -> None:
    monkeypatch.setattr(Swayed, "divided", divided)
    with (
        open_run(tmp_path, tiny, toy_registry(Swayed)) as run,
        pytest.raises(PluginError, match=r"'toy-teacher' divides 5 requests into other ones"),
    ):
        teach(run)


def test_more_samples_draw_only_the_missing_ones(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny) as run:
        teach(run)
    calls = ToyTeacher.calls
    changed = validate(toy_recipe(tiny, teacher={"generator": "toy-teacher", "samples": 3}))
    with pytest.raises(RunError, match=r"another recipe \(teacher.samples: 1 -> 3\)"):
        start(changed, toy_registry(), SilentReporter(), runs=tmp_path, name="run")
    with start(changed, toy_registry(), SilentReporter(), runs=tmp_path, name="run", fork=True) as run:
        assert run.path != tmp_path / "run"
        assert teach(run).samples == 60
    assert ToyTeacher.calls - calls == 40


def test_a_trained_student_is_trained_again_only_when_what_it_is_made_from_changes(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, stopping={"rounds": 0}) as run:
        distill(run)
        before = read_side_file(run.student("round-0"))
    changed = validate(toy_recipe(tiny, stopping={"rounds": 0}, rollout={"samples": 5}))
    with start(changed, toy_registry(), SilentReporter(), runs=tmp_path, name="run", fork=True) as run:
        stamp = (run.student("round-0") / "model.safetensors").stat().st_mtime_ns
        distill(run)
        assert (run.student("round-0") / "model.safetensors").stat().st_mtime_ns == stamp
        assert read_side_file(run.student("round-0"))["training_key"] == before["training_key"]
        path = run.path
    training = {**toy_recipe(tiny)["training"], "epochs": 2}
    changed = validate(toy_recipe(tiny, stopping={"rounds": 0}, rollout={"samples": 5}, training=training))
    with start(changed, toy_registry(), SilentReporter(), runs=tmp_path, name=path.name, fork=True) as run:
        distill(run)
        assert read_side_file(run.student("round-0"))["training_key"] != before["training_key"]


def test_unfinished_identical_recipe_is_resumed_without_a_name(tmp_path: Path, tiny: Path) -> None:
    recipe = validate(toy_recipe(tiny, stopping={"rounds": 0}))

    def begin() -> Run:
        return start(recipe, toy_registry(), SilentReporter(), runs=tmp_path)

    with begin() as run:
        teach(run)
        first = run.path
    with begin() as run:
        assert (run.path, run.resumed) == (first, True)
        distill(run)
    with begin() as run:
        assert (run.path.name, run.resumed) == ("sums-002", False)


def test_two_processes_on_one_run(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny), pytest.raises(RunError, match="Another process has the run"):
        open_run(tmp_path, tiny)


def test_forced_and_both(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, rollout={"mode": "both", "samples": 2, "max_tokens": 4}) as run:
        teach(run)
        mix(run, 0)
        train(run, 0)
        assert rollout(run, 1).samples == 10 * 2 * 3
        table = verdicts_of(run, "round-1")
    assert table.group_by("requested").len().sort("requested").rows() == [(None, 20), ("loud", 20), ("quiet", 20)]
    assert set(table.filter(pl.col("requested") == "loud")["strategy"]) == {"loud"}


def test_stages_before_their_time(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny) as run:
        with pytest.raises(RunError, match="no pool 'teacher' yet"):
            mix(run, 0)
        with pytest.raises(RunError, match="no student 'round-0' yet"):
            rollout(run, 1)
        with pytest.raises(RunError, match="no student 'round-3' yet"):
            evaluate(run, "round-3", "sums", "test")


class Faulty(SameText):
    """Fails at its own work."""

    name = "same_text"

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        raise VerifierFault("the judge is ill")


def test_a_fault_of_the_verifier_is_no_verdict(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, toy_registry(Faulty)) as run:
        with pytest.raises(VerifierFault, match=r"'same_text' failed on the sample .* the judge is ill"):
            teach(run)
        assert run.verdicts("teacher").read().is_empty()
    with attach("run", toy_registry(), SilentReporter(), runs=tmp_path) as run:
        calls = ToyTeacher.calls
        assert verify(run, "teacher").samples == 20
        assert ToyTeacher.calls == calls, "what was generated is kept"


class Twice(MixingPolicy):
    """Returns a row twice."""

    name = "twice"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return pl.concat([candidates, candidates])


class Stranger(MixingPolicy):
    """Returns a row of its own."""

    name = "stranger"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return candidates.head(1).with_columns(key=pl.lit("mine"))


@pytest.mark.parametrize(("policy", "message"), [(Twice, "a row twice"), (Stranger, "not among its candidates")])
def test_what_a_policy_returns_is_looked_at(
    tmp_path: Path, tiny: Path, policy: type[MixingPolicy], message: str
) -> None:
    with open_run(
        tmp_path, tiny, toy_registry(policy), mixing={"policy": policy.name}, rollout={"samples": 1, "max_tokens": 4}
    ) as run:
        teach(run)
        mix(run, 0)
        train(run, 0)
        rollout(run, 1)
        with pytest.raises(PluginError, match=message):
            mix(run, 1)


def test_unusable_students_are_told_before_the_teacher_is_paid(tmp_path: Path) -> None:
    calls = ToyTeacher.calls
    mute = make_tiny_student(tmp_path / "mute", chat_template=None)
    with (
        open_run(tmp_path, mute, name="a") as run,
        pytest.raises(ModelError, match=r"no chat template.*student\.chat_template"),
    ):
        distill(run)
    padless = make_tiny_student(tmp_path / "padless", pad_token=False)
    with (
        open_run(tmp_path, padless, name="b") as run,
        pytest.raises(ModelError, match=r"no pad token.*student\.pad_token"),
    ):
        distill(run)
    with open_run(tmp_path, tmp_path / "absent", name="c") as run, pytest.raises(ModelError, match="no model folder"):
        distill(run)
    assert ToyTeacher.calls == calls


def test_an_empty_split_is_told(tmp_path: Path, tiny: Path) -> None:
    options = {"name": "sums", "options": {"test": 0}}
    message = "The test split of the data set 'sums' is empty"
    with open_run(tmp_path, tiny, dataset=options) as run, pytest.raises(DataError, match=message):
        distill(run)


def test_rows_weigh_what_was_sampled_several_times(tmp_path: Path, tiny: Path) -> None:
    rollouts = {"samples": 6, "max_tokens": 8}
    with open_run(tmp_path, tiny, rollout=rollouts, mixing={"policy": "both", "weights": "copies"}) as run:
        teach(run)
        mix(run, 0)
        train(run, 0)
        rollout(run, 1)
        mix(run, 1)
        mixture = pl.read_parquet(run.mixture("round-1"))
        samples = verdicts_of(run, "round-1").filter(pl.col("status") == "correct")
    assert mixture["weight"].mean() == pytest.approx(1.0)
    counts = samples.group_by("problem_id", "strategy", "rationale").len()
    own = mixture.filter(pl.col("source") == "student").join(counts, on=["problem_id", "strategy", "rationale"])
    assert own["len"].n_unique() > 1, "some were sampled more often than others"
    ratios = own["weight"] / own["len"]
    assert ratios.max() == pytest.approx(ratios.min())


def test_lora_students_continue_and_restart(tmp_path: Path, tiny: Path) -> None:
    bases = {}
    for start_from in ("continue", "restart"):
        student = {"model": str(tiny), "generator": "toy-student", "lora": {"r": 2, "alpha": 4}}
        training = {**toy_recipe(tiny)["training"], "start": start_from}
        with open_run(tmp_path, tiny, name=start_from, student=student, training=training) as run:
            found = distill(run)
            assert len(found.rounds) == 2
            bases[start_from] = [read_side_file(run.student(f"round-{n}"))["fingerprint"] for n in (0, 1)]
    assert bases["continue"][0] == bases["restart"][0], "the warm-up is the same"
    assert bases["continue"][1] != bases["restart"][1]
