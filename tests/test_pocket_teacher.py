"""The pocket world's teacher: right solutions under every strategy, and an honest share of errors."""

from __future__ import annotations

from fractions import Fraction

import pytest

from siked_core import Message, Problem, Prompt, Rationale, Request, Sampling, SikedError, Strategy, WorkedSolution
from siked_core.registry import Registry
from siked_plugins.generators.pocket import PocketTeacher
from siked_plugins.pocket.slips import spoil
from siked_plugins.pocket.world import FAMILIES, sample

STRATEGIES = ("cot", "pot", "l2m", "eot", "kpdd", "kpdd_pot", "socratic")
PROBLEMS = sample(11, "train", 30 * len(FAMILIES))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


def requests(strategy: Strategy | None, seed: int = 0, problems: list[Problem] = PROBLEMS) -> list[Request]:
    return [
        Request(problem, strategy, Prompt((Message("user", problem.question),)), 0, seed + index)
        for index, problem in enumerate(problems)
    ]


def correct(registry: Registry, strategy: Strategy, texts: list[str]) -> list[bool]:
    """Each text parsed by the strategy and judged by its own verifier."""
    verifier = registry.create("verifier", strategy.verifier)
    try:
        read = [strategy.parse(text) for text in texts]
        found = iter(verifier.answers([rationale for rationale in read if isinstance(rationale, Rationale)]))
        verdicts = [next(found) if isinstance(rationale, Rationale) else None for rationale in read]
        return [
            verdict is not None and bool(verdict.answer) and verifier.compare(verdict.answer, problem.answer).correct
            for verdict, problem in zip(verdicts, PROBLEMS, strict=True)
        ]
    finally:
        verifier.close()


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_errors_everything_it_writes_is_verified(registry: Registry, name: str) -> None:
    strategy = registry.create("strategy", name)
    written = dict(PocketTeacher({"error_rate": 0}).generate(requests(strategy), Sampling()))
    assert sorted(written) == list(range(len(PROBLEMS)))
    assert all(correct(registry, strategy, [written[index].text for index in range(len(PROBLEMS))]))
    assert {completion.finish_reason for completion in written.values()} == {"stop"}
    assert all(completion.completion_tokens > 2 for completion in written.values())


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("rate", [0.15, 0.6])
def test_the_error_rate_is_what_the_verifier_finds(registry: Registry, name: str, rate: float) -> None:
    strategy = registry.create("strategy", name)
    written = dict(PocketTeacher({"error_rate": rate}).generate(requests(strategy, seed=5000), Sampling()))
    wrong = correct(registry, strategy, [written[index].text for index in range(len(PROBLEMS))]).count(False)
    expected, spread = rate * len(PROBLEMS), (len(PROBLEMS) * rate * (1 - rate)) ** 0.5
    assert abs(wrong - expected) < 4 * spread


def test_a_completion_depends_on_its_own_request_only(registry: Registry) -> None:
    teacher = PocketTeacher({"error_rate": 0.5})
    asked = requests(registry.create("strategy", "cot"))
    together = dict(teacher.generate(asked, Sampling()))
    for index in (0, 7, 41):
        ((_, alone),) = teacher.generate([asked[index]], Sampling(temperature=1.0))
        assert alone == together[index]
    other = dict(teacher.generate(requests(asked[0].strategy, seed=10**6), Sampling()))
    assert [c.text for c in other.values()] != [c.text for c in together.values()]


def test_errors_are_of_many_kinds() -> None:
    from random import Random

    drawn = [spoilt for index, problem in enumerate(PROBLEMS) for spoilt in spoil(problem.solution, Random(index))]
    assert len(drawn) > 3 * len(PROBLEMS)


def test_an_error_is_carried_on_into_later_steps() -> None:
    from random import Random

    carried = 0
    for index, problem in enumerate(PROBLEMS):
        assert problem.solution is not None
        for spoilt in spoil(problem.solution, Random(index)):
            assert spoilt.answer != problem.answer
            assert spoilt.steps[-1].value == spoilt.answer
            for step in spoilt.steps:
                assert Fraction(step.value) is not None
                assert f" = {step.value}" in step.text
            first, last = spoilt.steps[0], spoilt.steps[-1]
            if (
                len(spoilt.steps) == 2
                and first.name in last.expression
                and first.value != problem.solution.steps[0].value
            ):
                carried += f"{first.value}" in last.text
    assert carried > 30


class Shout(Strategy):
    """A stranger's strategy."""

    name = "shout"
    verifier = "number"

    def parse(self, text: str) -> Rationale:
        return Rationale(self.name, text, text)

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        return f"{' '.join(step.text.upper() for step in solution.steps)} {solution.answer}!"


class Mute(Shout):
    """It can demonstrate nothing."""

    name = "mute"

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        return None


def test_it_writes_under_a_strategy_of_a_stranger() -> None:
    written = dict(PocketTeacher({"error_rate": 0.3}).generate(requests(Shout()), Sampling()))
    right = sum(written[i].text == Shout().demonstrate(p.solution) for i, p in enumerate(PROBLEMS))  # type: ignore[arg-type]
    assert 0.6 < right / len(PROBLEMS) < 0.8


@pytest.mark.parametrize(
    ("strategy", "problem", "message"),
    [
        (Mute(), PROBLEMS[0], "cannot write problem .* under the strategy 'mute'"),
        (None, PROBLEMS[0], "must be told a strategy"),
        (Shout(), Problem("p1", "How many?", "3"), "problem p1 has none"),
    ],
)
def test_what_it_cannot_do_is_one_clear_line(strategy: Strategy | None, problem: Problem, message: str) -> None:
    with pytest.raises(SikedError, match=message) as caught:
        list(PocketTeacher().generate(requests(strategy, problems=[problem]), Sampling()))
    assert "\n" not in str(caught.value)


def test_options_are_part_of_the_fingerprint() -> None:
    assert PocketTeacher({"error_rate": 0.1}).fingerprint != PocketTeacher({"error_rate": 0.2}).fingerprint
    with pytest.raises(ValueError, match="less than or equal to 1"):
        PocketTeacher({"error_rate": 1.5})
