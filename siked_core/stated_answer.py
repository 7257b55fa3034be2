"""Finds the answer that a chain of thought states."""

from __future__ import annotations

import re

from siked_core.number_text import read

_RUN_ON = re.compile(r"\n\s{0,8}(?:#{1,4} ?|\*\*)?(?:Question|Q|Problem|User|Human|Instruction)\b[^:\n]{0,12}:|<\|")
_STATED = re.compile(
    r"(?:^|\n)A: |\banswer[\s*_]{0,4}(?:(?:should|must|would|will)\s{1,3}be\b|is\b|was\b|=|:)[\s:*]{0,6}", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"\n|(?<!\b[Rr]s)[.!?](?:\s|$)|[.!?]\*\*")
_BECAUSE = re.compile(r"[,;]?\s(?:because|since|as|which|so|given)\s", re.IGNORECASE)
_SO = re.compile(r"(?:so|thus|therefore|hence|finally|in total|altogether|overall)\b", re.IGNORECASE)
_CONCLUSION = re.compile(r"(?:=|\b(?:is|are|was|were|equals|total(?:s|ed)?|makes|earns?|spends?|costs?|has|have)\b)")


def final_answer(text: str) -> str | None:
    """Find the answer that a worked solution states, as it is written there.

    The first of these that is found: the line after the first `####`; the content of the last `\\boxed{}`; what follows
    the last "(the) answer is", "Answer:" or "A: ", without its reasons ("because ..."); in the last sentence, what
    follows its last "=" or verb ("The total is $29.00."), if that has a digit in it; the last sentence itself, if it
    is a number, or begins with "So", "Thus", "Therefore" or the like and states one number.
    A generation that ran on into another question is cut there.

    Returns:
        The answer's text without the sentence's full stop, or None where none is stated.
    """
    _, marker, after = text.partition("####")
    if marker:
        return _clean(after.lstrip().partition("\n")[0])
    first = min((at for at in (text.find("\\boxed"), _search(_STATED, text)) if at >= 0), default=-1)
    run_on = _RUN_ON.search(text, max(first, 1))
    if run_on:
        text = text[: run_on.start()]
    boxed = _last_boxed(text)
    if boxed is not None:
        return _clean(boxed)
    stated = [found.end() for found in _STATED.finditer(text)]
    if stated:
        return _clean(_BECAUSE.split(_first_sentence(text[stated[-1] :]), maxsplit=1)[0])
    return _concluded(text)


def _search(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return found.start() if found else -1


def _last_boxed(text: str) -> str | None:
    """The content of the last `\\boxed{...}`, its braces balanced; None where there is none that is closed."""
    at = text.rfind("\\boxed")
    if at < 0:
        return None
    start = text.find("{", at)
    if start < 0 or text[at + len("\\boxed") : start].strip():
        return None
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return text[start + 1 : index]
    return None


def _first_sentence(text: str) -> str:
    text = text.lstrip()
    end = _SENTENCE_END.search(text)
    return text[: end.start()] if end else text


def _concluded(text: str) -> str | None:
    sentence = text.strip().rpartition("\n")[2].strip().rstrip(".!* ")
    tail = sentence[max((end.end() for end in _SENTENCE_END.finditer(sentence)), default=0) :]
    concluded = [found.end() for found in _CONCLUSION.finditer(tail)]
    if not concluded:
        without_words = not any(character.isalpha() for character in tail) and read(tail, words_before=False)
        said_so = _SO.match(tail) and read(tail, words_before=True)
        return _clean(tail) if without_words or said_so else None
    answer = _clean(tail[concluded[-1] :])
    return answer if answer and any(character.isdigit() for character in answer) else None


def _clean(answer: str) -> str | None:
    """Strip the full stop, emphasis and the dollar signs of inline mathematics."""
    answer = answer.strip().strip("*`_ ").strip()
    while answer.endswith((".", "!", ";", ",")):
        answer = answer[:-1].rstrip("*`_ ")
    if len(answer) > 1 and answer.startswith("$") and answer.endswith("$"):
        answer = answer.strip("$").strip()
    elif answer.endswith("$") and answer.count("$") == 1 and not answer[:1].isdigit():
        answer = answer[:-1].strip()
    return answer.strip() or None
