"""Socratic: how it is asked for in several turns, and how what comes of it is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import (
    Completion,
    Generator,
    Message,
    Options,
    Problem,
    Prompt,
    Rationale,
    Request,
    Sampling,
    Unreadable,
)
from siked_core.lineage import lineage
from siked_core.meter import Meter
from siked_core.prompts import shown
from siked_core.reasoning import ReasoningRecipe
from siked_core.recipe import validate
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.stages.teach import teach
from siked_core.stages.turns import MOST_TURNS, answered, turns_of
from siked_core.stages.verify import verdicts_of
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_plugins.strategies.socratic import Socratic
from siked_plugins.verifiers.number import NumberVerifier

SOCRATIC = Socratic()
CLIPS = Problem("p", "She sold 48 clips in April, and half as many in May. How many altogether?", "72")
ASKED = "Q1: How many in May?\nQ2: How many altogether?"
TEXT = f"{ASKED}\nA1: She sold 48 / 2 = 24 clips.\nA2: That is 48 + 24 = 72 clips.\nThe answer is 72."


# How it is read


@pytest.mark.parametrize(
    "written",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        f"Let us see.\n\n{TEXT}\n\nI hope this helps!",
        TEXT.replace("Q1:", "**Sub-question 1:**").replace("Q2:", "Sub-question 2:"),
        TEXT.replace("A1:", "Answer 1:").replace("A2:", "Answer 2.").replace("/", "÷"),
        "Q1: How many in May?\nA1: She sold 48 / 2 = 24 clips.\nQ2: How many altogether?\n"
        "A2: That is 48 + 24 = 72 clips.\n#### 72",
        TEXT.replace("24 clips.", "24\nclips."),
        TEXT.replace("clips.\nThe answer is 72.", "clips. The answer is 72."),
        f"{TEXT}\nQ1: And in June?\nA1: 0.\nThe answer is 0.",
    ],
)
def test_reads_it_however_it_is_labelled(written: str) -> None:
    read = SOCRATIC.parse(written)
    assert isinstance(read, Rationale), read
    assert (read.text, read.answer_source) == (TEXT, "72")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "empty"),
        ("She sold 72.\nThe answer is 72.", "no sub-question"),
        (ASKED, 'Sub-question 1 has no answer: its line starts with "A1:"'),
        (f"{ASKED}\nA1: 24.\nThe answer is 72.", "Sub-question 2 has no answer"),
        ("Q1: How many?\nA1: 1 + 1 = 2.\nA2: 3.\nThe answer is 3.", "Answer 2 answers no sub-question"),
        (f"{ASKED}\nA1: It is 24.\nA2: It is 72.", "no final answer"),
        (f"{ASKED}\nA1: It is 24.\nA2: The answer is 72.", "Sub-question 2 has no answer before the final one"),
        ("Q1:\nA1: 1 + 1 = 2.\nThe answer is 2.", "Sub-question 1 is empty"),
        ("answer = 48 + 24", "program"),
    ],
)
def test_says_what_is_missing(written: str, reason: str) -> None:
    read = SOCRATIC.parse(written)
    assert isinstance(read, Unreadable), read
    assert reason in read.why


# What the teacher is asked


def test_the_decomposer_sees_no_answers_and_the_solver_those_before() -> None:
    first = SOCRATIC.teacher_prompt(CLIPS)
    assert len(first.messages) == 1 + 2 * 8 + 1
    assert not any("A1:" in message.content for message in first.messages[1:])
    assert first.messages[-1] == Message("user", f"Question: {CLIPS.question}")
    one = SOCRATIC.next_prompt(CLIPS, [ASKED])
    two = SOCRATIC.next_prompt(CLIPS, [ASKED, "It is 24."])
    assert one is not None
    assert two is not None
    assert one.messages[-1] == Message("user", f"Question: {CLIPS.question}\nQ1: How many in May?")
    assert two.messages[:-2] == one.messages
    assert two.messages[-2:] == (Message("assistant", "It is 24."), Message("user", "Q2: How many altogether?"))
    assert one.messages[0].content != first.messages[0].content
    roles = [message.role for message in two.messages[1:]]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    assert SOCRATIC.next_prompt(CLIPS, [ASKED, "It is 24.", "It is 72.\nThe answer is 72."]) is None


@pytest.mark.parametrize("first", [TEXT, "I cannot.", "", "\n".join(f"Q{n}: {n}?" for n in range(1, 12))])
def test_nothing_more_is_asked_where_there_is_nothing_to_ask(first: str) -> None:
    assert SOCRATIC.next_prompt(CLIPS, [first]) is None
    if first == TEXT:
        assert SOCRATIC.joined([first]) == TEXT
    else:
        assert isinstance(SOCRATIC.parse(SOCRATIC.joined([first])), Unreadable)


def test_all_in_one_turn_is_an_option() -> None:
    whole = Socratic({"iterative": False})
    assert whole.turns == ""
    assert whole.teacher_prompt(CLIPS).messages[2].content == whole.bank.shots[0].completion
    assert len({Socratic(options).turns for options in ({}, {"solver": "Solve."}, {"most": 3}, {"shots": 2})}) == 4


# Turns as a stage drives them


class Tutor(Generator):
    """Asks two questions and answers them; what it is told last decides what it writes."""

    name = "tutor"
    options_type = Options
    batches: Sequence[int] = ()
    fails_in_batch = 10**9
    long = False

    @property
    def fingerprint(self) -> str:
        return "tutor"

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        Tutor.batches = [*Tutor.batches, len(requests)]
        for place, request in reversed(list(enumerate(requests))):
            left, right = (int(part) for part in request.problem.question.rstrip("?").split("+"))
            told = request.prompt.messages[-1].content
            if len(Tutor.batches) == Tutor.fails_in_batch and place == 0:
                raise RuntimeError("the power went")
            if "Q1:" in told:
                text = f"<think>Hm. Q7: what?</think>\n{left} is {left}."
            elif "Q2:" in told:
                assert request.prompt.messages[-2].content == f"{left} is {left}.", "the thought is gone"
                text = f"{left} + {right} = {left + right}.\nThe answer is {left + right}."
            else:
                text = "Q1: What is the first number?\nQ2: What is the sum?"
            yield place, Completion(text, "stop", len(request.prompt.messages), 400 if self.long else 7, -0.5)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def run(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    monkeypatch.setattr(Tutor, "batches", [])
    recipe = validate(toy_recipe(tiny, strategies=["socratic"], teacher={"generator": "tutor", "samples": 2}))
    with start(
        recipe, toy_registry(Socratic, NumberVerifier, Tutor), SilentReporter(), runs=tmp_path, name="run"
    ) as opened:
        yield opened


def test_a_sample_is_made_of_its_turns_a_batch_each(run: Run) -> None:
    summary = teach(run)
    assert summary.correct == summary.samples > 0
    assert list(Tutor.batches) == [summary.samples] * 3
    table = verdicts_of(run, "teacher")
    row = table.row(0, named=True)
    left, right = row["problem_id"].split("-")[1:]
    total = int(left) + int(right)
    assert row["text"] == row["rationale"]
    assert row["text"].splitlines() == [
        "Q1: What is the first number?",
        "Q2: What is the sum?",
        f"A1: {left} is {left}.",
        f"A2: {left} + {right} = {total}.",
        f"The answer is {total}.",
    ]
    assert (row["completion_tokens"], row["logprob"], row["finish_reason"]) == (21, -1.5, "stop")
    found = lineage(run, row["key"])
    assert (found.origin.unknown, found.origin.prompt is not None) == ("", True)
    assert shown(run, 1)[0].turns
    teach(run)
    assert len(Tutor.batches) == 3, "what is there is not asked again"


def test_what_was_whole_is_kept_and_the_rest_begins_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tutor, "fails_in_batch", 3)
    with pytest.raises(RuntimeError, match="the power went"):
        teach(run)
    kept = run.pool("teacher").read()
    summary = teach(run)
    assert kept.height == summary.samples - 1
    assert list(Tutor.batches[3:]) == [1, 1, 1]
    assert summary.correct == summary.samples


def test_the_solvers_words_are_part_of_a_samples_key(run: Run, tiny: Path, tmp_path: Path) -> None:
    teach(run)
    keys = set(verdicts_of(run, "teacher").get_column("key"))
    for number, options in enumerate(({"solver": "Solve it."}, {})):
        strategies = [{"name": "socratic", "options": options}]
        recipe = validate(toy_recipe(tiny, strategies=strategies, teacher={"generator": "tutor", "samples": 2}))
        registry = toy_registry(Socratic, NumberVerifier, Tutor)
        with start(recipe, registry, SilentReporter(), runs=tmp_path, name=f"other-{number}") as other:
            teach(other)
            same = set(verdicts_of(other, "teacher").get_column("key")) == keys
        assert same == (options == {})


def test_a_sample_has_a_limit_for_all_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tutor, "long", True)
    problem = Problem("p", "1+2?", "3")
    turns = turns_of(SOCRATIC, problem, Tutor(), ReasoningRecipe())
    requests = [Request(problem, SOCRATIC, SOCRATIC.teacher_prompt(problem), 0, 1)]
    ((_, cut),) = answered(Tutor(), requests, [turns], Sampling(max_tokens=512))
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 800)
    ((_, whole),) = answered(Tutor(), requests, [turns], Sampling(max_tokens=1000))
    assert (whole.finish_reason, whole.completion_tokens) == ("stop", 1200)


def test_it_does_not_go_on_for_ever_and_a_lost_request_is_no_silence() -> None:
    class Endless(Socratic):
        def next_prompt(self, problem: Problem, written: Sequence[str]) -> Prompt | None:
            return self.teacher_prompt(problem)

    class Silent(Tutor):
        def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
            yield from list(super().generate(requests, sampling))[1:]

    problem, strategy = Problem("p", "1+2?", "3"), Endless()
    turns = turns_of(strategy, problem, Tutor(), None)
    request = Request(problem, strategy, strategy.teacher_prompt(problem), 0, 1)
    ((_, found),) = answered(Tutor(), [request], [turns], Sampling(max_tokens=10**6))
    assert (found.finish_reason, found.completion_tokens) == ("length", 7 * MOST_TURNS)
    with pytest.raises(RuntimeError, match="left 1 of 2 requests unanswered"):
        list(answered(Silent(), [request, request], [None, None], Sampling()))


def test_a_cap_allows_for_all_turns(run: Run) -> None:
    meter = Meter(run, "teach")
    once = meter.expect(["socratic"], [100], 50, "teacher")
    several = meter.expect(["socratic"], [100], 50, "teacher", [3])
    assert (once.tokens_in, once.tokens_out) == (100, 50)
    assert (several.tokens_in, several.tokens_out) == (3 * 250, 100)


def test_one_who_writes_from_solutions_writes_it_in_one_go(siked_says: Callable[..., str]) -> None:
    whole = "teacher.generator.options.error_rate=0"
    said = siked_says("teach", "--preset", "pocket-smoke,socratic", "--set", whole, "--json", "-q")
    assert json.loads(said)["by_strategy"] == {"socratic": {"samples": 48, "correct": 48}}
    prompts = siked_says("prompts", "pocket-001")
    assert "Q1:" in prompts
    assert "A1:" in prompts
    assert "depends on what it writes" not in prompts
    table: Any = pl.read_parquet("runs/pocket-001/pools/teacher/*.parquet")
    assert table.height == 48
