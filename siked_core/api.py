"""siked from Python: a distillation in a few lines, its tables, and its student.

    from siked_core import distill

    found = distill(preset="pocket-smoke", settings={"strategies": ["cot", "pot"], "stopping.rounds": 1})
    found.rounds()            # a Polars data frame
    with found.solver() as solver:
        solver.solve(["Ann has 3 pens and buys 4 more. How many pens has Ann?"])

These are the functions that the commands call; a run that was begun here is continued by `siked distill`, and the other
way round.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core import loop, tidy
from siked_core.recipe import Recipe, resolve
from siked_core.recipe_check import check
from siked_core.registry import Registry
from siked_core.reporters import automatic
from siked_core.reporting import Reporter, SilentReporter
from siked_core.run import Run, attach, start
from siked_core.solve import find_student
from siked_core.solver import Solver
from siked_core.spending import keep_changes

if TYPE_CHECKING:
    import polars as pl

RUNS = Path("runs")


def distill(
    recipe: Recipe | Path | str | None = None,
    *,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    run: str | Path | None = None,
    runs: str | Path = RUNS,
    fork: bool = False,
    reporter: Reporter | None = None,
    registry: Registry | None = None,
) -> Distillation:
    """Distil a teacher's reasoning into a student, from wherever the run stands to its end.

    As `siked distill`: the same call continues an unfinished run of the very same recipe, and nothing that was
    generated, verified or trained is paid for twice.

    Args:
        recipe: a `Recipe`, or a YAML file; what it leaves open comes from the preset.
        preset: what it starts from ("pocket-smoke", or several: "qwen3-0.6b,gpu-24gb").
        settings: recipe keys and their values, e.g. `{"strategies": ["cot", "pot"], "training.epochs": 1}`; not to be
            given with a `Recipe`, which is whole.
        run: the run to make or continue: a name under `runs`, or a directory.
        fork: where that run has another recipe, make a new one that reuses all that is still valid.
        reporter: who is told of progress; None: a display under a notebook's cell, or lines on standard error.
        registry: the plugins; by default all that are installed.

    Raises:
        RecipeError, PluginError, ModelError, DataError: the recipe does not fit.
        RunError: the run cannot be used.
        CapReached: the run paused at one of its caps.
    """
    plugins = registry or Registry.discover()
    if isinstance(recipe, Recipe):
        if settings or preset:
            raise TypeError("A Recipe is whole: give a file, a preset or settings instead of it, not beside it.")
        resolved = recipe
    else:
        resolved = resolve(Path(recipe) if recipe is not None else None, settings, (), preset)
    check(resolved, plugins)
    told = reporter or automatic()
    name = None if run is None else str(run)
    with start(resolved, plugins, told, runs=Path(runs), name=name, fork=fork) as opened:
        told.note(f"{'Continuing' if opened.resumed else 'Run'} {opened.path}")
        keep_changes(opened)
        loop.distill(opened)
        return Distillation(opened.path, plugins)


def open_run(run: str | Path, *, runs: str | Path = RUNS, registry: Registry | None = None) -> Distillation:
    """A run that is there, finished or not; nothing of it is changed, and another process may be working on it.

    Raises:
        RunError: there is none.
    """
    plugins = registry or Registry.discover()
    with attach(run, plugins, SilentReporter(), runs=Path(runs), lock=False) as opened:
        return Distillation(opened.path, plugins)


@dataclass(frozen=True)
class Distillation:
    """A run, to look at. Tables are read from its directory each time that they are asked for; what their columns mean
    is in `siked_core.tidy.COLUMNS`."""

    path: Path
    """Its directory."""
    registry: Registry = field(repr=False)

    @property
    def recipe(self) -> Recipe:
        with self._opened() as run:
            return run.recipe

    @property
    def report(self) -> dict[str, Any] | None:
        """All that it found out (`report.json`); None while it is not finished."""
        path = self.path / "report.json"
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    @property
    def student(self) -> Path:
        """The folder of the student that it chose, or of its latest while it is not finished: a Hugging Face model.

        Raises:
            ModelError: none is trained yet.
        """
        return find_student(self.path)

    def rounds(self) -> pl.DataFrame:
        """A row for each round; accuracies are those on validation."""
        return self.table("rounds")

    def scores(self) -> pl.DataFrame:
        """Every accuracy that was measured, with its interval."""
        return self.table("scores")

    def samples(self, evaluations: bool = False) -> pl.DataFrame:
        """The samples with their verdicts; with `evaluations`, also the answers to validation and test questions."""
        return self.table("samples", evaluations)

    def mixtures(self) -> pl.DataFrame:
        """The rows that each student was trained on."""
        return self.table("mixtures")

    def questions(self) -> pl.DataFrame:
        """What became of each question that a student was scored on."""
        return self.table("questions")

    def table(self, name: str, evaluations: bool = False) -> pl.DataFrame:
        """Any table of the run, by its name in `siked_core.tidy.COLUMNS`.

        Samples that cannot be read, as while a pool is being filled, are left out with a warning.

        Args:
            evaluations: of `samples` and `attempts`, also the answers to validation and test questions.

        Raises:
            RunError: there is no such table, or a file that it is made from is damaged.
        """
        with self._opened() as run:
            return tidy.table(run, name, warnings.warn, evaluations=evaluations)

    def solver(self, allow_unsafe_exec: bool = False) -> Solver:
        """Its student, ready to be asked."""
        return Solver(self.path, registry=self.registry, allow_unsafe_exec=allow_unsafe_exec)

    @contextmanager
    def _opened(self) -> Iterator[Run]:
        with attach(str(self.path.absolute()), self.registry, SilentReporter(), lock=False) as run:
            yield run
