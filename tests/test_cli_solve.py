"""`siked solve` as it is used: one question, a conversation on a terminal, lines on stdin, files of questions."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from siked_cli.conversation import Conversation, history_file
from siked_cli.output import Output
from siked_cli.solutions import rationale_text, solution_lines
from siked_core import Completion, Request, Sampling, Selector, Status, Verdict, Wish
from siked_core.errors import ModelError, RecipeError
from siked_core.models import SIDE_FILE
from siked_core.recipe_choice import PluginChoice
from siked_core.registry import Registry
from siked_core.solve import Solution, Try
from siked_core.solver import Asking, Solver
from siked_core.testing import toy_registry
from siked_core.testing.toys import ToyStudent
from siked_core.visible import visible
from siked_plugins.selectors.vote import Vote

SIDE = {
    "strategies": [{"name": name, "options": {}} for name in ("loud", "quiet")],
    "verifiers": {name: ["same_text", {}] for name in ("loud", "quiet")},
    "generator": {"name": "toy-student", "options": {}},
    "tag": "<{strategy}>\n",
    "max_tokens": 8,
    "fingerprint": "toy",
    "selector": {"name": "own-choice"},
}
SUMS = [(a, b) for a in range(1, 7) for b in range(1, 5)]


class Loads(ToyStudent):
    """Counts how often it is made, and the requests of each batch."""

    made = 0
    batches: list[int] = []  # noqa: RUF012

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        Loads.made += 1

    def generate(self, requests: Any, sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        Loads.batches.append(len(requests))
        return super().generate(requests, sampling)


@pytest.fixture
def registry() -> Registry:
    Loads.made, Loads.batches = 0, []
    return toy_registry(Loads, Vote)


@pytest.fixture
def student(tmp_path: Path) -> Path:
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / SIDE_FILE).write_text(json.dumps(SIDE), encoding="utf-8")
    return folder


@pytest.fixture
def solve(
    student: Path, siked: Callable[..., Any], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """The command, asking the toy student."""
    monkeypatch.setattr("siked_cli.solve.open_registry", lambda _: registry)
    return lambda *arguments, code=0: siked("solve", str(student), *arguments, code=code)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [{"id": f"{a}-{b}", "question": f"{a}+{b}?", "answer": a + b} for a, b in SUMS]
    return write(tmp_path / "questions.jsonl", rows)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Asking


def test_one_question_and_its_json_line(solve: Callable[..., Any]) -> None:
    shown = solve("2+3?", "--strategy", "loud").out.splitlines()
    assert shown[0] == "Strategy  loud"
    assert shown[2].startswith("sum=")
    assert re.fullmatch(r"Answer    [56]", shown[-1])
    (line,) = solve("2+3?", "--json").out.splitlines()
    row = json.loads(line)
    assert row["verdict"]["status"] == "answered"
    assert (row["question"], row["attempts"]) == ("2+3?", [])


def test_a_vote_names_every_attempt_and_who_differs(student: Path, registry: Registry) -> None:
    with Solver(student, registry=registry) as solver:
        solutions = solver.solve([f"{a}+{b}?" for a, b in SUMS], selector="vote", samples=3)
    assert Loads.batches == [len(SUMS) * 6], "all questions and votes in one batch"
    assert all(len(one.attempts) == 6 for one in solutions)
    for one in solutions:
        assert {attempt.agrees for attempt in one.attempts if attempt.verdict.answer == one.answer} == {True}
        differ = {attempt.strategy for attempt in one.attempts if attempt.verdict.answer != one.answer}
        assert set(one.disagreeing) == differ
    split = next(one for one in solutions if one.disagreeing)
    text = "\n".join(line.plain for line in solution_lines(split))
    assert text.count("differs") == sum(attempt.agrees is False for attempt in split.attempts)
    assert f"Disagree  {', '.join(split.disagreeing)}" in text
    (many,) = solver.solve(["1+1?"], strategy="quiet", samples=5)
    assert [attempt.told for attempt in many.attempts] == ["quiet"] * 5, (
        "with a strategy, its samples are put to a vote"
    )


def test_the_model_is_loaded_once_and_not_to_plan(student: Path, registry: Registry) -> None:
    with Solver(student, registry=registry) as solver:
        with pytest.raises(RecipeError, match="Did you mean"):
            solver.plan(Asking(strategy="lod"))
        with pytest.raises(RecipeError, match="Selectors that do: vote"):
            solver.plan(Asking(samples=2))
        with pytest.raises(RecipeError, match="at temperature 0 are all alike"):
            solver.plan(Asking(selector=PluginChoice(name="vote"), samples=2, temperature=0))
        assert Loads.made == 0
        for question in ("1+1?", "2+2?"):
            solver.solve([question])
    assert Loads.made == 1


def test_a_temperature_is_for_every_attempt(student: Path, registry: Registry) -> None:
    solver = Solver(student, registry=registry)
    assert solver.plan(Asking(temperature=0.5))[1] == [Wish(None, 0, 0.5, 0.95)]
    assert solver.plan(Asking(strategy="loud", temperature=0.5))[1] == [Wish("loud", 0, 0.5, 0.95)]
    vote = PluginChoice(name="vote", options={"top_p": 0.8})
    assert {wish.top_p for wish in solver.plan(Asking(selector=vote, samples=2, temperature=1.5))[1]} == {0.8}
    assert solver.plan(Asking(temperature=0))[1] == [Wish()]


def test_a_student_from_the_hubs_cache(registry: Registry, tmp_path: Path, siked: Callable[..., Any]) -> None:
    """As `huggingface_hub` keeps what it has fetched; there is no network here."""
    code = (
        "import sys; from siked_core.solver import folder_of\n"
        "from siked_core.errors import SikedError\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(folder_of(name))\n"
        "    except SikedError as error: print(error)\n"
    )
    kept = tmp_path / "hub" / "models--ann--solver"
    snapshot = kept / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40)
    (snapshot / SIDE_FILE).write_text(json.dumps(SIDE))
    done = subprocess.run(
        [sys.executable, "-c", code, "ann/solver", f"ann/solver@{'a' * 40}", "ann/other"],
        env={**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found, pinned, missing = done.stdout.splitlines()
    assert found == pinned == str(snapshot)
    assert "There is no student 'ann/other': it is no run and no folder here, and it is not in the local" in missing
    with pytest.raises(ModelError, match="There is no trained student"):
        Solver(tmp_path, registry=registry)
    assert "Unknown run 'hub/other'" in siked("solve", "hub/other", "1+1?", code=2).err, "a folder of that name is here"


# What is shown


def test_nothing_that_a_model_wrote_reaches_the_terminal_as_a_command() -> None:
    hostile = "\x1b[2J\x1b]0;gone\x07 [bold red]x[/] \u202eright\r\n a\rb\x9b1m"
    shown = visible(hostile)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert "\\x1b[2J" in shown
    assert "\\u202e" in shown
    verdict = Verdict(Status.ANSWERED, hostile)
    solution = Solution("q", "co\x1bt", hostile, verdict, (Try(None, hostile, "", verdict, False),) * 2)
    stream = io.StringIO()
    from rich.console import Console

    Console(file=stream, force_terminal=True, markup=False, highlight=False, no_color=True).print(
        *solution_lines(solution), sep="\n"
    )
    written = re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue())  # the styles are ours
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", written)
    assert "[bold red]x[/]" in written


def test_code_is_highlighted_and_words_are_not() -> None:
    assert rationale_text("total = 3 + 4\nanswer = total").spans
    assert not rationale_text("She has 3 + 4 = 7 pens.\nThe answer is 7.").spans
    assert rationale_text("(" * 5000).plain == "(" * 5000
    assert rationale_text("a\x00b = 1").plain == "a\\x00b = 1"


# Files


def test_a_file_is_answered_and_scored(solve: Callable[..., Any], questions: Path, tmp_path: Path) -> None:
    told = solve("--input", str(questions), "--output", "out/a.jsonl", "--selector", "vote", "--batch", "5")
    rows = read(tmp_path / "out" / "a.jsonl")
    assert [row["id"] for row in rows] == [f"{a}-{b}" for a, b in SUMS]
    assert Loads.batches == [10, 10, 10, 10, 8], "five questions, two votes each"
    right = sum(row["right"] for row in rows)
    assert 0 < right < len(rows)
    assert all(row["right"] == (row["verdict"]["answer"] == row["gold"]) for row in rows)
    assert f"{100 * right / len(rows):.1f} (" in told.out.splitlines()[0]
    assert "solve: 24 questions" in told.err
    document = json.loads(
        solve("--input", str(questions), "--output", "out/a.jsonl", "--selector", "vote", "--json").out
    )
    assert document["score"]["correct"] == right
    assert document["attempts"]["loud"]["answers"] == len(rows)
    assert Loads.batches == [10, 10, 10, 10, 8], "nothing is asked again"


def test_lines_on_stdin_and_a_question_there(solve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("1+1?\n\n2+2?\n"))
    assert [json.loads(line)["question"] for line in solve("--json").out.splitlines()] == ["1+1?", "2+2?"]
    monkeypatch.setattr("sys.stdin", io.StringIO("  \n"))
    assert "There is no question on stdin." in solve(code=2).err
    assert "The question is empty." in solve("  ", code=2).err


def test_answers_to_a_file_come_on_stdout_where_no_output_is_named(solve: Callable[..., Any], questions: Path) -> None:
    lines = [json.loads(line) for line in solve("--input", str(questions), "--json").out.splitlines()]
    assert len(lines) == len(SUMS)
    shown = solve("--input", str(questions)).out
    assert shown.count("Strategy  ") == len(SUMS)
    assert "24 questions, 24 with an answer; " in shown


def test_bad_rows_are_named_by_line_before_anything_is_asked(solve: Callable[..., Any], tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "1+1?"},
        {"text": "?"},
        {"question": " "},
        {"question": "2+2?", "answer": [4]},
    ]
    path = write(tmp_path / "bad.jsonl", rows)
    said = solve("--input", str(path), "--output", "a.jsonl", code=2).err
    for part in (
        "line 2 has no question",
        "line 3 has a question that is empty",
        "line 4 has an answer that is neither",
    ):
        assert part in said
    path.write_text('{"question": "1+1?"}\n{"question": \n')
    assert "bad.jsonl, line 2: not JSON" in solve("--input", str(path), code=2).err
    assert not (tmp_path / "a.jsonl").exists()
    assert Loads.made == 0
    same = write(tmp_path / "same.jsonl", [{"question": "1+1?"}])
    assert "is the very file of --input" in solve("--input", str(same), "--output", str(same), code=2).err
    assert "name it with --input" in solve("1+1?", "--output", "a.jsonl", code=2).err
    assert "not both" in solve("1+1?", "--input", str(same), code=2).err


def test_answers_that_do_not_belong_together_are_not_mixed(
    solve: Callable[..., Any], questions: Path, tmp_path: Path
) -> None:
    asked = ("--input", str(questions), "--output", "a.jsonl")
    solve(*asked)
    whole = (tmp_path / "a.jsonl").read_text()
    assert (
        "line 1: it was answered by another student, or with another strategy"
        in solve(*asked, "--strategy", "loud", code=2).err
    )
    lines = whole.splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_text("".join([lines[1], *lines[1:]]))
    assert f"line 1: it does not answer the question of {questions}, line 1" in solve(*asked, code=2).err
    (tmp_path / "a.jsonl").write_text(lines[0] + "{}\n")
    assert "line 2: it is no answer that siked wrote" in solve(*asked, code=2).err
    (tmp_path / "a.jsonl").write_text(whole + lines[-1])
    assert "there are more answers than questions" in solve(*asked, code=2).err
    (tmp_path / "a.jsonl").write_text("".join(lines[:3]) + lines[3][:40])
    solve(*asked)
    assert (tmp_path / "a.jsonl").read_text() == whole, "a torn line is mended"


SLOW = """
import sys, time
import siked_cli.solve as command
from siked_cli.main import main
from siked_core.testing import toy_registry
from siked_core.testing.toys import ToyStudent

