"""A rationale's steps: where each begins and ends in its text, and where its stated answer is.

A line is a step; a comment belongs to the line after it, and a sub-question to its answer. In words, a line of several
sentences is several steps: a stop ends one only where white space and the beginning of a sentence follow, so that
neither "3.5" nor "Mr. Lee" is cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ANSWER = re.compile(r"(?:(?:so|therefore|thus)[, ]+)?(?:the (?:final )?answer is\b|answer\s*:|####)", re.IGNORECASE)
_LEADS = re.compile(r"\s*(?:[#%]|Q\s*\d*\s*:|Question\s*\d*\s*:)")
_ABBREVIATIONS = "Mr|Mrs|Ms|Dr|St|No|vs|etc|e\\.g|i\\.e|approx|Fig|Eq|Prof|Jr|Sr"
_SENTENCE = re.compile(r"[.!?][\"')\]]*\s+(?=[A-Z0-9$\"'(\[])")
_SHORTENED = re.compile(rf"\b(?:{_ABBREVIATIONS})\.[\"')\]]*\s+$")


@dataclass(frozen=True, slots=True)
class Steps:
    """Where a text's steps end. The first begins at 0, each other where the one before it ends."""

    ends: tuple[int, ...]
    """One character after each step's last, white space included; rising."""
    answer: int
    """Where the stated answer begins; the text's length where none is stated (a program's answer is found by running
    it). The last step ends there."""


def steps_of(text: str, sentences: bool) -> Steps:
    """Split a rationale.

    Args:
        sentences: whether a line may be several steps: it is words, not code.
    """
    lines = _lines(text)
    answer = len(text)
    if len(lines) > 1 and _ANSWER.match(text[lines[-1][0] :].lstrip()):
        answer = lines.pop()[0]
    ends: list[int] = []
    for begin, end in lines:
        if sentences:
            cuts = [begin + found.end() for found in _SENTENCE.finditer(text[begin:end])]
            ends += [cut for cut in cuts if begin < cut < end and not _SHORTENED.search(text[begin:cut])]
        if not _LEADS.match(text[begin:end]) or end == lines[-1][1]:
            ends.append(end)
    return Steps(tuple(sorted(set(ends))) or (answer,), answer)


def _lines(text: str) -> list[tuple[int, int]]:
    """The text's lines with the white space that follows them: (begin, end); blank ones belong to the one before."""
    found: list[tuple[int, int]] = []
    at = 0
    for line in text.splitlines(keepends=True):
        end = at + len(line)
        if line.strip() or not found:
            found.append((found[-1][1] if found else 0, end))
        else:
            found[-1] = (found[-1][0], end)
        at = end
    return found
