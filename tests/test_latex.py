"""Comparing LaTeX: what goes to the worker, what comes back, and that nothing can be hung or brought down."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import Claim, Problem, Rationale, Status
from siked_core import latex as module
from siked_core.errors import IncomparableError
from siked_core.latex import LatexJudge, installed_version, mathematics
from siked_core.numbers import same_answer
from siked_plugins.verifiers.number import NumberVerifier

needs_worker = pytest.mark.skipif(not installed_version(), reason="math-verify is not installed, or cannot be caged")


@pytest.fixture(scope="module")
def judge() -> Iterator[LatexJudge]:
    judge = LatexJudge(timeout_s=5)
    yield judge
    judge.close()


@needs_worker
@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("\\sqrt{3}/2", "\\frac{\\sqrt{3}}{2}"),
        ("0.8660254037844386", "\\frac{\\sqrt{3}}{2}"),
        ("sqrt(3)/2", "\\frac{\\sqrt{3}}{2}"),
        ("√3/2", "\\dfrac{\\sqrt 3}{2}"),
        ("\\pi \\cdot 2", "2\\pi"),
        ("2 pi", "2\\pi"),
        ("2π", "2\\pi"),
        ("The area is $2\\pi$.", "2\\pi"),
        ("$2\\pi \\text{ cm}$", "2\\pi"),
        ("1+x^2", "x^2+1"),
        ("(x+1)**2", "x^2+2x+1"),
        ("[0, 1)", "\\left[0,1\\right)"),
        ("(3,∞)∪(-∞,2]", "(-\\infty, 2] \\cup (3, \\infty)"),
        ("\\{3, 1, 2\\}", "\\{1,2,3\\}"),
        ("(3, 4)", "(3,4)"),
        ("y = 1 + 2x", "y = 2x+1"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
        ("\\sqrt{16}", "4"),
        ("\\frac{\\frac{1}{2}}{3}", "1/6"),
        ("\\frac{\\sqrt{3}}{2}", "0.87"),
        ("5000000\\sqrt{1}", "5 million"),
    ],
)
def test_same_mathematics(judge: LatexJudge, prediction: str, gold: str) -> None:
    assert judge.same(prediction, gold) is True


@needs_worker
@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("\\frac{\\sqrt{2}}{2}", "\\frac{\\sqrt{3}}{2}"),
        ("0.866", "\\frac{\\sqrt{3}}{2}"),
        ("6.28", "2\\pi"),
        ("6.283185", "2\\pi"),
        ("x^2-1", "x^2+1"),
        ("2y+1", "2x+1"),
        ("[0,1]", "[0,1)"),
        ("\\{1,2\\}", "\\{1,2,3\\}"),
        ("(4,3)", "(3,4)"),
        ("\\sqrt{16}", "5"),
        ("\\frac{", "\\frac{x}{2}"),
    ],
)
def test_other_mathematics(judge: LatexJudge, prediction: str, gold: str) -> None:
    assert judge.same(prediction, gold) is False


@pytest.mark.parametrize(
    ("prediction", "gold"),
    [
        ("5 million", "5"),
        ("2:30", "2:45"),
        ("1e3", "1"),
        ("17.999999999999996", "18"),
        ("7 * 2", "14"),
        ("4x", "4"),
        ("x = 3, y = 4", "3"),
        ("\\frac{3}{4}", "0.75"),
        ("Purple", "Blue"),
        ("5", "Purple"),
        ("5:6", "6:5"),
        ("11; 12", "12; 11"),
        ("March 3rd", "February 3rd"),
        ("Vendor 2", "Vendor 1"),
        ("A", "B"),
        ("either $2\\pi$ or 3", "2\\pi"),
        ("$2\\pi$ or $3\\pi$", "2\\pi"),
        ("\\pm\\sqrt{16}", "4"),
        ("4 \\text{ or } 5", "4"),
        ("x \\ge 4", "4"),
        ("\\text{odd}", "even"),
        ("x" * 5_000 + "^2", "x^2"),
        ("", "\\pi"),
        ("\\pi", ""),
    ],
)
def test_plain_answers_and_hedged_ones_never_reach_it(prediction: str, gold: str) -> None:
    assert mathematics(prediction, gold) is None


@given(
    st.integers(-(10**9), 10**9), st.integers(1, 10**6), st.sampled_from(["{}", "${:,}", "{} apples", "{}%", "1/{}"])
)
def test_no_pair_of_plain_numbers_reaches_it(one: int, other: int, spelling: str) -> None:
    for prediction in (spelling.format(other), str(one), f"{other} million", f"{one}e3", f"{other}.5"):
        for gold in (str(one), spelling.format(other)):
            assert mathematics(prediction, gold) is None


@needs_worker
def test_a_comparison_that_takes_too_long_is_killed_and_the_next_one_works() -> None:
    judge = LatexJudge(timeout_s=1)
    assert judge.same("2\\pi", "\\pi\\cdot 2") is True
    first = judge._worker
    assert first is not None
    started = time.monotonic()
    with pytest.raises(IncomparableError, match="1 s"):
        judge.same("9" * 200 + "^" + "9" * 200, "x+1")
    assert time.monotonic() - started < 3
    assert first._process.poll() is not None
    assert LatexJudge.same(judge, "2\\pi", "\\pi\\cdot 2") is True
    judge.close()


@needs_worker
def test_a_worker_that_dies_is_replaced(judge: LatexJudge) -> None:
    assert judge.same("2\\pi", "\\pi\\cdot 2") is True
    assert judge._worker is not None
    judge._worker._process.kill()
    assert judge.same("2\\pi", "\\pi\\cdot 2") is True


@needs_worker
def test_usable_from_threads_and_in_an_event_loop_and_leaves_timers_alone(judge: LatexJudge) -> None:
    rang = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rang.set())
    signal.setitimer(signal.ITIMER_REAL, 600)
    try:
        found: dict[int, bool | None] = {}

        def work(number: int) -> None:
            found[number] = judge.same(f"{number}\\pi", "3\\pi")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert found == {number: number == 3 for number in range(6)}

        async def in_a_loop() -> bool | None:
            return judge.same("2\\pi", "\\pi\\cdot 2")

        assert asyncio.run(in_a_loop()) is True
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 500
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@needs_worker
def test_its_process_is_no_fork_and_is_caged(judge: LatexJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "s3cr3t")
    fresh = LatexJudge(timeout_s=20)
    assert fresh.same("2\\pi", "\\pi\\cdot 2") is True
    worker = fresh._worker
    assert worker is not None
    assert worker.caged
    assert worker._process.pid != os.getpid()
    assert b"s3cr3t" not in Path(f"/proc/{worker._process.pid}/environ").read_bytes()
    inner = [line for line in _status(worker._process.pid) if line.startswith("Seccomp:")]
    assert inner == ["Seccomp:\t2"]
    fresh.close()
    assert worker._process.poll() is not None


def _status(pid: int) -> list[str]:
    """Of the process that compares: the child, where the cage has a PID namespace of its own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return Path(f"/proc/{children[0] if children else pid}/status").read_text(encoding="utf-8").splitlines()


