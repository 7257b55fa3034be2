"""Rows on disk: a folder of Parquet shards, each whole or absent. The folder may be at a URL (`siked_core.place`).

A shard is written under a temporary name, synced, and renamed, so a kill at any instant leaves whole shards only.
`datasets`, Polars, DuckDB and pandas read the folder as it is.

A shard's name is its number and the digest of its bytes, so a flipped bit does not go unseen, and neither does a shard
that was written over. A table that must keep one name (`write_parquet`) has its digest in a hidden file beside it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from siked_core.errors import RunError
from siked_core.files import replacing, write_text
from siked_core.place import LocalPlace, Place
from siked_core.stand_ins import with_stand_ins

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
    "text_hash": "UInt64",  # this and the next stand for the text: siked_core.stand_ins
    "opening": "String",
}
VERDICTS: dict[str, str] = {
    "key": "String",  # of the sample
    "judge": "String",  # what judged it: strategy and verifier, with versions and options
    "status": "String",
    "answer": "String",
    "why": "String",
    "rationale": "String",  # the canonical text; null where it could not be read
    "evidence": "String",  # what was judged: the text, the question, the gold answer, and whatever is judged with it
    "rationale_hash": "UInt64",  # stands for the rationale
}


_HASHES: tuple[Callable[..., Any], ...] = (xxhash.xxh3_64, partial(hashlib.blake2b, digest_size=8))
"""Of 64 bits each, against accidents, not against attackers. New shards have the first, which costs little more than
reading them; tables, and shards of an earlier version, have the second."""
_CHANGED = "its content is not what was written"


class Pool:
    """A growing table of one schema."""

    def __init__(self, folder: Path | Place, schema: Mapping[str, str]) -> None:
        self.place = LocalPlace(folder) if isinstance(folder, Path) else folder
        self._schema = schema
        self._next: int | None = None
        """The number of the next shard; known from the first look on, so that none is needed to keep what was paid for
        when a store has stopped to answer."""

    @property
    def schema(self) -> dict[str, Any]:
        import polars as pl

        return {name: getattr(pl, kind) for name, kind in self._schema.items()}

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the rows as one shard. It is there whole, or not at all.

        Raises:
            RunError: the disk is full, or the folder cannot be written.
        """
        import polars as pl

        if not rows:
            return
        if self._next is None:
            self._unordered()
        number, self._next = self._next or 0, (self._next or 0) + 1
        content = _parquet(with_stand_ins(pl.DataFrame(list(rows), schema=self.schema)))
        self.place.write(f"{number:08d}-{digest_of(content)}.parquet", content)

    def read(self) -> pl.DataFrame:
        """All rows; of several with one key (and judge, and evidence), the latest.

        Columns that a shard lacks, as one of an earlier version may, are null; others that it has are left out.

        Raises:
            RunError: a shard is damaged.
        """
        identity = [name for name in ("key", "judge", "evidence") if name in self._schema]
        return self.scan(list(self._schema)).collect().unique(identity, keep="last", maintain_order=True)

    def scan(self, columns: Sequence[str]) -> pl.LazyFrame:
        """These columns of all rows, as they were written: of a key that was written twice, both rows.

        Only these columns are read, and they are read when the table is collected. Every shard is compared with its
        digest at once.

        Raises:
            RunError: a shard is damaged.
        """
        import polars as pl

        schema = {name: kind for name, kind in self.schema.items() if name in columns}
        if not isinstance(self.place, LocalPlace):
            return pl.concat([pl.LazyFrame(schema=schema), *self._fetched(schema)])
        shards = [self.place.path / shard for shard in self.shards()]
        with ThreadPoolExecutor(max_workers=2) as threads:
            have = dict(zip(shards, threads.map(_sound_columns, shards), strict=True))
        parts: list[pl.LazyFrame] = [pl.LazyFrame(schema=schema)]
        for complete, group in groupby(shards, lambda shard: set(columns) <= have[shard]):
            if complete:
                parts.append(pl.scan_parquet(list(group)).select(*schema))
            else:  # of an earlier version
                parts += [self._fitted(read_parquet(shard)).select(*schema).lazy() for shard in group]
        return pl.concat(parts)

    def keys(self) -> set[str]:
        return set(self.scan(["key"]).collect().get_column("key"))

    def settled(self, max_tokens: int) -> set[str]:
        """The keys of the samples that a higher limit of tokens would not change: those that ended by themselves, and
        those that were cut off at this limit or a higher one."""
        rows = self.scan(["key", "finish_reason", "max_tokens"]).collect().unique("key", keep="last")
        return set(rows.filter(uncut_by(max_tokens)).get_column("key"))

    def shards(self) -> list[str]:
        """The names of its files, in the order in which they were written."""
        return sorted(self._unordered(), key=_number)

    def shard(self, name: str) -> pl.DataFrame:
        """The rows of one shard, as they were written.

        Raises:
            RunError: it is damaged.
        """
        (content,) = self.place.read([name])
        where = self.place.file(name)
        return _parsed(_sound(content, where, _digests_in(name)), where)

    def size(self) -> int:
        """Bytes of all shards."""
        return self.place.size()

    def _unordered(self) -> list[str]:
        found = [name for name in self.place.entries() if name.endswith(".parquet") and name[:8].isdigit()]
        self._next = max([self._next or 0, *(_number(name) + 1 for name in found)])
        return found

    def _fetched(self, schema: Mapping[str, Any]) -> Iterator[pl.LazyFrame]:
        """The columns of shards that are elsewhere: each shard is fetched and compared with its digest, and only these
        columns are kept."""
        import polars as pl

        shards = self.shards()
        for name, content in zip(shards, self.place.read(shards), strict=True):
            where = self.place.file(name)
            _sound(content, where, _digests_in(name))
            complete = _digests_in(name) and schema.keys() <= pl.read_parquet_schema(io.BytesIO(content)).keys()
            frame = _parsed(content, where, list(schema)) if complete else self._fitted(_parsed(content, where))
            yield frame.select(*schema).lazy()

    def _fitted(self, frame: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        fitted = frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None).alias(name)).cast(kind)
            for name, kind in self.schema.items()
        )
        return with_stand_ins(fitted)


