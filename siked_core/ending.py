"""When a run will end, as far as that can be told.

From its quote where it has one: what the steps that are left were quoted to take. Otherwise from what it measured
itself: a round takes as long as the one before it, and each student that is still to be trained or tested as long as
those that were. Where something that is left has never been measured, the end is unknown, and nothing is made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from siked_core.overview import Overview, Part, RoundView
from siked_core.quoted import predicted


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left of a run."""

    basis: Literal["quote", "rounds", "unknown"]
    seconds: float | None = None
    low: float | None = None
    """95 %, of a quote."""
    high: float | None = None
    sooner: bool = False
    """Whether the rule about rounds that do not pay may end it before that."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "basis": self.basis,
            "seconds": self.seconds,
            "low": self.low,
            "high": self.high,
            "sooner": self.sooner,
        }


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that is left, in a quote's terms."""

    round: int | None
    name: str
    parts: tuple[Part, ...]
    """Those of it that are not done."""


def ending(view: Overview) -> Ending | None:
    """What is left; None of a finished run."""
    if view.finished:
        return None
    left = list(_left(view))
    rounds = {step.round for step in left if step.round}
    sooner = bool(rounds) and len(view.rounds) > view.recipe.stopping.patience + 1
    said = _quoted(view.run)
    if said is not None and all((step.round, step.name) in said for step in left):
        figures = [said[step.round, step.name] for step in left]
        spent = [sum(part.seconds for part in step.parts) for step in left]
        low, expected, high = (
            sum(max(0.0, one[name] - took) for one, took in zip(figures, spent, strict=True))
            for name in ("low", "expected", "high")
        )
        least = _left_of_stages(view)
        return Ending("quote", max(expected, least), max(low, least), max(high, least), sooner)
    measured = [_measured(view, step) for step in left]
    if any(one is None for one in measured):
        return Ending("unknown", sooner=sooner)
    return Ending("rounds", max(sum(one or 0.0 for one in measured), _left_of_stages(view)), sooner=sooner)


def _left(view: Overview) -> Iterator[_Step]:
    for one in view.rounds:
        steps = {
            "teach" if one.number == 0 else "rollout": ("sample", "verify"),
            "train": ("mix", "train"),
            "evaluate": ("evaluate",),
        }
        for name, parts in steps.items():
            lacking = tuple(one.parts[part] for part in parts if one.parts[part].state != "done")
            if lacking:
                yield _Step(one.number, name, lacking)
    for name, part in view.after.items():
        yield _Step(None, name, (part,))


def _quoted(run: Path) -> dict[tuple[int | None, str], dict[str, float]] | None:
    try:
        found = predicted(run)
        return None if found is None else {(step["round"], step["step"]): step["seconds"] for step in found["steps"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _measured(view: Overview, step: _Step) -> float | None:
    """Seconds that a step may still take, as earlier ones did; None where there was none."""
    took = sum(part.seconds for part in step.parts)
    whole = _test(view) if step.name == "test" else _baselines(view) if step.name == "baselines" else None
    if step.round is not None:
        names = {"rollout": ("sample", "verify"), "train": ("mix", "train"), "evaluate": ("evaluate",)}.get(step.name)
        # What the teacher wrote is no measure of what the student writes.
        like = [one for one in view.rounds if one.number != step.round and (one.number or step.name != "rollout")]
        done = [one for one in like if names and all(one.parts[name].state == "done" for name in names)]
        if done:
            mine = view.rounds[step.round].parts
            lacking = [name for name in names or () if mine[name].state != "done"]
            whole = sum(done[-1].parts[name].seconds for name in lacking)
    if whole is None:
        return _left_now(view, step)
    return max(0.0, whole - took)


def _left_now(view: Overview, step: _Step) -> float | None:
    """Of a step that was never measured, and of which only the last part is left, what its own pace tells."""
    if len(step.parts) == 1 and step.parts[0].state == "under way" and view.stages and step.round is not None:
        return view.stages[-1].left
    return None


def _left_of_stages(view: Overview) -> float:
    return max((stage.left or 0.0 for stage in view.stages), default=0.0)


def _done(view: Overview, part: str) -> list[RoundView]:
    return [one for one in view.rounds if one.parts[part].state == "done"]


def _test(view: Overview) -> float | None:
    """The tests take as long a question as validation did: of the chosen student, of round 0, and of the baselines."""
    from siked_core.errors import SikedError
    from siked_core.pool import read_parquet

    scored = [one for one in _done(view, "evaluate") if one.card is not None and one.card.score.total]
    if not scored:
        return None
    last = scored[-1]
    questions = 0
    for name in dict.fromkeys([view.recipe.dataset.name, *(choice.name for choice in view.recipe.evaluate)]):
        try:
            questions += read_parquet(view.run / "problems" / f"{name}-test.parquet").height
        except (OSError, SikedError):
            return None
    students = (2 if view.recipe.stopping.rounds else 1) + _students(view)
    assert last.card is not None
    return last.parts["evaluate"].seconds / last.card.score.total * questions * students


def _baselines(view: Overview) -> float | None:
    trained = _done(view, "train")
    if not trained:
        return None
    if view.recipe.baselines == "single":
        return trained[0].parts["train"].seconds
    rounds = trained[0].parts["train"].seconds + (len(view.rounds) - 1) * trained[-1].parts["train"].seconds
    return rounds * _students(view)


def _students(view: Overview) -> int:
    """Baselines that are trained and tested."""
    singles = len(view.recipe.strategies) if len(view.recipe.strategies) > 1 else 0
    return {"none": 0, "single": singles, "combined": 1, "equal_budget": singles + 1}[view.recipe.baselines]
