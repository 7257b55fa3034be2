"""Large pools: what is read of them, that it is the same as reading everything, and the benchmark itself."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_core.format import StudentFormat
from siked_core.keys import digest, reading, sample_key
from siked_core.ledger import COLUMNS, DRAWS, candidates, few, ledger, ranked
from siked_core.pool import SAMPLES, VERDICTS, Pool, digest_of
from siked_core.records import Message, Problem, Prompt, Sampling, Step, WorkedSolution
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach
from siked_core.stages.attempts import attempts_of
from siked_core.stages.generate import used_strategy
from siked_core.stages.mix import judged, mix
from siked_core.stages.verify import verdicts_of
from siked_core.stand_ins import OPENING, hashed, opening

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "pool_scale.py"
ROWS = 1600
COT = Registry.discover().create("strategy", "cot", {})


@pytest.fixture(scope="module")
def benchmark(load: Callable[[Path], ModuleType]) -> ModuleType:
    """What the benchmark does in processes of their own."""
    return load(BENCHMARK.with_name("pool_parts.py"))


@pytest.fixture
def run(benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run with invented samples and verdicts, in several shards."""
    monkeypatch.chdir(tmp_path)
    benchmark.make_run(argparse.Namespace(rows=ROWS))
    for pool in ("teacher", "round-1"):
        benchmark.fill_pool(argparse.Namespace(pool=pool, chunk=300))
    with attach(benchmark.NAME, Registry.discover(), SilentReporter()) as opened:
        yield opened


def attempts(run: Run, pool: str) -> pl.DataFrame:
    with run.verifiers() as verifiers:
        return attempts_of(run, pool, verifiers)


def plain(table: pl.DataFrame) -> list[tuple[Any, ...]]:
    return table.select(pl.col(name).cast(pl.String) for name in COLUMNS if name != "pass_rate").rows()


def without(pool: Path, column: str) -> None:
    """Take a column out of every shard of a pool."""
    for shard in pool.glob("*.parquet"):
        pl.read_parquet(shard).drop(column).write_parquet(pool / "new")
        (pool / "new").rename(pool / f"{shard.name[:8]}-{digest_of((pool / 'new').read_bytes())}.parquet")
        shard.unlink()


