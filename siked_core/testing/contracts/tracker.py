"""What every tracker must do.

It is really opened, and told of runs that there were not: give it options, or its client an environment, by which these
go where nobody minds.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import math
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from siked_core.contracts import Figures, TrackedRun, Tracker
from siked_core.testing.contracts.contract import NOT_HERE, Contract, described, shown

BEGAN = 1_700_000_000.0
MANY = 500
"""Figures that are sent at once, at most."""
MISTAKES = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, TypeError)
"""What code raises that is wrong; whatever else hinders a tracker is the world's fault."""
CONFIG: Mapping[str, Any] = {
    "seed": 1,
    "training.learning_rate": 2e-5,
    "mixing.transforms": "",
    "student.adapter": None,
    "rollout.rationalise": False,
    "teacher.generator.options.instruction": "Think.\n| a | [b]bold[/b] {x} %s ${HOME} | é \u2028" + "and so on " * 900,
    **{f"strategies.an-odd_name.{number}": number for number in range(150)},
}
"""A recipe as a tracker sees it."""
SUMMARY: Mapping[str, float | str] = {
    "chosen_round": 1.0,
    "stopped": "no better for 2 rounds | [b]",
    "test/a data set/accuracy": 0.5,
    "test/sums/round-0/low": math.nan,
}
ODD_NAMES = ("grad_norm", "rewards/chosen", "p (%)", "entropy/µ é", "a//b", "/rooted", "../up", "a|b[c]", "x" * 300, "")
ODD_VALUES = (math.nan, math.inf, -math.inf, -0.0, 1e308, 5e-324, 12345678901234567890.0)


