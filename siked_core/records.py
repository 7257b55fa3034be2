"""The values that flow from stage to stage: frozen, named, typed.

Problem -> Prompt -> Completion -> Rationale -> Verdict
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Source = Literal["teacher", "student"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a worked solution, in words and as arithmetic."""

    question: str
    """The sub-question that the step answers: "How many clips did Natalia sell in May?"."""
    text: str
    """The step as a person would write it, result included: "She sold 48 / 2 = 24 clips in May."."""
    name: str
    """A Python identifier for the result: "clips_in_may"."""
    expression: str
    """Python arithmetic over numbers and the names of earlier steps: "48 / 2". It evaluates to `value`."""
    value: str
    """The result, as a plain number: "24" or "0.5"."""


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation of a system, and the sentence that it writes down."""

    text: str
    """"x + 5 = 20", left unsimplified; the unknown to report is called `ans`."""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class WorkedSolution:
    """A problem's solution, independent of any strategy: `Strategy.demonstrate` writes it down under one."""

    steps: tuple[Step, ...]
    answer: str
    equations: tuple[Equation, ...] = ()
    """How the problem reads as a system of equations; empty where the steps themselves are the system."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its gold answer."""

    id: str
    question: str
    answer: str
    """The gold answer, as text: "72", "1/2", "Purple"."""
    family: str = ""
    """A class of problems within the data set, where it has such a thing."""
    solution: WorkedSolution | None = None
    """A worked solution that came with the data; free teachers (`annotations`, `pocket`) write from it."""


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that ends with the user's turn, and the words that the answer must begin with."""

    messages: tuple[Message, ...]
    prefix: str = ""
    """The start of the assistant's turn, e.g. the tag of a strategy that is forced. Not part of the completion."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are drawn."""

    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    max_tokens: int = 512
    """At most this many new tokens. Not a part of a sample's key: the row stores it with the finish reason."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they are not included in it."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a generator wrote."""

    text: str
    finish_reason: Literal["stop", "length", "refused"]
    """It ended by itself; it was cut off at its limit of tokens; or a server would not write it, or not to its end."""
    prompt_tokens: int
    completion_tokens: int
    logprob: float | None = None
    """Sum of the log-probabilities (nats) of the tokens under the sampling temperature of 1, where known."""


@dataclass(frozen=True, slots=True)
class Rationale:
    """A completion that a strategy could read."""

    strategy: str
    text: str
    """The whole rationale in the strategy's canonical form: what the student is trained to write."""
    answer_source: str
    """What a verifier reads the answer from: the stated answer, the program, or the system of equations."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A completion that a strategy could not read, and why. Data, not an error."""

    why: str


class Status(StrEnum):
    """What became of a rationale."""

    CORRECT = "correct"
    WRONG = "wrong"
    ANSWERED = "answered"  # an answer was found, and there was no gold answer to compare with
    NO_ANSWER = "no_answer"  # readable and judged, but nothing in it is an answer
    UNREADABLE = "unreadable"  # the strategy or the verifier could not read it
    TIMEOUT = "timeout"
    CRASHED = "crashed"  # the judged program died (an exception, a signal, a limit)
    REFUSED = "refused"  # the judged program asked for something that the cage forbids
    UNDERDETERMINED = "underdetermined"
    INCONSISTENT = "inconsistent"
    SEVERAL_ROOTS = "several_roots"
    TOO_LARGE = "too_large"
    COPIED = "copied"  # right, by one who had been told the answer, and with nothing that leads to it
    UNDECIDED = "undecided"  # there is no gold answer, and what judges instead could not decide


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found."""

    status: Status
    answer: str = ""
    """The answer that was found, as text; empty where none was."""
    why: str = ""
    """One line."""

    @property
    def correct(self) -> bool:
        return self.status is Status.CORRECT


@dataclass(frozen=True, slots=True)
class Claim:
    """A rationale offered as the solution of a problem: what a verifier judges."""

    problem: Problem
    rationale: Rationale


@dataclass(frozen=True, slots=True)
class Companion:
    """What a plugin works with beside siked's own environment: another environment, a program."""

    what: str
    """"an environment with vLLM"."""
    found: str
    """What and where it is; empty where it is not there."""
    remedy: str
    """Where it is not there: why, and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class Excluded:
    """A problem that a data set holds but that cannot be used, and why."""

    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """One split of a data set."""

    problems: tuple[Problem, ...]
    excluded: tuple[Excluded, ...] = ()