class Slow(ToyStudent):
    def generate(self, requests, sampling):
        time.sleep(0.1)
        yield from super().generate(requests, sampling)

command.open_registry = lambda _: toy_registry(Slow)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_batch_that_is_ended_goes_on_where_it_was(
    number: signal.Signals, solve: Callable[..., Any], student: Path, questions: Path, tmp_path: Path
) -> None:
    asked = ["--input", str(questions), "--output", str(tmp_path / "a.jsonl")]
    begun = subprocess.Popen(
        [sys.executable, "-c", SLOW, "solve", str(student), *asked, "--batch", "1"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    path = tmp_path / "a.jsonl"
    until = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 3:
        assert begun.poll() is None, begun.stderr.read() if begun.stderr else ""
        assert time.monotonic() < until
        time.sleep(0.02)
    busy = solve(*asked, code=2).err
    assert f"Another process has the file {path} open" in busy
    begun.send_signal(number)
    _, said = begun.communicate(timeout=60)
    if number == signal.SIGINT:
        assert f"To continue where it stopped: siked solve {student} --input" in said
    there = path.read_bytes().count(b"\n")
    assert 3 <= there < len(SUMS)
    again = solve(*asked)
    assert f"has {there} of 24 answers: going on from there" in again.err
    solve("--input", str(questions), "--output", "unbroken.jsonl")
    assert path.read_text() == (tmp_path / "unbroken.jsonl").read_text()


# A conversation


class Reading:
    """Lines as somebody types them; an exception is raised in place of a line."""

    def __init__(self, *lines: str | type[BaseException]) -> None:
        self._lines = [*lines, EOFError]

    def __call__(self, prompt: str) -> str:
        line = self._lines.pop(0)
        if isinstance(line, str):
            return line
        raise line


class Interrupted(ToyStudent):
    def generate(self, requests: list[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:  # type: ignore[override]
        if requests[0].problem.question == "9+9?":
            raise KeyboardInterrupt
        return super().generate(requests, sampling)


class Picky(Selector):
    """Takes no questions of two strategies."""

    name = "picky"

    def plan(self, strategies: Any) -> tuple[Wish, ...]:
        raise RecipeError("The selector 'picky' takes a single strategy.")

    def select(self, attempts: Any, learnt: Any) -> int:
        return 0


def test_commands_errors_and_interruptions_leave_the_conversation_going(
    student: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = Reading(
        *("2+2?", "/strategy quiet", "2+2?", "/strategy nono", "/wat", "/samples x", "/samples 2.5"),
        *(
            KeyboardInterrupt,
            "9+9?",
            "",
            "/strategy",
            "/selector picky",
            "/temperature 0.5",
            "/temperature",
            "/help",
            "3+3?",
        ),
    )
    with Solver(student, registry=toy_registry(Interrupted, Picky, Vote)) as solver:
        Conversation(solver, Asking(), Output(), typed).run()
    said = capsys.readouterr().out
    assert said.count("Strategy  ") == 3
    assert "Asked with strategy quiet." in said
    assert "Unknown strategy of this student 'nono'" in said
    assert "There is no command /wat" in said
    assert said.count("/samples takes a whole number from 1; got") == 2
    assert "Given up." in said
    assert "Asked with temperature 0.5." in said
    assert "Asked as the student was evaluated." in said
    assert "/selector NAME" in said


@pytest.mark.slow
def test_a_conversation_on_a_real_terminal(student: Path, tmp_path: Path) -> None:
    """Ctrl-C gives up a line and not the program, Ctrl-D ends it, and the history is kept for its owner alone."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm"}
    asked = ["-c", SLOW, "solve", str(student)]

    def heard() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # it is ignored where the tests run in a shell's background

    with pexpect.spawn(
        sys.executable, asked, env=environment, timeout=60, encoding="utf-8", preexec_fn=heard
    ) as terminal:
        terminal.expect("> ")
        terminal.sendline("2+2?")
        terminal.expect("Answer")
        terminal.expect("> ")
        terminal.send("3+")
        terminal.sendintr()
        terminal.expect("> ")
        terminal.sendline("/strategy loud")
        terminal.expect("Asked with strategy loud.")
        terminal.expect("> ")
        terminal.sendeof()
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 0
    kept = tmp_path / "state" / "siked" / "solve-history"
    assert kept.read_text().splitlines() == ["2+2?", "/strategy loud"]
    assert kept.stat().st_mode & 0o077 == 0


def test_the_history_is_where_programs_remember(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "siked" / "solve-history"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_file() == tmp_path / ".local" / "state" / "siked" / "solve-history"
