"""A choice among rows by a hash of their keys: the same on every machine and with every version of Polars.

Polars' own `hash` may differ from one version to the next, and a recipe should give the same mixture then too. The
mixing of bits is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"), on the first sixteen characters of a key, which is a hexadecimal hash already.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


def drawn(rows: pl.DataFrame, count: int, *seed: Any) -> pl.DataFrame:
    """So many of the rows, or all where there are fewer, in their order.

    A row's lot depends on its key and the seed alone: further rows push others out, but do not change their order.

    Args:
        seed: plain values.
    """
    import polars as pl

    if rows.height <= count:
        return rows
    start = int.from_bytes(hashlib.blake2b(repr(seed).encode(), digest_size=8).digest(), "little")
    text = pl.col("key").str.pad_end(16, " ").cast(pl.Binary)
    first, second = (text.bin.slice(at, 8).bin.reinterpret(dtype=pl.UInt64, endianness="little") for at in (0, 8))
    lot = _mixed(_mixed(first ^ _word(start)) ^ second)
    places = rows.select(lot=lot).get_column("lot").arg_sort().head(count)
    return rows[places.sort()]


def _mixed(word: pl.Expr) -> pl.Expr:
    """64 bits, each of which depends on all that went in; multiplication wraps."""
    word = (word ^ (word // _word(2**30))) * _word(0xBF58476D1CE4E5B9)
    word = (word ^ (word // _word(2**27))) * _word(0x94D049BB133111EB)
    return word ^ (word // _word(2**31))


def _word(value: int) -> pl.Expr:
    import polars as pl

    return pl.lit(value, dtype=pl.UInt64)
