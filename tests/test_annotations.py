"""The teacher that writes down the data's own solutions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from siked_core import (
    Claim,
    Generator,
    Message,
    Problem,
    Prompt,
    Rationale,
    Request,
    Sampling,
    Step,
    Strategy,
    Verifier,
    WorkedSolution,
)
from siked_plugins.datasets.gsm8k import Gsm8k
from siked_plugins.datasets.worked import Uncovered, work_out
from siked_plugins.generators.annotations import Annotations, siked_generators
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.eot import EquationOfThought
from siked_plugins.strategies.l2m import LeastToMost
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.verifiers.equation import EquationVerifier
from siked_plugins.verifiers.number import NumberVerifier
from siked_plugins.verifiers.program import ProgramVerifier

PUBLISHED = Path(os.environ.get("SIKED_DATA_DIR") or Path(__file__).resolve().parents[2] / "shared" / "data")

QUESTION = "Natalia sold clips to 48 friends in April, and half as many in May. How many clips did she sell altogether?"
SOLUTION = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
    "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May."
)


def natalia() -> Problem:
    solution = work_out(QUESTION, SOLUTION, "72")
    assert not isinstance(solution, Uncovered)
    return Problem("gsm8k-train-00001", QUESTION, "72", solution=solution)


def request(problem: Problem, strategy: Strategy | None, draw: int = 0) -> Request:
    return Request(problem, strategy, Prompt((Message("user", "Question: How many?"),), "<cot>"), draw, seed=draw)


def texts(generator: Generator, *requests: Request) -> list[str]:
    written = dict(generator.generate(requests, Sampling()))
    return [written[index].text for index in range(len(requests))]


def test_each_strategy_writes_the_human_solution_in_its_form() -> None:
    problem = natalia()
    strategies = [ChainOfThought(), ProgramOfThoughts(), EquationOfThought(), LeastToMost()]
    cot, pot, eot, l2m = texts(Annotations(), *(request(problem, strategy) for strategy in strategies))
    assert cot == (
        "Natalia sold 48/2 = 24 clips in May.\n"
        "Natalia sold 48+24 = 72 clips altogether in April and May.\n"
        "The answer is 72."
    )
    assert pot == "clips_may = 48 / 2\nanswer = 48 + clips_may"
    assert eot == "clips_may = 48 / 2\nans = 48 + clips_may"
    assert l2m.startswith("Q: Natalia sold how many clips in May?\nA: Natalia sold 48/2 = 24 clips in May.\n")
    assert l2m.endswith("\nThe answer is 72.")


def test_draws_are_the_same_text() -> None:
    problem, strategy = natalia(), ChainOfThought()
    first, second = texts(Annotations(), request(problem, strategy, 0), request(problem, strategy, 1))
    assert first == second


def test_what_cannot_be_written_is_an_empty_completion() -> None:
    bare = Problem("p", "How many?", "3")
    step = Step("How much?", "It is 7 / 2 = 3.", "half", "7 // 2", "3")
    floored = Problem("q", "How many?", "3", solution=WorkedSolution((step,), "3"))
    assert texts(
        Annotations(),
        request(bare, ChainOfThought()),
        request(natalia(), None),
        request(floored, EquationOfThought()),
    ) == ["", "", ""]


def test_tokens_are_words() -> None:
    [(_, completion)] = Annotations().generate([request(natalia(), ProgramOfThoughts())], Sampling())
    assert completion.prompt_tokens == 4
    assert completion.completion_tokens == 10
    assert completion.finish_reason == "stop"
    assert completion.logprob is None


def test_it_says_that_it_reads_solutions_and_what_it_is() -> None:
    assert siked_generators() == [Annotations]
    assert Annotations.reads_solution
    assert Annotations().fingerprint == Annotations().fingerprint == f"annotations {Annotations.version}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "verifier"),
    [
        (ChainOfThought, NumberVerifier),
        (ProgramOfThoughts, ProgramVerifier),
        (LeastToMost, NumberVerifier),
        (EquationOfThought, EquationVerifier),
    ],
)
def test_more_than_nine_in_ten_real_problems_get_a_verified_rationale(
    strategy: type[Strategy], verifier: type[Verifier]
) -> None:
    if not (PUBLISHED / "gsm8k_train.jsonl").is_file():
        pytest.skip(f"no published data at {PUBLISHED}; set SIKED_DATA_DIR")
    data = Gsm8k({"path": PUBLISHED})
    problems = data.complete(data.load("train", limit=300).problems)
    style, judge = strategy(), verifier()
    claims = []
    for problem, text in zip(problems, texts(Annotations(), *(request(p, style) for p in problems)), strict=True):
        read = style.parse(text)
        if isinstance(read, Rationale):
            claims.append(Claim(problem, read))
    try:
        verdicts = judge.verify(claims)
    finally:
        judge.close()
    assert sum(verdict.correct for verdict in verdicts) > 0.9 * len(problems)
    assert not any(verdict.status == "wrong" for verdict in verdicts)
