"""Rows on disk: a folder of Parquet shards, each whole or absent.

A shard is written under a temporary name, synced, and renamed, so a kill at any instant leaves whole shards only.
`datasets`, Polars, DuckDB and pandas read the folder as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core.errors import RunError

if TYPE_CHECKING:
    import polars as pl

SAMPLES: dict[str, str] = {
    "key": "String",
    "problem_id": "String",
    "requested": "String",  # the strategy that was asked for; null where the student chose
    "strategy": "String",  # the strategy that was used; null where no known tag was written
    "source": "String",
    "round": "Int32",
    "draw": "Int32",
    "text": "String",  # as generated, without the prompt and without a forced tag
    "finish_reason": "String",
    "max_tokens": "Int32",
    "prompt_tokens": "Int32",
    "completion_tokens": "Int32",
    "logprob": "Float64",
}
VERDICTS: dict[str, str] = {
    "key": "String",  # of the sample
    "judge": "String",  # what judged it: strategy and verifier, with versions and options
    "status": "String",
    "answer": "String",
    "why": "String",
    "rationale": "String",  # the canonical text; null where it could not be read
}


class Pool:
    """A growing table of one schema."""

    def __init__(self, folder: Path, schema: Mapping[str, str]) -> None:
        self.folder = folder
        self._schema = schema

    @property
    def schema(self) -> dict[str, Any]:
        import polars as pl

        return {name: getattr(pl, kind) for name, kind in self._schema.items()}

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows as one shard. It is there whole, or not at all.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        import polars as pl

        if not rows:
            return
        shards = self._shards()
        number = int(shards[-1].stem) + 1 if shards else 0
        write_parquet(pl.DataFrame(list(rows), schema=self.schema), self.folder / f"{number:08d}.parquet")

    def read(self) -> pl.DataFrame:
        """All rows; of several with one key (and judge), the latest.

        Raises:
            RunError: a shard is damaged.
        """
        import polars as pl

        frames = []
        for shard in self._shards():
            try:
                frames.append(pl.read_parquet(shard))
            except (pl.exceptions.PolarsError, OSError) as error:
                raise RunError(
                    f"The shard {shard} cannot be read ({' '.join(str(error).split())[:200]}). "
                    "Delete it: what it held is then made again."
                ) from None
        if not frames:
            return pl.DataFrame(schema=self.schema)
        identity = [name for name in ("key", "judge") if name in self._schema]
        return pl.concat(frames).unique(identity, keep="last", maintain_order=True)

    def keys(self) -> set[str]:
        return set(self.read().get_column("key"))

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file whole or not at all.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary:
        frame.write_parquet(temporary)


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
                _sync(self.temporary)
                os.replace(self.temporary, self.path)
                _sync(self.path.parent)
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
