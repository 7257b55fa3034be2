"""Multiple choice: letters and texts."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from siked_core import Claim, Problem, Rationale, Status, Verifier
from siked_core.choices import choices_of, same_choice
from siked_plugins.verifiers.equation import EquationVerifier
from siked_plugins.verifiers.number import NumberVerifier

QUESTION = "How many eggs are left? (A) 5 (B) 7 (C) 33.3 (D) 33.33 (E) none of these"


@pytest.mark.parametrize(
    ("question", "choices"),
    [
        (QUESTION, {"A": "5", "B": "7", "C": "33.3", "D": "33.33", "E": "none of these"}),
        ("Options: A)21, B)21.5, C)22", {"A": "21", "B": "21.5", "C": "22"}),
        ("Which?\nA. red\nB. dark red\n\nThink first.", {"A": "red", "B": "dark red"}),
        ("Which?\n- A: 1/2\n- B: 1/3", {"A": "1/2", "B": "1/3"}),
        ("Which? a) 5 b) 7", {"A": "5", "B": "7"}),
        ("Let (A) be true. Which? (A) 5; (B) 7.", {"A": "5", "B": "7"}),
        ("He scored f(a) and f(b).", {}),
        ("Vitamin A. B. Smith has 5.", {}),
        ("(B) 5 (C) 7", {}),
        ("(A) 5 (C) 7", {}),
        ("(A) 5", {}),
        ("How many?", {}),
        ("", {}),
        ("(A) 5 (B) 7 " * 5_000, {}),
    ],
)
def test_reads_the_choices(question: str, choices: dict[str, str]) -> None:
    assert choices_of(question) == choices


@pytest.mark.parametrize("gold", ["B", "(B)", "b", "B) 7", "(B) 7", "7", "7.0"])
@pytest.mark.parametrize(
    ("prediction", "correct"),
    [
        ("B", True),
        ("b", True),
        ("(B)", True),
        ("B)", True),
        ("B.", True),
        ("**B**", True),
        ("\\text{(B)}", True),
        ("B) 7", True),
        ("(B) 7 eggs", True),
        ("B 7", True),
        ("B, 7", True),
        ("option B", True),
        ("Option (B): 7", True),
        ("The correct answer is (B).", True),
        ("7", True),
        ("seven", True),
        ("7 eggs", True),
        ("A total of 7", True),
        ("A", False),
        ("F", False),
        ("(A) 7", False),
        ("A) 7", False),
        ("A 7", False),
        ("7, which is option A", False),
        ("B) 5", False),
        ("(B) 5", False),
        ("A or B", False),
        ("B or C", False),
        ("A, B", False),
        ("5 or 7", False),
        ("(A) 5 or (B) 7", False),
        ("5", False),
        ("8", False),
        ("none of these", False),
        ("", False),
    ],
)
def test_a_letter_or_its_text(prediction: str, gold: str, correct: bool) -> None:
    assert same_choice(prediction, gold, QUESTION) is correct


def test_a_text_that_fits_several_choices_names_the_one_written_like_it() -> None:
    assert same_choice("33.33", "D", QUESTION) is True
    assert same_choice("33.33", "C", QUESTION) is False
    assert same_choice("33.3", "33.3", QUESTION) is True
    assert same_choice("33.333", "D", QUESTION) is False  # rounds to two of the choices
    assert same_choice("dark red", "B", "(A) red (B) dark red") is True
    assert same_choice("red", "B", "(A) red (B) dark red") is False


@pytest.mark.parametrize(
    ("gold", "question"),
    [("B", "How many?"), ("9", QUESTION), ("5", "Points (A) and (B) are 5 apart."), ("B) 9", QUESTION)],
)
def test_no_multiple_choice(gold: str, question: str) -> None:
    assert same_choice("B", gold, question) is None


@given(st.lists(st.integers(-999, 999), min_size=2, max_size=10, unique=True), st.data())
@example([5, 7], None)
def test_only_the_right_letter_and_number_are_right(values: list[int], data: st.DataObject | None) -> None:
    letters = "ABCDEFGHIJ"[: len(values)]
    question = "How many? " + " ".join(f"({letter}) {value}" for letter, value in zip(letters, values, strict=True))
    right = data.draw(st.integers(0, len(values) - 1)) if data else 0
    for gold in (letters[right], str(values[right])):
        for index, (letter, value) in enumerate(zip(letters, values, strict=True)):
            for said in (letter, f"({letter})", f"{letter}) {value}", f"Option {letter}", f"{value}", f"{value} eggs"):
                assert same_choice(said, gold, question) is (index == right), said
            if index != right:
                assert same_choice(f"{letter}) {values[right]}", gold, question) is False
                assert same_choice(f"{letters[right]}) {value}", gold, question) is False


@given(st.text(max_size=80), st.text(max_size=20), st.text(alphabet="(ABC) .:5\n", max_size=60))
def test_never_raises(prediction: str, gold: str, question: str) -> None:
    assert same_choice(prediction, gold, question) in (True, False, None)


@pytest.mark.parametrize(
    ("verifier", "source"),
    [(NumberVerifier(), "B"), (NumberVerifier(), "7"), (EquationVerifier(), "ans = 7")],
)
def test_verifiers_know_the_choices(verifier: Verifier, source: str) -> None:
    for gold, expected in (("B", Status.CORRECT), ("7", Status.CORRECT), ("A", Status.WRONG), ("5", Status.WRONG)):
        claim = Claim(Problem("1", QUESTION, gold), Rationale("any", source, source))
        assert verifier.verify([claim])[0].status is expected
    verifier.close()
