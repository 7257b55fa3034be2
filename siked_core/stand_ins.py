"""Short columns that stand for long texts, so that nobody reads the texts to count, to compare or to join.

They are worked out when a row is written, and kept beside the text. A shard of an earlier version lacks them; there
they are worked out when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

OPENING = 64
"""Characters of a completion that are kept as its `opening`: a longer tag is read from the text itself."""


def hashed(text: str) -> int:
    """BLAKE2b, 64 bits, the same on every machine and in every version."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def opening(text: str) -> str:
    """The first characters, white space before them left out: where a student's tag is."""
    return text.lstrip()[:OPENING]


STAND_INS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "text_hash": ("text", hashed),
    "opening": ("text", opening),
    "rationale_hash": ("rationale", hashed),
}
"""Column -> the text that it stands for, and how it follows from it."""


def needs(columns: Collection[str]) -> list[str]:
    """The texts that these columns stand for."""
    return list(dict.fromkeys(STAND_INS[name][0] for name in columns if name in STAND_INS))


def with_stand_ins(frame: pl.DataFrame) -> pl.DataFrame:
    """The table with its stand-ins filled in where they are missing. Its texts must be in it."""
    import polars as pl

    for name, (origin, work_out) in STAND_INS.items():
        if name in frame.columns and origin in frame.columns and frame.get_column(name).has_nulls():
            texts = frame.get_column(origin)
            made = [None if text is None else work_out(text) for text in texts]
            frame = frame.with_columns(pl.Series(name, made, dtype=frame.schema[name]))
    return frame
