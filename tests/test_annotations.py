"""The teacher that writes down the data's own solutions."""

from __future__ import annotations

from siked_core import Generator, Message, Problem, Prompt, Request, Sampling, Step, Strategy, WorkedSolution
from siked_plugins.datasets.worked import Uncovered, work_out
from siked_plugins.generators.annotations import Annotations, siked_generators
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.eot import EquationOfThought
from siked_plugins.strategies.l2m import LeastToMost
from siked_plugins.strategies.pot import ProgramOfThoughts

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
    assert completion.completion_tokens == len("clips_may = 48 / 2 answer = 48 + clips_may".split())
    assert completion.finish_reason == "stop"
    assert completion.logprob is None


def test_it_says_that_it_reads_solutions_and_what_it_is() -> None:
    assert siked_generators() == [Annotations]
    assert Annotations.reads_solution
    assert Annotations().fingerprint == Annotations().fingerprint == f"annotations {Annotations.version}"
