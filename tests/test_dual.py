"""Dual instruction tuning: which tasks come beside a row, what they ask and what they weigh."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import ObjectiveContext, Problem, TrainingExample, TrainingRow
from siked_core.format import StudentFormat
from siked_core.testing import make_tiny_student, toy_context
from siked_plugins.objectives.dual import GAP, DualInstructionTuning

FORMAT = StudentFormat.build(("cot", "pot"), "<{strategy}>\n", "")
QUESTION = "Jo has 5 pens and buys 4. How many?"
STEPS = ("Jo has 5 pens.", "5 + 4 = 9", "The answer is 9.")


def row(text: str = "\n".join(STEPS), weight: float = 1.0, problem: Problem | None = None) -> TrainingRow:
    asked = problem or Problem("p1", QUESTION, "9")
    return TrainingRow(FORMAT.prompt(asked.question), FORMAT.target("cot", text), "cot", weight, asked, text, "k1")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ObjectiveContext:
    return toy_context(make_tiny_student(tmp_path_factory.mktemp("tiny")), FORMAT, 512)


def learnt(context: ObjectiveContext, example: TrainingExample) -> str:
    return str(context.tokenizer.decode([token for token in example.labels if token != -100]))


def test_a_step_is_left_out_and_the_question_written() -> None:
    filled, turned = DualInstructionTuning().tasks(row(), seed=1)
    (asked,) = (message.content for message in filled.prompt.messages)
    assert filled.target in STEPS[:2], "the answer's line is no step"
    assert QUESTION in asked
    assert asked.count(GAP) == 1
    assert filled.target not in asked
    (other,) = (step for step in STEPS[:2] if step != filled.target)
    assert other in asked
    (asked,) = (message.content for message in turned.prompt.messages)
    assert turned.target == QUESTION
    assert QUESTION not in asked
    assert all(step in asked for step in STEPS)


def test_the_row_itself_is_what_sft_makes_of_it_and_the_tasks_follow(context: ObjectiveContext) -> None:
    from siked_plugins.objectives.sft import SupervisedFineTuning

    rows = [row(), row("5 + 4 = 9\nThe answer is 9.", weight=0.5)]
    made = DualInstructionTuning({"weight": 0.5}).examples(rows, context)
    assert made[:2] == SupervisedFineTuning().examples(rows, context)
    assert len(made) == 6
    assert [set(one.weights) for one in made[2:]] == [{0.5}, {0.5}, {0.25}, {0.25}]
    assert learnt(context, made[3]).startswith(QUESTION)
    assert "<cot>" not in "".join(learnt(context, one) for one in made[2:]), "no task teaches a strategy's tag"


def test_shares_and_seeds() -> None:
    rows = [row(problem=Problem(f"p{number}", f"{QUESTION} ({number})", "9")) for number in range(400)]
    rows = [TrainingRow(one.prompt, one.target, "cot", 1.0, one.problem, one.rationale, f"k{place}")
            for place, one in enumerate(rows)]  # fmt: skip
    dual = DualInstructionTuning({"masked": 0.25, "reversed": 0.0})
    made = [dual.tasks(one, seed=1) for one in rows]
    assert 60 < sum(map(len, made)) < 140, "a quarter of 400, 8.7 is a deviation"
    assert made == [dual.tasks(one, seed=1) for one in rows]
    assert made != [dual.tasks(one, seed=2) for one in rows]
    assert not DualInstructionTuning({"masked": 0.0, "reversed": 0.0}).tasks(rows[0], seed=1)


@given(st.text(max_size=80), st.integers(0, 5))
def test_any_text(text: str, seed: int) -> None:
    for task in DualInstructionTuning().tasks(row(text), seed):
        assert task.target.strip()
        assert task.problem is None
        assert task.key == ""


def test_a_made_up_row_has_no_tasks() -> None:
    made_up = TrainingRow(FORMAT.prompt("?"), FORMAT.target("cot", "a\nb"), "cot", rationale="a\nb")
    assert DualInstructionTuning().tasks(made_up, seed=1) == []
