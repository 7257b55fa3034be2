"""Reads what a zygote says about a program. The report in it is the program's own word, so nothing in it is trusted."""

from __future__ import annotations

import json
import signal
from typing import Any, Literal

from siked_core.numbers import read_number
from siked_core.sandbox.outcome import Limits, Outcome, OutcomeStatus


def judge(message: dict[str, Any], limits: Limits, tier: Literal[1, 2] = 2) -> Outcome:
    """Turn a helper's message, of which the report is the program's word, into an outcome."""
    seconds = float(message["seconds"])

    def outcome(status: OutcomeStatus, *, answer: str = "", why: str = "") -> Outcome:
        return Outcome(status, answer, why, seconds, tier)

    report = read_report(message["report"])
    if report is not None:
        status, answer, why, lines = report
        if status == "answered" and answer:
            return outcome("answered", answer=answer)
        if status == "no_answer":
            return outcome("no_answer", why=why)
        if status == "refused":
            return outcome("refused", why=why)
        if status == "too_large":
            return outcome("too_large", why=why)
        if status == "printed":
            for line in reversed(lines):
                if read_number(line, words_before=True) is not None:
                    return outcome("answered", answer=line.strip())
            return outcome("no_answer", why="neither `answer`, nor `solution()`, nor a printed number, nor `ans`")
        return outcome("crashed", why=why or "the program ended without giving an answer")
    if message["killed"] == "deadline":
        return outcome("timeout", why=f"stopped after {limits.timeout_s:g} s")
    if message["killed"] == "flood":
        return outcome("too_large", why="wrote too much into its result")
    if message["exit"] < 0:
        number = -int(message["exit"])
        if number in (signal.SIGXCPU, signal.SIGKILL) and seconds >= limits.timeout_s:
            return outcome("timeout", why=f"stopped after {limits.timeout_s:g} s of processor time")
        return outcome("crashed", why=f"killed by {_signal_name(number)}")
    return outcome("crashed", why=f"the program ended itself without giving an answer (exit code {message['exit']})")


def read_report(text: str | None) -> tuple[str, str, str, list[str]] | None:
    """The fields of a report, or None where it is not one. Whatever a program forges, it can only be texts."""
    if text is None:
        return None
    try:
        fields = json.loads(text)
        status, answer, why, lines = (fields[name] for name in ("status", "answer", "why", "lines"))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if not isinstance(lines, list) or not all(isinstance(field, str) for field in (status, answer, why, *lines)):
        return None
    return status, _printable(answer), " ".join(_printable(why).split()), [_printable(line) for line in lines]


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
