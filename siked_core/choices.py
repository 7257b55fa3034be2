"""Multiple choice: which of a question's choices an answer names, by its letter or by its text.

The policy, which goes before the table in `siked_core.numbers`:

| question and gold | prediction that is the same answer |
|---|---|
| the question lists choices, `(A) 5 (B) 7`, and the gold is a letter: `B`, `(B)`, `B) 7` | see the next row |
| the question lists choices, and the gold is the text of one: `7` | its letter, or the text of that choice alone |
| the question lists no choices, or the gold is none of them | the table of `siked_core.numbers` alone decides |

A letter is written `B`, `(B)`, `B)`, `option B`, `B) 7`, `(B) 7`; a text behind it must be that choice's. A letter that
names another choice is wrong, whatever else is said, and so is `A or B`. A text that fits several choices names the one
that it is written like, or none.
"""

from __future__ import annotations

import re
import unicodedata

from siked_core.numbers import same_answer

_LETTERS = "ABCDEFGHIJ"
_LABELS = tuple(
    re.compile(pattern, flags)
    for flags in (re.NOFLAG, re.IGNORECASE)
    for pattern in (
        r"(?<![^\s,;:.?!])\(([A-J])\)",
        r"(?:(?<=[\s,;:.?!])|^)([A-J])\)",
        r"(?m:^)[ \t]{0,8}(?:[-*] )?([A-J])[.:](?=\s)",
    )
)
"""How the choices of a question are labelled: `(A)`, `A)`, or `A.` and `A:` at the start of a line."""
_LONGEST_QUESTION = 20_000
_LONGEST_ANSWER = 2_000
_LETTER = re.compile(
    r"(?:the )?(?:correct |right |best )?(?:(?:option|choice|answer)(?: is)?:? )?"
    r"(?:\((?P<a>[a-j])\)|(?P<b>[a-j])[).:,](?=\s|$)|(?P<c>[a-j](?=$)|(?-i:[A-J])(?=\s[\d$€£¥₹+\\-])))[.:,]?\s*(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_NAMED = re.compile(r"\(([A-J])\)|(?<!\w)(?:option|choice)\s\(?([A-J])(?!\w)", re.IGNORECASE)
_LATEX_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]*)\}")


def choices_of(question: str) -> dict[str, str]:
    """The choices that a question lists: capital letter to text, in order. Empty where it lists none.

    The last series of at least two labels of one kind counts, if it begins with A and leaves no letter out.
    """
    if len(question) > _LONGEST_QUESTION:
        return {}
    for pattern in _LABELS:
        labels = list(pattern.finditer(question))
        starts = [index for index, label in enumerate(labels) if label[1].upper() == "A"]
        if not starts:
            continue
        series = labels[starts[-1] :]
        letters = "".join(label[1].upper() for label in series)
        if len(series) < 2 or not _LETTERS.startswith(letters):
            continue
        ends = [label.start() for label in series[1:]] + [len(question)]
        texts = [question[label.end() : end] for label, end in zip(series, ends, strict=True)]
        texts[-1] = texts[-1].strip().partition("\n")[0]
        return dict(zip(letters, (_tidy(text) for text in texts), strict=True))
    return {}


def same_choice(prediction: str, gold: str, question: str) -> bool | None:
    """Does the prediction name the gold choice? None where this is no multiple choice: see the module's table."""
    choices = choices_of(question)
    if not choices:
        return None
    wanted = _chosen(gold, choices)
    return None if wanted is None else _chosen(prediction, choices) == wanted


def _chosen(answer: str, choices: dict[str, str]) -> str | None:
    """The letter of the one choice that an answer names."""
    answer = _tidy(_LATEX_TEXT.sub(r"\1", answer))
    if len(answer) > _LONGEST_ANSWER:
        return None
    found = _LETTER.fullmatch(answer)
    if found:
        letter, rest = (found["a"] or found["b"] or found["c"]).upper(), _tidy(found["rest"])
        if letter in choices:
            return letter if not rest or letter in _fitting(rest, choices) else None
    fitting = _fitting(answer, choices)
    named = {(one or other).upper() for one, other in _NAMED.findall(answer)} & choices.keys()
    return fitting[0] if len(fitting) == 1 and named <= set(fitting) else None


def _fitting(text: str, choices: dict[str, str]) -> list[str]:
    """The choices that a text may be: those that are written like it, or else those that are the same answer."""
    alike = [letter for letter, choice in choices.items() if _plain(choice) == _plain(text) != ""]
    return alike or [letter for letter, choice in choices.items() if same_answer(text, choice)]


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip("*`_,; ").removesuffix(".").rstrip("*`_,; ")


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).strip("$'\"")
