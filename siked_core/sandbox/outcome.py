"""What the sandbox is told, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OutcomeStatus = Literal["answered", "no_answer", "timeout", "crashed", "refused", "too_large"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use."""

    timeout_s: float = 10.0
    """Wall-clock seconds; 10 is the published limit (SIKeD). Processor time is limited to as much, rounded up."""
    memory_mib: int = 256
    """Address space on top of what the interpreter itself has mapped."""
    output_kib: int = 64
    """Characters, in thousands of 1,024, that it may print."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one program."""

    status: OutcomeStatus
    answer: str = ""
    """Set if and only if the status is `answered`."""
    why: str = ""
    """One line."""
    seconds: float = 0.0
    """Wall-clock time from fork to end."""
    tier: Literal[1, 2] = 2
    """Which tier judged it: 1 is the fast interpreter, 2 the caged CPython."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the protections around untrusted programs."""

    name: str
    active: bool
    detail: str
    """What it does here, or why it is not active."""
