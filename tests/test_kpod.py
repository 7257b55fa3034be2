"""KPOD on a tiny student: what is computed, that it is computed once, what the loss is, and a run with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siked_cli.main import main
from siked_core import ObjectiveContext, PluginError, Problem, TrainingExample, TrainingRow
from siked_core.format import StudentFormat
from siked_core.models import load_weights
from siked_core.recipe_student import TrainingRecipe
from siked_core.reporting import SilentProgress
from siked_core.testing import make_tiny_student, toy_context
from siked_core.training import fit
from siked_plugins.objectives.kpod import KeypointProgressive
from siked_plugins.objectives.kpod.store import SUMMARY, TABLE

FORMAT = StudentFormat.build(("cot", "pot"), "<{strategy}>\n", "")
OPTIONS = {"updates": 6, "width": 8, "batch": 4, "warm_up": 0.5}


def row(number: int, strategy: str = "cot", weight: float = 1.0) -> TrainingRow:
    problem = Problem(f"p{number}", f"Jo has {number} pens and finds {number}.5 more?", str(2 * number))
    if strategy == "cot":
        text = f"Jo has {number}.5 pens.\n{number} and {number} are {2 * number}.\nThe answer is {2 * number}."
    else:
        text = f"# the pens\npens = {number}\nanswer = 2 * pens"
    target = FORMAT.target(strategy, text)
    return TrainingRow(FORMAT.prompt(problem.question), target, strategy, weight, problem, text, f"{strategy}{number}")


ROWS = [*(row(number) for number in range(1, 7)), row(7, "pot"), row(8, weight=0.5)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def context_of(tiny: Path, folder: Path | None, epochs: int = 6, **changes: Any) -> ObjectiveContext:
    import torch

    context = toy_context(tiny, FORMAT, 512, epochs, folder=folder)
    return replace(context, **{"load_student": lambda: load_weights(str(tiny), torch.float32), **changes})


def parts(context: ObjectiveContext, example: TrainingExample, epoch: int) -> dict[str, list[float]]:
    """Weights of an epoch, by the line of the target that a (byte-level) token is in."""
    weights = example.epoch_weights[min(epoch, len(example.epoch_weights) - 1)]
    text = [context.tokenizer.decode([token]) for token in example.input_ids]
    first = next(place for place, label in enumerate(example.labels) if label != -100)
    found: dict[str, list[float]] = {}
    line, begun = "", []
    for piece, weight in zip(text[first:], weights[first:], strict=True):
        line, begun = line + piece, [*begun, weight]
        if piece == "\n":
            found[line.strip()], line, begun = begun, "", []
    found[line], _ = begun, None
    return found


def test_weights_are_the_modules_and_the_schedules(tiny: Path, tmp_path: Path) -> None:
    context = context_of(tiny, tmp_path)
    examples = KeypointProgressive(OPTIONS).examples(ROWS, context)
    assert [one.input_ids for one in examples] == [context.tokenize(one).input_ids for one in ROWS]
    first, last = parts(context, examples[0], 0), parts(context, examples[0], 5)
    assert set(first["<cot>"]) == set(first["The answer is 2.<|end|>"]) == {1.0}, "tag and answer are always learnt"
    assert set(first["Jo has 1.5 pens."]) == {0.0}, "at first only the last step is"
    for name in ("Jo has 1.5 pens.", "1 and 1 are 2."):
        assert all(0 < weight < 1 for weight in last[name]), "raw weights"
    assert first["1 and 1 are 2."] == last["1 and 1 are 2."]
    program = parts(context, examples[6], 5)
    assert set(program["pens = 7"]) == {1.0}, "what states no answer is not weighed"
    assert set(parts(context, examples[6], 0)["# the pens"]) == {0.0}, "a comment belongs to the line after it"
    heavy = parts(context, examples[7], 5)
    assert set(heavy["<cot>"]) == {0.5}
    assert max(heavy["8 and 8 are 16."]) < 0.5


def test_it_is_computed_once(tiny: Path, tmp_path: Path) -> None:
    objective = KeypointProgressive(OPTIONS)
    made = objective.examples(ROWS, context_of(tiny, tmp_path))
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(written) == {TABLE, SUMMARY}

    def never() -> Any:
        raise AssertionError("the student is loaded again")

    again = context_of(tiny, tmp_path, load_student=never)
    assert KeypointProgressive(OPTIONS).examples(ROWS, again) == made
    assert KeypointProgressive(OPTIONS).shown(ROWS[:2], again) == made[:2]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == written
    # By its seed it comes out the same, wherever it is kept, and what is torn is computed anew.
    assert objective.examples(ROWS, context_of(tiny, None)) == made
    (tmp_path / TABLE).write_bytes(written[TABLE][: len(written[TABLE]) // 2])
    assert objective.examples(ROWS, context_of(tiny, tmp_path)) == made
    other = objective.examples(ROWS, context_of(tiny, None, seed=4))
    assert other != made


def test_rows_that_are_too_long_have_no_part(tiny: Path, tmp_path: Path) -> None:
    context = context_of(tiny, tmp_path)
    lengths = [len(context.tokenize(one).input_ids) for one in ROWS]
    short = replace(context, max_length=max(lengths) - 1)
    examples = KeypointProgressive(OPTIONS).examples(ROWS, short)
    longest = lengths.index(max(lengths))
    assert not examples[longest].epoch_weights
    assert json.loads((tmp_path / SUMMARY).read_text())["rationales"] == sum(one < max(lengths) for one in lengths)


def test_one_epoch_has_no_schedule(tiny: Path) -> None:
    for example in KeypointProgressive(OPTIONS).examples(ROWS, context_of(tiny, None, epochs=1)):
        assert not example.epoch_weights
        assert example.weights
        assert 0.0 not in example.weights


def test_the_loss_of_a_step_is_that_of_a_plain_loop(tiny: Path, tmp_path: Path) -> None:
    import torch

    context = context_of(tiny, None, epochs=2)
    examples = KeypointProgressive(OPTIONS).examples(ROWS, context)
    recipe = TrainingRecipe(
        epochs=2, batch_size=4, accumulation=2, warm_up_steps=0, learning_rate=1e-12, weight_decay=0, max_length=512
    )
    trained = fit(
        base=str(tiny),
        tokenizer=context.tokenizer,
        examples=examples,
        epochs=2,
        recipe=recipe,
        lora=None,
        dtype="float32",
        seed=1,
        checkpoints=tmp_path / "checkpoints",
        destination=tmp_path / "student",
        progress=SilentProgress(),
    )
    assert trained.steps == 2, "one step an epoch"
    model = load_weights(str(tiny), torch.float32)
    targets = sum(label != -100 for one in examples for label in one.labels)
    losses = []
    for epoch in range(2):
        total = 0.0
        for one in examples:
            weights = one.epoch_weights[min(epoch, len(one.epoch_weights) - 1)] if one.epoch_weights else one.weights
            with torch.no_grad():
                logprobs = model(torch.tensor([one.input_ids])).logits[0].log_softmax(-1)
            for place in range(1, len(one.input_ids)):
                if one.labels[place] != -100:
                    total -= weights[place] * float(logprobs[place - 1, one.labels[place]])
        losses.append(total / targets)
    assert losses[0] < losses[1]
    assert trained.loss == pytest.approx(sum(losses) / 2, rel=1e-4)


def test_there_must_be_something_to_draw(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(PluginError, match="nothing to draw"):
        KeypointProgressive().draw(tmp_path, tmp_path / "picture.svg")


@pytest.mark.slow
def test_a_run_with_kpod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = ["--preset", "pocket-smoke,kpod", "--rounds", "0", "--strategies", "cot,pot"]
    for change in ("training.objective.options.updates=4", "dataset.options.train=16", "evaluation.max_tokens=4"):
        recipe += ["--set", change]
    recipe += ["--set", "dataset.options.test=4", "--set", "dataset.options.validation=4", "--run", "tiny", "-q"]
    assert main(["distill", *recipe]) == 0
    capsys.readouterr()
    (folder,) = (tmp_path / "runs" / "tiny" / "objectives").iterdir()
    summary = json.loads((folder / SUMMARY).read_text())
    assert len(summary["epochs"]) == 3
    assert summary["epochs"][0]["steps_given"] > summary["epochs"][2]["steps_given"] == 0
    side = json.loads((tmp_path / "runs" / "tiny" / "students" / "round-0" / "siked.json").read_text())
    assert folder.name == f"round-0-{side['training_key'][:12]}"

    shown = {}
    for epoch in ("1", "3"):
        assert main(["prompts", "tiny", "--json", "--problems", "4", "--epoch", epoch]) == 0
        shown[epoch] = json.loads(capsys.readouterr().out)
    assert {one["epochs"] for one in shown["3"]} <= {1, 2, 3}

    def weights(epoch: str, strategy: str) -> list[float]:
        rows = [one for one in shown[epoch] if one["strategy"] == strategy]
        return [token["weight"] for one in rows for tokens in one["examples"] for token in tokens]

    assert any(0 < weight < 1 for weight in weights("3", "cot"))
    assert sum(map(bool, weights("1", "cot"))) <= sum(map(bool, weights("3", "cot")))
    assert main(["prompts", "tiny"]) == 0
    assert "tokens have loss, weights" in capsys.readouterr().out
    assert main(["prompts", "tiny", "--draw", "no.svg", "--student", "round-9"]) == 2
    assert "nothing that the objective 'kpod' computed for 'round-9'" in capsys.readouterr().err
    pytest.importorskip("matplotlib")
    assert main(["prompts", "tiny", "--draw", "picture.svg"]) == 0
    assert (tmp_path / "picture.svg").read_text().lstrip().startswith("<?xml")
