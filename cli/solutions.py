"""An answer of a student, as it is shown: its strategy, its rationale with highlighted code, what came out of it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rich.text import Text

from siked_core.records import Verdict
from siked_core.solve import Solution, Try
from siked_core.visible import visible

if TYPE_CHECKING:
    from siked_core.answering import Tally

THEME = "ansi_dark"
"""The terminal's own colours."""


def solution_lines(solution: Solution) -> list[Text]:
    """The strategy that was used, the rationale, the answer that was computed from it, and who came to another one."""
    strategy = solution.strategy or "none (the student wrote no known tag)"
    lines = [Text.assemble("Strategy  ", (visible(strategy), "bold"))]
    if solution.text.strip():
        lines += [Text(), rationale_text(solution.text), Text()]
    lines.append(Text.assemble("Answer    ", _answer(solution.verdict)))
    if solution.attempts:
        lines += [Text.assemble("Asked     " if not place else "          ", *_attempt(one))
                  for place, one in enumerate(solution.attempts)]  # fmt: skip
        differ = ", ".join(visible(name) for name in solution.disagreeing)
        lines.append(Text.assemble("Disagree  ", (differ, "yellow") if differ else ("none", "dim")))
    return lines


def rationale_text(text: str) -> Text:
    """A rationale; Python, and what reads as Python, with its syntax in colour."""
    shown = visible(text.strip("\n").rstrip())
    if not _is_code(shown):
        return Text(shown)
    from rich.syntax import Syntax

    found = Syntax(shown, "python", theme=THEME, background_color="default").highlight(shown)
    found.rstrip()
    return found


def tally_lines(tally: Tally) -> list[Text]:
    """How many answers, and where gold answers are known the accuracy, by strategy."""
    from siked_core import figures
    from siked_core.scorecard import Score

    lines = [
        Text.assemble(
            (f"{figures.count(tally.answers)} questions", "bold"),
            f", {figures.count(tally.answered)} with an answer",
            *(
                [f"; {figures.with_interval(tally.score)} % right of {figures.count(tally.judged)}"]
                if tally.score
                else []
            ),
        )
    ]
    for title, counts in (("chosen", tally.strategies), ("all attempts", tally.attempts)):
        if counts:
            lines.append(
                Text(
                    f"{'Strategies, ' + title:<26} {'answers':>9} {'share':>8}   % right (95 % interval)", style="bold"
                )
            )
        whole = sum(answers for answers, _, _ in counts.values())
        for name, (answers, judged, right) in sorted(counts.items()):
            accuracy = figures.with_interval(Score(right, judged) if judged else None)
            shares = f"{figures.count(answers):>9} {figures.percent(answers, whole):>8}   {accuracy}"
            lines.append(Text(f"  {visible(name):<24} {shares}"))
    return lines


def _answer(verdict: Verdict) -> tuple[str, str]:
    if verdict.answer:
        return visible(verdict.answer), "bold green"
    return f"none: {visible(verdict.why or verdict.status.value.replace('_', ' '))}", "red"


def _attempt(one: Try) -> list[str | tuple[str, str]]:
    strategy = visible(one.strategy or "no tag")
    how = "" if one.told else " (its choice)"
    agrees = "" if one.agrees is not False else "  differs"
    answer, style = _answer(one.verdict)
    return [f"{strategy + how:<18} ", (answer, "" if one.agrees else style if one.agrees is None else "yellow"), agrees]


def _is_code(text: str) -> bool:
    """Whether it reads as Python that does something: an assignment, an import, a definition."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(isinstance(one, ast.Assign | ast.Import | ast.ImportFrom | ast.FunctionDef | ast.For) for one in body)
