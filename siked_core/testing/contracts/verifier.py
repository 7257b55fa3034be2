"""What every verifier must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from siked_core.contracts import Strategy, Verifier
from siked_core.errors import SikedError
from siked_core.records import Claim, Problem, Rationale, Status, Verdict
from siked_core.testing.contracts.contract import NOT_HERE, Broken, Contract, described, shown
from siked_core.testing.contracts.nasty import NASTY, spoilt
from siked_core.testing.contracts.sample import ready_strategies, shots_of

T = TypeVar("T")
GOLDS = ("72", "-3", "0.5", "1/2", "1,200", "24.50")
NEVER_FOUND = frozenset({Status.CORRECT, Status.WRONG})
"""What `answers` cannot know: there is no gold answer."""


class VerifierContract(Contract):
    """Accepts gold answers, judges anything, and judges alike what is alike."""

    plugin: type[Verifier]
    examples: Sequence[tuple[str, str]] = ()
    """(what the answer is read from, gold answer): rationales that are right. Without any, the worked examples of the
    strategies that name this verifier are taken."""

    def test_right_rationales_are_correct(self) -> None:
        """A rationale that comes to the gold answer is judged correct."""
        verifier = self._bound()
        if not verifier.needs_gold:
            self.skip("it judges by something else than gold answers")
        claims = self._claims(verifier)
        if not claims:
            self.skip("no rationale is known that it should accept: name some in `examples`")
        for claim, verdict in zip(claims, self._verified(verifier, claims), strict=True):
            self.check(
                verdict.correct,
                f"{shown(claim.rationale.answer_source)} is {verdict.status.value} for the gold answer "
                f"{shown(claim.problem.answer)}: {shown(verdict.why or verdict.answer, plain=True)}",
                "Find the answer in Rationale.answer_source, and compare it as a person would.",
            )

    def test_a_gold_answer_is_itself(self) -> None:
        """`compare` says CORRECT of a gold answer and itself, WRONG of an answer that is another, and nothing else."""
        verifier = self._bound()
        for gold in [gold for _, gold in self.examples] or GOLDS:
            same, other = self._compared(verifier, gold, gold), self._compared(verifier, f"{gold} is not it, no", gold)
            self.check(
                same.status is Status.CORRECT,
                f"the gold answer {shown(gold)} compared with itself is {shown(same)}",
                "Return Verdict(Status.CORRECT, answer) for equal texts, whatever else you compare.",
            )
            self.check(
                other.status is Status.WRONG,
                f"'{gold} is not it, no' compared with {shown(gold)} is {shown(other)}",
                "Return Verdict(Status.WRONG, answer) where the two are not the same answer.",
            )

    def test_no_answer_makes_comparing_raise(self) -> None:
        """`compare` returns CORRECT or WRONG for any two texts: an answer may be whatever a model wrote."""
        verifier = self._bound()
        for text in NASTY:
            for answer, gold in ((text, "5"), (text, text)):
                verdict = self._compared(verifier, answer, gold)
                self.check(
                    isinstance(verdict, Verdict) and verdict.status in NEVER_FOUND,
                    f"{shown(answer)} compared with {shown(gold)} is {shown(verdict)}",
                    "Return Verdict(Status.CORRECT, answer) or Verdict(Status.WRONG, answer).",
                )

    def test_every_rationale_gets_a_verdict_in_order(self) -> None:
        """`answers` gives one verdict for each rationale, in order, none for none, and raises on nothing that a model
        wrote: garbage has a status too."""
        verifier = self._bound()
        self.check(
            list(self._answers(verifier, [])) == [],
            "it gave verdicts for an empty batch",
            "Return one verdict for each rationale, and an empty list for none.",
        )
        claims = [*self._claims(verifier), *self._garbage(verifier)]
        found = self._answers(verifier, [claim.rationale for claim in claims])
        self.check(
            len(found) == len(claims),
            f"it gave {len(found)} verdicts for {len(claims)} rationales",
            "Return one verdict for each rationale, in order.",
        )
        for claim, verdict in zip(claims, found, strict=True):
            self.check(
                isinstance(verdict, Verdict) and verdict.status not in NEVER_FOUND,
                f"{shown(claim.rationale.answer_source)} is {shown(verdict)}",
                "Return Verdict(Status.ANSWERED, answer), or a status that says why there is no answer.",
            )
            self.check(
                verdict.status is not Status.ANSWERED or bool(verdict.answer.strip()),
                f"{shown(claim.rationale.answer_source)} is answered by {shown(verdict.answer)}",
                "Where there is no text that is an answer, the status is NO_ANSWER.",
            )
        for claim, verdict in zip(claims, self._verified(verifier, claims), strict=True):
            self.check(
                isinstance(verdict, Verdict) and verdict.status is not Status.ANSWERED,
                f"{shown(claim.rationale.answer_source)} for {shown(claim.problem.answer)} is {shown(verdict)}",
                "Where an answer was found, `verify` says whether it is the gold one, or that this is undecided.",
            )

    def test_what_is_alike_is_judged_alike(self) -> None:
        """The same rationale gets the same verdict, again and by another verifier with the same options; and unless
        its scope is a problem, alone or in a batch."""
        verifier, other = self._bound(), self._bound()
        some = [*self._claims(verifier)[:4], *list(self._garbage(verifier))[:60:6]]
        first = self._verified(verifier, some)
        for name, again in (("again", self._verified(verifier, some)), ("by another", self._verified(other, some))):
            for claim, one, two in zip(some, first, again, strict=True):
                self.check(
                    one == two,
                    f"{shown(claim.rationale.answer_source)} was {shown(one)}, and judged {name} {shown(two)}",
                    "Keep nothing from one batch to the next, and draw no random numbers.",
                )
        if verifier.scope == "problem":
            return
        for claim, verdict in zip(some, first, strict=True):
            (alone,) = self._verified(verifier, [claim])
            self.check(
                alone == verdict,
                f"{shown(claim.rationale.answer_source)} is {shown(verdict)} in a batch and {shown(alone)} alone",
                'Judge each rationale by itself, or set scope = "problem".',
            )

    def test_its_fingerprint_says_what_its_verdicts_depend_on(self) -> None:
        """`fingerprint` is a text, the same for the same options: verdicts are kept under it."""
        one, other = self._bound().fingerprint, self._bound().fingerprint
        self.check(isinstance(one, str) and bool(one), f"it is {shown(one)}", "Return a short text.")
        self.check(one == other, f"it was {shown(one)} and then {shown(other)}", "Leave out what changes by itself.")

    # What these use

    def _bound(self) -> Verifier:
        """The verifier, bound to the strategies that are there and to the verifiers of theirs that can be made."""
        verifier: Verifier = self.made()
        own: dict[str, Verifier] = {}
        for name, strategy in self._strategies().items():
            if strategy.verifier != self.plugin.name and strategy.verifier in self.plugins.names("verifier"):
                try:
                    own[name] = self.plugins.create("verifier", strategy.verifier)
                except SikedError:
                    continue
                self._made.append(own[name])
        verifier.bind(own, self.plugins.create)
        return verifier

    def _strategies(self) -> dict[str, Strategy]:
        return ready_strategies(self.registry)

    def _claims(self, verifier: Verifier) -> list[Claim]:
        """Rationales that are right."""
        if self.examples:
            return [
                Claim(Problem(str(number), "How many?", gold), Rationale("example", source, source))
                for number, (source, gold) in enumerate(self.examples)
            ]
        through_others = type(verifier).bind is not Verifier.bind
        claims = []
        for strategy in self._strategies().values():
            if through_others or strategy.verifier == verifier.original.name:
                for number, shot in enumerate(shots_of(strategy)):
                    read = strategy.parse(shot.completion)
                    if isinstance(read, Rationale):
                        claims.append(Claim(Problem(str(number), shot.question, shot.answer), read))
        return claims

    def _garbage(self, verifier: Verifier) -> Iterator[Claim]:
        right = self._claims(verifier)
        names = [claim.rationale.strategy for claim in right] or ["example"]
        texts = [*NASTY, *spoilt(claim.rationale.answer_source for claim in right[:3])]
        for number, text in enumerate(texts):
            rationale = Rationale(names[number % len(names)], text or "nothing", text)
            yield Claim(Problem(f"garbage-{number}", "How many?", "5"), rationale)

    def _answers(self, verifier: Verifier, rationales: Sequence[Rationale]) -> list[Verdict]:
        return self._judging("answers", rationales, verifier.answers)

    def _verified(self, verifier: Verifier, claims: Sequence[Claim]) -> list[Verdict]:
        return self._judging("verify", claims, verifier.verify)

    def _judging(self, what: str, items: Sequence[T], judge: Callable[[Sequence[T]], list[Verdict]]) -> list[Verdict]:
        """Verdicts on a batch. What raises is looked for, so that it can be named."""
        try:
            return judge(items)
        except NOT_HERE:
            raise
        except Exception as error:
            guilty = items
            while len(guilty) > 1:
                half = guilty[: len(guilty) // 2]
                try:
                    judge(half)
                    guilty = guilty[len(guilty) // 2 :]
                except Exception:
                    guilty = half
            raise Broken(
                f"{what} raised {described(error)} on a batch that holds {shown(guilty)}",
                "What a model wrote is never an error: give it a status. Raise VerifierFault only where the verifier "
                "itself is broken.",
            ) from error

    def _compared(self, verifier: Verifier, answer: str, gold: str) -> Verdict:
        return self.tried(
            f"compare({shown(answer)}, {shown(gold)})",
            lambda: verifier.compare(answer, gold),
            "Return Status.WRONG for an answer that cannot be read.",
        )
