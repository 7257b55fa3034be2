"""The banks of worked examples: each parses to itself, and its verifier finds its answer."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from siked_core import Claim, DataError, Problem, Rationale, Status, Strategy, Verifier
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.eot import EquationOfThought
from siked_plugins.strategies.kpdd import KeyPoints
from siked_plugins.strategies.kpdd_pot import KeyPointsProgram
from siked_plugins.strategies.l2m import LeastToMost
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.strategies.socratic import Socratic

STRATEGIES: list[type[Strategy]] = [
    ChainOfThought,
    ProgramOfThoughts,
    LeastToMost,
    EquationOfThought,
    KeyPoints,
    KeyPointsProgram,
    Socratic,
]
CONTAINED = {
    ChainOfThought: (LeastToMost, KeyPoints, KeyPointsProgram),
    ProgramOfThoughts: (KeyPointsProgram,),
}
"""Sub-questions and key points are words too; behind words, "answer = ..." states one; words before code are cut."""
by_name = pytest.mark.parametrize("strategy_type", STRATEGIES, ids=lambda strategy_type: strategy_type.name)


@pytest.fixture
def verifier(strategy_type: type[Strategy]) -> Iterator[Verifier]:
    module = importlib.import_module(f"siked_plugins.verifiers.{strategy_type.verifier}")
    (verifier_type,) = (each for each in module.siked_verifiers() if each.name == strategy_type.verifier)
    verifier = verifier_type()
    try:
        yield verifier
    finally:
        verifier.close()


def claims(strategy: Strategy) -> list[Claim]:
    made = []
    for number, shot in enumerate(strategy.bank.shots):
        rationale = strategy.parse(shot.completion)
        assert isinstance(rationale, Rationale), rationale
        made.append(Claim(Problem(str(number), shot.question, shot.answer), rationale))
    return made


@by_name
def test_every_example_is_in_its_canonical_form(strategy_type: type[Strategy]) -> None:
    strategy = strategy_type()
    assert [claim.rationale.text for claim in claims(strategy)] == [shot.completion for shot in strategy.bank.shots]


@by_name
def test_every_example_has_the_right_answer(strategy_type: type[Strategy], verifier: Verifier) -> None:
    verdicts = verifier.verify(claims(strategy_type()))
    assert [verdict.status for verdict in verdicts] == [Status.CORRECT] * 8, verdicts


@by_name
def test_a_wrong_answer_would_be_noticed(strategy_type: type[Strategy], verifier: Verifier) -> None:
    wrong = [
        Claim(Problem(claim.problem.id, claim.problem.question, f"1{claim.problem.answer}"), claim.rationale)
        for claim in claims(strategy_type())
    ]
    assert [verdict.status for verdict in verifier.verify(wrong)] == [Status.WRONG] * 8


def test_the_questions_are_the_same_under_every_strategy() -> None:
    banks = [strategy_type().bank for strategy_type in STRATEGIES]
    questions = [[(shot.question, shot.answer) for shot in bank.shots] for bank in banks]
    assert questions == [questions[0]] * len(banks)
    assert len({question for question, _ in questions[0]}) == 8


@by_name
def test_no_strategy_reads_anothers_examples_as_its_own(strategy_type: type[Strategy]) -> None:
    for other in STRATEGIES:
        read = [isinstance(strategy_type().parse(shot.completion), Rationale) for shot in other().bank.shots]
        if other is strategy_type:
            assert all(read)
        elif other not in CONTAINED.get(strategy_type, ()):
            assert not any(read), other.name


@by_name
def test_a_recipe_can_replace_bank_shots_and_instruction(strategy_type: type[Strategy], tmp_path: Path) -> None:
    problem = Problem("1", "How many?", "1")
    fewer = strategy_type({"shots": 2, "instruction": "Do it."}).teacher_prompt(problem).messages
    assert (len(fewer), fewer[0].content) == (6, "Do it.")
    own = tmp_path / "own.yaml"
    own.write_text('template: "Q {question} ?"\nshots:\n  - {question: a, answer: "1", completion: b}\n')
    messages = strategy_type({"bank": str(own)}).teacher_prompt(problem).messages
    assert [message.content for message in messages] == ["Q a ?", "b", "Q How many? ?"]
    with pytest.raises(DataError, match="Cannot read the prompt bank"):
        strategy_type({"bank": str(tmp_path / "absent.yaml")}).teacher_prompt(problem)


@pytest.mark.parametrize("shots", [0, 2])
def test_prompts_share_what_stands_before_the_question(shots: int) -> None:
    """A pool of a hundred thousand prompts holds the worked examples once."""
    strategy = ChainOfThought({"shots": shots, "instruction": "Think."})
    one, other = (strategy.teacher_prompt(Problem(id, f"{id} + 1?", "2")).messages for id in ("1", "2"))
    assert [message.role for message in one] == ["system", *["user", "assistant"] * shots, "user"]
    assert all(mine is theirs for mine, theirs in zip(one[:-1], other[:-1], strict=True))
    assert (one[-1].content, other[-1].content) == tuple(strategy.bank.render(f"{id} + 1?") for id in ("1", "2"))