@pytest.mark.slow
def test_the_benchmark_runs_and_both_sides_choose_the_same(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for rows, more in ("800", []), ("1600", ["--add"]):
        command = [sys.executable, BENCHMARK, "--rows", rows, "--repeats", "1", "--chunk", "512", *more]
        subprocess.run([*command, "--folder", tmp_path, "--results", results], check=True, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "it cleans up"
    found = json.loads((results / "pool_scale.json").read_text(encoding="utf-8"))
    sizes = found["sizes"]
    assert [size["append"]["rows"] for size in sizes] == [1600, 3200], "samples and verdicts"
    assert all(0 < size["mixture"] <= size["samples"] / 20 * 1.01 for size in sizes), "one for each cell, at most"
    assert all(one["peak_mib"] > 0 for size in sizes for one in (*size["mix"], *size["pandas"]))
    assert [len(table["rows"]) for table in found["tables"]] == [6, 2]
    assert "to the power of" in found["says"][-1]


def test_the_ledger_is_what_reading_everything_gives(run: Run) -> None:
    for pool in ("teacher", "round-1"):
        assert plain(attempts(run, pool)) == plain(verdicts_of(run, pool))


def test_the_ledger_reads_no_texts(run: Run) -> None:
    """The shards lose their texts, and nothing changes."""
    before = plain(ledger(judged(run, 1)))
    mixture = mix(run, 1)
    for pool in ("teacher", "round-1"):
        without(run.path / "pools" / pool, "text")
    assert mix(run, 1) == mixture, "not even a mixture needs what was sampled: it has the canonical rationales"
    for pool in ("teacher", "round-1"):
        without(run.path / "verdicts" / pool, "rationale")
    assert plain(ledger(judged(run, 1))) == before


def test_a_sample_that_was_drawn_again_has_no_verdict_until_it_is_judged_again(run: Run) -> None:
    row = run.pool("round-1").read().row(7, named=True)
    changed = {**row, "text": "<pot>\nanother", "text_hash": None, "opening": None, "prompt_tokens": 7}
    run.pool("round-1").append([changed])
    table = attempts(run, "round-1")
    assert table.height == ROWS // 2
    found = table.row(7, named=True)
    assert (found["key"], found["strategy"], found["prompt_tokens"], found["status"]) == (row["key"], "pot", 7, None)
    assert table.get_column("status").null_count() == 1


def test_of_two_verdicts_on_the_same_the_latest_counts(run: Run) -> None:
    before = plain(attempts(run, "round-1"))
    verdict = run.verdicts("round-1").read().row(7, named=True)
    run.verdicts("round-1").append([{**verdict, "status": "timeout"}])
    table = attempts(run, "round-1")
    assert table.filter(pl.col("key") == verdict["key"]).get_column("status").to_list() == ["timeout"]
    assert [row for row in plain(table) if row[0] != verdict["key"]] == [
        row for row in before if row[0] != verdict["key"]
    ]


def test_a_pool_may_hold_more_than_the_recipe_asks_for(run: Run) -> None:
    extra = {**run.pool("teacher").read().row(0, named=True), "key": "other", "problem_id": "of another data set"}
    before = plain(attempts(run, "teacher"))
    run.pool("teacher").append([extra])
    assert plain(attempts(run, "teacher")) == before


def test_a_mixture_has_the_texts_of_its_rows(run: Run) -> None:
    mix(run, 1)
    mixture = pl.read_parquet(run.mixture("round-1"))
    texts = dict(
        pl.concat([verdicts_of(run, pool) for pool in ("teacher", "round-1")]).select("key", "rationale").rows()
    )
    assert mixture.height > 0
    assert all(texts[key] == text for key, text in mixture.select("key", "rationale").rows())
    assert mixture.schema["strategy"] == pl.String, "what is stored is plain"


def test_stand_ins_of_an_older_shard_are_worked_out(tmp_path: Path) -> None:
    pool = Pool(tmp_path, SAMPLES)
    row = dict.fromkeys(SAMPLES) | {"key": "a", "text": "  <cot>\nTwo."}
    pool.append([row, {**row, "key": "b", "text": "x" * 99}])
    before = pool.read()
    assert before.get_column("opening").to_list() == ["<cot>\nTwo.", "x" * OPENING]
    assert before.get_column("text_hash").to_list() == [hashed("  <cot>\nTwo."), hashed("x" * 99)]
    without(tmp_path, "text_hash")
    without(tmp_path, "opening")
    assert pool.read().equals(before)
    assert pool.scan(["key", "text_hash"]).collect().equals(before.select("key", "text_hash"))
    assert Pool(tmp_path / "none", VERDICTS).read().is_empty()


@given(
    st.text(alphabet="<>copt lm2\n\t\u00a0", max_size=12),
    st.sampled_from(["<{strategy}>\n", "{strategy}: ", "x" * 70 + "{strategy}"]),
)
def test_a_tag_is_read_from_the_opening_as_from_the_text(text: str, tag: str) -> None:
    form = StudentFormat.build(["cot", "pot", "l2m", "co"], tag, "")
    for whole in (text, f"  {form.tag_of('co')}{text}", f"{form.tag_of('cot')}{text}"):
        column, used = used_strategy(form)
        row = pl.DataFrame(
            {"requested": None, "text": whole, "opening": opening(whole)}, schema_overrides={"requested": pl.String}
        )
        assert column == ("text" if len(tag) > OPENING else "opening")
        assert row.select(used).item() == form.split(whole)[0]


ROW = st.tuples(
    st.sampled_from("pq"),
    st.sampled_from(["cot", "pot", None]),
    st.sampled_from([("teacher", 0), ("student", 1), ("student", 2)]),
    st.sampled_from([0, 1, 2, 3, DRAWS - 1, DRAWS, 2 * DRAWS]),
    st.sampled_from(["correct", "wrong"]),
    st.integers(0, 2),
)


@settings(max_examples=60)
@given(st.lists(ROW, max_size=25), st.integers(1, 3))
def test_candidates_are_the_first_distinct_ones(rows: list[Any], keep: int) -> None:
    names = ("problem_id", "strategy", "source", "round", "draw", "status", "rationale_hash", "key")
    table = [(p, s, *place, draw, status, text, f"k{n:02}") for n, (p, s, place, draw, status, text) in enumerate(rows)]
    kinds = [pl.Categorical, few(), few(), pl.Int32, pl.Int32, few(), pl.UInt64, pl.String]
    frame = pl.DataFrame(table, schema=dict(zip(names, kinds, strict=True)), orient="row")
    expected: dict[Any, dict[int, list[str]]] = {}
    for p, s, source, round_, _, status, text, key in sorted(table, key=lambda row: (row[4], row[7])):
        if status == "correct" and (source == "teacher" or round_ == 2):
            expected.setdefault((p, s, source), {}).setdefault(text, []).append(key)
    chosen = candidates(frame, 2, keep)
    firsts = {each[0]: len(each) for cell in expected.values() for each in list(cell.values())[:keep]}
    assert dict(chosen.select("key", "copies").rows()) == firsts
    everything = ranked(frame, 2)
    first = {key: each[0] for cell in expected.values() for each in cell.values() for key in each}
    rank = {key: place for cell in expected.values() for place, each in enumerate(cell.values()) for key in each}
    assert dict(everything.select("key", "first").rows()) == first
    assert dict(everything.select("key", "rank").rows()) == rank


@given(st.integers(0, 10**6), st.text(max_size=5), st.sampled_from([None, "cot"]), st.floats(0, 2), st.booleans())
def test_a_key_is_the_hash_of_everything_at_once(
    draw: int, text: str, requested: str | None, temperature: float, solved: bool
) -> None:
    """Keys are made a prompt at a time; they stay what they were when each was hashed whole."""
    strategy = COT if requested else None
    generator: Any = SimpleNamespace(name="g", version="1", fingerprint="f", reads_solution=solved)
    generator.original = generator
    solution = WorkedSolution((Step("q", text, "n", "1 + 1", "2"),), "2")
    problem = Problem(f"p{text}", "Why?", "2", solution=solution if solved else None)
    prompt = Prompt((Message("system", text), Message("user", "Why?")), prefix="é")
    whole = {
        "problem": problem.id,
        "written_from": [asdict(solution), reading(strategy) if strategy else None] if solved else None,
        "requested": requested,
        "prompt": asdict(prompt),
        "draw": draw,
        "temperature": temperature,
        "top_p": 0.9 if temperature > 0 else 1.0,
        "stop": ("\n",),
        "generator": [generator.name, generator.version, generator.fingerprint],
        "seed": 3,
    }
    sampling = Sampling(temperature, 0.9, 64, ("\n",))
    assert sample_key(problem, strategy, prompt, draw, sampling, generator, 3) == digest(whole)
