"""What a stranger types, with tiny local models in place of real ones: data in GSM8K's files, a teacher, a student."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from siked_cli.main import main
from siked_core import Problem
from siked_core.registry import Registry
from siked_plugins.generators.vllm import environment

pytestmark = pytest.mark.slow
STRATEGIES = ["cot", "pot", "l2m"]
TRAIN = 14
"""Training problems."""


@pytest.fixture(scope="module")
def known() -> tuple[Problem, ...]:
    options = {"seed": 5, "train": 20, "families": ["short", "apart"]}
    return Registry.discover().create("dataset", "pocket", options).load("train").problems


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, known: tuple[Problem, ...]) -> Path:
    """GSM8K's two files, with problems that the teacher knows."""
    folder = tmp_path_factory.mktemp("data")
    for name, some in (("train", known[:TRAIN]), ("test", known[TRAIN:])):
        rows = [{"question": one.question, "answer": f"It is so.\n#### {one.answer}"} for one in some]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, known: tuple[Problem, ...], scholar: ModuleType) -> Path:
    return scholar.train_scholar(tmp_path_factory.mktemp("teacher"), known, STRATEGIES)


@dataclass(frozen=True)
class Distilled:
    report: dict[str, Any]
    err: str
    pool: pl.DataFrame
    """The teacher's."""
    mixture: pl.DataFrame
    """Round 0's."""


@pytest.fixture
def distil(
    data: Path,
    scholar: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Distilled]:
    """Type the command with this teacher; again, to see that everything is there; and ask the student."""
    monkeypatch.chdir(tmp_path)
    student = Registry.discover().create("model", "pocket").folder()
    strategies = json.dumps([{"name": name, "options": scholar.NO_SHOTS} for name in STRATEGIES])
    small = [
        f"strategies={strategies}",  # no worked examples: the context of such models is short
        "data.decontaminate=none",
        "teacher.samples=1",
        "teacher.max_tokens=128",
        "rollout.max_tokens=48",
        "evaluation.max_tokens=48",
        "training.epochs=1",
        "training.max_length=512",
    ]

    def run(teacher: str, rounds: int, *settings: str) -> Distilled:
        command = ["distill", "--dataset", "gsm8k", "--data", str(data), "--strategies", ",".join(STRATEGIES)]
        command += ["--teacher", teacher, "--student", str(student), "--rounds", str(rounds), "--samples", "2"]
        command += [part for setting in (*small, *settings) for part in ("--set", setting)]
        assert main([*command, "--json", "--plain"]) == 0, capsys.readouterr().err
        said = capsys.readouterr()
        report = json.loads(said.out)
        folder = Path(report["run"])
        assert main([*command, "--run", str(folder), "--json", "--plain"]) == 0
        again = capsys.readouterr()
        assert json.loads(again.out)["rounds"] == report["rounds"]
        assert "finished before, and nothing that it rests on has changed" in again.err
        assert main(["solve", str(folder), "Ann has 3 pens and finds 4. How many has she?", "--json"]) == 0
        pool = pl.concat(pl.read_parquet(shard) for shard in (folder / "pools" / "teacher").glob("0*.parquet"))
        return Distilled(report, said.err, pool, pl.read_parquet(folder / "mixtures" / "round-0.parquet"))

    return run


def check(distilled: Distilled, rounds: int) -> None:
    assert len(distilled.report["rounds"]) == rounds + 1
    assert re.search("rehearsal: done in .* one step of judging, training and sampling", distilled.err)
    assert distilled.pool.height == (TRAIN - 2) * len(STRATEGIES), "two problems are held out"
    assert distilled.pool["key"].is_unique().all()
    assert distilled.mixture.height > distilled.pool.height // 3, "what the teacher was right about"
    assert set(distilled.mixture["strategy"]) == set(STRATEGIES)


@pytest.mark.parametrize(("processes", "rounds"), [(1, 1), (2, 0)])
def test_a_teacher_in_this_process(
    processes: int, rounds: int, teacher: Path, distil: Callable[..., Distilled]
) -> None:
    check(distil(f"transformers:{teacher}", rounds, f"launch.processes={processes}"), rounds)


@pytest.fixture(scope="module")
def endpoint(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A vLLM server that somebody else has started, with the teacher."""
    found = environment.find()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*found.command(str(teacher)), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--served-model-name", "teacher", "--dtype", "float32", "--enforce-eager"]
    variables = found.variables(os.environ) | {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=variables, stdout=out, stderr=out, start_new_session=True)
        try:
            until = time.monotonic() + 600
            while not _answers(port):
                assert server.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < until, log.read_text()[-2000:]
                time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.vllm
def test_a_teacher_behind_an_endpoint(endpoint: str, distil: Callable[..., Distilled]) -> None:
    check(distil("openai:teacher", 0, f"teacher.generator.options.base_url={endpoint}"), 0)
