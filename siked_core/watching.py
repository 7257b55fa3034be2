"""Whether a run works, and following it from outside: by looking again, which works over any file system."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from siked_core.ending import Ending, ending
from siked_core.errors import RunError
from siked_core.journal import EVENTS, FOLDER, NOW
from siked_core.lock import SILENCE_S, Owner, read
from siked_core.overview import Overview, overview

LOOK_S = 1.0
"""Between two looks."""
Condition = Literal["not begun", "running", "finished", "resting", "paused", "interrupted", "failed", "dead", "unsure"]
"""Of a run: dead where its process ended without a word, resting where a command for one stage of it is done, unsure
where another machine has it and has not been watched for long enough."""
ENDED = ("finished", "resting", "paused", "interrupted", "failed", "dead")


@dataclass(slots=True)
class Sight:
    """One look at a run."""

    view: Overview
    condition: Condition
    owner: Owner | None
    """Whose process has it open, or had."""
    ends: Ending | None


class Watcher:
    """Looks at a run, again and again. It knows how long ago something changed, whatever the clock of the machine that
    writes may say."""

    def __init__(self, run: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = run
        self._clock = clock
        self._seen: tuple[object, float] = (None, clock())
        self._beat: tuple[object, float, bool] = (None, clock(), False)
        """The beat, since when it is the same, and whether it has been seen to change."""

    def look(self, *, count: bool = False) -> Sight:
        """How the run stands.

        Raises:
            RunError: there is none.
            RecipeError: its recipe does not fit this version of siked.
        """
        if not (self.run / "manifest.json").exists():
            known = ", ".join(sorted(one.parent.name for one in self.run.parent.glob("*/manifest.json"))) or "none"
            raise RunError(f"There is no run at {self.run}. Runs under {self.run.parent}: {known}.")
        state = _state(self.run / FOLDER / NOW)
        if state != self._seen[0]:
            self._seen = (state, self._clock())
        owner, beat = read(self.run / "run.lock")
        later = self._clock() - self._seen[1]
        view = overview(self.run, later if owner is not None else 0.0, count=count)
        condition = self._condition(view, owner, beat)
        if condition not in ("running", "unsure"):
            for stage in view.stages:
                stage.rate = None
        return Sight(view, condition, owner, ending(view))

    def settle(self) -> Sight:
        """Look, and where another machine has the run, watch its lock until it is known whether that machine lives."""
        until = self._clock() + SILENCE_S
        while True:
            sight = self.look(count=True)
            if sight.condition != "unsure" or self._clock() > until:
                return sight
            time.sleep(LOOK_S / 2)

    def _condition(self, view: Overview, owner: Owner | None, beat: str | None) -> Condition:
        if owner is not None or beat is not None:
            lives = self._lives(owner, beat)
            if lives is None:
                return "unsure"
            if lives:
                return "running"
        if view.finished:
            return "finished"
        if not view.begun and not view.stages and not view.state:
            return "not begun"
        if view.state in ("resting", "paused", "interrupted", "failed"):
            return view.state  # type: ignore[return-value]
        # The journal was not closed, or the lock is there without its process.
        return "dead" if view.state == "working" or owner is not None else "resting"

    def _lives(self, owner: Owner | None, beat: str | None) -> bool | None:
        """Whether who holds the lock lives; None while that is not known."""
        if owner is not None and owner.is_here:
            return owner.lives
        key = (owner, beat)
        if key != self._beat[0]:
            self._beat = (key, self._clock(), self._beat[0] is not None)
        _, since, changed = self._beat
        silent = self._clock() - since
        if changed:
            return silent < SILENCE_S
        return None if silent < SILENCE_S else False


def _state(path: Path) -> object:
    try:
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    except OSError:
        return None


def events_file(run: Path) -> Path:
    """Where a run's events are."""
    return run / FOLDER / EVENTS


def as_dict(sight: Sight) -> dict[str, Any]:
    """One look as plain values: what `siked watch --json` writes."""
    view = sight.view
    spent, caps = view.spent, view.recipe.caps
    return {
        "run": str(view.run),
        "state": sight.condition,
        "why": view.why if sight.condition in ("paused", "failed") else "",
        "host": sight.owner.host if sight.owner and sight.condition in ("running", "unsure", "dead") else None,
        "pid": sight.owner.pid if sight.owner and sight.condition in ("running", "unsure", "dead") else None,
        "now": [stage.as_dict() for stage in view.stages] if sight.condition in ("running", "unsure", "dead") else [],
        "rounds": [
            {
                "round": one.number,
                "state": one.state,
                "parts": {name: {"state": p.state, "seconds": p.seconds} for name, p in one.parts.items()},
                "validation": one.card.score.as_dict() if one.card else None,
                "shares": {each.strategy: each.share for each in one.card.strategies} if one.card else {},
            }
            for one in view.rounds
        ],
        "after": {name: {"state": part.state, "seconds": part.seconds} for name, part in view.after.items()},
        "tests": {card.dataset: card.score.as_dict() for card in view.tests},
        "chosen_round": view.chosen_round,
        "stopped": view.stopped,
        "spent": {
            **{n: getattr(spent, n) for n in ("samples", "tokens_in", "tokens_out", "cost", "seconds")},
            "currency": view.currency,
        }
        if spent
        else None,
        "caps": caps.model_dump(),
        "ends": sight.ends.as_dict() if sight.ends else None,
        "messages": view.messages,
    }
