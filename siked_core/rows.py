"""Rows out of local files, each with the place it came from, so that a complaint can name file and line.

Read are JSON Lines (`.jsonl`, `.ndjson`), JSON (`.json`: a list of objects) and Parquet (`.parquet`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core.errors import DataError

FORMATS = (".jsonl", ".ndjson", ".json", ".parquet")


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a data set."""

    where: str
    """For messages: "train.jsonl, line 17"."""
    values: Mapping[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Read all rows of a file.

    Raises:
        DataError: the file is missing, empty, of another format, or malformed; names the line where there is one.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f"{path}: cannot read a '{suffix or path.name}' file. Readable: {', '.join(FORMATS)}.")
    if suffix == ".parquet":
        rows = list(_parquet(path))
    elif suffix == ".json":
        rows = list(_json(path, read_text(path)))
    else:
        rows = list(_json_lines(path, read_bytes(path)))
    if not rows:
        raise DataError(f"{path}: the file holds no rows.")
    return rows


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from None


def read_text(path: Path) -> str:
    """The content of a UTF-8 file (a byte-order mark is dropped).

    Raises:
        DataError: it is missing or not UTF-8; names the line.
    """
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text.") from None


def _json_lines(path: Path, content: bytes) -> Iterator[Row]:
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            raise DataError(f"{where}: not UTF-8 text.") from None
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON ({error.msg} at character {error.pos + 1}).") from None
        except (RecursionError, ValueError) as error:  # too deep; an integer with thousands of digits
            raise DataError(f"{where}: not JSON that can be read ({error}).") from None
        yield Row(where, _object(values, where))


def _json(path: Path, text: str) -> Iterator[Row]:
    try:
        entries = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg}).") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: not JSON that can be read ({error}).") from None
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of objects, found {_kind(entries)}.")
    for number, entry in enumerate(entries, 1):
        where = f"{path}, entry {number}"
        yield Row(where, _object(entry, where))


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object with named fields, found {_kind(value)}.")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _parquet(path: Path) -> Iterator[Row]:
    import polars as pl

    if not path.is_file():
        raise DataError(f"Cannot read {path}: No such file.")
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: not a Parquet file that can be read ({str(error).splitlines()[0]}).") from None
    for number, values in enumerate(frame.iter_rows(named=True), 1):
        yield Row(f"{path}, row {number}", values)
