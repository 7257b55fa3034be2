"""What strategies of sub-questions and answers have in common: which part of a completion is read at all."""

from __future__ import annotations

from siked_core import Unreadable
from siked_plugins.strategies.python_text import is_program
from siked_plugins.strategies.surface import first_turn, prose, tidy


def solution_in(text: str) -> str | Unreadable:
    """The completion's own turn, without markdown. "Q:" and "Question:" are part of it, not another turn."""
    turn = first_turn(tidy(text), questions=False)
    if not turn:
        return Unreadable("The completion is empty.")
    if is_program(turn):
        return Unreadable("This is a program, not sub-questions and answers.")
    return prose(turn)
