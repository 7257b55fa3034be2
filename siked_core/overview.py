"""A run at a glance, from its directory alone: what is done, what it does now, what it found, what comes next.

Whoever looks need not be the run, nor on its machine: nothing is locked and nothing is written. Each file is replaced
whole, so a look finds it as it was before or after.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from siked_core.journal import read_now
from siked_core.manifest import read_manifest
from siked_core.now import StageNow
from siked_core.quoted import step_of
from siked_core.recipe import Recipe, validate
from siked_core.scorecard import Scorecard
from siked_core.spending import Spent, is_priced, spent

PARTS = ("sample", "verify", "mix", "train", "evaluate")
"""What a round does, in order. In round 0 the teacher is sampled."""
AFTER = ("baselines", "test")
"""What comes after the last round."""
State = Literal["to come", "under way", "done"]


@dataclass(slots=True)
class Part:
    """What a round, or the end of a run, does in one go."""

    state: State = "to come"
    seconds: float = 0.0
    """That it has taken so far."""


@dataclass(slots=True)
class RoundView:
    """A round, as far as it has come."""

    number: int
    parts: dict[str, Part]
    card: Scorecard | None = None
    """How its student fared on validation."""

    @property
    def state(self) -> State:
        states = {part.state for part in self.parts.values()}
        return "done" if states == {"done"} else "to come" if states == {"to come"} else "under way"

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.parts.values())


@dataclass(slots=True)
class Overview:
    """A run, as it stands."""

    run: Path
    recipe: Recipe
    finished: bool
    stages: list[StageNow]
    """What it is doing; what it was doing, where its process is gone."""
    rounds: list[RoundView]
    """All that its recipe allows."""
    after: dict[str, Part]
    tests: list[Scorecard]
    """The chosen student's, on the run's own and other data sets."""
    spent: Spent | None
    """None where that cannot be told from here."""
    messages: list[str]
    """The latest warnings."""
    state: str
    """What the journal says last: working, finished, resting, paused, interrupted, failed; empty without one."""
    why: str
    chosen_round: int | None = None
    stopped: str = ""
    """Why the rounds ended, of a finished run."""
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def currency(self) -> str:
        """Empty where nothing has a price."""
        return self.recipe.prices.currency if is_priced(self.recipe) else ""

    @property
    def begun(self) -> bool:
        return bool(self.manifest.get("stages"))


def overview(run: Path, later: float = 0.0, *, count: bool = False) -> Overview:
    """Look at a run.

    Args:
        later: seconds since its journal was seen to change, by which what is under way has gone on.
        count: count what was spent from the samples where the journal does not tell: it takes longer.

    Raises:
        RunError: there is none, or its manifest cannot be read.
        RecipeError: its recipe does not fit this version of siked.
    """
    manifest = read_manifest(run)
    recipe = validate(manifest["recipe"])
    now = read_now(run) or {}
    report = _report(run)
    state = str(now.get("state", ""))
    stages = [StageNow.from_dict(one, later) for one in now.get("stages", ())]
    cards = _scorecards(run)
    home = recipe.dataset.name
    last = len(report["rounds"]) - 1 if report else recipe.stopping.rounds
    rounds = [
        RoundView(number, {part: Part() for part in PARTS}, cards.get((f"round-{number}", home, "validation")))
        for number in range(last + 1)
    ]
    after = {name: Part() for name in AFTER if name == "test" or recipe.baselines != "none"}
    for stage, entry in manifest["stages"].items():
        part = _part_of(stage, rounds, after)
        if part is not None:
            part.seconds += float(entry.get("seconds", 0.0))
            part.state = "done" if entry.get("state") == "done" and part.state != "under way" else "under way"
    for view in rounds:
        if view.card is None and view.parts["evaluate"].state == "done":
            view.parts["evaluate"].state = "under way"  # answered, but not judged yet
    if not manifest["finished"]:
        for part in after.values():
            part.state = "under way" if part.seconds else "to come"
    chosen = report["chosen_round"] if report else None
    return Overview(
        run=run,
        recipe=recipe,
        finished=bool(manifest["finished"]),
        stages=stages,
        rounds=rounds,
        after=after,
        tests=[card for (student, _, split), card in cards.items() if split == "test" and student == f"round-{chosen}"],
        spent=_spent(run, recipe, now, later, count),
        messages=[str(one.get("text", "")) for one in now.get("messages", ())],
        state=state,
        why=str(now.get("why", "")),
        chosen_round=chosen,
        stopped=report["stopped"] if report else "",
        manifest=manifest,
    )


def _part_of(stage: str, rounds: list[RoundView], after: dict[str, Part]) -> Part | None:
    """The part that a stage of the manifest belongs to."""
    key = step_of(stage)
    if key is None:
        return None
    number, step = key
    if number is None:
        return after.get(step)
    if number >= len(rounds):
        return None
    kind = stage.partition(" ")[0]
    name = {"teach": "sample", "rollout": "sample"}.get(kind, kind)
    return rounds[number].parts.get("evaluate" if step == "evaluate" else name)


def _report(run: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((run / "report.json").read_text(encoding="utf-8"))
        return found if {"rounds", "chosen_round", "stopped"} <= found.keys() else None
    except (OSError, ValueError, AttributeError):
        return None


def _scorecards(run: Path) -> dict[tuple[str, str, str], Scorecard]:
    found = {}
    for path in sorted((run / "scorecards").glob("*.json")):
        try:
            card = Scorecard.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another version's, or damaged: `siked run check` says so
        found[card.student, card.dataset, card.split] = card
    return found


def _spent(run: Path, recipe: Recipe, now: Mapping[str, Any], later: float, count: bool) -> Spent | None:
    told = now.get("spent")
    if told is not None:
        return Spent(
            **{name: told[name] for name in ("samples", "tokens_in", "tokens_out", "cost", "seconds")}
        ) + Spent(seconds=later if now.get("state") == "working" else 0.0)
    if not count:
        return None
    from siked_core.errors import SikedError

    try:
        return spent(run, recipe)
    except SikedError:  # a store that does not answer hides nothing else
        return None
