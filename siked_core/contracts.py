"""What each kind of plugin must be able to do.

A plugin is a class: it has a `name`, an `Options` model (pydantic; it serialises into the recipe and
rebuilds the object), and the methods of its kind. The first line of its docstring is what
`siked plugins list` shows. Nothing at module level may import torch. The base of all is in
`siked_core.plugin`; what comes between a mixture and a training, in `siked_core.contracts_training`;
how an answer is chosen, in `siked_core.contracts_selection`; where figures are shown, in
`siked_core.contracts_tracking`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from siked_core.bank import Bank, load_bank
from siked_core.contracts_selection import Attempt, Outcome, Selector, Wish
from siked_core.contracts_tracking import Figures, TrackedRun, Tracker
from siked_core.contracts_training import (
    MixtureRow,
    Objective,
    ObjectiveContext,
    Preference,
    TrainingExample,
    TrainingRow,
    Transform,
    TransformContext,
)
from siked_core.plugin import Kind, Options, Plugin
from siked_core.recipe_choice import PluginChoice
from siked_core.records import (
    Claim,
    Completion,
    Loaded,
    Message,
    Problem,
    Prompt,
    Rationale,
    Sampling,
    Status,
    Unreadable,
    Verdict,
    WorkedSolution,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Attempt",
    "Dataset",
    "Figures",
    "Generator",
    "Kind",
    "MixContext",
    "MixingPolicy",
    "MixtureRow",
    "Model",
    "Objective",
    "ObjectiveContext",
    "Options",
    "Outcome",
    "Plugin",
    "Preference",
    "Request",
    "Selector",
    "Strategy",
    "StrategyOptions",
    "TrackedRun",
    "Tracker",
    "TrainingExample",
    "TrainingRow",
    "Transform",
    "TransformContext",
    "Verifier",
    "Wish",
]


class StrategyOptions(Options):
    bank: Path | None = Field(None, description="YAML file that replaces the teacher's instruction, template and shots")
    shots: int = Field(8, ge=0, description="worked examples in the teacher's prompt")
    instruction: str | None = Field(None, description="replaces the bank's instruction to the teacher")
    suffix: str = Field("", description="put behind the student's question, so that it selects the strategy (ETD)")


class Strategy(Plugin):
    """A way of writing a solution down: what to ask the teacher for, and how to read what was written."""

    kind: ClassVar[Kind] = "strategy"
    verifier: ClassVar[str]
    """Name of the verifier that judges this strategy's rationales unless the recipe names another."""
    bank_path: ClassVar[Path]
    """The bank that comes with the strategy: instruction, template and worked examples."""
    options_type: ClassVar[type[Options]] = StrategyOptions

    @cached_property
    def bank(self) -> Bank:
        """The instruction, template and worked examples in use.

        Raises:
            DataError: the bank's file is missing or malformed.
        """
        bank = load_bank(self.options.bank or self.bank_path)
        return bank if self.options.instruction is None else bank.with_instruction(self.options.instruction)

    def teacher_prompt(self, problem: Problem) -> Prompt:
        """What the teacher is asked: the instruction, the worked examples as earlier turns, the question."""
        return Prompt((*self._earlier_turns, Message("user", self.bank.render(problem.question))))

    @cached_property
    def _earlier_turns(self) -> tuple[Message, ...]:
        """What stands before every question. Made once: a large pool has hundreds of thousands of prompts at a time."""
        messages = [Message("system", self.bank.instruction)] if self.bank.instruction else []
        for shot in self.bank.shots[: self.options.shots]:
            messages.append(Message("user", self.bank.render(shot.question)))
            messages.append(Message("assistant", shot.completion))
        return tuple(messages)

    @property
    def turns(self) -> str:
        """What decides the teacher's prompts after the first, as a short text that is part of a sample's key: where a
        teacher writes a completion in several turns. Empty: one prompt, one completion."""
        return ""

    def next_prompt(self, problem: Problem, written: Sequence[str]) -> Prompt | None:
        """What the teacher is asked next; None: nothing more. Only called where there are `turns`.

        Args:
            written: what it wrote so far, the answer to `teacher_prompt` first.
        """
        return None

    def joined(self, written: Sequence[str]) -> str:
        """A completion of all that the teacher wrote in its turns: what `parse` reads."""
        return "\n".join(written)

    def student_question(self, problem: Problem) -> str:
        """The question as the student sees it under this strategy: with the strategy's suffix, if it has one."""
        return problem.question + str(self.options.suffix)

    @abstractmethod
    def parse(self, text: str) -> Rationale | Unreadable:
        """Read a completion (without the student's tag). Never raises: what cannot be read says why."""

    def demonstrate(self, solution: WorkedSolution) -> str | None:
        """Write a known solution down under this strategy, or None where it cannot be.

        `parse` must read what this returns. Teachers that cost nothing (`annotations`, `pocket`) use it.
        """
        return None


