"""`siked solve`: ask a trained student, one question or many."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, AllowUnsafeExec, Json, NoPlugin, Plain, Quiet, Runs
from siked_cli.output import Output, warn_of_unsafe_exec
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from siked_core.answering import Question
    from siked_core.solver import Asking, Solver

BATCH = 64
"""Questions that are asked at once, and that a kill can lose, unless it is said otherwise."""


def command(
    student: Annotated[
        str,
        typer.Argument(
            metavar="RUN|MODEL", help="A run (its chosen student), a student's folder, or OWNER/NAME on the hub."
        ),
    ],
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="[QUESTION]",
            help='The question, or "-" to read it from stdin. Without it: a conversation on a terminal; elsewhere each '
            "line of stdin is a question.",
        ),
    ] = None,
    input_: Annotated[
        Path | None,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Questions: rows (.jsonl, .json, .parquet) with question, and id and answer where they have them.",
        ),
    ] = None,
    output_: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="FILE.jsonl",
            help="Where the answers go, a line each as they come. The same command continues a file that is begun.",
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", metavar="NAME", help="The strategy to use, whatever the selector."),
    ] = None,
    selector: Annotated[
        str | None,
        typer.Option(
            "--selector",
            metavar="NAME",
            help="How the answer is chosen: self, cascade, vote, two_tier, ... Default: as the student was evaluated.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            min=1,
            metavar="N",
            help="Votes of each strategy, where there is a vote; with --strategy, so many attempts and a vote.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature", min=0, metavar="T", help="Of every attempt; 0 is greedy. Default: as the selector has it."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", min=1, metavar="N", help="Questions of --input that are asked at once.")
    ] = BATCH,
    allow_unsafe_exec: AllowUnsafeExec = False,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> None:
    """Ask a student: show the strategy that was chosen, its rationale, and the executed answer.

    One question, a conversation, or a file of them. With --json each answer is a line of JSON; with --output the
    document tells what the file came to.
    """
    from siked_core.errors import DataError
    from siked_core.recipe_choice import PluginChoice
    from siked_core.solver import Asking, Solver

    questions = _questions(question, input_, output_, json)
    output = Output(json=json, quiet=quiet, plain=plain)
    warn_of_unsafe_exec(allow_unsafe_exec, output)
    registry = open_registry(no_plugin)
    asking = Asking(strategy, PluginChoice(name=selector) if selector else None, samples, temperature)
    with Solver(
        student, runs=runs, registry=registry, allow_unsafe_exec=allow_unsafe_exec, say=output.reporter.note
    ) as solver:
        solver.plan(asking)
        if questions is None:
            _converse(solver, asking, output)
        elif input_ is not None and output_ is not None:
            if output_.exists() and output_.samefile(input_):
                raise DataError(f"--output is the very file of --input ({input_}): choose another one.")
            _into_file(solver, questions, asking, output_, output, batch)
        else:
            _shown(solver, questions, asking, output, batch, many=input_ is not None or question is None)


def _questions(question: str | None, file: Path | None, to: Path | None, json: bool) -> list[Question] | None:
    """What is asked; None where it is to be typed.

    Raises:
        DataError: nothing is, or the options do not go together, or the file cannot be used.
    """
    from siked_core.answering import Question, read_questions
    from siked_core.errors import DataError

    if file is None and to is not None:
        raise DataError("--output is for the answers to a file of questions: name it with --input.")
    if file is not None:
        if question is not None:
            raise DataError("Give a question or --input, not both.")
        return read_questions(file)
    if question is None:
        if sys.stdin.isatty():
            if json:
                raise DataError('--json is for one question, "-", lines on stdin, or --input: here answers are shown.')
            return None
        texts: Iterator[str] | list[str] = iter(sys.stdin)
    else:
        texts = [sys.stdin.read() if question == "-" else question]
    found = [Question(f"line {number}", text.strip()) for number, text in enumerate(texts, 1) if text.strip()]
    if not found:
        raise DataError("The question is empty." if question is not None else "There is no question on stdin.")
    return found


def _converse(solver: Solver, asking: Asking, output: Output) -> None:
    from siked_cli.conversation import Conversation, on_terminal

    with on_terminal():
        Conversation(solver, asking, output).run()


def _into_file(
    solver: Solver, questions: Sequence[Question], asking: Asking, to: Path, output: Output, batch: int
) -> None:
    from siked_cli.solutions import tally_lines
    from siked_core.answering import answer_file

    tally = answer_file(solver, questions, asking, to, output.reporter, batch)
    output.document({"output": str(to), **tally.as_dict()})
    output.show(*tally_lines(tally))


def _shown(
    solver: Solver, questions: Sequence[Question], asking: Asking, output: Output, batch: int, many: bool
) -> None:
    from rich.text import Text

    from siked_cli.solutions import solution_lines
    from siked_core.answering import Tally, answer_all, read_back
    from siked_core.visible import visible

    tally = Tally()
    for rows in answer_all(solver, questions, asking, batch):
        for row in rows:
            tally.add(row)
            if output.json:
                print(json_text.dumps(row, ensure_ascii=False, default=str), flush=True)
                continue
            if many:
                output.show(Text(visible(row["question"]), style="bold"))
            output.show(*solution_lines(read_back(row)), *([Text()] if many else []))
    if tally.judged:
        from siked_cli.solutions import tally_lines

        output.show(*tally_lines(tally))
