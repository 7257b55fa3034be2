"""A run or a recipe, for commands that look at what a run would do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from siked_cli.output import Output
from siked_cli.recipe_command import resolve_file
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from siked_core.run import Run


@contextmanager
def either(
    source: str | None,
    preset: str | None,
    assignments: Sequence[str],
    runs: Path,
    no_plugin: Sequence[str] | None,
    output: Output,
) -> Iterator[Run]:
    """The run that is named, or one of the recipe, which is removed again.

    Args:
        source: a run's name or directory, or a recipe file; None is the preset alone.

    Raises:
        RunError: there is no such run, or one that is to have another preset.
        RecipeError, PluginError, ModelError, DataError: the recipe does not fit.
    """
    from siked_core.errors import RunError
    from siked_core.recipe_check import check
    from siked_core.recipe_storage import StorageRecipe
    from siked_core.run import attach, locate, start

    registry = open_registry(no_plugin)
    is_file = source is not None and Path(source).is_file()
    if source is not None and not is_file and Path(source).suffix not in (".yaml", ".yml"):
        if (locate(source, runs) / "manifest.json").exists() and (preset or assignments):
            raise RunError(f"{source} is a run, and has a recipe: --preset and --set are for a recipe.")
        with attach(source, registry, output.reporter, runs=runs, lock=False) as run:
            yield run
        return
    recipe = resolve_file(Path(source) if source is not None else None, {}, assignments, preset)
    check(recipe, registry)
    recipe = recipe.model_copy(update={"storage": StorageRecipe()})  # whatever is at its URL is left alone
    with (
        tempfile.TemporaryDirectory(prefix="siked-") as folder,
        start(recipe, registry, output.reporter, runs=Path(folder)) as run,
    ):
        yield run