class Verifier(Plugin):
    """Judges rationales, a batch at a time."""

    kind: ClassVar[Kind] = "verifier"
    needs_gold: ClassVar[bool] = True
    """Whether it can judge a problem only by its gold answer."""
    scores: ClassVar[bool] = True
    """Whether its verdicts may score a student. Those of one that may not (answers that agree are not therefore
    right) choose what a student is trained on; evaluation falls back on the strategy's own verifier."""
    scope: ClassVar[Literal["sample", "problem"]] = "sample"
    """What it must see together. "problem": all of a pool's samples of a problem come in one batch, and are judged
    again whenever one is added."""

    def bind(self, own: Mapping[str, Verifier], create: Callable[[Kind, str, Mapping[str, Any]], Any]) -> None:
        """Called once, before anything is judged; most verifiers need nothing of it.

        Args:
            own: each of the run's strategies with the verifier that reads its answers (never this one).
            create: makes any plugin from kind, name and options, e.g. a generator that judges.
        """

    @property
    def fingerprint(self) -> str:
        """All that can change its verdicts: part of what a verdict is kept under."""
        return f"{self.name}:{self.version}:{self.options.model_dump_json()}"

    @abstractmethod
    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        """Find each rationale's own answer, in order: `ANSWERED` with the answer, or why there is none.

        Gold answers are not known here, so they cannot reach a sandbox. A fault of the verifier itself is
        raised, never returned as a verdict.
        """

    @abstractmethod
    def compare(self, answer: str, gold: str) -> Verdict:
        """`CORRECT` or `WRONG`: is the answer that was found the gold answer?"""

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """Judge each claim against its gold answer, in order."""
        found = self.answers([claim.rationale for claim in claims])
        return [
            self.compare(verdict.answer, claim.problem.answer) if verdict.status is Status.ANSWERED else verdict
            for verdict, claim in zip(found, claims, strict=True)
        ]

    def close(self) -> None:
        """Free processes and files. Called once, also after an error."""


def _builds_on_none(candidates: pl.DataFrame) -> pl.DataFrame:
    raise RuntimeError("this mixing policy builds on no other")


def _no_questions() -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(schema={"problem_id": pl.String, "question": pl.String})


@dataclass(frozen=True, slots=True)
class MixContext:
    """What a mixing policy may know beside the rows it chooses from."""

    round: int
    """0 is the warm-up, before the student has written anything."""
    strategies: tuple[str, ...]
    attempts: pl.DataFrame
    """Every verified sample so far, right and wrong, but for those that were written with the answer told: see
    `siked_core.ledger.COLUMNS`."""
    seed: int
    inner: Callable[[pl.DataFrame], pl.DataFrame] = _builds_on_none
    """Candidates to chosen rows, by the policy that this one `builds_on`."""
    questions: Callable[[], pl.DataFrame] = _no_questions
    """The training problems' questions, read when they are asked for. Columns: `problem_id`, `question`."""


class MixingPolicy(Plugin):
    """Chooses what the student is trained on next."""

    kind: ClassVar[Kind] = "mixing_policy"

    @property
    def builds_on(self) -> PluginChoice | None:
        """Another policy, named by this one's options, whose choice this one changes: `MixContext.inner` asks it."""
        return None

    @property
    def earlier_rounds(self) -> bool:
        """Whether the student's samples of earlier rounds are candidates too."""
        return False

    @property
    def hinted(self) -> bool:
        """Whether what the student wrote with the answer told (`rollout.rationalise`) is among the candidates too."""
        return False

    def check_recipe(self, strategies: Sequence[str], mode: Literal["free", "forced", "both"]) -> None:
        """Raise a `RecipeError` where the policy does not go with a recipe: its strategies, and who names the strategy
        when the student samples (`rollout.mode`). Called before anything is made of the recipe."""

    @abstractmethod
    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """Choose rows of `candidates`, and optionally weigh them.

        Args:
            candidates: verified correct and distinct samples, at most `mixing.keep` per (problem, strategy,
                source): the teacher's, and the student's of this round (and of `earlier_rounds`). Columns:
                `siked_core.ledger.COLUMNS`; `copies`, the number of identical rationales that each stands for; and
                `hinted`, whether it was written with the answer told. Such rows are no sign of what their writer can
                do: they have no `pass_rate`, and are not among the `attempts`. The student's are there only for a
                policy that asks for them (`hinted`), the teacher's wherever it was asked so.
            context: the round, the strategies, and all attempts.

        Returns:
            The chosen rows. A column `weight` (float, default 1.0) scales a row's loss.
        """