@needs_worker
@pytest.mark.parametrize(
    "hostile",
    [
        "\\operatorname{__import__}('os').system('touch /tmp/siked_was_here')^2",
        "$\\text{__import__('os')}^2$",
        "{" * 900 + "\\pi",
        "\\sqrt{" * 150 + "2" + "}" * 150,
        "\\frac{1}{0}",
        "\\pi^{\\pi^{\\pi^{\\pi^{\\pi}}}}",
        "10000000!!! + \\pi",
        "\\sum_{n=1}^{10^{9}} \\sqrt{n}",
        "\\x00\\pi",
        "\ud800\\pi",
    ],
)
def test_hostile_formulae_harm_nobody(judge: LatexJudge, hostile: str) -> None:
    with contextlib.suppress(IncomparableError):
        assert judge.same(hostile, "\\pi + x") in (False, None)
    assert not Path("/tmp/siked_was_here").exists()
    assert judge.same("2\\pi", "\\pi\\cdot 2") is True


def claim(source: str, gold: str) -> Claim:
    return Claim(Problem("1", "How many?", gold), Rationale("any", source, source))


@needs_worker
def test_the_number_verifier_uses_it() -> None:
    verifier = NumberVerifier()
    claims = [
        claim("\\boxed{\\frac{\\sqrt{12}}{4}}", "\\frac{\\sqrt{3}}{2}"),
        claim("18", "18"),
        claim("2\\pi", "3\\pi"),
    ]
    assert [verdict.status for verdict in verifier.verify(claims)] == [Status.CORRECT, Status.CORRECT, Status.WRONG]
    verifier.close()


def test_off_or_not_installed_means_text(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = [claim("\\sqrt{12}/4", "\\frac{\\sqrt{3}}{2}"), claim("2 \\pi", "2\\pi")]
    assert [verdict.correct for verdict in NumberVerifier({"latex": "off"}).verify(claims)] == [False, True]
    here = NumberVerifier().fingerprint
    monkeypatch.setattr(module, "_PACKAGES", ("no_such_package", *module._PACKAGES))
    assert installed_version() == ""
    verifier = NumberVerifier()
    assert [verdict.correct for verdict in verifier.verify(claims)] == [False, True]
    if here.endswith(":"):
        return
    monkeypatch.undo()
    assert NumberVerifier().fingerprint == here


@needs_worker
def test_too_slow_is_wrong_and_says_so() -> None:
    verifier = NumberVerifier({"latex_timeout_s": 0.5})
    found = verifier.verify([claim("9" * 200 + "^" + "9" * 200, "x+1")])[0]
    assert found.status is Status.WRONG
    assert "longer than 0.5 s" in found.why
    verifier.close()


@given(st.text(max_size=60), st.text(max_size=60))
def test_deciding_never_raises(prediction: str, gold: str) -> None:
    pair = mathematics(prediction, gold)
    assert pair is None or all(isinstance(side, str) for side in pair)
    assert pair is None or not (same_answer(prediction, gold) and prediction.isdigit())
