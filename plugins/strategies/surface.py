"""The surface of a completion: what models write around a solution, and how it is taken off.

Read by the strategies' parsers, so that they agree on what a line end, a minus sign, a code fence, the start
of another turn and a stated answer look like. Nothing here judges an answer.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from siked_core import Rationale, Unreadable
from siked_core.numbers import final_answer

_SPELLINGS = str.maketrans(
    {
        **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"),
        **dict.fromkeys("\u00d7\u2715\u2a2f\u22c5\u00b7\u2219", "*"),
        **dict.fromkeys("\u00f7\u2215\u2044", "/"),
        **dict.fromkeys("\uff1d", "="),
        **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),
        "\t": "    ",
        **dict.fromkeys("\u2018\u2019", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u0085\u2028\u2029\x0b\x0c\x1c\x1d\x1e", "\n"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\x00", None),
    }
)
_SPEAKER = r"<\|\w+\|>|</?s>|<(?:end|start)_of_turn>|<eos>|\[/?INST\]|^[ ]*+[*#]*+[ ]*+(?:{})[ ]*+\d*+[ ]*+\**+:"
_PEOPLE = "User|Human|Instruction|Assistant|Problem"
_TURN = re.compile(_SPEAKER.format(_PEOPLE), re.MULTILINE | re.IGNORECASE)
_TURN_OR_QUESTION = re.compile(_SPEAKER.format(_PEOPLE + "|Question|Q"), re.MULTILINE | re.IGNORECASE)
_LABEL = re.compile(
    r"(?:[*#]*+[ ]*+(?:Question|Q|Problem)[ ]*+\**+:[^\n]*+"
    r"(?:\n(?![ ]*+[*#]*+[ ]*+(?:Answer|Solution|A)\b)[^\n]*+)*\n)?"
    r"[ ]*+[*#]*+[ ]*+(?:Answer|Solution|Response|Reasoning|Assistant|A)[ ]*+\**+:[ ]*+\**+",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^[ ]*(?:```|~~~)[ ]*([\w+-]*)[^\n]*(?:\n|\Z)", re.MULTILINE)
_SAYS = re.compile(
    r"(?:\b(?:so|therefore|thus|hence|finally)\b[,:]?\s+)?\b(?:the|my|our)\s+(?:(?:final|correct|numerical)\s+)?answer\b[*_]*"
    r"(?:\s+to\s+[^.\n]{0,80}?)?\s*(?:(?:(?:should|must|would|will)\s+be|is)\b\s*:?|[=:])"
    r"|(?:^|(?<=[.!?;][ ]))[ *#_]*(?:(?:final|correct)\s+)?answer[*_]*\s*(?:is\b|[=:])|####",
    re.IGNORECASE | re.MULTILINE,
)
_BOLD = re.compile(r"(?<![\w*)])\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![\w*(])")
_HEADING = re.compile(r"^[ ]*(?:#{1,3}[ ]+)+", re.MULTILINE)
_LONGEST_ANSWER = 200  # characters; what goes on for longer is not an answer
_MOST_STATEMENTS = 50  # a text that says "the answer is" more often, and never what it is, is garbled
_BOXED = re.compile(r"\\boxed\s*\{")
_BOX_OR_BRACE = re.compile(_BOXED.pattern + r"|[{}\n]")


def settled(read: Callable[[str], Rationale | Unreadable], text: str) -> Rationale | Unreadable:
    """Read a completion, and make sure that what was read is read as itself.

    A student is trained to write `Rationale.text`, so that has to be a fixed point of its strategy's parser. Only
    a garbled completion needs more than one reading; where even a few do not settle it, it is unreadable.
    """
    result = read(text)
    for _ in range(4):
        if isinstance(result, Unreadable):
            return result
        again = read(result.text)
        if again == result:
            return result
        result = again
    return Unreadable("The text is garbled: what can be read of it reads differently again.")


def read_back(parse: Callable[[str], Rationale | Unreadable], text: str) -> str | None:
    """A text that was written for a student to learn from; None where its own strategy reads it as anything else."""
    read = parse(text)
    return text if isinstance(read, Rationale) and read.text == text else None


def tidy(text: str) -> str:
    """One spelling of line ends, spaces, dashes and signs; nothing invisible; no space at a line's end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_SPELLINGS)
    return "\n".join(line.rstrip() for line in text.split("\n"))


