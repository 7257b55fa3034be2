"""A folder of files that are written once and whole: on this machine, or at a URL (`siked_core.remote`).

A file is known by its name below the folder, as "pools/teacher/00000000-0123456789abcdef.parquet".
"""

from __future__ import annotations

import contextlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from siked_core.errors import RunError
from siked_core.files import replacing, unwritable


class Place(ABC):
    """Such a folder, wherever it is."""

    @abstractmethod
    def __truediv__(self, name: str) -> Place:
        """A folder in it."""

    @abstractmethod
    def __str__(self) -> str:
        """As a person would write it."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of every file in it, however deep, in their alphabetical order. Empty where it does not exist."""

    @abstractmethod
    def entries(self) -> list[str]:
        """The names of the files and folders that lie directly in it, in no order. Empty where it does not exist."""

    @abstractmethod
    def read(self, names: Sequence[str]) -> Iterator[bytes]:
        """The contents of files, in the order of `names`.

        Raises:
            RunError: one is missing or cannot be read.
        """

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            RunError: it cannot be written.
        """

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a small file unless there is one of that name, in one step where the place knows such a step: whether
        it was written."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

    @abstractmethod
    def move(self, name: str, new: str) -> None:
        """Give a file of this folder another name in it. One that is missing is passed over."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """The bytes of every file in it, however deep, by name, in no order. Empty where it does not exist."""

    def size(self) -> int:
        """Bytes of all files in it."""
        return sum(self.sizes().values())

    def file(self, name: str) -> str:
        """Where a file of this folder is, as a person would write it."""
        return f"{self}/{name}"


class LocalPlace(Place):
    """A folder of a file system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> LocalPlace:
        return LocalPlace(self.path / name)

    def __str__(self) -> str:
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalPlace) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def names(self) -> list[str]:
        return sorted(self.sizes())

    def entries(self) -> list[str]:
        return [path.name for path in self.path.glob("*")]

    def read(self, names: Sequence[str]) -> Iterator[bytes]:
        for name in names:
            try:
                content = (self.path / name).read_bytes()
            except OSError as error:
                raise RunError(f"Cannot read {self.path / name}: {error.strerror or error}.") from None
            yield content

    def write(self, name: str, content: bytes) -> None:
        with replacing(self.path / name) as temporary:
            temporary.write_bytes(content)

    def create(self, name: str, content: bytes) -> bool:
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            return False
        except OSError as error:
            raise unwritable(path, error) from None
        return True

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).unlink()

    def move(self, name: str, new: str) -> None:
        place = self.path / new
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(self.path / name, place)
        except FileNotFoundError:
            return
        except OSError as error:
            raise unwritable(place, error) from None

    def sizes(self) -> dict[str, int]:
        return dict(_sizes(str(self.path)))

    def file(self, name: str) -> str:
        return str(self.path / PurePosixPath(name))

    def link(self, target: Path) -> None:
        """Take the folder over as `target`. Files are linked where the file system can (they are replaced whole, never
        written into), else copied. One that does not exist is passed over.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """

        def take(source: str, destination: str) -> str:
            try:
                os.link(source, destination)
            except OSError:
                return str(shutil.copy2(source, destination))
            return destination

        if self.path.exists():
            try:
                shutil.copytree(self.path, target, ignore=shutil.ignore_patterns(".*.tmp"), copy_function=take)
            except OSError as error:
                raise unwritable(target, error) from None


def _sizes(folder: str, prefix: str = "") -> Iterator[tuple[str, int]]:
    try:
        found = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _sizes(entry.path, f"{name}/")
        elif entry.is_file() and not name.endswith(".tmp"):
            with contextlib.suppress(FileNotFoundError):  # it was being written, or is sent meanwhile
                yield name, entry.stat().st_size
