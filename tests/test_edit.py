"""EDIT and UPFT: what they weigh, what of, and what the trainer makes of negative weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import ObjectiveContext, PluginError, Problem, TrainingExample, TrainingRow
from siked_core.contracts import Objective
from siked_core.finished import Finished
from siked_core.format import StudentFormat
from siked_core.loop import distill
from siked_core.models import load_weights, read_side_file
from siked_core.recipe import validate
from siked_core.recipe_student import TrainingRecipe
from siked_core.reporting import SilentProgress, SilentReporter
from siked_core.run import Run, start
from siked_core.stages.objective import check
from siked_core.testing import make_tiny_student, toy_context, toy_recipe, toy_registry
from siked_core.training import fit
from siked_plugins.objectives.edit import Edit, differing
from siked_plugins.objectives.upft import PrefixFineTuning

FORMAT = StudentFormat.build(("cot", "pot"), "<{strategy}>\n", "")
SCHEMA = ("key", "problem_id", "strategy", "source", "round", "draw", "status", "text", "rationale")


def row(problem: str, text: str, weight: float = 1.0) -> TrainingRow:
    asked = Problem(problem, "How many?", "5")
    target = FORMAT.target("cot", text)
    return TrainingRow(FORMAT.prompt(asked.question), target, "cot", weight, asked, text, f"{problem}-right")


def samples(*rows: tuple[str, str, str, str | None]) -> pl.DataFrame:
    """(problem, strategy, status, rationale)"""
    made = [
        (f"k{draw}", problem, strategy, "teacher", 0, draw, status, f"said: {rationale}", rationale)
        for draw, (problem, strategy, status, rationale) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=SCHEMA, orient="row")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def context(tiny: Path) -> ObjectiveContext:
    return toy_context(tiny, FORMAT, 256)


def learnt(context: ObjectiveContext, example: TrainingExample) -> dict[float, str]:
    """Weight -> the text of the tokens (bytes, here) that have it and a label."""
    weights = example.weights or (1.0,) * len(example.labels)
    found: dict[float, str] = {}
    for token, label, weight in zip(example.input_ids, example.labels, weights, strict=True):
        if label != -100:
            found[weight] = found.get(weight, "") + context.tokenizer.decode([token])
    return found


@given(st.lists(st.integers(0, 4), max_size=15), st.lists(st.integers(0, 4), max_size=15))
def test_what_does_not_differ_is_one_text(right: list[int], wrong: list[int]) -> None:
    only_right, only_wrong = differing(right, wrong)
    rest = [token for place, token in enumerate(right) if place not in only_right]
    assert rest == [token for place, token in enumerate(wrong) if place not in only_wrong]


def test_only_what_differs_is_learnt(context: ObjectiveContext) -> None:
    of = samples(
        ("a", "cot", "wrong", "4 and 1 make 6."),
        ("a", "cot", "wrong", "Six of them."),
        ("a", "cot", "correct", "4 and 1 make 5!"),
        ("a", "pot", "wrong", "4 and 1 make 7."),
        ("b", "cot", "unreadable", None),
    )
    rows = [row("a", "4 and 1 make 5.", 2.0), row("b", "4 and 1 make 5.")]
    right, plain, wrong = Edit().examples(rows, replace(context, samples=lambda: of))
    assert learnt(context, right) == {2.0: "5"}, "against the wrong one that is most like it"
    assert learnt(context, wrong) == {-0.05: "6"}
    assert context.tokenizer.decode(wrong.input_ids).endswith("4 and 1 make 6.<|end|>")
    assert plain == context.tokenize(rows[1]), "without a wrong partner, a row is learnt as it is"
    (other, _, _) = Edit({"others": 0.5}).examples(rows, replace(context, samples=lambda: of))
    assert learnt(context, other) == {1.0: "<cot>\n4 and 1 make .<|end|>", 2.0: "5"}


def test_a_right_rationale_without_a_token_of_its_own_is_learnt_whole(context: ObjectiveContext) -> None:
    of = samples(("a", "cot", "wrong", "4 and 1 make 50."))
    rows = [row("a", "4 and 1 make 5.")]
    assert Edit().examples(rows, replace(context, samples=lambda: of)) == [context.tokenize(rows[0])]


def test_edit_shows_rows_without_a_run(context: ObjectiveContext) -> None:
    assert Edit().shown([row("a", "x")], context) == [context.tokenize(row("a", "x"))]


def trained(
    tiny: Path, folder: Path, context: ObjectiveContext, examples: Sequence[TrainingExample], **how: Any
) -> Any:
    recipe = TrainingRecipe(
        **{"batch_size": 2, "accumulation": 1, "warm_up_steps": 0, "weight_decay": 0, "max_length": 256, **how}
    )
    return fit(
        base=str(tiny),
        tokenizer=context.tokenizer,
        examples=examples,
        epochs=recipe.epochs,
        recipe=recipe,
        lora=None,
        dtype="float32",
        seed=1,
        checkpoints=folder / "checkpoints",
        destination=folder / "student",
        progress=SilentProgress(),
    )


def logprob(model: Any, example: TrainingExample) -> float:
    """Of the tokens with a label, each times its weight."""
    import torch

    with torch.no_grad():
        logprobs = model(torch.tensor([example.input_ids])).logits[0].log_softmax(-1)
    weights = example.weights or (1.0,) * len(example.labels)
    return sum(
        weights[place] * float(logprobs[place - 1, label])
        for place, label in enumerate(example.labels)
        if label != -100
    )


def test_a_negative_weight_makes_tokens_less_likely(tiny: Path, tmp_path: Path, context: ObjectiveContext) -> None:
    import torch

    of = samples(("a", "cot", "wrong", "4 and 1 make 6."))
    examples = Edit({"wrong": -0.5}).examples([row("a", "4 and 1 make 5.")], replace(context, samples=lambda: of))
    before = load_weights(str(tiny), torch.float32)
    still = trained(tiny, tmp_path / "still", context, examples, epochs=1, learning_rate=1e-12)
    labels = sum(label != -100 for one in examples for label in one.labels)
    assert still.loss == pytest.approx(-sum(logprob(before, one) for one in examples) / labels, rel=1e-4)
    trained(tiny, tmp_path / "learns", context, examples, epochs=6, learning_rate=1e-2)
    after = load_weights(str(tmp_path / "learns" / "student"), torch.float32)
    right, wrong = (replace(one, weights=()) for one in examples)
    assert logprob(after, right) > logprob(before, right)
    assert logprob(after, wrong) < logprob(before, wrong)


# UPFT


def test_a_prefix_is_learnt_and_no_end(context: ObjectiveContext) -> None:
    rows = [row("a", "4 and 1 make 5.", 0.5), row("b", "No.")]
    long, short = PrefixFineTuning({"tokens": 5, "unfiltered": False}).examples(rows, context)
    assert learnt(context, long) == {0.5: "<cot>\n4 and"}
    assert short == context.tokenize(rows[1]), "what is shorter is learnt with its end"
    (whole, _) = PrefixFineTuning({"tokens": 5, "unfiltered": False, "whole": 1}).examples(rows, context)
    assert learnt(context, whole) == {0.5: "<cot>\n4 and 1 make 5.<|end|>"}


def test_the_first_sample_is_taken_whatever_its_verdict(context: ObjectiveContext) -> None:
    of = samples(("a", "cot", "wrong", "Six."), ("a", "cot", "correct", "Five."), ("b", "cot", "unreadable", None))
    of = of.with_columns(key=pl.Series(["k0", "a-right", "b-right"]))
    rows = [row("a", "Five."), row("b", "Five.")]
    found = PrefixFineTuning({"tokens": 4}).examples(rows, replace(context, samples=lambda: of))
    assert [learnt(context, one)[1.0] for one in found] == ["<cot>\nSix.<|end|>", "<cot>\nsaid"]


def test_samples_are_for_those_that_say_so(context: ObjectiveContext) -> None:
    assert Edit().reads_samples
    assert PrefixFineTuning({"tokens": 4}).reads_samples
    assert not PrefixFineTuning({"tokens": 4, "unfiltered": False}).reads_samples
    with pytest.raises(PluginError, match="reads_samples"):
        context.samples()


# In a run


class Nosy(Objective):
    """Plain rows; keeps what it is given."""

    name = "nosy"
    given: tuple[Sequence[TrainingRow], ObjectiveContext, pl.DataFrame] | None = None

    @property
    def reads_samples(self) -> bool:
        return True

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        Nosy.given = rows, context, context.samples()
        return [context.tokenize(one) for one in rows]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    student = make_tiny_student(folder / "student")
    training = {"objective": "nosy", "epochs": 1, "batch_size": 4, "accumulation": 1, "warm_up_steps": 0}
    recipe = validate(toy_recipe(student, training=training))
    with start(recipe, toy_registry(Nosy), SilentReporter(), runs=folder / "runs", name="run") as run:
        distill(run)
        yield run


def test_an_objective_is_given_right_and_wrong_samples(finished_run: Run) -> None:
    assert Nosy.given is not None
    rows, context, table = Nosy.given
    assert tuple(table.columns) == SCHEMA
    assert set(table.get_column("status")) == {"correct", "wrong"}
    assert set(table.get_column("source")) == {"teacher", "student"}, "round 1 knows the student's"
    assert set(table.get_column("problem_id")) == {one.problem.id for one in rows if one.problem}
    right = table.filter(pl.col("status") == "correct")
    texts = dict(right.select("key", "rationale").iter_rows())
    assert all(texts[one.key] == one.rationale for one in rows)
    assert all(one.target.endswith(one.rationale) for one in rows)
    assert context.folder is not None
    key = read_side_file(finished_run.student("round-1"))["training_key"]
    assert context.folder == finished_run.path / "objectives" / f"round-1-{key[:12]}"


def test_a_finished_training_rests_on_the_samples_that_its_objective_read(finished_run: Run) -> None:
    from siked_core.stages.objective import pools_read

    assert pools_read(finished_run, 1) == ["teacher", "round-1"]
    with_them = Finished(finished_run, "train round-1", pools=pools_read(finished_run, 1))
    assert {path.parent.name for path in with_them._files} >= {"wanted"}


def test_what_an_objective_returns_is_looked_at() -> None:
    sound = TrainingExample((1, 2), (-100, 2))
    check("odd", 1, [sound, sound])
    with pytest.raises(PluginError, match="made 1 examples of 2 rows"):
        check("odd", 2, [sound])
    with pytest.raises(PluginError, match=r"row 1\) whose parts have other lengths"):
        check("odd", 2, [sound, replace(sound, epoch_weights=((1.0, 1.0), (1.0,)))])
