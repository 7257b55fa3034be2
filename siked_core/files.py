"""Files that are whole or absent: written under a temporary name, synced, and renamed, so that a kill at any instant
leaves nothing torn."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from siked_core.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def content_of(path: Path) -> str | None:
    """A hash of a file's content; None where it cannot be read."""
    try:
        found = path.stat()
        return _content_of(path.absolute(), found.st_ino, found.st_mtime_ns, found.st_size)
    except OSError:
        return None


@lru_cache(maxsize=10_000)  # a command asks for it at several stages, and the file may be large
def _content_of(path: Path, inode: int, changed_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


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