def uncut_by(max_tokens: int) -> pl.Expr:
    """Whether this limit of tokens would leave a sample as it is."""
    import polars as pl

    return (pl.col("finish_reason") != "length") | (pl.col("max_tokens") >= max_tokens)


def digest_of(content: bytes) -> str:
    """What a shard has in its name."""
    return str(_HASHES[0](content).hexdigest())


def write_parquet(frame: pl.DataFrame, path: Path) -> None:
    """Write a Parquet file whole or not at all, and what its digest is into a hidden file beside it.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    digest = _HASHES[1]
    content = _parquet(frame)
    present = digest(path.read_bytes()).hexdigest() if path.exists() else ""
    # Both digests hold until the file itself is replaced: a kill between the two writes must not look like damage.
    hold = [digest(content).hexdigest(), *(one for one in expected_digests(path) if one == present)]
    write_text(beside(path), "".join(f"{one}\n" for one in dict.fromkeys(hold)))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_parquet(path: Path) -> pl.DataFrame:
    """Read a shard, or a file that `write_parquet` wrote.

    Raises:
        RunError: it is damaged.
    """
    return _parsed(_sound_content(path), path)


def _sound_content(path: Path) -> bytes:
    """The bytes of a file, compared with its digest where it has one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror or error}.") from None
    return _sound(content, path, expected_digests(path))


def _sound(content: bytes, where: object, expected: Sequence[str]) -> bytes:
    if expected and not any(digest(content).hexdigest() in expected for digest in _HASHES):
        raise _damaged(where, _CHANGED)
    return content


def _parsed(content: bytes, where: object, columns: list[str] | None = None) -> pl.DataFrame:
    import polars as pl

    try:
        return pl.read_parquet(io.BytesIO(content), columns=columns)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _damaged(where, " ".join(str(error).split())[:200]) from None


def _sound_columns(shard: Path) -> frozenset[str]:
    """The columns that may be read from a shard where it lies; none where only reading it whole can show damage."""
    try:
        found = shard.stat()
    except OSError as error:
        raise RunError(f"Cannot read {shard}: {error.strerror or error}.") from None
    return _sound_columns_of(shard.absolute(), found.st_ino, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=100_000)  # a command reads some shards several times; a few bytes each
def _sound_columns_of(shard: Path, inode: int, changed_ns: int, size: int) -> frozenset[str]:
    import polars as pl

    expected = expected_digests(shard)
    if not expected:
        return frozenset()
    if not any(_digest_in(shard, digest) in expected for digest in _HASHES):
        raise _damaged(shard, _CHANGED)
    return frozenset(pl.read_parquet_schema(shard))


def _digest_in(path: Path, digest: Callable[..., Any]) -> str:
    """The digest of a file that need not be in memory."""
    try:
        with path.open("rb", buffering=0) as file:
            return hashlib.file_digest(file, digest).hexdigest()
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror or error}.") from None


def _damaged(path: object, why: str) -> RunError:
    return RunError(
        f"The file {path} is damaged: {why}. `siked run repair RUN` sets it aside and keeps the rest; the same command "
        "then makes again what it held."
    )


def expected_digests(path: Path) -> list[str]:
    """What the digest of a file may be: from its name, or from the hidden file beside it. Empty where neither is."""
    in_name = _digests_in(path.name)
    if in_name:
        return in_name
    try:
        return beside(path).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def _number(shard: str) -> int:
    return int(shard[:8])


def _digests_in(name: str) -> list[str]:
    """The digest that a shard's name has in it."""
    digest = name.removesuffix(".parquet").partition("-")[2] if name[:8].isdigit() else ""
    return [digest] if digest else []


def beside(path: Path) -> Path:
    """The hidden file that holds the digest of a file which must keep one name."""
    return path.with_name(f".{path.name}.blake2b")
