"""KTO: what is wanted and what is not, beside which reference, and what the trainer makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import ObjectiveContext, PluginError, Preference, Problem, RecipeError, TrainingExample, TrainingRow
from siked_core.format import StudentFormat
from siked_core.models import load_weights
from siked_core.packing import check_unweighted
from siked_core.recipe_launch import LaunchRecipe
from siked_core.recipe_student import TrainingRecipe
from siked_core.reporting import SilentProgress
from siked_core.stages.objective import check
from siked_core.testing import make_tiny_student, toy_context
from siked_core.training import Trained, fit
from siked_core.training_job import TrainingJob, read_job, write_job
from siked_plugins.objectives.kto import Kto
from siked_plugins.objectives.sft import SupervisedFineTuning

FORMAT = StudentFormat.build(("cot", "pot"), "<{strategy}>\n", "")
SCHEMA = ("key", "problem_id", "strategy", "source", "round", "draw", "status", "text", "rationale")
RECIPE = TrainingRecipe(epochs=1, batch_size=4, accumulation=1, warm_up_steps=0, learning_rate=1e-12, max_length=256)


def row(problem: str, text: str, weight: float = 1.0) -> TrainingRow:
    asked = Problem(problem, "How many?", "5")
    target = FORMAT.target("cot", text)
    return TrainingRow(FORMAT.prompt(asked.question), target, "cot", weight, asked, text, f"{problem}-right")


def samples(*rows: tuple[str, str, str]) -> pl.DataFrame:
    """(problem, status, rationale)"""
    made = [
        (f"k{draw}", problem, "cot", "teacher", 0, draw, status, text, text)
        for draw, (problem, status, text) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=SCHEMA, orient="row")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def context(tiny: Path) -> ObjectiveContext:
    import torch

    return toy_context(tiny, FORMAT, 256, load_student=lambda: load_weights(str(tiny), torch.float32).eval())


def logprob(model: Any, example: TrainingExample) -> float:
    """log P of all labels."""
    import torch

    ids = torch.tensor([example.input_ids])
    with torch.no_grad():
        scores = model(ids).logits[0].log_softmax(-1)
    return sum(float(scores[at - 1, label]) for at, label in enumerate(example.labels) if label != -100)


def train(tiny: Path, folder: Path, context: ObjectiveContext, examples: Any, **changes: Any) -> Trained:
    recipe = RECIPE.model_copy(update=changes)
    return fit(
        base=str(tiny), tokenizer=context.tokenizer, examples=examples, epochs=recipe.epochs, recipe=recipe, lora=None,
        dtype="float32", seed=7, checkpoints=folder / "checkpoints", destination=folder / "student",
        progress=SilentProgress(),
    )  # fmt: skip


OF = samples(
    ("a", "wrong", "4 and 1 make 6."), ("a", "wrong", "4 and 1 make 7."), ("b", "correct", "5."), ("b", "wrong", "9!")
)


def test_rows_are_wanted_and_one_wrong_rationale_of_each_is_not(tiny: Path, context: ObjectiveContext) -> None:
    import torch

    rows = [row("a", "4 and 1 make 5.", 0.5), row("a", "Five."), row("b", "5."), row("c", "5")]
    made = Kto({"unwanted": 2.0, "likelihood": 0.25}).examples(rows, replace(context, samples=lambda: OF))
    assert len(made) == 6, "two of a's rows share its wrong one; c has none"
    right, wrong = made[:4], made[4:]
    assert [one.preference and one.preference.wanted for one in made] == [True] * 4 + [False] * 2
    assert [one.preference and one.preference.weight for one in made] == [0.5, 1, 1, 1, 1, 2]
    plain = [context.tokenize(one) for one in rows]
    assert [one.input_ids for one in right] == [one.input_ids for one in plain]
    assert set(right[1].weights) == {0.25}
    assert all(set(one.weights) == {0.0} for one in wrong), "their likelihood is not learnt"
    assert "make 6." in context.tokenizer.decode(wrong[0].input_ids), "the first that was drawn"
    model = load_weights(str(tiny), torch.float32).eval()
    for one in made:
        assert one.preference
        assert one.preference.reference == pytest.approx(logprob(model, one), abs=1e-3)


def test_what_is_too_long_has_no_reference(context: ObjectiveContext) -> None:
    rows = [row("a", "4 and 1 make 5. " * 40), row("b", "5.")]
    assert len(context.tokenize(rows[0]).input_ids) > 256
    long, short, *_ = Kto().examples(rows, replace(context, samples=lambda: OF))
    assert long.preference is None
    assert short.preference is not None


def test_the_first_loss_is_what_the_formula_and_trl_say(tiny: Path, tmp_path: Path, context: ObjectiveContext) -> None:
    import torch

    rows = [row("a", "4 and 1 make 5.", 0.5), row("b", "5.")]
    made = Kto({"likelihood": 0}).examples(rows, replace(context, samples=lambda: OF))
    started = train(tiny, tmp_path / "started", context, made)
    assert started.loss == pytest.approx(0.5 * (0.5 + 1 + 0.5 + 1) / 4, rel=1e-4), "a ratio of 0 costs 1/2"
    gone = (3.0, -2.0, 4.0, -6.0)  # from references that lie so far away
    moved = [
        replace(one, preference=one.preference and replace(one.preference, reference=one.preference.reference - far))
        for one, far in zip(made, gone, strict=True)
    ]
    ratios = 0.1 * torch.tensor(gone)
    losses = torch.cat([1 - ratios[:2].sigmoid(), ratios[2:].sigmoid()])  # apo_zero_unpaired, of TRL's KTOTrainer
    expected = (losses * torch.tensor([0.5, 1.0, 0.5, 1.0])).sum() / 4
    assert train(tiny, tmp_path / "moved", context, moved).loss == pytest.approx(float(expected), rel=1e-4)
    beside = Kto().examples(rows, replace(context, samples=lambda: OF))
    sft = [replace(one, preference=None) for one in beside]
    both, alone = (train(tiny, tmp_path / name, context, given).loss for name, given in (("b", beside), ("s", sft)))
    assert both == pytest.approx(alone + started.loss, rel=1e-4), "the likelihood is learnt beside it"


def test_wanted_targets_become_likelier_and_unwanted_ones_less(
    tiny: Path, tmp_path: Path, context: ObjectiveContext
) -> None:
    import torch

    made = Kto({"likelihood": 0}).examples(
        [row("a", "4 and 1 make 5."), row("b", "5.")], replace(context, samples=lambda: OF)
    )
    train(tiny, tmp_path, context, made, epochs=12, learning_rate=3e-3)
    after = load_weights(str(tmp_path / "student"), torch.float32).eval()
    moved = [logprob(after, one) - one.preference.reference for one in made if one.preference]
    assert moved[0] > moved[2], "a's right one, beside its wrong one"
    assert moved[1] > 0 > moved[3]


def test_a_training_that_is_written_down_keeps_it(tmp_path: Path, context: ObjectiveContext) -> None:
    plain = context.tokenize(row("a", "5."))
    given = [replace(plain, preference=Preference(False, -12.25, 0.1, 0.5)), plain]
    job = TrainingJob(
        base="b", epochs=1, recipe=RECIPE, lora=None, dtype="float32", seed=1, checkpoints=tmp_path / "c",
        destination=tmp_path / "d", launch=LaunchRecipe(),
    )  # fmt: skip
    write_job(tmp_path, job, context.tokenizer, given)
    assert read_job(tmp_path)[2] == given


def test_what_does_not_go_is_refused(context: ObjectiveContext) -> None:
    plain = context.tokenize(row("a", "5."))
    wanted = replace(plain, preference=Preference(True, -1.0, 0.1))
    with pytest.raises(RecipeError, match=r"packing does not go with an objective that wants some rows"):
        check_unweighted([plain, wanted])
    with pytest.raises(PluginError, match=r"preference \(row 0\) that is not of finite numbers"):
        check("odd", 1, [replace(plain, preference=Preference(True, math.nan, 0.1))])


def test_without_wrong_ones_it_wants_all_of_them(context: ObjectiveContext) -> None:
    rows = [row("a", "5.")]
    (made,) = Kto().examples(rows, replace(context, samples=OF.clear))
    assert replace(made, preference=None) == SupervisedFineTuning().examples(rows, context)[0]
    assert Kto().shown(rows, context) == [context.tokenize(rows[0])]
