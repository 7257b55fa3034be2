"""Tags and the instruction in the chat template."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

from siked_core.format import PLAIN_TEMPLATE, StudentFormat, with_instruction

FORMAT = StudentFormat.build(("cot", "cot2", "pot"), "<{strategy}>\n", "")


def render(template: str, messages: list[dict[str, str]]) -> str:
    rendered, _ = render_jinja_template(
        [messages], chat_template=template, eos_token="</s>", add_generation_prompt=True
    )
    return str(rendered[0])


@given(st.sampled_from(FORMAT.strategies), st.text())
def test_split_reads_what_target_writes(strategy: str, rationale: str) -> None:
    found, rest = FORMAT.split(FORMAT.target(strategy, rationale))
    assert found == strategy
    assert rest == rationale.lstrip("\r\n")


@given(st.text())
def test_split_never_loses_text(text: str) -> None:
    strategy, rest = FORMAT.split(text)
    assert rest in text
    assert strategy is not None or rest == text


@pytest.mark.parametrize(
    ("text", "strategy"),
    [("<cot>\nA", "cot"), ("  <cot2> A", "cot2"), ("<pot>A", "pot"), ("cot\nA", None), ("<cots>", None), ("", None)],
)
def test_split_cases(text: str, strategy: str | None) -> None:
    assert FORMAT.split(text)[0] == strategy


@given(st.text(min_size=1), st.text())
def test_the_instruction_stands_before_the_first_question_whatever_it_holds(instruction: str, question: str) -> None:
    template = with_instruction(PLAIN_TEMPLATE, instruction)
    assert render(template, [{"role": "user", "content": question}]) == render(
        PLAIN_TEMPLATE, [{"role": "user", "content": instruction + question}]
    )


def test_later_turns_and_system_turns_are_left_alone() -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    assert render(with_instruction(PLAIN_TEMPLATE, "I: "), messages) == (
        "S\n\nQuestion: I: A\nAnswer: B</s>Question: C\nAnswer: "
    )


def test_strategies_are_named_in_the_instruction() -> None:
    assert StudentFormat.build(("a", "b"), "<{strategy}>", "One of {strategies}.").instruction == "One of a, b."
