"""The built-in verifiers, through their contract."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from siked_core import Claim, Problem, Rationale, Status, Verdict, Verifier
from siked_core.errors import VerifierFault
from siked_core.numbers import format_number
from siked_plugins.verifiers import comparison
from siked_plugins.verifiers.equation import EquationVerifier
from siked_plugins.verifiers.number import NumberVerifier
from siked_plugins.verifiers.program import ProgramVerifier

UNSAFE = sys.platform != "linux"


@pytest.fixture(scope="module")
def equation() -> Iterator[EquationVerifier]:
    verifier = EquationVerifier({"timeout_s": 20, "allow_unsafe_exec": UNSAFE})
    yield verifier
    verifier.close()


@pytest.fixture(scope="module")
def program() -> Iterator[ProgramVerifier]:
    verifier = ProgramVerifier({"timeout_s": 2, "allow_unsafe_exec": UNSAFE})
    yield verifier
    verifier.close()


def rationale(source: str) -> Rationale:
    return Rationale("any", source, source)


def claim(source: str, gold: str) -> Claim:
    return Claim(Problem("1", "How many?", gold), rationale(source))


def answer(verifier: Verifier, source: str) -> Verdict:
    return verifier.answers([rationale(source)])[0]


def test_number_judges_stated_answers() -> None:
    verifier = NumberVerifier()
    verdicts = verifier.verify(
        [claim("$18.00", "18"), claim("19", "18"), claim("  ", "18"), claim("#### 18", "18"), claim("purple", "Purple")]
    )
    assert [verdict.status for verdict in verdicts] == [
        Status.CORRECT, Status.WRONG, Status.NO_ANSWER, Status.CORRECT, Status.CORRECT,
    ]  # fmt: skip
    assert verdicts[1].why == "19 is not 18"


def test_number_keeps_the_answer_that_was_found() -> None:
    assert answer(NumberVerifier(), " 18 eggs ") == Verdict(Status.ANSWERED, answer="18 eggs")


def test_program_judges_each_convention(program: ProgramVerifier) -> None:
    sources = [
        "answer = 9 * 2",
        "def solution():\n    return 9 * 2",
        "print('working')\nprint('Total:', 9 * 2)",
        "answer = 17.999999999999996",
        "answer = 19",
        "eggs = 18",
        "answer = 1 / 0",
        "while True: pass",
        "open('/etc/passwd')",
        "answer = '9' * 10**6",
    ]
    verdicts = program.verify([claim(source, "18") for source in sources])
    expected = [Status.CORRECT] * 4 + [Status.WRONG, Status.NO_ANSWER, Status.CRASHED, Status.TIMEOUT]
    expected += [Status.CRASHED if UNSAFE else Status.REFUSED, Status.TOO_LARGE]
    assert [verdict.status for verdict in verdicts[:8]] == expected[:8]
    if not UNSAFE:
        assert [verdict.status for verdict in verdicts] == expected


def test_the_program_of_a_verifier_never_sees_the_gold_answer(program: ProgramVerifier) -> None:
    code = (
        "import sys, gc\nframe, seen = sys._getframe(), []\n"
        "while frame:\n    seen.append(repr(frame.f_locals)); frame = frame.f_back\n"
        "backwards = '546372819'\nanswer = 1 if backwards[::-1] in str(seen) + str(gc.get_objects()) else 2"
    )
    assert program.verify([claim(code, "918273645")])[0].answer == "2"


@pytest.mark.parametrize("verifier_type", [ProgramVerifier, EquationVerifier])
def test_unknown_and_impossible_options_are_refused(verifier_type: type[Verifier]) -> None:
    with pytest.raises(ValidationError):
        verifier_type({"timeout": 3})
    with pytest.raises(ValidationError):
        verifier_type({"timeout_s": 0})


@pytest.mark.parametrize("verifier_type", [ProgramVerifier, EquationVerifier])
def test_close_before_use_and_twice_and_use_after(verifier_type: type[Verifier]) -> None:
    verifier = verifier_type({"allow_unsafe_exec": UNSAFE})
    verifier.close()
    verifier.close()
    assert verifier.answers([rationale("ans = answer = 4")])[0].answer == "4"
    verifier.close()


def test_used_from_threads(program: ProgramVerifier) -> None:
    found: dict[int, list[str]] = {}

    def work(number: int) -> None:
        verdicts = program.answers([rationale(f"answer = {number} * {factor}") for factor in range(5)])
        found[number] = [verdict.answer for verdict in verdicts]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {number: [str(number * factor) for factor in range(5)] for number in range(4)}


def test_a_fault_of_the_comparison_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_prediction: str, _gold: str) -> bool:
        raise RuntimeError("broken")

    monkeypatch.setattr(comparison, "same_answer", broken)
    with pytest.raises(VerifierFault, match="'18'"):
        NumberVerifier().verify([claim("18", "19")])


def test_a_fault_of_the_solver_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("siked_plugins.verifiers.linear.solve", broken)
    with pytest.raises(VerifierFault, match="ans = 5"):
        answer(EquationVerifier(), "ans = 5")


@pytest.mark.parametrize(
    ("system", "value"),
    [
        ("ans = 5", "5"),
        ("% eggs: x = 4\nx = 2x - 4", "4"),
        ("% Let a be the eggs\na = 16 - 3 - 4\nans = a * $2", "18"),
        ("ans = 2x + 1; x = 3(10)", "61"),
        ("a + b = 10, a - b = 2\nans = a*b", "24"),
        ("ans = a * b\na + b = 10\na - b = 2", "24"),
        ("total = 5\ntotal = total + 3\ntotal = total * 2\nans = total", "16"),
        ("x = 5\nx = x + 3", "8"),
        ("ans = 20% of 50", "10"),
        ("ans = 20% * 50", "10"),
        ("ans = 1,234.50 + 5", "1239.5"),
        ("x = 5 % number of apples = 5", "5"),
        ("a = 3 # eggs = 3\nans = a/7", "3/7"),
        ("S = 5\nN = S*2\nE = N + 1\nans = beta\nbeta = E + I\nI = 1", "12"),
        ("x = 2**3 ^ 2", "512"),
        ("x = -2^2", "-4"),
        ("1. a = 5\n2. ans = a + 1", "6"),
        ("ans = a = b = 7", "7"),
        ("ans = (2)(3)[4]", "24"),
        ("6 / 2(3) = ans", "9"),
        ("Ans = 5 ÷ 2 − 1", "1.5"),
        ("ans = 1/3 + 1/3", "2/3"),
        ("a = b\nb = a\nans = 1", "1"),
        ("r*t = d\nr = 60\nd = 150\nans = t", "2.5"),
    ],
)
def test_equation_solves_linear_systems(system: str, value: str) -> None:
    verdict = answer(EquationVerifier(), system)
    assert (verdict.status, verdict.answer) == (Status.ANSWERED, value), verdict


@pytest.mark.parametrize(
    ("system", "status"),
    [
        ("ans = y", Status.UNDERDETERMINED),
        ("ans + y = 5\n2ans + 2y = 10", Status.UNDERDETERMINED),
        ("ans = 5\nans = 6", Status.INCONSISTENT),
        ("ans = 1/0", Status.INCONSISTENT),
        ("ans = a\na + 1 = a", Status.INCONSISTENT),
        ("The answer is five.", Status.UNREADABLE),
        ("", Status.UNREADABLE),
        ("% ans = 5", Status.UNREADABLE),
        ("ans = (5", Status.UNREADABLE),
        ("ans = 17 % 5", Status.UNREADABLE),
        ("ans = max(3, 4)", Status.UNREADABLE),
        ("y = 5", Status.UNREADABLE),
        ("ans = 9^9^9", Status.TOO_LARGE),
        ("ans = " + "(" * 100 + "1" + ")" * 100, Status.TOO_LARGE),
        ("ans = __import__('os').system('touch /tmp/siked_was_here')", Status.UNREADABLE),
    ],
)
def test_equation_tells_failures_apart(system: str, status: Status) -> None:
    verdict = answer(EquationVerifier(), system)
    assert (verdict.status, verdict.answer) == (status, ""), verdict
    assert verdict.why
    assert "\n" not in verdict.why


def test_equation_solves_nonlinear_systems_in_the_cage(equation: EquationVerifier) -> None:
    systems = [
        "200 / ans = 4",
        "ans * ans = 9",
        "x * y = 6\nx + y = 5\nz = 1",
        "ans^2 = -1",
        "ans = sqrt(16) + S\nS = 1",
        "ans^2 = 2\nans * k = 2",
        "x * y = 4",
        "ans = 5",
    ]
    verdicts = equation.answers([rationale(system) for system in systems])
    assert [verdict.status for verdict in verdicts] == [
        Status.ANSWERED, Status.SEVERAL_ROOTS, Status.SEVERAL_ROOTS, Status.INCONSISTENT, Status.ANSWERED,
        Status.SEVERAL_ROOTS, Status.UNDERDETERMINED, Status.ANSWERED,
    ]  # fmt: skip
    assert [verdict.answer for verdict in verdicts] == ["50", "", "", "", "5", "", "", "5"]


values = st.fractions(min_value=-1000, max_value=1000, max_denominator=60)


@pytest.mark.parametrize(
    ("system", "question", "note"),
    [
        ("ans = 3 - 7", "How many apples are left?", "negative"),
        ("ans = 3 - 7", "How many hours are left?", "negative"),
        ("ans = 10 / 4", "How many buses are needed?", "whole"),
        ("ans = 10 / 4", "Ann has 2 hours. HOW MANY more red pens\ndoes she need?", "whole"),
        ("ans = 10 / 4", "How many pounds of flour does she need?", ""),
        ("ans = 10 / 4", "How many total hours?", ""),
        ("ans = 10 / 4", "How many miles per hour?", ""),
        ("ans = 10 / 4", "How many apples does each child get?", "whole"),
        ("ans = 10 / 4", "How much does it cost?", ""),
        ("ans = 3 - 7", "How much warmer is it?", ""),
        ("ans = 10 / 5", "How many buses are needed?", ""),
        ("ans = 1\nans = 2", "How many buses are needed?", ""),
    ],
)
def test_equation_notes_an_answer_that_cannot_be_a_count(
    equation: EquationVerifier, system: str, question: str, note: str
) -> None:
    def judged(gold: str) -> Verdict:
        return equation.verify([Claim(Problem("1", question, gold), rationale(system))])[0]

    plain, found = equation.answers([rationale(system)])[0], judged("99")
    assert (found.status, found.answer) == (
        Status.WRONG if plain.status is Status.ANSWERED else plain.status,
        plain.answer,
    )
    assert ("the question asks how many" in found.why) == bool(note)
    assert note in found.why
    if plain.answer:  # what the gold answer agrees with is not doubted
        assert judged(plain.answer) == Verdict(Status.CORRECT, plain.answer)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_equation_finds_the_solution_that_a_system_was_made_from(solution: list[Fraction], random: object) -> None:
    names = ["ans", "a", "b", "S", "E", "beta"][: len(solution)]
    lines = []
    for index, (name, value) in enumerate(zip(names, solution, strict=True)):
        terms, total = [f"({format_number(value)})"], value
        for other, its_value in zip(names[:index], solution[:index], strict=True):
            factor = random.randint(-5, 5)  # type: ignore[attr-defined]
            terms.append(f"{factor}{other}" if factor >= 0 else f"({factor}) * {other}")
            total += factor * its_value
        lines.append(f"{name} + {' + '.join(terms[1:]) or 0} = ({format_number(total)})")
    random.shuffle(lines)  # type: ignore[attr-defined]
    verdict = answer(EquationVerifier(), "\n".join(lines))
    assert (verdict.status, verdict.answer) == (Status.ANSWERED, format_number(solution[0])), lines


pieces = st.sampled_from(
    ["ans", "x", "a", "b", "c", "1", "2.5", "1,000", " ", "+", "-", "*", "/", "^", "(", ")", "=", "\n", "%", "#", ";",
     ", ", "$", "sqrt(", "of", "**", "é", "10^9", "ans = ", "\nx = "]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(pieces, max_size=60).map("".join)), st.integers(1, 200))
def test_equation_never_takes_long_in_this_process(text: str, times: int) -> None:
    from siked_plugins.verifiers.system import examine

    text = (text * times)[:4096]
    seconds = []
    for _ in range(3):
        started = time.process_time()
        examine(text)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.05
