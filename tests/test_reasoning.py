"""What a thinking model writes before it answers: cut off or kept, and the same for all who render the student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import Completion, Message, Prompt, Rationale, Request, Sampling, Unreadable
from siked_core.format import StudentFormat, without_thinking
from siked_core.loop import distill
from siked_core.models import encode, load_tokenizer, read_side_file, render
from siked_core.pool import read_parquet
from siked_core.reasoning import ReasoningRecipe, read
from siked_core.recipe import validate
from siked_core.recipe_student import StudentRecipe
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.solve import Reader
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.student import prepare_tokenizer
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import Loud, ToyTeacher
from siked_plugins.generators.transformers import TransformersGenerator

CUT, KEPT = ReasoningRecipe(), ReasoningRecipe(keep=True)
THINKS = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)


class Thinker(ToyTeacher):
    """A toy teacher that thinks, and gives a wrong answer while it does; every third text ends before its answer."""

    name = "thinker"

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, completion in super().generate(requests, sampling):
            end = "" if requests[place].seed % 3 == 0 else f"\n</think>\n\n{completion.text}"
            yield place, Completion(f"<think>\nsum=99! no.{end}", "stop", 3, 9)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def registry() -> Registry:
    return toy_registry(Thinker)


def started(tiny: Path, runs: Path, **changes: Any) -> Run:
    recipe = validate(toy_recipe(tiny, **{"teacher": {"generator": "thinker", "samples": 3}, **changes}))
    return start(recipe, registry(), SilentReporter(), runs=runs, name="run", fork=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sum=5!", ("", "sum=5!")),
        ("<think>\n2 and 3\n</think>\n\nsum=5!", ("2 and 3", "sum=5!")),
        ("2 and 3\n</think>\nsum=5!", ("2 and 3", "sum=5!")),  # the chat template wrote the first mark
        ("\n <think></think>sum=5!", ("", "sum=5!")),
        ("<think>\n2 and", None),
        ("It is <think>.", ("", "It is <think>.")),
    ],
)
def test_a_text_is_split_at_its_marks(text: str, parts: tuple[str, str] | None) -> None:
    assert CUT.split(text) == parts


@given(st.text(), st.text())
def test_what_was_thought_and_what_was_answered_come_back(thought: str, answer: str) -> None:
    marks = ReasoningRecipe(begins="[[", ends="]]")
    if "]]" in thought + "]":
        return
    assert marks.split(f"[[{thought}]]{answer}") == (thought.strip(), answer.lstrip())


def test_a_strategy_reads_only_what_was_answered() -> None:
    text = "<think>sum=9!</think>\nsum=5!"
    assert read(Loud(), text, CUT) == Rationale("loud", "sum=5!", "5")
    assert read(Loud(), text, KEPT) == Rationale("loud", "<think>\nsum=9!\n</think>\n\nsum=5!", "5")
    assert isinstance(read(Loud(), text, None), Unreadable)
    assert read(Loud(), "<think>sum=9!", CUT) == Unreadable("it was still thinking when it ended")
    assert read(Loud(), "<think>sum=9!</think>", CUT) == Unreadable("it has no answer after its reasoning")
    again = read(Loud(), text, KEPT)
    assert isinstance(again, Rationale)
    assert read(Loud(), again.text, KEPT) == again, "what the student is trained to write is read as it was"


def test_reasoning_is_cut_from_what_the_student_is_trained_on_or_kept(tiny: Path, tmp_path: Path) -> None:
    found = {}
    for name, reasoning in (("cut", {}), ("kept", {"keep": True})):
        with started(tiny, tmp_path / "runs", reasoning=reasoning) as run:
            calls = ToyTeacher.calls
            summary = teach(run)
            mix(run, 0)
            found[name] = read_parquet(run.mixture("round-0"))["rationale"].to_list(), summary
            asked = ToyTeacher.calls - calls
    assert asked == 0, "the other reading asks the teacher nothing again"
    (cut, summary), (kept, other) = found["cut"], found["kept"]
    assert summary.correct == other.correct > 0
    assert summary.statuses["unreadable"] > 0
    assert all("think" not in text for text in cut)
    assert [text.rpartition("</think>\n\n")[2] for text in kept] == cut
    assert all(text.startswith("<think>\nsum=99! no.\n</think>\n\nsum=") for text in kept)


def test_a_student_that_thinks_is_read_so_by_whoever_has_it(tiny: Path, tmp_path: Path) -> None:
    with started(tiny, tmp_path, reasoning={"keep": True}, stopping={"rounds": 0}) as run:
        folder = Path(distill(run).student)
    side = read_side_file(folder)
    text = "<loud>\n<think>\nsum=4!\n</think>\n\nsum=5!"
    solution = Reader(side, registry()).read("2+3?", text)
    assert (solution.strategy, solution.verdict.answer) == ("loud", "5")
    assert Reader({**side, "reasoning": None}, registry()).read("2+3?", text).verdict.answer == ""


def test_training_and_sampling_render_a_student_without_thinking_alike(tmp_path: Path) -> None:
    folder = make_tiny_student(tmp_path / "tiny", chat_template=THINKS)
    tokenizer = load_tokenizer(str(folder))
    prompt = Prompt((Message("user", "2+3?"),))
    assert render(tokenizer, prompt) != render(tokenizer, prompt, enable_thinking=False)
    format = StudentFormat.build(("loud",), "<{strategy}>\n", "Choose. ")
    prepare_tokenizer(tokenizer, StudentRecipe(model=str(folder)), format)
    texts = {render(tokenizer, prompt, **told) for told in ({}, {"enable_thinking": True}, {"enable_thinking": False})}
    assert texts == {"<|user|>Choose. 2+3?<|end|><|assistant|><think>\n\n</think>\n\n"}
    tokenizer.save_pretrained(folder)
    assert TransformersGenerator({"model": str(folder)}).rendered(prompt) == texts.pop()
    thinking = load_tokenizer(str(make_tiny_student(tmp_path / "other", chat_template=THINKS)))
    prepare_tokenizer(thinking, StudentRecipe(), StudentFormat.build(("loud",), "<{strategy}>\n", "", thinks=True))
    assert thinking.chat_template == THINKS
    assert without_thinking("no switch") == "no switch"


def test_a_teacher_in_transformers_thinks_only_where_it_is_told_to(tmp_path: Path) -> None:
    folder = str(make_tiny_student(tmp_path / "tiny", chat_template=THINKS))
    prompt = Prompt((Message("user", "2+3?"),))
    silent, thinking = (TransformersGenerator({"model": folder, "thinking": value}) for value in (False, True))
    assert silent.rendered(prompt) == "<|user|>2+3?<|end|><|assistant|><think>\n\n</think>\n\n"
    assert thinking.rendered(prompt) == "<|user|>2+3?<|end|><|assistant|>"
    assert silent.fingerprint != thinking.fingerprint
    request = Request(None, None, prompt, 0, 1)  # type: ignore[arg-type]
    counts = [next(one.generate([request], Sampling(max_tokens=1)))[1].prompt_tokens for one in (silent, thinking)]
    tokenizer = load_tokenizer(folder)
    assert counts == [len(encode(tokenizer, prompt, enable_thinking=False)), len(encode(tokenizer, prompt))]
    assert counts[0] > counts[1]
