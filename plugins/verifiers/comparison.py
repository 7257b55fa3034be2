"""How every built-in verifier compares an answer with the gold answer."""

from __future__ import annotations

from siked_core import Status, Verdict
from siked_core.errors import VerifierFault
from siked_core.numbers import same_answer


def judge(answer: str, gold: str) -> Verdict:
    """`CORRECT` or `WRONG`, by the table in `siked_core.numbers`.

    Raises:
        VerifierFault: the comparison itself failed.
    """
    try:
        correct = same_answer(answer, gold)
    except Exception as error:
        raise VerifierFault(f"comparing the answer {answer!r} with the gold answer {gold!r}: {error!r}") from error
    if correct:
        return Verdict(Status.CORRECT, answer=answer)
    return Verdict(Status.WRONG, answer=answer, why=f"{_short(answer)} is not {_short(gold)}")


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
