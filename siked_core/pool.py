"""Rows on disk: a folder of Parquet shards, each whole or absent.

A shard is written under a temporary name, synced, and renamed, so a kill at any instant leaves whole shards only.
`datasets`, Polars, DuckDB and pandas read the folder as it is.

A shard's name is its number and the digest of its bytes, so a flipped bit does not go unseen, and neither does a shard
that was written over. A table that must keep one name (`write_parquet`) has its digest in a hidden file beside it.
"""

from __future__ import annotations

import hashlib
import io
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
    "evidence": "String",  # what was judged: the text, the question, the gold answer, and whatever is judged with it
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
        shards = self.shards()
        number = _number(shards[-1]) + 1 if shards else 0
        content = _parquet(pl.DataFrame(list(rows), schema=self.schema))
        with replacing(self.folder / f"{number:08d}-{digest_of(content)}.parquet") as temporary:
            temporary.write_bytes(content)

    def read(self) -> pl.DataFrame:
        """All rows; of several with one key (and judge, and evidence), the latest.

        Columns that a shard lacks, as one of an earlier version may, are null; others that it has are left out.

        Raises:
            RunError: a shard is damaged.
        """
        import polars as pl

        frames = [self._fitted(read_parquet(shard)) for shard in self.shards()]
        if not frames:
            return pl.DataFrame(schema=self.schema)
        identity = [name for name in ("key", "judge", "evidence") if name in self._schema]
        return pl.concat(frames).unique(identity, keep="last", maintain_order=True)

    def keys(self) -> set[str]:
        return set(self.read().get_column("key"))

    def settled(self, max_tokens: int) -> set[str]:
        """The keys of the samples that a higher limit of tokens would not change: those that ended by themselves, and
        those that were cut off at this limit or a higher one."""
        import polars as pl

        ended = (pl.col("finish_reason") != "length") | (pl.col("max_tokens") >= max_tokens)
        return set(self.read().filter(ended).get_column("key"))

    def shards(self) -> list[Path]:
        """In the order in which they were written."""
        return sorted((path for path in self.folder.glob("*.parquet") if path.name[:8].isdigit()), key=_number)

    def _fitted(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        return frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None).alias(name)).cast(kind)
            for name, kind in self.schema.items()
        )


def digest_of(content: bytes) -> str:
    """BLAKE2b, 64 bits: against accidents, not against attackers."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file whole or not at all, and what its digest is into a hidden file beside it.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    content = _parquet(frame)
    present = digest_of(path.read_bytes()) if path.exists() else ""
    # Both digests hold until the file itself is replaced: a kill between the two writes must not look like damage.
    hold = [digest_of(content), *(one for one in expected_digests(path) if one == present)]
    write_text(beside(path), "".join(f"{one}\n" for one in dict.fromkeys(hold)))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a shard, or a file that `write_parquet` wrote.

    Raises:
        RunError: it is damaged.
    """
    import polars as pl

    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror or error}.") from None
    expected = expected_digests(path)
    why = "its content is not what was written" if expected and digest_of(content) not in expected else ""
    if not why:
        try:
            return pl.read_parquet(io.BytesIO(content))
        except (pl.exceptions.PolarsError, OSError) as error:
            why = " ".join(str(error).split())[:200]
    raise RunError(
        f"The file {path} is damaged: {why}. `siked run repair RUN` sets it aside and keeps the rest; the same command "
        "then makes again what it held."
    )


def expected_digests(path: Path) -> list[str]:
    """What the digest of a file may be: from its name, or from the hidden file beside it. Empty where neither is."""
    in_name = path.stem.partition("-")[2] if path.name[:8].isdigit() else ""
    if in_name:
        return [in_name]
    try:
        return beside(path).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _number(shard: Path) -> int:
    return int(shard.name[:8])


def beside(path: Path) -> Path:
    """The hidden file that holds the digest of a file which must keep one name."""
    return path.with_name(f".{path.name}.blake2b")


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
