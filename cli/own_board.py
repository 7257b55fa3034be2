"""The board of the run that this very process works on, looked at again every few seconds."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from siked_cli.board import board
from siked_core.errors import SikedError
from siked_core.watching import Sight, Watcher

LOOK_S = 1.0


class OwnBoard:
    """Draws the run in so many columns. What cannot be read just now stays as it was: no run ends for its picture."""

    def __init__(self, run: Path, encoding: str = "utf-8") -> None:
        self._watcher = Watcher(run)
        self._encoding = encoding
        self._sight: Sight | None = None
        self._looked = 0.0

    def __call__(self, width: int) -> RenderableType:
        if time.monotonic() - self._looked >= LOOK_S:
            with contextlib.suppress(SikedError, OSError, ValueError, KeyError, TypeError):
                self._sight = self._watcher.look()
            self._looked = time.monotonic()
        return Text() if self._sight is None else board(self._sight, width, self._encoding)
