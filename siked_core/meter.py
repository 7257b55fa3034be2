"""Watches what a stage spends while it works, and pauses the run before a cap is passed."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siked_core.errors import CapReached
from siked_core.pilot import SHARED, Pilot
from siked_core.records import Prompt
from siked_core.spending import Spent, by_stage, cost, is_priced, keep_counts, written

if TYPE_CHECKING:
    from siked_core.run import Run

SEEN = 8
"""From so many samples on, a mean is trusted; before, every sample is taken to run to its limit."""
DEVIATIONS = 3.0
"""Standard deviations that are allowed for on top of the mean."""
SAVE_S = 5.0
"""Seconds between two writings of a stage's time: the most that a kill leaves uncounted, and some batch's time."""


@dataclass(slots=True)
class Tally:
    """A running mean and its spread."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.squares += value * value

    def at_most(self, number: int, limit: float) -> float:
        """What so many more will sum up to, all but surely: the mean and three standard deviations of the sum, but no
        more than the limit that the sum has."""
        if self.count < SEEN:
            return limit
        mean = self.total / self.count
        variance = max(0.0, self.squares / self.count - mean * mean) * self.count / (self.count - 1)
        return min(limit, number * mean + DEVIATIONS * math.sqrt(number * variance))


class Meter:
    """What the run has spent, from before this stage and in it."""

    def __init__(self, run: Run, stage: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._stage, self._clock = run, stage, clock
        self._root = run.parent if isinstance(run, Pilot) else run
        keep_counts(self._root)
        self._before = sum(by_stage(self._root.path, run.recipe).values(), Spent())
        self._earlier_s = float(run.manifest["stages"].get(stage, {}).get("seconds", 0.0))
        self._here = Spent()
        self._started = self._checkpoint = self._saved = clock()
        self._tallies: dict[str | None, tuple[Tally, Tally]] = defaultdict(lambda: (Tally(), Tally()))
        self.tell()

    @property
    def spent(self) -> Spent:
        return self._before + self._here + Spent(seconds=self._clock() - self._started)

    def tell(self) -> None:
        """Let whoever watches know."""
        recipe = self._run.recipe
        self._run.reporter.spent(self.spent, recipe.prices.currency if is_priced(recipe) else "")

    def learn(self, pool: str) -> None:
        """Learn from a pool how many tokens a sample takes, for each strategy that is asked for."""
        owner = self._root if pool in SHARED else self._run
        table = written(owner.path, pool)
        for requested, inside, out in table.select("requested", "prompt_tokens", "completion_tokens").iter_rows():
            self._tally(requested, inside, out)

    def add(self, rows: Sequence[Mapping[str, Any]], source: str) -> None:
        """Samples were written: count them, and now and then keep the time so far, which a kill would lose."""
        if not rows:
            return
        inside = sum(row["prompt_tokens"] for row in rows)
        out = sum(row["completion_tokens"] for row in rows)
        self._here += Spent(len(rows), inside, out, cost(self._run.recipe, source, inside, out))
        for row in rows:
            self._tally(row["requested"], row["prompt_tokens"], row["completion_tokens"])
        if self._clock() - self._saved >= SAVE_S:
            self.save()
        self.tell()

    def save(self) -> None:
        """Write the stage's seconds so far into the manifest."""
        entry = self._run.manifest["stages"].get(self._stage, {})
        seconds = self._earlier_s + self._clock() - self._started
        self._run.record(self._stage, {**entry, "seconds": round(seconds, 3)})
        self._saved = self._clock()

    def expect(
        self,
        requested: Sequence[str | None],
        prompts: Sequence[int],
        max_tokens: int,
        source: str,
        turns: Sequence[int] = (),
    ) -> Spent:
        """What a chunk of samples will take, all but surely at most.

        Args:
            requested: of each sample, the strategy that is asked for.
            prompts: of each sample, the most tokens that its prompt may have (`prompt_limit`): used while none of its
                strategy is known.
            max_tokens: the limit of each completion.
            turns: of each sample, the most turns that it may be written in; 1 each where it is empty. Of several, the
                last begins within the limit, and a prompt holds what was written before it.
        """
        several = turns or [1] * len(requested)
        places = defaultdict(list)
        for place, strategy in enumerate(requested):
            places[strategy].append(place)
        inside = out = 0.0
        for strategy, mine in places.items():
            of_prompts, of_completions = self._tallies[strategy]
            again = {place: several[place] > 1 for place in mine}
            most_in = sum(
                several[place] * (prompts[place] + again[place] * (prompts[place] + max_tokens)) for place in mine
            )
            inside += of_prompts.at_most(len(mine), most_in)
            out += of_completions.at_most(len(mine), sum(max_tokens * (1 + again[place]) for place in mine))
        each_s = (self._clock() - self._started) / self._here.samples if self._here.samples else 0.0
        return Spent(
            len(requested),
            math.ceil(inside),
            math.ceil(out),
            cost(self._run.recipe, source, inside, out),
            each_s * len(requested),
        )

    def check(self, expected: Spent | None = None, what: str = "") -> None:
        """Pause the run where it has reached a cap, or would pass one.

        Args:
            expected: what is about to be spent; None asks only whether anything is left.
            what: how to call what is about to be done.

        Raises:
            CapReached: it has, or would.
        """
        now, caps, more = self.spent, self._run.recipe.caps, expected or Spent()
        limits = (
            ("--max-cost", self._run.recipe.prices.currency, caps.cost, now.cost, more.cost),
            ("--max-tokens", "tokens", caps.tokens, now.tokens, more.tokens),
            ("--max-hours", "hours", caps.hours, now.hours, more.hours),
        )
        for option, unit, cap, used, ahead in limits:
            if cap is None or (used + ahead <= cap and used < cap):
                continue
            about = f", and {what} may take {amount(ahead, unit)} more" if ahead else ""
            raise CapReached(
                f"{amount(used, unit)} spent{about}; the cap is {amount(cap, unit)}. Nothing is lost: the same command "
                f"with a higher {option} continues."
            )

    def at_checkpoint(self) -> None:
        """Training has come to a checkpoint: pause where the way to the next one is longer than the time that is left.

        Raises:
            CapReached: it is.
        """
        now = self._clock()
        since, self._checkpoint = now - self._checkpoint, now
        self.save()
        self.tell()
        self.check(Spent(seconds=since), f"training to the next checkpoint of `{self._stage}`")

    def _tally(self, requested: str | None, inside: int, out: int) -> None:
        of_prompts, of_completions = self._tallies[requested]
        of_prompts.add(inside)
        of_completions.add(out)


def amount(number: float, unit: str) -> str:
    """1,234.5 USD, 0.00312 USD, 12,345 tokens."""
    digits = f"{number:,.0f}" if unit == "tokens" else f"{number:,.2f}" if number >= 100 else f"{number:.3g}"
    return f"{digits} {unit}"


def prompt_limit(prompt: Prompt) -> int:
    """More tokens than a prompt has, in all likelihood: one for three bytes of UTF-8, where most scripts take more, and
    eight a message for the chat template's marks."""
    return sum(8 + math.ceil(len(message.content.encode()) / 3) for message in prompt.messages)
