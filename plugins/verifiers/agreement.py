"""The `agreement` verifier: no gold answer is needed where several strategies come to the same answer.

A problem's strategies vote: each casts one vote, for the answer that most of its samples give (self-consistency,
Wang et al. 2022, arXiv 2203.11171, inside a strategy; agreement between program, equations and words across them, as
ETD's views, arXiv 2401.11864, allow). An answer is accepted by the rule below; samples with it are `correct`, others
`wrong`. Where nothing is accepted, all samples of the problem are `undecided`: nothing is trained on them.

Answers are read by each strategy's own verifier: programs run in the cage, equations are solved.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from siked_core import Claim, Options, Rationale, Status, Verdict, Verifier, hookimpl
from siked_core.numbers import read_number
from siked_plugins.verifiers.comparison import judge


class AgreementOptions(Options):
    quorum: int = Field(2, ge=1, description="so many different strategies must come to the answer")
    rule: Literal["majority", "unanimous"] = Field(
        "majority",
        description="majority: more votes than any other answer; unanimous: no strategy votes for another answer",
    )
    share: float = Field(
        0.0, ge=0, le=1, description="a strategy votes only if at least this share of its samples give one answer"
    )


class AgreementVerifier(Verifier):
    """Accepts what several strategies agree on; needs no gold answer."""

    name = "agreement"
    options_type = AgreementOptions
    needs_gold = False
    scores = False
    scope = "problem"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._own: Mapping[str, Verifier] = {}

    def bind(self, own: Mapping[str, Verifier], create: Callable[..., Any]) -> None:
        self._own = own

    @property
    def fingerprint(self) -> str:
        return ";".join([super().fingerprint, *(f"{name}={own.fingerprint}" for name, own in self._own.items())])

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        found: dict[int, Verdict] = {}
        by_strategy: dict[str, list[int]] = defaultdict(list)
        for place, rationale in enumerate(rationales):
            by_strategy[rationale.strategy].append(place)
        for strategy, places in by_strategy.items():
            own = self._own[strategy].answers([rationales[place] for place in places])
            found.update(zip(places, own, strict=True))
        return [found[place] for place in range(len(rationales))]

    def compare(self, answer: str, gold: str) -> Verdict:
        return judge(answer, gold)

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        found = self.answers([claim.rationale for claim in claims])
        votes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for claim, verdict in zip(claims, found, strict=True):
            answer = _canonical(verdict.answer) if verdict.status is Status.ANSWERED else ""
            votes[claim.problem.id][claim.rationale.strategy].append(answer)
        accepted = {problem: self._accept(by_strategy) for problem, by_strategy in votes.items()}
        return [_judge(verdict, *accepted[claim.problem.id]) for claim, verdict in zip(claims, found, strict=True)]

    def _accept(self, by_strategy: Mapping[str, Sequence[str]]) -> tuple[str, str]:
        """The accepted answer of a problem ("" for none), and why."""
        votes: Counter[str] = Counter()
        for answers in by_strategy.values():
            ranked = Counter(answer for answer in answers if answer).most_common(2)
            tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
            if ranked and not tied and ranked[0][1] >= self.options.share * len(answers):
                votes[ranked[0][0]] += 1
        if not votes:
            return "", "no strategy has one answer"
        (best, count), *others = votes.most_common()
        told = f"{count} of {len(by_strategy)} strategies come to {best}"
        rival = others[0][1] if others else 0
        enough = count >= self.options.quorum and count > rival
        if enough and (self.options.rule == "majority" or not others):
            return best, told
        return "", f"{told}, {rival} to {others[0][0]}" if others else told


def _canonical(answer: str) -> str:
    """One text for all spellings of a number: 18, 18.0 and $18 are one answer. Noise of floats is rounded off."""
    number = read_number(answer)
    if number is None:
        return " ".join(answer.split()).casefold()
    whole = round(number)
    if abs(number - whole) <= abs(number) / 10**9:
        return str(whole)
    return f"{float(number):.10g}"


def _judge(verdict: Verdict, accepted: str, why: str) -> Verdict:
    if not accepted:
        return Verdict(Status.UNDECIDED, verdict.answer, why)
    if verdict.status is not Status.ANSWERED:
        return verdict
    same = _canonical(verdict.answer) == accepted
    return Verdict(Status.CORRECT if same else Status.WRONG, verdict.answer, "" if same else why)


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [AgreementVerifier]
