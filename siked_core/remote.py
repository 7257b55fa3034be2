"""A folder at a URL that fsspec knows: an object store as a rule (s3://, gs://, abfs://), memory:// for tests.

Such a store puts an object in one step, so nothing is renamed. Before it is sent, a file is kept whole on this machine
(`unsent`), and it goes from there when the store has been seen to hold it: whatever ends the sending, a lost connection
or a kill, nothing that was written is lost, and it is sent the next time. Until then it is read from here.

fsspec's file systems try again by themselves, with growing pauses. What fails in the end is told in one line. No
credential is taken from anyone: the stores' own libraries find theirs in the environment or their own files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from siked_core.errors import StoreError
from siked_core.place import LocalPlace, Place

BATCH = 64
"""Files that are fetched at once: many are small, and a store takes long to begin an answer."""
LOCAL = ("file", "local")
SECRET = re.compile(r"key|secret|token|passw|passphrase|credential|connection_string|^sas|_sas", re.IGNORECASE)
"""What the names of secrets have in them."""


class RemotePlace(Place):
    """A folder of a file system that fsspec knows.

    Args:
        system: that file system.
        root: the folder, as that file system calls it.
        url: the folder, as a person would write it.
        unsent: where files wait that the store does not hold yet.
    """

    def __init__(self, system: Any, root: str, url: str, unsent: Path) -> None:
        self.system, self._root, self._url, self._unsent = system, root, url, LocalPlace(unsent)

    def __truediv__(self, name: str) -> RemotePlace:
        return RemotePlace(self.system, f"{self._root}/{name}", f"{self._url}/{name}", self._unsent.path / name)

    def __str__(self) -> str:
        return self._url

    def names(self) -> list[str]:
        waiting = self._unsent.names()  # first: what is sent meanwhile is then in both
        return sorted({*waiting, *self._held()})

    def entries(self) -> list[str]:
        waiting = self._unsent.entries()
        with _told("list", self._url):
            self.system.invalidate_cache()  # another process may have written since
            try:
                found = self.system.ls(self._root, detail=False)
            except FileNotFoundError:
                found = []
        return list({*waiting, *(str(path).rstrip("/").rpartition("/")[2] for path in found)})

    def read(self, names: Sequence[str]) -> Iterator[bytes]:
        for start in range(0, len(names), BATCH):
            yield from self._fetch(names[start : start + BATCH])

    def write(self, name: str, content: bytes) -> None:
        self._unsent.write(name, content)
        self.send(name)

    def send(self, name: str) -> None:
        """Send a file that waits.

        Raises:
            StoreError: the store does not take it. It waits on.
        """
        path = self._unsent.path / name
        content = path.read_bytes()
        try:
            with _told("write", self.file(name)):
                self.system.pipe_file(self._path(name), content)
                self.system.invalidate_cache()
                held = self.system.info(self._path(name))["size"]
                if held != len(content):
                    raise OSError(f"of {len(content):,} bytes that were sent, the store holds {held:,}")
        except StoreError as error:
            raise StoreError(f"{error} What was to be written is kept in {self._unsent.path}.") from None
        path.unlink()

    def send_waiting(self) -> int:
        """Send every file that waits: how many.

        Raises:
            StoreError: the store does not take one.
        """
        waiting = self._unsent.names()
        for name in waiting:
            self.send(name)
        return len(waiting)

    def create(self, name: str, content: bytes) -> bool:
        with _told("write", self.file(name)):
            try:
                self.system.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return False
        return True

    def remove(self, name: str) -> None:
        with _told("remove", self.file(name)):
            try:
                self.system.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def move(self, name: str, new: str) -> None:
        waiting = self._unsent.path / name
        if waiting.exists():
            self._unsent.move(name, new)
            return
        with _told("move", self.file(name)):
            try:
                self.system.cp_file(self._path(name), self._path(new))
                self.system.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def sizes(self) -> dict[str, int]:
        waiting = self._unsent.sizes()  # first: what is sent meanwhile is then in both
        return {**waiting, **self._held()}

    def copy_from(self, other: RemotePlace, names: Sequence[str]) -> None:
        """Take over files of another folder of the same file system: they do not pass through this machine."""
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            with _told("write", self._url):
                self.system.copy([other._path(name) for name in batch], [self._path(name) for name in batch])

    def unsent(self) -> list[str]:
        """The names of the files that wait."""
        return self._unsent.names()

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _held(self) -> dict[str, int]:
        """Name -> bytes of what the store itself holds."""
        with _told("list", self._url):
            self.system.invalidate_cache()
            found = self.system.find(self._root, detail=True)
        return {path.removeprefix(f"{self._root}/"): int(entry["size"]) for path, entry in found.items()}

    def _fetch(self, names: Sequence[str]) -> Iterator[bytes]:
        contents: dict[str, bytes] = {}
        for name in names:
            try:
                contents[name] = (self._unsent.path / name).read_bytes()
            except OSError:
                continue
        paths = {self._path(name): name for name in names if name not in contents}
        if paths:
            with _told("read", self._url):
                contents |= {paths[path]: content for path, content in self.system.cat(list(paths)).items()}
        for name in names:
            yield contents[name]


def open_place(url: str, options: Mapping[str, Any], unsent: Path) -> Place:
    """The folder at a URL. Nothing is asked of it yet.

    Args:
        options: of fsspec's file system.
        unsent: where files wait that a store does not hold yet.

    Raises:
        StoreError: its protocol is not known, or a package that it needs is not installed.
    """
    import fsspec
    from fsspec.registry import known_implementations

    protocol = url.partition("://")[0]
    if protocol in LOCAL:
        return LocalPlace(Path(unquote(urlsplit(url).path)))
    try:
        with _told("use", url):
            system, root = fsspec.core.url_to_fs(url, **options)
    except StoreError as error:
        known = known_implementations.get(protocol)
        if known is None and "Protocol not known" in str(error):
            raise StoreError(
                f"Cannot use {url}: fsspec knows no protocol '{protocol}'. Among those that it knows: s3, gs, abfs, "
                "sftp, file."
            ) from None
        package = known["class"].partition(".")[0] if known else ""
        if "ImportError" in str(error) and package not in ("", "fsspec"):
            raise StoreError(f"{protocol}:// needs a package that is not installed: pip install {package}") from None
        raise
    return RemotePlace(system, str(root).rstrip("/"), url, unsent)


def probe(url: str, options: Mapping[str, Any]) -> None:
    """Ask for what is at a URL, to see whether it can be used at all.

    Raises:
        StoreError: it cannot.
    """
    place = open_place(url, options, Path(os.devnull))
    if isinstance(place, RemotePlace):
        (place / ".siked").names()


def secret_option(options: Mapping[str, Any]) -> str | None:
    """The dotted name of an option that is a secret by its name, or whose value is a URL with a password."""
    for name, value in options.items():
        if SECRET.search(str(name)) or (isinstance(value, str) and has_password(value)):
            return str(name)
        inner = secret_option(value) if isinstance(value, Mapping) else None
        if inner is not None:
            return f"{name}.{inner}"
    return None


def has_password(url: str) -> bool:
    return re.match(r"[^/]*//[^/@]*:[^/@]*@", url) is not None


@contextmanager
def _told(act: str, where: str) -> Iterator[None]:
    """Turn what a store's library raises into one line. It may raise anything, and the remedy is the same."""
    try:
        yield
    except Exception as error:
        raise StoreError(
            f"Cannot {act} {where}: {_reason(error)}. Nothing that was finished is lost: the same command continues "
            "when the store answers."
        ) from None


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    said = _without_secrets(" ".join(str(error).split())[:300]).rstrip(".")
    if "Credential" in kind or "Credential" in said:
        return (
            f"it wants credentials ({said or kind}). They are taken from the environment or the store's own files, for "
            "S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or ~/.aws"
        )
    if isinstance(error, PermissionError):
        return f"the store refuses it ({said or kind})"
    if isinstance(error, FileNotFoundError):
        return f"it is not there ({said or kind})"
    return f"{kind}: {said}" if said else kind


def _without_secrets(text: str) -> str:
    """A library's words with no secret of the environment in them."""
    for name, value in os.environ.items():
        if len(value) >= 8 and SECRET.search(name):
            text = text.replace(value, "...")
    return re.sub(r"(?i)((?:key|secret|token|password|signature|sig|credential)[\w-]*=)[^&\s\"']+", r"\1...", text)
