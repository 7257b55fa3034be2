"""Turn a human solution with calculator marks into a `WorkedSolution` that every strategy can write down.

The source is GSM8K's form: one step a line, `<<48/2=24>>` marks, optionally `sub-question ** step` (the socratic form),
and `#### gold` at the end. What is done with it, and where it departs from the text as published:

- A step is one sum. Lines without one are joined to the next step that has one (or to the last step), so no word is
  lost. A line with several sums becomes several steps, cut at the clause between them.
- A number in a sum is replaced by an earlier step's name where it is plainly that step's result (`_link`).
- The last step must come to the gold answer; three repairs are tried where it does not (`_finish`).
- A solution that states a wrong result, or that never computes the gold answer, is not used, and says why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from siked_core import Step, WorkedSolution
from siked_plugins.datasets.calculator import (
    NUMBER,
    Expression,
    NotArithmetic,
    Token,
    as_text,
    evaluate,
    plain_number,
    rename,
    split_marks,
    wrapped,
    write_expression,
)
from siked_plugins.datasets.sums import Sum, find_sums, whole_steps
from siked_plugins.datasets.wording import SENTENCE_END, ask_for, name_result

_SOCRATIC = re.compile(r"^(?P<question>.*?)\s*\*\*\s(?P<step>.*)$")
_UNKNOWN = re.compile(r"(?:^|[\s(=+*/-])\d*[*]?(?![aIx]\s+\$?\d)[A-Za-z]\s*[-+*/=]|=\s*\$?[\d.]*[*]?[A-Za-z]\b")
_LONG_NUMBER = re.compile(r"[\d,.]{41}")
_CLAUSE = re.compile(r"(?<=,)\s+|\s+(?=(?:and|so|then|which|but)\s)")
_COMMON = frozenset(
    Fraction(hundredths, 100)
    for hundredths in (1, 10, 25, 50, 100, 200, 700, 1000, 1200, 2400, 5200, 6000, 10000, 36500, 100000)
)
_COUNTED = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_NUMBER_WORDS: dict[str, tuple[int, ...]] = {word: (value,) for value, word in enumerate(_COUNTED)} | {
    "thirty": (30,), "forty": (40,), "fifty": (50,), "sixty": (60,), "seventy": (70,), "eighty": (80,),
    "ninety": (90,), "hundred": (100,), "thousand": (1000,), "dozen": (12,), "dozens": (12,), "twice": (2,),
    "double": (2,), "half": (2,), "pair": (2,), "both": (2,), "triple": (3,), "thrice": (3,), "third": (3,),
    "quarter": (4, 25), "quarters": (4, 25), "fourth": (4,), "fifth": (5,), "sixth": (6,), "tenth": (10,),
    "once": (1,), "week": (7,), "weekly": (7,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Uncovered:
    """Why a human solution could not be turned into a worked solution."""

    why: str


@dataclass(frozen=True, slots=True)
class _Draft:
    """A step before its names are settled."""

    text: str
    question: str
    name: str
    found: Sum
    value: Fraction


def work_out(question: str, solution: str, gold: str) -> WorkedSolution | Uncovered:
    """Read a human solution.

    Args:
        question: the problem's text; numbers that it states are not taken for results of steps.
        solution: the solution's lines, with or without sub-questions and with or without the last `####` line.
        gold: the gold answer as a number, e.g. "1,080".

    Returns:
        The solution, whose last step comes to the gold answer, or one line of why there is none.
    """
    try:
        target = Fraction(gold.replace(",", "").strip())
    except (ValueError, ZeroDivisionError):
        return Uncovered(f"the gold answer '{gold}' is not a plain number")
    if _LONG_NUMBER.search(question) or _LONG_NUMBER.search(solution) or len(gold) > 40:
        return Uncovered("it has a number of more than 40 digits")
    body = [line.strip() for line in solution.split("\n") if line.strip() and not line.lstrip().startswith("####")]
    drafts = _drafts(body)
    finished = drafts if isinstance(drafts, Uncovered) else _finish(drafts, target)
    if isinstance(finished, Uncovered):
        unknown = "; it is solved with an unknown" if any(map(_UNKNOWN.search, body)) else ""
        return Uncovered(finished.why + unknown)
    return WorkedSolution(_link(finished, _numbers_of(question), target), as_text(target))


def _drafts(lines: Sequence[str]) -> list[_Draft] | Uncovered:
    drafts: list[_Draft] = []
    waiting: list[str] = []
    for line in lines:
        socratic = _SOCRATIC.match(line)
        asked, marked_text = (socratic["question"], socratic["step"]) if socratic else ("", line)
        text, marks = split_marks(marked_text)
        sums, wrong = find_sums(text, marks)
        if wrong:
            return Uncovered(wrong[0].why)
        if not sums:
            waiting.append(text)
            continue
        for index, (part, found) in enumerate(_parts(text, sums)):
            sub_question = asked if index == len(sums) - 1 else ""
            drafts.append(_draft(part, found, sub_question, waiting, {draft.name for draft in drafts}))
            waiting = []
    if not drafts:
        return Uncovered("no calculation is written out")
    ending = _sentences([drafts[-1].text, *waiting])
    drafts[-1] = replace(drafts[-1], text=f"{ending[:-1]}." if ending.endswith((",", ";")) else ending)
    return drafts


def _parts(text: str, sums: Sequence[Sum]) -> list[tuple[str, Sum]]:
    """Cut a line so that each part holds one sum; positions in the sums become positions in their parts."""
    parts: list[tuple[str, Sum]] = []
    start = 0
    for found, following in zip(sums, [*sums[1:], None], strict=True):
        end = len(text)
        if following is not None:
            between = text[found.end : max(found.end, following.start)]
            cut = SENTENCE_END.search(between) or _CLAUSE.search(between)
            end = found.end + (cut.end() if cut else len(between))
        part = text[start:end]
        shift = start + len(part) - len(part.lstrip())
        parts.append((part.strip(), replace(found, start=max(0, found.start - shift), end=found.end - shift)))
        start = end
    return parts


def _draft(part: str, found: Sum, asked: str, waiting: Sequence[str], taken: set[str]) -> _Draft:
    sentence_start = max((cut.end() for cut in SENTENCE_END.finditer(part, 0, found.start)), default=0)
    before = part[sentence_start : found.start].rstrip("$€£ =")
    after = part[found.end :]
    calculation = part[found.start : found.end].rpartition("=")[0].strip() or write_expression(found.expression)
    return _Draft(
        text=_sentences([*waiting, part]),
        question=asked or ask_for(before, calculation, after, money=found.money),
        name=name_result(before, after, taken, money=found.money),
        found=found,
        value=found.value,
    )


def _sentences(texts: Sequence[str]) -> str:
    """Lines as one: each but the last is closed like a sentence."""
    closed = [text if text.endswith((".", "!", "?", ":", ";", ",")) else f"{text}." for text in texts[:-1]]
    return " ".join([*closed, texts[-1]])


def _numbers_in(text: str) -> list[Fraction]:
    return [Fraction(plain_number(found)) for found in re.findall(NUMBER, text)]


def _numbers_of(question: str) -> frozenset[Fraction]:
    """The numbers that a question states, in digits or words, and those that everyone knows."""
    words = re.findall(r"[a-z]+", question.lower())
    spoken = [Fraction(value) for word in words for value in _NUMBER_WORDS.get(word, ())]
    return _COMMON.union(_numbers_in(question), spoken)


def _finish(drafts: list[_Draft], gold: Fraction) -> list[_Draft] | Uncovered:
    """Make the last step come to the gold answer.

    Where it does not: (1) an earlier step does, and the end of the solution states the gold answer: the steps after
    it are remarks; (2) the end of the solution states the gold answer as the last result in per cent, in whole
    numbers, or in another unit of a hundred: that is done to the last step.
    """
    last = drafts[-1]
    if last.value == gold:
        return drafts
    if gold not in _numbers_in(last.text):
        return Uncovered(f"the last calculation comes to {as_text(last.value)}, and the gold answer is {as_text(gold)}")
    for index in range(len(drafts) - 2, -1, -1):
        if drafts[index].value == gold:
            texts = [draft.text for draft in drafts[index:]]
            return [*drafts[:index], replace(drafts[index], text=_sentences(texts))]
    expression = _converted(last.found.expression, gold)
    if expression is None:
        return Uncovered(
            f"the last calculation comes to {as_text(last.value)}, and the gold answer {as_text(gold)} is stated "
            "without one"
        )
    return [*drafts[:-1], replace(last, found=replace(last.found, expression=expression), value=gold)]


def _converted(expression: Expression, gold: Fraction) -> Expression | None:
    """The expression brought to the gold answer by the step that the words take: per cent, or whole numbers."""
    hundred = Token("number", "100")
    exact = evaluate(expression)
    if exact * 100 == gold:
        return (*wrapped(expression), Token("operator", "*"), hundred)
    if exact == gold * 100:
        return (*wrapped(expression), Token("operator", "/"), hundred)
    return whole_steps(expression, exact, as_text(gold)) if gold.denominator == 1 else None


def _link(drafts: Sequence[_Draft], known: frozenset[Fraction], gold: Fraction) -> tuple[Step, ...]:
    """Write the steps with earlier results as names, as far as the whole still comes exactly to the gold answer.

    A result that was rounded makes the linked program differ from the human's figures; then only exact results are
    linked, and where that does not help either, none.
    """
    exact_only = [evaluate(draft.found.expression) == draft.value for draft in drafts]
    for linkable in ([True] * len(drafts), exact_only, [False] * len(drafts)):
        steps = _linked(drafts, linkable, known)
        if _outcome(steps) == gold:
            break
    return tuple(
        Step(draft.question, draft.text, draft.name, write_expression(expression), as_text(draft.value))
        for draft, (_, expression) in zip(drafts, steps, strict=True)
    )


def _linked(
    drafts: Sequence[_Draft], linkable: Sequence[bool], known: frozenset[Fraction]
) -> list[tuple[str, Expression]]:
    """Replace numbers by the names of earlier steps.

    A number that neither the question states nor everyone knows can only come from the step with that result: the
    latest such step that nothing has used yet, else the latest. A number that might be either is taken from a step
    that nothing has used yet (people compute what they go on to use), else it stays a number.
    """
    used: set[int] = set()
    steps: list[tuple[str, Expression]] = []
    for position, draft in enumerate(drafts):
        names: dict[int, str] = {}
        here: set[int] = set()
        numbers = [index for index, token in enumerate(draft.found.expression) if token.kind == "number"]
        for index in reversed(numbers):
            value = draft.found.expression[index].value
            sources = [
                earlier
                for earlier in range(position - 1, -1, -1)
                if linkable[earlier] and drafts[earlier].value == value
            ]
            fresh = [earlier for earlier in sources if earlier not in used | here]
            either = value in known
            if either and _is_share(draft.found.expression, index):
                continue
            rest = [] if either else [earlier for earlier in sources if earlier not in here] or sources
            source = next(iter(fresh or rest), None)
            if source is not None:
                names[index] = drafts[source].name
                here.add(source)
        used |= here
        steps.append((draft.name, rename(draft.found.expression, names)))
    return steps


def _is_share(expression: Expression, index: int) -> bool:
    """Is this the 2 of 1/2, or the 100 of 20/100?"""
    before = [token.text for token in expression[max(0, index - 2) : index]]
    return before[-1:] == ["/"] and (before[0] == "1" or expression[index].text == "100")


def _outcome(steps: Sequence[tuple[str, Expression]]) -> Fraction | None:
    """What the last step comes to when the steps are computed in order."""
    values: dict[str, Fraction] = {}
    for name, expression in steps:
        try:
            values[name] = evaluate(expression, values)
        except NotArithmetic:
            return None
    return values[steps[-1][0]]
