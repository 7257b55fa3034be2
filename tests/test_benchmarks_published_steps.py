"""The benchmark of separate steps: both ways do the same job, judge alike, and its results are written down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from siked_core import Claim, Problem, Rationale
from siked_core.recipe import Recipe, resolve
from siked_core.recipe_check import check
from siked_core.registry import Registry

FOLDER = Path(__file__).parents[1] / "benchmarks"
SIZE = {"train": 12, "validation": 2, "test": 2}


@pytest.fixture(scope="module")
def job(load: Callable[[Path], ModuleType]) -> ModuleType:
    return load(FOLDER / "published_job.py")


@pytest.fixture(scope="module")
def data(job: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = job.prepared(tmp_path_factory.mktemp("published") / "job", SIZE)
    return folder


def read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def script(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def correct(rows: list[dict[str, str]]) -> set[tuple[str, str]]:
    """What siked's verifiers accept, by question and strategy."""
    registry = Registry.discover()
    found = set()
    for name in {row["strategy"] for row in rows}:
        strategy = registry.create("strategy", name)
        verifier = registry.create("verifier", strategy.verifier)
        read = [(row, strategy.parse(row["text"])) for row in rows if row["strategy"] == name]
        claims = [
            Claim(Problem("p", row["question"], row["answer"]), rationale)
            for row, rationale in read
            if isinstance(rationale, Rationale)
        ]
        verdicts = zip(claims, verifier.verify(claims), strict=True)
        found |= {(claim.problem.question, name) for claim, verdict in verdicts if verdict.correct}
        verifier.close()
    return found


def test_the_steps_keep_what_siked_calls_correct_and_mix_as_it_does(data: Path) -> None:
    asked = read(data / "data" / "teacher.jsonl")
    assert len(asked) == 3 * SIZE["train"]
    said = script(data, "filter.py", "data/teacher.jsonl", "pool-0.jsonl")
    kept = read(data / "pool-0.jsonl")
    assert {(row["question"], row["strategy"]) for row in kept} == correct(asked)
    assert said.startswith(f"{len(kept)} of {len(asked)} right")
    assert 0 < len(kept) < len(asked), "the teacher errs now and then"

    own = [{**row, "text": f"<{row['strategy']}>\n{row['text']}"} for row in kept[::3]]
    unnamed = {**own[0], "text": kept[0]["text"]}
    for row in (*own, unnamed):
        del row["strategy"]
    (data / "samples.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in (*own, unnamed)), encoding="utf-8")
    script(data, "filter.py", "samples.jsonl", "self.jsonl")
    assert [row["text"] for row in read(data / "self.jsonl")] == [row["text"] for row in kept[::3]]
    script(data, "mix.py", "pool-0.jsonl", "self.jsonl", "mix.jsonl")
    mixed = read(data / "mix.jsonl")
    assert [row["text"] for row in mixed[: len(own)]] == [row["text"] for row in kept[::3]]
    assert sorted(map(json.dumps, mixed)) == sorted(map(json.dumps, kept)), "each question and strategy once"


def test_both_ways_have_the_same_settings(job: ModuleType, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    recipe: Recipe = resolve(data / job.RECIPE)
    check(recipe, Registry.discover())
    lines = (data / "run.sh").read_text(encoding="utf-8")
    rates = [float(words.split()[0]) for words in lines.split("--lr ")[1:]]
    assert rates == [recipe.training.warm_up_learning_rate, recipe.training.learning_rate]
    assert f"--samples {recipe.rollout.samples} --temperature {recipe.rollout.temperature}" in lines
    assert (recipe.rollout.samples, recipe.stopping.rounds) == (job.SAMPLES, 1)
    train = (data / "train.py").read_text(encoding="utf-8")
    assert f"per_device_train_batch_size={recipe.training.batch_size}," in train
    assert f'"--epochs", type=float, default={recipe.training.epochs:g}' in train
    sample = (data / "sample.py").read_text(encoding="utf-8")
    assert f'"top_p": {recipe.rollout.top_p}' in sample
    assert f"max_new_tokens={recipe.rollout.max_tokens}," in sample
    assert [choice.name for choice in recipe.strategies] == list(job.STRATEGIES)
    assert len(job.commands()) == lines.count("\npython ") == 12


def test_the_results_are_written_down(load: Callable[[Path], ModuleType], tmp_path: Path) -> None:
    benchmark = load(FOLDER / "published_steps.py")
    way = {"right": {"validation": 0.5, "test": 0.4}, "rows": [7, 8]}
    steps = {**way, "parts": [["train", 30.0], ["sample", 50.0], ["filter", 4.0], ["mix", 1.0]], "seconds": 90.0}
    ours = {
        **way,
        "parts": [["train round-0", 10.0], ["rollout round-1", 8.0], ["verify round-1", 1.0]],
        "seconds": 30.0,
    }
    made = {"of": 9, "made before": 5, "made again": 5, "seconds lost": 4.0, "left behind": "nothing"}
    killed = [
        {**made, "way": benchmark.STEPS, "killed in": "sampling"},
        {**made, "way": benchmark.SIKED, "killed in": "sampling", "made again": 1, "differs": []},
    ]
    record = benchmark.Record("published_steps", "", "")
    benchmark.write_up(record, SIZE, [{"by_steps": steps, "by_siked": ours}], killed)
    found: dict[str, Any] = json.loads(record.write(tmp_path).read_text(encoding="utf-8"))
    job, spent, kills = (table["rows"] for table in found["tables"])
    assert [row["seconds"] for row in job] == [90.0, 30.0]
    assert job[0]["lines that a user writes"] > 100
    assert {row["what"]: row[benchmark.SIKED] for row in spent}["the rest"] == 11.0
    assert "differs" not in kills[1]
    assert found["says"][0].startswith("The separate steps take 3 times as long as")
    assert "made 1 of 5 a second time" in found["says"][2]
    assert found["says"][-1].endswith("has the pools, mixtures and weights of the unbroken one.")


def test_lines_are_what_somebody_wrote(load: Callable[[Path], ModuleType], tmp_path: Path) -> None:
    lines = load(FOLDER / "published_steps.py").lines
    written = {"a.py": '"""Says\nso."""\n\nx = 1  # one\n# no\n\ndef f():\n    """No."""\n    return 2\n'}
    written |= {"a.sh": "# no\nset -e\n\nls\n", "a.yaml": "# no\na: 1\n"}
    for name, text in written.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [lines(tmp_path / name) for name in written] == [3, 2, 1]


def test_what_was_lost_ends_where_more_is_there_than_was_made_again(load: Callable[[Path], ModuleType]) -> None:
    back_again = load(FOLDER / "published_kills.py").back_again
    trail = [(0.0, 50), (4.0, 64), (5.0, 90), (6.0, 120)]
    assert [back_again(trail, again) for again in (0, 20, 40, 70)] == [4.0, 5.0, 6.0, 6.0]
