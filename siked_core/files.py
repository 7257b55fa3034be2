"""Files that are whole or absent: written under a temporary name, synced, and renamed, so that a kill at any instant
leaves nothing torn."""

from __future__ import annotations

import os
from pathlib import Path

from siked_core.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class replacing:  # noqa: N801 - a context manager that reads as a verb
    """Give a temporary path beside `path`; on success sync it and rename it to `path`, else remove it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")

    def __enter__(self) -> Path:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from None
        return self.temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                sync(self.temporary)
                os.replace(self.temporary, self.path)
                sync(self.path.parent)
        except OSError as failure:
            self.temporary.unlink(missing_ok=True)
            raise unwritable(self.path, failure) from None
        if error is not None:
            self.temporary.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise unwritable(self.path, error) from None


def unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"Cannot write {path}: {error.strerror or error}. What was finished before is kept; make room or permit "
        "writing, and run the same command again."
    )


def sync(path: Path) -> None:
    """Have a file or a folder's entries on the disk, not only in the system's memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
