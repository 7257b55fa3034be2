"""What is left in a run's directory that nobody needs: by a process that was killed, or by a mistake in a recipe."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from siked_core.errors import DataError, PluginError, RecipeError

MISTAKES = (RecipeError, DataError, PluginError)
"""What is put right by another command, or another file: a run that was begun without is of no use."""
_BEGUN = {"manifest.json", "recipe.yaml", "run.lock", "problems", "journal"}


def tidy(run: Path) -> None:
    """Remove what a killed process was just writing: it is never whole."""
    for left in run.rglob(".*.tmp"):
        if left.is_file():
            with contextlib.suppress(OSError):
                left.unlink()


def discard(run: Path, error: BaseException | None) -> None:
    """Empty a run that this process made, where a mistake ended it before anything was done in it but reading problems.

    Its lock stays, and is to be released next.
    """
    if not isinstance(error, MISTAKES) or {one.name for one in run.iterdir()} - _BEGUN:
        return
    for name in _BEGUN - {"run.lock"}:
        with contextlib.suppress(OSError):
            shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
