"""The `judge` verifier: a language model says whether a rationale is right. For tasks without exact answers.

Any generator can judge ("LLM as a judge", Zheng et al. 2023, arXiv 2306.05685). Its prompt is a file, with
`{question}`, `{gold}` and `{rationale}` in it. It replies yes or no; anything else is `undecided`, never a guess. Its
verdicts are kept with the run like every verdict, under its model, prompt and options: no sample is judged twice.
A judge model can be wrong and can be talked round by what it reads: where an exact verifier exists, use that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from siked_core import (
    Claim,
    DataError,
    Generator,
    Message,
    Options,
    Prompt,
    Rationale,
    RecipeError,
    Request,
    Sampling,
    Status,
    Verdict,
    Verifier,
    hookimpl,
)
from siked_plugins.verifiers.comparison import judge as compare_exactly

_REPLY = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class JudgeOptions(Options):
    generator: str = Field("transformers", description="the generator that judges")
    generator_options: dict[str, Any] = Field(default_factory=dict, description="its options, e.g. {model: ...}")
    prompt: Path = Field(Path(__file__).with_name("judge.txt"), description="file with the judge's prompt")
    max_tokens: int = Field(8, ge=1, description="new tokens of a reply")


class JudgeVerifier(Verifier):
    """A language model judges; for tasks without exact answers."""

    name = "judge"
    options_type = JudgeOptions
    needs_gold = False

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._generator: Generator | None = None

    def bind(self, own: Mapping[str, Verifier], create: Callable[..., Any]) -> None:
        generator: Generator = create("generator", self.options.generator, self.options.generator_options)
        if generator.reads_solution:
            raise RecipeError(f"The generator '{generator.name}' writes known solutions down; it cannot judge.")
        self._generator = generator

    @property
    def fingerprint(self) -> str:
        prompt = hashlib.blake2b(self._prompt.encode(), digest_size=8).hexdigest()
        judge = self._generator.fingerprint if self._generator else ""
        return f"{self.name}:{self.version}:{judge}:{prompt}:{self.options.max_tokens}"

    @cached_property
    def _prompt(self) -> str:
        try:
            text: str = self.options.prompt.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"Cannot read the judge's prompt {self.options.prompt}: {error}.") from None
        if "{rationale}" not in text:
            raise DataError(f"The judge's prompt {self.options.prompt} must contain {{rationale}}.")
        return text

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        sources = [rationale.answer_source for rationale in rationales]
        return [Verdict(Status.ANSWERED, text) if text.strip() else Verdict(Status.NO_ANSWER) for text in sources]

    def compare(self, answer: str, gold: str) -> Verdict:
        return compare_exactly(answer, gold)

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        if self._generator is None:
            raise RuntimeError("the judge was not bound to a generator")
        requests = [Request(claim.problem, None, self._ask(claim), 0, 0) for claim in claims]
        replies = [""] * len(claims)
        for place, completion in self._generator.generate(requests, Sampling(max_tokens=self.options.max_tokens)):
            replies[place] = completion.text
        return [_verdict(claim, reply) for claim, reply in zip(claims, replies, strict=True)]

    def _ask(self, claim: Claim) -> Prompt:
        parts = {"question": claim.problem.question, "gold": claim.problem.answer, "rationale": claim.rationale.text}
        # One pass: what a text holds in braces is text.
        asked = re.sub(r"\{(question|gold|rationale)\}", lambda match: parts[match[1]], self._prompt)
        return Prompt((Message("user", asked),))

    def close(self) -> None:
        if self._generator is not None:
            self._generator.close()


def _verdict(claim: Claim, reply: str) -> Verdict:
    found = _REPLY.match(reply)
    answer = claim.rationale.answer_source
    if found is None:
        return Verdict(Status.UNDECIDED, answer, f"the judge replied {reply[:60]!r}, not yes or no")
    if found[1].lower() == "yes":
        return Verdict(Status.CORRECT, answer)
    return Verdict(Status.WRONG, answer, "the judge says no")


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [JudgeVerifier]
