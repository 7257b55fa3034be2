"""Words for the steps of a worked solution: a readable Python name for a result, and the question that a step answers.

Both are taken from the step's own words by simple rules; nothing is invented:

- A name is up to three telling words that follow the result (`24 clips in May` -> `clips_may`), or, where none
  follow, the last three before the sum (`The total cost is 3 + 4 = $7` -> `cost_dollars`). Where the name is taken, the
  telling word before the sum comes in front (`Annika will be 36 years old` -> `annika_years_old`), or else a number
  behind.
- A question is the step's sentence with the sum replaced by "how many" or "how much": `Natalia sold how many clips in
  May?`. A sum without a sentence asks for itself: `What is 48 / 2?`, `48 / 2 is how many clips?`. GSM8K's socratic
  form has better ones; it is used where it is supplied.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Sequence

_NO_TITLE = r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)"
SENTENCE_END = re.compile(rf"{_NO_TITLE}[.;!?](?:\s+|$)")
"""A stop that ends a sentence or a clause, with the space behind it; not the one in "Mr. Clay" or "2.5"."""
_WORD = re.compile(r"[A-Za-z][A-Za-z]*(?:['’][a-z]+)?")
_PLAIN_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a about above actually additional after again all also altogether am an and another any are as at away back
    be because been before being both but by can could did do does each either equal equals every finally find
    first for from gave get gets given gives giving got had has have having he hence her here hers him his how i
    if in into is it its itself just last let lets make makes many me means more most much must my need needed
    needs next no not now of off on one only or other our out over own please put s same she should since so
    some spend such t take than that thats the their them then there therefore these they this those thus to
    today tomorrow too took total up us use used very want wants was we went were what when where which while
    who will with would x yesterday you your
        """,
    )
)
_NOT_NAMES = frozenset(keyword.kwlist) | frozenset(keyword.softkwlist) | frozenset(dir(builtins)) | {"answer", "ans"}
_LEADING = re.compile(
    r"^(?:(?:so|then|thus|therefore|hence|next|now|finally|first|and|but|in total|this means|that means)\b,?\s*"
    r"(?:that\s+)?)+",
    re.IGNORECASE,
)
_TASK = re.compile(
    r"^(?:find|calculate|figure out|determine|compute|work out)\s+(?P<what>(?:the|how)\b[^:]*):\s*$", re.IGNORECASE
)
_LONGEST_NAME = 32


def name_result(before: str, after: str, taken: Collection[str], *, money: bool) -> str:
    """A valid, unused Python identifier for a result, from the words around the sum.

    Args:
        before: the words of the step's sentence in front of the sum.
        after: the words behind the result.
        taken: names that are in use.
        money: the result is an amount of money.
    """
    behind = _telling(re.split(rf"{_NO_TITLE}[.,;:!?()]", after, maxsplit=1)[0])[:3]
    front = _telling(before)
    if money and (not behind or behind[0] == "per"):
        behind = [*(front[-2:] if not behind else []), "dollars", *behind]
    while behind and behind[-1] == "per":
        behind.pop()
    words = [word for word in behind if behind.index(word) > 0 or word != "per"] or front[-3:] or ["result"]
    for choice in (words, [*[word for word in front if word not in words][-1:], *words]):
        name = _joined(choice)
        if name not in taken:
            return name
    number = 2
    while f"{_joined(words)}_{number}" in taken:
        number += 1
    return f"{_joined(words)}_{number}"


def _joined(words: Sequence[str]) -> str:
    """Words as an identifier of at most 32 characters that Python does not use itself."""
    name = words[0][:_LONGEST_NAME]
    for word in words[1:]:
        if len(name) + len(word) >= _LONGEST_NAME:
            break
        name = f"{name}_{word}"
    return f"{name}_count" if name in _NOT_NAMES or len(name) < 3 else name


def _telling(text: str) -> list[str]:
    """The words that say what something is: lower-case ASCII, without articles, pronouns and other plain words."""
    ascii_text = unicodedata.normalize("NFKD", text.replace("’", "'")).encode("ascii", "ignore").decode()
    words = [re.sub(r"'[a-z]*$", "", word.lower()) for word in _WORD.findall(ascii_text)]
    return [word for word in words if word and word not in _PLAIN_WORDS]


def ask_for(before: str, calculation: str, after: str, *, money: bool) -> str:
    """The question that a step answers, from its own words.

    Args:
        before: the sentence's words in front of the sum.
        calculation: the left side of the sum, as written.
        after: the sentence's words behind the result.
        money: the result is an amount of money.
    """
    before = _LEADING.sub("", before.strip()).strip()
    after = SENTENCE_END.split(after, maxsplit=1)[0].strip().rstrip(".,;:!?")
    task = _TASK.match(before)
    if task:
        what = task["what"].strip()
        return f"{what[0].upper()}{what[1:]}?" if what.lower().startswith("how") else f"What is {what}?"
    calculation = calculation.strip().rstrip("=").strip()
    if not before and not after:
        return f"What is {calculation}?"
    if len(before) == 1 and before.isalpha():  # an unknown: "X = 75 / 3 = 25"
        return f"What is {before}?"
    before = before or f"{calculation} is"
    counted = bool(re.match(r"[A-Za-z]|\d+\s?-", after)) and not money
    asked = f"{before} {'how many' if counted else 'how much'} {after}".strip()
    asked = re.sub(r"\s+([,.;:])(?=\s|$)", r"\1", " ".join(asked.split()))
    return f"{asked[0].upper()}{asked[1:]}?"