@dataclass(frozen=True, slots=True)
class Request:
    """One completion that is wanted from a generator."""

    problem: Problem
    strategy: Strategy | None
    """The strategy that is asked for; None where the student chooses freely."""
    prompt: Prompt
    draw: int
    """0, 1, 2, ...: tells apart the samples of one prompt."""
    seed: int
    """Seeds this request's randomness and nothing else's; derived from the sample's key."""


class Generator(Plugin):
    """Answers prompts: a teacher, a student, a server."""

    kind: ClassVar[Kind] = "generator"
    reads_solution: ClassVar[bool] = False
    """It writes from `Problem.solution` rather than from the prompt: the solution is then part of a sample's key."""
    batch_sensitive: ClassVar[bool] = False
    """What else is in its batch sways a completion, if only by rounding. A batch (`batches`) that is interrupted is
    then drawn again whole, so that a resumed run equals an unbroken one; of others, all that is finished is kept."""
    say: Callable[[str], None] | None = None
    """Where it tells what goes on while something slow is made ready: a run's reporter; None: standard error."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Everything about the generator that can change what it writes (weights, options), as a short text."""

    @property
    def chunk_size(self) -> int:
        """How many requests are best handed over at once. A chunk is what a kill can lose, or a batch of it."""
        return 256

    def batches(self, requests: Sequence[Request]) -> Sequence[Sequence[int]]:
        """The places of a chunk's requests, each once, by what sways one another: each batch is handed over by itself,
        and kept as soon as it is whole. Asked of generators that are `batch_sensitive`; the whole chunk, by default."""
        return [range(len(requests))]

    def open(self) -> None:
        """Load what is slow to load. Called before the first request of a stage, so that loading can be told from
        writing; a generator that was not opened loads on first use."""

    def rendered(self, prompt: Prompt) -> str | None:
        """The very text that the model reads for a prompt, or None where only a server knows it. Draws nothing."""
        return None

    @abstractmethod
    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Yield (index of the request, completion) for every request, in any order, as they get ready."""

    def close(self) -> None:
        """Free the model or the connection. Called once, also after an error."""

    def set_aside(self) -> None:
        """Called instead of `close` where a stage of a run is done with it: what another generator of its class may go
        on with, such as a server that takes minutes to start, may stay until `make_room` or `release`."""
        self.close()

    @classmethod
    def make_room(cls) -> None:
        """Free the memory of what was set aside: a student is about to be trained, or another model to be asked."""

    @classmethod
    def release(cls) -> None:
        """End what was set aside: the run is closed."""


class Dataset(Plugin):
    """Problems, by split."""

    kind: ClassVar[Kind] = "dataset"
    licence: ClassVar[str] = ""
    """The data's own licence as the Hugging Face hub names it ("mit", "cc-by-nc-4.0"); empty where it is not known."""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """The splits that exist, among "train", "validation" and "test"."""

    @abstractmethod
    def load(self, split: str, limit: int | None = None) -> Loaded:
        """Read a split (the first `limit` usable problems of it). What is slow to work out may be left to `complete`.

        Raises:
            DataError: a file is missing or malformed; names file and line.
        """

    def complete(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """The same problems with what `load` left out because it is slow to work out, as a solution may be. A run asks
        for it once, for those problems of a split that it uses."""
        return tuple(problems)


class Model(Plugin):
    """A student that comes with a package, so that its name can be used where a folder or hub name is."""

    kind: ClassVar[Kind] = "model"

    @abstractmethod
    def folder(self) -> Path:
        """Where its files lie (config, weights, tokenizer, chat template): a normal Hugging Face folder."""
