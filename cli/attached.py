"""Opens an existing run for a command that does one stage of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_cli.output import Output, warn_of_unsafe_exec
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from siked_core.recipe import Recipe
    from siked_core.run import Run


@contextmanager
def open_run(
    name: str,
    runs: Path,
    no_plugin: Sequence[str] | None,
    json: bool,
    quiet: bool,
    plain: bool,
    changes: Mapping[str, Any] | None = None,
    *,
    kept: Mapping[str, Any] | None = None,
    allow_unsafe_exec: bool = False,
) -> Iterator[tuple[Run, Output]]:
    """The run, locked, and where to write.

    Args:
        changes: recipe keys (section.key) that have another value this once; the stored recipe stays as it is.
        kept: the same of keys that are no part of what makes the run (prices, caps); these are stored.
        allow_unsafe_exec: this once, programs may run even where they cannot be caged.

    Raises:
        RunError: there is no such run, or another process has it open.
        RecipeError, PluginError: a change does not fit, or a plugin that the run needs cannot be used.
    """
    from siked_core.recipe_check import check
    from siked_core.run import attach
    from siked_core.spending import check_caps, keep_changes

    output = Output(json=json, quiet=quiet, plain=plain)
    with attach(name, open_registry(no_plugin), output.reporter, runs=runs) as run:
        if kept:
            run.recipe = _changed(run.recipe, kept)
            check_caps(run.recipe)
            keep_changes(run)
        if changes:
            run.recipe = _changed(run.recipe, changes)
        if allow_unsafe_exec:
            run.recipe = run.recipe.model_copy(update={"allow_unsafe_exec": True})
        check(run.recipe, run.registry)
        warn_of_unsafe_exec(run.recipe.allow_unsafe_exec, output)
        yield run, output


def known_pools(run: Path) -> list[str]:
    """ "teacher", "round-1", ... : those that hold samples, in the order in which they were drawn; then
    "hinted/round-1", ... : what was asked again with the answer told."""
    from siked_core.hint import is_hinted
    from siked_core.spending import pools

    names = pools(run)
    return [*_in_order(name for name in names if "/" not in name), *_in_order(filter(is_hinted, names))]


def known_students(run: Path) -> list[str]:
    """ "only-cot", "round-0", "round-1", ...: the latest round is the last."""
    return _in_order(path.name for path in (run / "students").glob("*") if (path / "config.json").exists())


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    from siked_core.recipe import validate

    content: dict[str, Any] = recipe.model_dump(mode="json")
    for dotted, value in changes.items():
        section, key = dotted.split(".", 1)
        content[section][key] = value
    return validate(content)


def _in_order(names: Iterator[str]) -> list[str]:
    def key(name: str) -> tuple[int, str]:
        number = re.fullmatch(r"(?:hinted/)?round-(\d+)", name)
        return (int(number[1]) if number else -1, name)

    return sorted(names, key=key)
