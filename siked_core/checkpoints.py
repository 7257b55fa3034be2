"""Checkpoints of a training that is under way: sealed once they are whole, so that none is resumed that is not.

A checkpoint is a folder of several files, and a kill, a full disk or a bad sector may leave some of them out or torn;
the trainer would resume without its optimizer's state and say nothing. The seal is written last, with every file's
size and digest. Which checkpoint is the newest is told by its step, never by a clock.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from siked_core.files import sync, write_text

SEAL = "siked-seal.json"


def seal(checkpoint: Path) -> None:
    """Say that a checkpoint is whole.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    files = [path for path in sorted(checkpoint.rglob("*")) if path.is_file() and path.name != SEAL]
    for path in files:
        sync(path)
    content = {path.relative_to(checkpoint).as_posix(): [path.stat().st_size, _digest(path)] for path in files}
    write_text(checkpoint / SEAL, json.dumps(content, indent=2) + "\n")


def fault(checkpoint: Path) -> str:
    """What a checkpoint lacks; empty where it is whole."""
    try:
        content = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        for name, (size, digest) in content.items():
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size or _digest(path) != digest:
                return f"{name} is damaged"
    except FileNotFoundError:
        return "it was not written to its end"
    except (OSError, ValueError, TypeError) as error:
        return f"its seal cannot be read: {error}"
    return ""


def newest_whole(checkpoints: Path) -> Path | None:
    """The checkpoint to go on from. Later ones, which are not whole, are removed: they would be written into again."""
    for checkpoint in reversed(in_order(checkpoints)):
        if not fault(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint, ignore_errors=True)
    return None


def keep_newest(checkpoints: Path, count: int) -> None:
    """Remove all but the last ones. (The trainer goes by modification times: after a clock has been set back it would
    remove the newest.)"""
    for checkpoint in in_order(checkpoints)[:-count]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def in_order(checkpoints: Path) -> list[Path]:
    """By optimiser step."""
    return sorted(checkpoints.glob("checkpoint-*"), key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:32]
