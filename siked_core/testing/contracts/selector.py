"""What every selector must do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

from siked_core.contracts import Attempt, Outcome, Selector, Wish
from siked_core.records import Status, Verdict
from siked_core.testing.contracts.contract import Contract, shown


class SelectorContract(Contract):
    """Asks for attempts, and picks one of those that it is given, whatever they are."""

    plugin: type[Selector]
    strategies: Sequence[str] = ("cot", "pot", "l2m")

    def test_it_plans_attempts_that_can_be_made(self) -> None:
        """`plan` asks for one attempt or more, each once, under strategies that there are or none, at temperatures of
        0 or more; the same ones every time."""
        plan = self._plan()
        self.check(
            bool(plan) and all(isinstance(wish, Wish) for wish in plan),
            f"it plans {shown(plan)}",
            "Return a tuple of siked_core.Wish, one at least.",
        )
        self.check(len(set(plan)) == len(plan), f"{shown(plan)} has a wish twice", "Give equal wishes another `draw`.")
        for wish in plan:
            self.check(
                wish.strategy is None or wish.strategy in self.strategies,
                f"it wishes for the strategy {shown(wish.strategy)} of {', '.join(self.strategies)}",
                "Take strategies from the argument; raise RecipeError in `plan` where options name another.",
            )
            self.check(
                wish.temperature >= 0 and 0 < wish.top_p <= 1 and wish.draw >= 0,
                f"it wishes for {shown(wish)}",
                "A temperature is 0 or more, top_p over 0 and at most 1, a draw 0, 1, 2, ...",
            )
        self.check(self._plan() == plan, "two plans differ", "Draw no random numbers.")

    def test_it_picks_an_attempt_that_was_given(self) -> None:
        """`select` returns the index of one of the attempts, the same every time: also where none has an answer, all
        have, or nothing is known of their likelihood."""
        selector: Selector = self.made()
        for learnt in ({}, self._fitted(selector)):
            for attempts in self._questions():
                picked = self.tried(
                    f"select of {shown(attempts)}",
                    lambda attempts=attempts, learnt=learnt: selector.select(attempts, learnt),  # type: ignore[misc]
                    "Where no attempt has an answer, pick the first.",
                )
                self.check(
                    isinstance(picked, int) and 0 <= picked < len(attempts),
                    f"of {len(attempts)} attempts it picked {shown(picked)}",
                    "Return a place in `attempts`.",
                )
                self.check(
                    picked == selector.select(attempts, learnt),
                    f"of {shown(attempts)} it picked {picked}, and then another",
                    "Draw no random numbers.",
                )

    def test_an_answer_is_picked_where_there_is_one(self) -> None:
        """Where every attempt has an answer, or all have the same one, it picks an attempt with an answer."""
        selector: Selector = self.made()
        for attempts in self._questions():
            if all(one.answered for one in attempts):
                picked = attempts[selector.select(attempts, {})]
                self.check(picked.answered, f"it picked {shown(picked)}", "Leave out attempts without an answer.")

    def test_what_it_learns_is_plain_numbers(self) -> None:
        """`fit` returns finite numbers by name, the same for the same outcomes, also for none; they survive the
        scorecard, which is JSON."""
        selector: Selector = self.made()
        self.tried("fit of no outcomes", lambda: selector.fit([]), "Return {} where there is nothing to learn from.")
        learnt, again = self._fitted(selector), self._fitted(selector)
        self.check(
            all(isinstance(name, str) and math.isfinite(value) for name, value in learnt.items()),
            f"it learnt {shown(learnt)}",
            "Return dict[str, float] of finite numbers.",
        )
        self.check(learnt == again, f"it learnt {shown(learnt)} and then {shown(again)}", "Draw no random numbers.")
        kept = json.loads(json.dumps(learnt))
        for attempts in self._questions():
            self.check(
                selector.select(attempts, kept) == selector.select(attempts, learnt),
                "it picks another attempt with what it learnt written as JSON and read again",
                "Use texts as names and plain floats as values.",
            )

    # What these use

    def _plan(self) -> tuple[Wish, ...]:
        plan: tuple[Wish, ...] = self.made().plan(tuple(self.strategies))
        return plan

    def _fitted(self, selector: Selector) -> dict[str, float]:
        outcomes = [
            Outcome(attempts, tuple(one.answered and (place + number) % 3 > 0 for place, one in enumerate(attempts)))
            for number, attempts in enumerate(self._questions())
        ]
        return self.tried("fit", lambda: selector.fit(outcomes), "Any outcome must do, also one without an answer.")

    def _questions(self) -> Iterator[tuple[Attempt, ...]]:
        """Attempts at a question, in the order of the plan."""
        plan = self._plan()
        for logprobs in (True, False):
            for case in ("same", "all differ", "none", "some", "first only", "last only", "pairs", "nameless"):
                attempts = []
                for place, wish in enumerate(plan):
                    has = {
                        "none": False,
                        "some": place % 2 == 0,
                        "first only": place == 0,
                        "last only": place == len(plan) - 1,
                    }.get(case, True)
                    group = {"all differ": place, "pairs": place // 2}.get(case, 0)
                    chosen = self.strategies[place % len(self.strategies)]
                    free = None if case == "nameless" else chosen
                    verdict = Verdict(Status.ANSWERED, str(group)) if has else Verdict(Status.CRASHED, why="it fell")
                    attempts.append(
                        Attempt(
                            wish,
                            wish.strategy or free,
                            verdict,
                            group if has else None,
                            -float(place + 1) if logprobs else None,
                            7 if place % 3 else 0,
                        )
                    )
                yield tuple(attempts)