def first_turn(text: str, *, questions: bool = True) -> str:
    """The text up to where the model went on with another turn: another question, a user, a turn's token.

    With `questions` false, a line that starts with "Q:" or "Question:" is part of the solution.
    """
    first = re.search(r"\S[^\n]*\n?", text)
    turn = (_TURN_OR_QUESTION if questions else _TURN).search(text, first.end()) if first else None
    return text[: turn.start()].rstrip() if turn else text.rstrip()


def prose(text: str) -> str:
    """The text without markdown: fences, headings, bold."""
    text = _HEADING.sub("", unfenced(text))
    while (plain := _BOLD.sub(r"\1", text)) != text:
        text = plain
    return text


def unlabelled(text: str) -> str:
    """The text without a leading "Answer:" or "Solution:", and without the question where it was repeated before."""
    text = text.strip()
    while label := _LABEL.match(text):
        text = text[label.end() :].lstrip()
    return text


def fenced(text: str) -> list[tuple[str, str]]:
    """The fenced blocks that are not blank, as (language, body); the last one may lack its closing fence."""
    marks = list(_FENCE.finditer(text))
    blocks = []
    for number, mark in enumerate(marks[::2]):
        closing = 2 * number + 1
        end = marks[closing].start() if closing < len(marks) else len(text)
        body = textwrap.dedent(text[mark.end() : end]).strip("\n")
        if body.strip():
            blocks.append((mark[1].lower(), body))
    return blocks


def unfenced(text: str) -> str:
    """The text without the lines that open or close a fence."""
    return _FENCE.sub("", text)


@dataclass(frozen=True, slots=True)
class Stated:
    """A text that states its answer."""

    before: str
    """What leads to the answer, without the statement."""
    answer: str
    """The answer as stated, in one line, without a full stop."""


def stated(text: str) -> Stated | None:
    """Split a text at its final answer: the first "The answer is ...", "Answer: ..." or "#### ...", or the last box."""
    for found in islice(_SAYS.finditer(text), _MOST_STATEMENTS):
        rest = text[found.end() : found.end() + 2 * _LONGEST_ANSWER]
        line = rest.lstrip(" *:#\n").partition("\n")[0]
        if answer := _answer(line.partition("####")[0]):
            before = _unboxed(text[: found.start()]).rstrip(" *_#")
            return Stated(before.rstrip(" ,;:") if before[-1:] != "\n" else before.rstrip(), answer)
    boxes = list(_BOXED.finditer(text))
    if not boxes:
        return None
    end = _closing(text, boxes[-1].end())
    answer = _answer(text[boxes[-1].start() : end])
    above, _, line = _unboxed(text[:end] + text[end:].partition("\n")[0]).rstrip().rpartition("\n")
    before = f"{above}\n{line}" if re.search(r"[A-Za-z=]", line) else above
    return Stated(before.strip(), answer) if answer else None


def _answer(said: str) -> str | None:
    """The answer in the first sentence of what was said, without markup; None where it has no letter or digit."""
    answer = final_answer(f"The answer is {_unboxed(said[:_LONGEST_ANSWER])}")
    return answer if answer and re.search(r"\w", answer) else None


def _closing(text: str, start: int) -> int:
    """Where the brace that was opened before `start` ends (just after it), or the end of the line."""
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at + 1
        if text[at] == "\n":
            return at
    return len(text)


def _unboxed(text: str) -> str:
    """The text with each TeX box replaced by what is in it."""
    kept: list[str] = []
    boxes: list[bool] = []  # for every brace that is open in this line: is it a box?
    at = 0
    for mark in _BOX_OR_BRACE.finditer(text) if "\\boxed" in text else ():
        dropped = False
        if mark[0] == "\n":
            boxes.clear()
        elif mark[0] == "}":
            dropped = bool(boxes) and boxes.pop()
        else:
            dropped = mark[0] != "{"
            boxes.append(dropped)
        kept.append(text[at : mark.start() if dropped else mark.end()])
        at = mark.end()
    return "".join([*kept, text[at:]])
