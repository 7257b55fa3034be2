"""Judging without gold answers: agreement, a judge model, and audits of one verifier by another."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_cli.main import main
from siked_core import (
    Claim,
    Completion,
    DataError,
    Generator,
    Problem,
    Rationale,
    RecipeError,
    Request,
    Sampling,
    Status,
    Verdict,
    VerifierFault,
)
from siked_core.recipe import validate
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.stages.audit import audit
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.stages.verify import verdicts_of, verify
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import SameText
from siked_plugins.verifiers.agreement import AgreementVerifier
from siked_plugins.verifiers.judge import JudgeVerifier

BOTH = {"loud": {"name": "agreement"}, "quiet": {"name": "agreement"}}


class Own(SameText):
    """Reads nothing from an empty text."""

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        return [
            Verdict(Status.ANSWERED, one.answer_source) if one.answer_source else Verdict(Status.CRASHED)
            for one in rationales
        ]


def judged(votes: Mapping[str, Sequence[str]], **options: Any) -> dict[str, list[Status]]:
    """Verdicts by strategy, for one problem."""
    verifier = AgreementVerifier(options)
    own = Own()
    verifier.bind(dict.fromkeys(votes, own), lambda *_: None)
    pairs = [(strategy, answer) for strategy, answers in votes.items() for answer in answers]
    problem = Problem("p", "?", "")
    found = verifier.verify([Claim(problem, Rationale(strategy, answer, answer)) for strategy, answer in pairs])
    by_strategy: dict[str, list[Status]] = {strategy: [] for strategy in votes}
    for (strategy, _), verdict in zip(pairs, found, strict=True):
        by_strategy[strategy].append(verdict.status)
    return by_strategy


C, W, U, X = Status.CORRECT, Status.WRONG, Status.UNDECIDED, Status.CRASHED


@pytest.mark.parametrize(
    ("votes", "options", "expected"),
    [
        ({"cot": ["18"], "pot": ["18.0"]}, {}, {"cot": [C], "pot": [C]}),
        ({"cot": ["$18"], "pot": ["17.999999999999996"]}, {}, {"cot": [C], "pot": [C]}),
        ({"cot": ["18"], "pot": ["19"]}, {}, {"cot": [U], "pot": [U]}),
        ({"cot": ["18"], "pot": ["18"], "eot": ["7"]}, {}, {"cot": [C], "pot": [C], "eot": [W]}),
        ({"cot": ["18"], "pot": ["18"], "eot": ["7"]}, {"rule": "unanimous"}, {"cot": [U], "pot": [U], "eot": [U]}),
        ({"cot": ["18"], "pot": ["18"], "eot": [""]}, {"rule": "unanimous"}, {"cot": [C], "pot": [C], "eot": [X]}),
        ({"cot": ["18"], "pot": ["18"], "eot": ["7"]}, {"quorum": 3}, {"cot": [U], "pot": [U], "eot": [U]}),
        (
            {"cot": ["1"], "pot": ["1"], "l2m": ["2"], "eot": ["2"]},
            {},
            {"cot": [U], "pot": [U], "l2m": [U], "eot": [U]},
        ),
        ({"cot": ["18", "18", "5"], "pot": ["18"]}, {}, {"cot": [C, C, W], "pot": [C]}),
        ({"cot": ["18", "5"], "pot": ["18"]}, {}, {"cot": [U, U], "pot": [U]}),
        ({"cot": ["18", "18", "5"], "pot": ["18"]}, {"share": 0.7}, {"cot": [U, U, U], "pot": [U]}),
        ({"cot": ["18"]}, {}, {"cot": [U]}),
        ({"cot": ["18"]}, {"quorum": 1}, {"cot": [C]}),
        ({"cot": [""], "pot": [""]}, {}, {"cot": [U], "pot": [U]}),
        ({"cot": ["Purple"], "pot": ["purple "]}, {}, {"cot": [C], "pot": [C]}),
    ],
)
def test_votes(votes: dict[str, list[str]], options: dict[str, Any], expected: dict[str, list[Status]]) -> None:
    assert judged(votes, **options) == expected


ANSWERS = st.lists(st.sampled_from(["1", "2", "3", ""]), min_size=1, max_size=4)


@given(st.dictionaries(st.sampled_from(["cot", "pot", "l2m", "eot"]), ANSWERS, min_size=1), st.integers(1, 4))
def test_what_is_accepted_has_its_quorum(votes: dict[str, list[str]], quorum: int) -> None:
    found = judged(votes, quorum=quorum)
    accepted = {
        (strategy, answer)
        for strategy, answers in votes.items()
        for answer, status in zip(answers, found[strategy], strict=True)
        if status is C
    }
    assert len({answer for _, answer in accepted}) <= 1
    assert not accepted or len({strategy for strategy, _ in accepted}) >= quorum


# Through the stages, on toys


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


def open_run(folder: Path, tiny: Path, *plugins: Any, **changes: Any) -> Run:
    recipe = validate(toy_recipe(tiny, **changes))
    return start(
        recipe, toy_registry(AgreementVerifier, JudgeVerifier, *plugins), SilentReporter(), runs=folder, name="run"
    )


def test_agreement_needs_no_gold_chooses_and_does_not_score(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, verifiers=BOTH) as run:
        teach(run)
        table = verdicts_of(run, "teacher")
        assert set(table["status"]) == {"correct", "undecided"}, "two strategies agree, or nothing is decided"
        review = [json.loads(line) for line in (run.path / "reviews" / "teacher.jsonl").read_text().splitlines()]
        assert {entry["problem_id"] for entry in review} == set(
            table.filter(table["status"] == "undecided")["problem_id"]
        )
        assert all(len(entry["answers"]) == 2 for entry in review)
        mix(run, 0)
        train(run, 0)
        card = evaluate(run, "round-0", "sums", "test")
    assert set(card.statuses) <= {"correct", "wrong"}, "scored against gold"


def test_a_sample_more_has_its_whole_problem_judged_again(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, verifiers=BOTH) as run:
        teach(run)
    teacher = {"generator": "toy-teacher", "samples": 2}
    recipe = validate(toy_recipe(tiny, verifiers=BOTH, teacher=teacher))
    registry = toy_registry(AgreementVerifier)
    with start(recipe, registry, SilentReporter(), runs=tmp_path, name="run", fork=True) as run:
        teach(run)
        more = verdicts_of(run, "teacher").sort("key").select("key", "status")
        path = run.path
    with start(recipe, registry, SilentReporter(), runs=tmp_path, name="fresh") as run:
        teach(run)
        assert path != run.path
        assert verdicts_of(run, "teacher").sort("key").select("key", "status").equals(more)


def test_audit_compares_two_judges(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny) as run:
        teach(run)
        mix(run, 0)
        calls = ToyTeacher.calls
        before = verdicts_of(run, "teacher").select("key", "status")
        found = audit(run, "teacher", {"loud": "agreement", "quiet": "agreement"})
        assert ToyTeacher.calls == calls, "nothing is generated again"
        assert verdicts_of(run, "teacher").select("key", "status").equals(before)
        assert Path(found.table).exists()
    assert sum(count for row in found.confusion.values() for count in row.values()) == found.samples == 20
    assert found.flips
    for flip in found.flips:
        assert flip.before != flip.after
        assert (flip.mixtures == ("round-0",)) == (flip.before == "correct")
    # A toy teacher is never wrong twice in the same way under both strategies unless both slips are drawn.
    assert found.precision is not None
    assert found.precision >= 0.5
    assert found.coverage is not None
    assert found.coverage < 1


class FailsOnOne(SameText):
    """Is ill when it sees one of the answers."""

    name = "same_text"

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        if any(one.answer_source == "2" for one in rationales):
            raise VerifierFault("it cannot bear a 2")
        return super().answers(rationales)


def test_keep_going_sets_aside_what_a_verifier_fails_on(tmp_path: Path, tiny: Path) -> None:
    with open_run(tmp_path, tiny, FailsOnOne) as run:
        with pytest.raises(
            VerifierFault, match=r"'same_text' failed on the sample \w+ \(train-1-1\): it cannot bear a 2"
        ):
            teach(run)
        run.keep_going = True
        summary = teach(run)
        assert summary.set_aside > 0
        assert summary.samples + summary.set_aside == 20
    with attach("run", toy_registry(), SilentReporter(), runs=tmp_path) as run:
        assert verify(run, "teacher").set_aside == 0, "a verifier that is well again judges the rest"


# A judge model


class Grader(Generator):
    """Says yes to what holds a 7."""

    name = "grader"
    asked: list[str] = []  # noqa: RUF012 - what a test looks at
    reply = "Yes."

    @property
    def fingerprint(self) -> str:
        return f"grader {self.reply}"

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, request in enumerate(requests):
            text = request.prompt.messages[0].content
            self.asked.append(text)
            yield place, Completion(self.reply if "sum=7" in text else "No, it is wrong.", "stop", 1, 1)


def judge_with(grader: type[Generator], **options: Any) -> JudgeVerifier:
    verifier = JudgeVerifier({"generator": grader.name, **options})
    verifier.bind({}, lambda kind, name, options: grader())
    return verifier


def claim(text: str, question: str = "3+4?") -> Claim:
    return Claim(Problem("p", question, "7"), Rationale("loud", text, text))


def test_the_judge_is_asked_and_believed() -> None:
    found = judge_with(Grader).verify([claim("sum=7!"), claim("sum=8!")])
    assert [verdict.status for verdict in found] == [C, W]
    assert "3+4?" in Grader.asked[-1]
    assert "sum=8!" in Grader.asked[-1]


def test_a_reply_that_is_neither_yes_nor_no_decides_nothing() -> None:
    class Unsure(Grader):
        name = "unsure"
        reply = "Yesterday I would have said so."

    (verdict,) = judge_with(Unsure).verify([claim("sum=7!")])
    assert verdict.status is U
    assert "Yesterday" in verdict.why


def test_braces_of_a_question_are_text() -> None:
    judge_with(Grader).verify([claim("sum=7!", question="What is {rationale} and {gold}?")])
    assert "What is {rationale} and {gold}?" in Grader.asked[-1]


def test_a_judges_prompt_is_part_of_what_it_is(tmp_path: Path) -> None:
    other = tmp_path / "prompt.txt"
    other.write_text("Is this right? {rationale}")
    assert judge_with(Grader).fingerprint != judge_with(Grader, prompt=str(other)).fingerprint
    other.write_text("Is this right?")
    with pytest.raises(DataError, match=r"must contain \{rationale\}"):
        _ = judge_with(Grader, prompt=str(other)).fingerprint
    with pytest.raises(DataError, match="Cannot read the judge's prompt"):
        _ = judge_with(Grader, prompt=str(tmp_path / "none.txt")).fingerprint


def test_a_teacher_of_known_solutions_cannot_judge() -> None:
    class Knows(Grader):
        reads_solution = True

    with pytest.raises(RecipeError, match="cannot judge"):
        judge_with(Knows)


# Through the command line, with the real verifiers


def test_unlabelled_problems_through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    questions = [f"Ann has {n} pens and buys 2 more. How many has she?" for n in range(3, 13)]
    Path("train.jsonl").write_text("".join(json.dumps({"question": question}) + "\n" for question in questions))
    Path("test.jsonl").write_text(json.dumps({"question": "Two and two?", "answer": "4"}) + "\n")
    rows = []
    for number in range(1, 11):
        right = number + 4
        rows.append(
            {
                "problem_id": f"jsonl-train-{number:05d}",
                "strategy": "cot",
                "text": f"It is {number} + 2 + 2 = {right} pens.\nThe answer is {right}.",
            }
        )
        rows.append(
            {
                "problem_id": f"jsonl-train-{number:05d}",
                "strategy": "pot",
                "text": f"answer = {number + 2} + {2 + (number == 4)}",
            }
        )
    Path("recorded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["teach", "--dataset", "jsonl", "--data", ".", "--teacher", "replay", "--strategies", "cot,pot", "--json"]
    command += ["--set", "teacher.generator.options.path=recorded.jsonl", "--set", "dataset.options.unlabelled=true"]
    assert main(command) == 2
    assert "has no gold answer, and the verifier 'number' needs one" in capsys.readouterr().err
    assert main([*command, "--verifier", "cot=agreement", "--verifier", "pot=agreement"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["statuses"] == {"correct": 14, "undecided": 2}, "eight problems to train on, one of them with a slip"


def test_audit_through_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    often_wrong = ["--set", "teacher.generator.options.error_rate=0.3"]
    assert main(["teach", "--preset", "pocket-smoke", *often_wrong, "--run", "a", "-q"]) == 0
    capsys.readouterr()
    assert main(["audit", "a", "--verifier", "agreement", "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 48 * 3
    assert found["precision"] > 0.9
    assert 0.5 < found["coverage"] < 1
    assert main(["audit", "a", "--verifier", "agreement", "-q"]) == 0
    shown = capsys.readouterr().out
    assert "samples flip" in shown
    assert "undecided" in shown
    assert main(["audit", "a", "--verifier", "agrement"]) == 2
    assert "Did you mean 'agreement'?" in capsys.readouterr().err
