"""What a thinking model writes before it answers: cut off, or kept as part of the rationale.

Models such as Qwen3 write their reasoning between two marks, and the answer after them. A strategy reads only what
stands after: whatever was tried and given up while thinking is no part of a program or a system of equations.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from siked_core.contracts import Strategy
from siked_core.records import Rationale, Unreadable
from siked_core.section import Section


class ReasoningRecipe(Section):
    """The span, and what becomes of it."""

    keep: bool = False
    """Whether the student is trained on it too, between the strategy's tag and the rationale. Where it is not, a chat
    template that can switch thinking off has it off for the student."""
    begins: str = Field("<think>", min_length=1)
    """The mark before it. Some chat templates write it themselves, so a text may lack it."""
    ends: str = Field("</think>", min_length=1)
    """The mark after it."""

    def split(self, text: str) -> tuple[str, str] | None:
        """The reasoning and what follows it, without the marks; None where it began and did not end.

        A text without marks has no reasoning: ("", text).
        """
        before, ended, after = text.partition(self.ends)
        begun = before.lstrip().startswith(self.begins)
        if ended:
            inside = before.lstrip().removeprefix(self.begins) if begun else before
            return inside.strip(), after.lstrip()
        return None if begun else ("", text)


def read(strategy: Strategy, text: str, reasoning: ReasoningRecipe | None) -> Rationale | Unreadable:
    """A completion (without the student's tag) as its strategy reads it.

    Args:
        reasoning: None where the whole text is the strategy's to read.
    """
    parts = ("", text) if reasoning is None else reasoning.split(text)
    if parts is None:
        return Unreadable("it was still thinking when it ended")
    thought, rest = parts
    if not rest.strip():
        return Unreadable("it has no answer after its reasoning" if thought else "the completion is empty")
    found = strategy.parse(rest)
    if reasoning is None or not reasoning.keep or not thought or isinstance(found, Unreadable):
        return found
    return replace(found, text=f"{reasoning.begins}\n{thought}\n{reasoning.ends}\n\n{found.text}")