class TrackerContract(Contract):
    """Takes every figure that a run can have, goes on where it was, and leaves the run as it is."""

    plugin: type[Tracker]

    def test_its_class_is_found_in_another_process(self) -> None:
        """Its class stands in its module under its own name: a tracker is made in a process beside the run."""
        found: Any = importlib.import_module(self.plugin.__module__)
        for part in self.plugin.__qualname__.split("."):
            found = getattr(found, part, None)
        self.check(
            found is self.plugin,
            f"{self.plugin.__module__} holds {shown(found)} as {self.plugin.__qualname__}",
            "Define the class at the top of a module, under the name that it keeps there.",
        )

    def test_a_run_goes_on_by_what_it_is_known_as(self) -> None:
        """`open` returns what the run is known by there, a text in one line; opened again with that, by another process
        and also where nothing was logged before, it goes on and returns the same."""
        with self._opened() as (_, known):
            pass
        self.check(
            isinstance(known, str) and bool(known.strip()) and known.isprintable(),
            f"open returned {shown(known)}",
            "Return the id by which the client finds the run again; a name of your choice where it has none.",
        )
        for first in (1, 3):
            with self._opened(known) as (tracker, again):
                self._log(tracker, self._steps("train/round-0", first, 2))
            self.check(
                again == known,
                f"opened with {shown(known)}, it returned {shown(again)}",
                "Where run.id is not None, go on with that run and return its id.",
            )

    def test_it_takes_every_figure(self) -> None:
        """`log` takes figures of several series, of odd names, not finite, very large and small, without values, none
        at all, and 500 at once."""
        series = ("round", "spent", "train/round-0", "train/a student [b]")
        with self._opened() as (tracker, _):
            self._log(tracker, [])
            for name in ODD_NAMES:
                self._log(tracker, [Figures("train/odd", 1 + ODD_NAMES.index(name), {name: 0.5}, BEGAN)])
            for step, value in enumerate(ODD_VALUES, 1):
                self._log(tracker, [Figures("train/values", step, {"loss": value}, BEGAN + step)])
            self._log(tracker, [Figures(one, 10**9, {}, BEGAN) for one in series])
            self._log(tracker, [one for name in series for one in self._steps(name, 0, MANY // len(series))])

    def test_a_finished_run_can_be_sent_again(self) -> None:
        """`finish` comes after `log`, with numbers and texts or nothing, and again when the run is opened again."""
        known = None
        for summary in (SUMMARY, SUMMARY, {}):
            with self._opened(known) as (tracker, known):
                self._log(tracker, self._steps("round", 0, 2) if known is None else [])
                self.tried(
                    f"finish with {shown(summary)}",
                    lambda tracker=tracker, summary=summary: tracker.finish(dict(summary)),  # type: ignore[misc]
                    "Take numbers, also nan, and texts; a run that has finished before may finish again.",
                )

    def test_it_changes_nothing_of_a_run(self) -> None:
        """In the run's directory it writes into `run.folder` alone, and it leaves what it is given as it is."""
        (self._run / "recipe.yaml").write_text("seed: 1\n")
        before = self._rest()
        figures = self._steps("round", 0, 3)
        config, kept, summary = dict(CONFIG), copy.deepcopy(figures), dict(SUMMARY)
        with self._opened(config=config) as (tracker, _):
            self._log(tracker, figures)
            tracker.finish(summary)
        after = self._rest()
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        self.check(
            not changed,
            f"it changed {', '.join(map(shown, changed))}",
            "Keep what you keep in run.folder: it is yours.",
        )
        self.check(
            config == CONFIG and figures == kept and repr(summary) == repr(dict(SUMMARY)),
            "it changed the recipe, the figures or the summary that it was given",
            "Make a dict of your own, {**figures.values}, before you change it.",
        )

    def test_it_adds_no_environment_and_no_command_line(self) -> None:
        """What it keeps in its folder has nothing in it of the environment or of the command line, which may hold
        secrets."""
        variable, argument = secrets.token_hex(16), secrets.token_hex(16)
        given, os.environ["SIKED_CONTRACT_TOKEN"] = list(sys.argv), variable
        sys.argv.append(f"--api-key={argument}")
        try:
            with self._opened() as (tracker, _):
                self._log(tracker, self._steps("round", 0, 2))
                tracker.finish(dict(SUMMARY))
        finally:
            sys.argv[:] = given
            del os.environ["SIKED_CONTRACT_TOKEN"]
        for path in self._mine.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            for what, secret in (("the environment", variable), ("the command line", argument)):
                self.check(
                    secret.encode() not in content,
                    f"{path.relative_to(self._mine)} holds {what}",
                    "Send only what `open`, `log` and `finish` are given, and switch off what a client adds by itself.",
                )

    # What these use

    @property
    def _run(self) -> Path:
        run = self.folder / "siked-contract [b] é"
        run.mkdir(exist_ok=True)
        return run

    @property
    def _mine(self) -> Path:
        """The tracker's own folder."""
        mine = self._run / "trackers" / self.plugin.name
        mine.mkdir(parents=True, exist_ok=True)
        return mine

    def _rest(self) -> dict[str, bytes | None]:
        """The run's directory without the tracker's folder: what is in each file."""
        mine = self._mine
        return {
            str(path.relative_to(self._run)): path.read_bytes() if path.is_file() else None
            for path in self._run.rglob("*")
            if mine not in (path, *path.parents)
        }

    @contextlib.contextmanager
    def _opened(self, known: str | None = None, config: Mapping[str, Any] = CONFIG) -> Iterator[tuple[Tracker, str]]:
        """A new tracker, opened as a process of its own does, and by what the run is known."""
        tracker: Tracker = self.made()
        self._made.remove(tracker)  # it is closed here
        known = None if known is None else json.loads(json.dumps(known))
        run = TrackedRun(self._run.name, self._mine, dict(config) if config is CONFIG else config, BEGAN, known)
        try:
            tracker.check_machine()
            found = tracker.open(run)
        except NOT_HERE as error:
            self.skip(str(error))
        except Exception as error:
            self.check(
                not isinstance(error, MISTAKES),
                f"open raised {described(error)}",
                "Any name of a run, and any plain values in its recipe, must do.",
            )
            self.skip(f"it cannot be opened here: {described(error)}")
        try:
            yield tracker, found
        finally:
            self.tried("close", tracker.close, "Close what is open, whatever came before.")

    def _log(self, tracker: Tracker, figures: Sequence[Figures]) -> None:
        self.tried(
            f"log of {len(figures)} figures, such as {shown(figures[:1])}",
            lambda: tracker.log(figures),
            "Replace in a name what your client refuses, and leave out a value that it does not take.",
        )

    def _steps(self, series: str, first: int, number: int) -> list[Figures]:
        return [
            Figures(series, step, {"loss": 1 / (1 + step), "validation/accuracy": 0.5}, BEGAN + step)
            for step in range(first, first + number)
        ]
