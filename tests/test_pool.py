"""Pools: whole shards or none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.ledger import COLUMNS, candidates, ledger
from siked_core.pool import SAMPLES, VERDICTS, Pool, digest_of
from siked_core.testing import toy_sample as row


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    pool = Pool(tmp_path / "pool", SAMPLES)
    assert pool.read().is_empty()
    pool.append([row("a"), row("b", logprob=-1.5)])
    pool.append([row("c", requested="cot")])
    pool.append([])
    assert pool.read()["key"].to_list() == ["a", "b", "c"]
    assert pool.keys() == {"a", "b", "c"}
    assert len(list((tmp_path / "pool").iterdir())) == 2


def test_the_latest_of_one_key_counts(tmp_path: Path) -> None:
    pool = Pool(tmp_path, SAMPLES)
    pool.append([row("a", text="short")])
    pool.append([row("a", text="long")])
    assert pool.read()["text"].to_list() == ["long"]
    verdicts = Pool(tmp_path / "verdicts", VERDICTS)
    verdict = {"key": "a", "status": "wrong", "answer": "", "why": "", "rationale": None}
    verdicts.append([{**verdict, "judge": "one"}, {**verdict, "judge": "two"}])
    assert verdicts.read().height == 2, "a sample has a verdict from each judge"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(tmp_path, SAMPLES)
    pool.append([row("a")])

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"Cannot write .*: No space left on device\. What was finished before is kept"):
        pool.append([row("b")])
    assert [path.name[:9] for path in tmp_path.iterdir()] == ["00000000-"]
    assert pool.keys() == {"a"}


def test_a_torn_shard_is_named(tmp_path: Path) -> None:
    pool = Pool(tmp_path, SAMPLES)
    pool.append([row("a")])
    (shard,) = tmp_path.glob("00000000-*.parquet")
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(RunError, match=r"00000000-\w+\.parquet is damaged: its content is not what was written"):
        pool.read()


@pytest.mark.parametrize("digest", [digest_of, lambda content: hashlib.blake2b(content, digest_size=8).hexdigest()])
def test_any_flipped_byte_is_seen(tmp_path: Path, digest: Callable[[bytes], str]) -> None:
    """Also in a shard of an earlier version, whose name has another digest."""
    pool = Pool(tmp_path, SAMPLES)
    pool.append([row("a"), row("b")])
    (written,) = tmp_path.glob("00000000-*.parquet")
    content = written.read_bytes()
    shard = written.rename(tmp_path / f"00000000-{digest(content)}.parquet")
    assert pool.scan(["key"]).collect().get_column("key").to_list() == ["a", "b"]
    assert pool.read().height == pool.shard(shard.name).height == 2
    for place in range(0, len(content), len(content) // 50):
        shard.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        os.utime(shard, ns=(place, place))
        with pytest.raises(RunError, match="its content is not what was written"):
            pool.scan(["key"])
        with pytest.raises(RunError, match="its content is not what was written"):
            pool.shard(shard.name)


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert len(list(path.parent.iterdir())) == 1


def judged(*rows: tuple[str, str, str, int, int, str, str | None]) -> pl.DataFrame:
    names = ("key", "problem_id", "source", "round", "draw", "status", "rationale")
    return pl.DataFrame(
        [row(**dict(zip(names, values, strict=True))) for values in rows],
        schema_overrides={"logprob": pl.Float64, "requested": pl.String},
    ).with_columns(rationale_hash=pl.col("rationale").hash())


def test_candidates_are_correct_distinct_capped_and_of_this_round() -> None:
    table = ledger(
        judged(
            ("t0", "p", "teacher", 0, 0, "correct", "A"),
            ("t1", "p", "teacher", 0, 1, "correct", "B"),
            ("s0", "p", "student", 1, 0, "wrong", "C"),
            ("s1", "p", "student", 1, 1, "correct", "A"),
            ("s2", "p", "student", 1, 2, "correct", "A"),
            ("s3", "p", "student", 1, 3, "correct", "D"),
            ("old", "p", "student", 0, 4, "correct", "E"),
            ("q0", "q", "student", 1, 0, "unreadable", None),
        )
    )
    assert table.columns == list(COLUMNS)
    assert table.filter(pl.col("key") == "s1")["pass_rate"].item() == 0.75
    assert sorted(candidates(table, 1, 1)["key"]) == ["s1", "t0"]
    assert sorted(candidates(table, 1, 9)["key"]) == ["s1", "s3", "t0", "t1"], "equal rationales collapse"
