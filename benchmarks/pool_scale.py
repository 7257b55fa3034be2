"""What millions of samples cost: to append them, and to open the ledger and mix; against the same in pandas.

    python benchmarks/pool_scale.py [--rows 1000000 3000000 10000000] [--repeats 3] [--folder DIR]
                                    [--resume 100000] [--json FILE] [--picture FILE]

A run is made of invented samples with the shapes of real ones: four strategies, 10 teacher's samples of each problem
under each, 40 of the student, who chooses; completions of about 500 characters (100 to 200 tokens) and their verdicts,
of which 3 in 5 are correct and one in 10 repeats the sample before it. They are written by `Pool.append`, in the chunks
that a stage writes: 4,096 samples, as the generators `replay` and `annotations` do (`--chunk`), and verdicts likewise.

Then the ledger of all samples is opened, with every shard compared with its digest, and the *adaptive* mixture
computed; and `siked mix RUN --round 1` is run, which also writes the mixture with its texts. Beside it, by turns,
pandas does as the published code does: it loads all rows, keeps the correct ones, the first for each (question,
strategy), takes of the teacher's those whose question the student does not solve under that strategy, and writes them.
Each runs in a process of its own; memory is its peak, and wall time includes its start. Both mixtures have to be of
the same samples.

pandas reads the same Parquet shards, which is kinder to it than the JSON lines of the published code.

`--resume N` fills a teacher's pool of N samples in earnest (`siked teach`, from annotated solutions, judged), and then
gives the same command again, which finds nothing to do: what that takes is what resuming costs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

STRATEGIES = ("cot", "eot", "l2m", "pot")
DRAWS = 10
CHUNK = 4096
CORRECT, REPEATED = 0.6, 0.1
NAME = "scale"
LABELS = {"open": "ledger opened, mixture computed", "mix": "siked mix (with texts)", "pandas": "pandas (with texts)"}
Row = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000], help="samples")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement")
    parser.add_argument("--chunk", type=int, default=CHUNK, help="rows of an append")
    parser.add_argument("--folder", type=Path, help="where the runs are made and removed; about 0.5 GB a million")
    parser.add_argument("--no-pandas", action="store_true", help="leave the comparison out")
    parser.add_argument("--resume", type=int, nargs="+", default=[], metavar="N", help="samples of a finished stage")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--picture", type=Path, help="draw them; needs matplotlib (pip install siked[bench])")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--pool", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](given)))
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="pool-scale-") as folder:
        sizes = [measured(Path(folder), rows, given.repeats, given.chunk, not given.no_pandas) for rows in given.rows]
        resumed = [resuming(Path(folder), samples, given.repeats) for samples in given.resume]
    found = {"chunk": given.chunk, "sizes": sizes, "exponents": exponents(sizes), "resume": resumed}
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if given.picture:
        draw(found, given.picture)
    return 0


# One size


def measured(folder: Path, rows: int, repeats: int, chunk: int, with_pandas: bool) -> dict[str, Any]:
    """Make a run of so many samples, measure, and remove it."""
    need = rows * 1_200
    if shutil.disk_usage(folder).free < need:
        raise SystemExit(f"{folder} has too little room: {rows:,} rows take up to {need / 1e9:.0f} GB.")
    work = folder / str(rows)
    part(work, "run", rows, chunk)
    made = [part(work, "fill", rows, chunk, pool)["answer"] for pool in ("teacher", "round-1")]
    mixture = work / "runs" / NAME / "mixtures" / "round-1.parquet"
    opened, mix, pandas = [], [], []
    command = [sys.executable, "-m", "siked_cli", "mix", NAME, "--round", "1", "--json", "-q"]
    for _ in range(repeats):
        mixture.unlink(missing_ok=True)  # a mixture that is there is not made again
        opened.append(part(work, "open", rows, chunk))
        mix.append(timed(command, work))
        ours = part(work, "mixed", rows, chunk)["answer"]
        if with_pandas:
            pandas.append(part(work, "pandas", rows, chunk))
            if pandas[-1].pop("answer")["keys"] != ours["keys"]:
                raise SystemExit("The two mixtures are not of the same samples.")
    shutil.rmtree(work)
    appended = {name: sum(one[name] for one in made) for name in ("rows", "seconds", "cpu_s", "shards", "bytes")}
    return {"samples": rows, "append": appended, "open": opened, "mix": mix, "pandas": pandas, "mixture": ours["rows"]}


def part(work: Path, name: str, rows: int, chunk: int, pool: str = "") -> dict[str, Any]:
    """Run a part of this file in a process of its own."""
    work.mkdir(exist_ok=True)
    command = [sys.executable, __file__, "--part", name, "--rows", str(rows), "--chunk", str(chunk), "--pool", pool]
    return timed(command, work)


def timed(command: list[str], folder: Path) -> dict[str, Any]:
    """What a command took, and what it printed last. This process stays small: a child's peak begins with its own."""
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")
    return {
        "seconds": round(time.monotonic() - started, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mib": round(usage.ru_maxrss / (1 if sys.platform != "darwin" else 1024) / 1024, 1),
        "answer": json.loads(printed),
    }


def resuming(folder: Path, samples: int, repeats: int) -> dict[str, Any]:
    """What `siked teach` takes, and what it takes when it finds everything done."""
    work = folder / "resume"
    (work / "data").mkdir(parents=True)
    count = samples // DRAWS
    with (work / "data" / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count + 1):  # one is held out for validation
            row = {
                "id": f"p{number}",
                "question": f"Ann has {number} pens and buys 3 more. How many has she?",
                "answer": str(number + 3),
                "solution": f"She has {number} + 3 = <<{number}+3={number + 3}>>{number + 3} pens.\n#### {number + 3}",
            }
            file.write(json.dumps(row) + "\n")
    (work / "data" / "test.jsonl").write_text('{"question": "Who counts?", "answer": "1"}\n', encoding="utf-8")
    recipe = {
        "dataset": {"name": "jsonl", "options": {"path": "data", "columns": {"solution": "solution"}}},
        "strategies": ["cot"],
        "data": {"validation": 1, "decontaminate": "none"},
        "teacher": {"generator": "annotations", "samples": DRAWS},
    }
    (work / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")  # YAML has JSON in it
    command = [sys.executable, "-m", "siked_cli", "teach", "recipe.yaml", "--run", NAME, "--json", "-q"]
    runs = [timed(command, work) for _ in range(repeats + 1)]
    shutil.rmtree(work)
    return {"samples": count * DRAWS, "first": runs[0], "again": runs[1:]}


# The parts


def make_run(given: argparse.Namespace) -> None:
    """An empty run of a data set with as many problems as the samples need."""
    from siked_core.recipe import validate
    from siked_core.registry import Registry
    from siked_core.reporting import SilentReporter
    from siked_core.run import start
    from siked_core.stages.prepare import problems

    data = Path("data")
    data.mkdir()
    count = -(-given.rows[0] // (2 * DRAWS * len(STRATEGIES))) + 1  # one is held out for validation
    with (data / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            question = f"Ann has {number} pens and buys {number % 97} in each of {number % 7} shops. How many has she?"
            file.write(json.dumps({"id": f"p{number}", "question": question, "answer": str(number)}) + "\n")
    test = {"question": "Who counts these pens?", "answer": "1"}
    (data / "test.jsonl").write_text(json.dumps(test) + "\n", encoding="utf-8")
    recipe = {
        "dataset": {"name": "jsonl", "options": {"path": str(data.resolve())}},
        "strategies": list(STRATEGIES),
        "data": {"validation": 1, "decontaminate": "none"},
        "teacher": {"generator": "annotations", "samples": DRAWS},
        "rollout": {"mode": "free", "samples": DRAWS * len(STRATEGIES)},
    }
    with start(validate(recipe), Registry.discover(), SilentReporter(), name=NAME) as run:
        problems(run, "train")


def fill_pool(given: argparse.Namespace) -> dict[str, Any]:
    """Write one pool's samples and verdicts. Only the appends are timed."""
    import polars as pl

    from siked_core.pool import write_parquet
    from siked_core.registry import Registry
    from siked_core.reporting import SilentReporter
    from siked_core.run import attach
    from siked_core.stages.evidence import asked, present_judges
    from siked_core.stages.prepare import problems
    from siked_core.stand_ins import hashed

    with attach(NAME, Registry.discover(), SilentReporter()) as run, run.verifiers() as verifiers:
        known = problems(run, "train")
        questions = {problem.id: asked(problem) for problem in known}
        judges = present_judges(run, verifiers)
        samples, verdicts = run.pool(given.pool), run.verdicts(given.pool)
        write = Stopwatch()
        keys: list[str] = []
        made = invented(given.pool, [problem.id for problem in known])
        while batch := list(islice(made, given.chunk)):
            write(samples.append, [sample for sample, _ in batch])
            judged = [
                {
                    "key": sample["key"],
                    "judge": judges[sample["strategy"]],
                    "status": "correct" if right else "wrong",
                    "answer": "1",
                    "why": "",
                    "rationale": sample["text"],
                    "evidence": f"{hashed(sample['text'])}.{questions[sample['problem_id']]}",
                }
                for sample, right in batch
            ]
            write(verdicts.append, judged)
            keys += [sample["key"] for sample, _ in batch]
        write_parquet(pl.DataFrame({"key": keys}), run.wanted(given.pool))
        shards = len(samples.shards()) + len(verdicts.shards())
        files = [*(run.path / "pools" / given.pool).iterdir(), *(run.path / "verdicts" / given.pool).iterdir()]
    size = sum(file.stat().st_size for file in files)
    return {"rows": 2 * len(keys), "shards": shards, "bytes": size, **write.found()}


class Stopwatch:
    """Adds up what calls take."""

    _wall = _cpu = 0.0

    def __call__(self, function: Callable[[Any], None], argument: Any) -> None:
        wall, cpu = time.monotonic(), time.process_time()
        function(argument)
        self._wall += time.monotonic() - wall
        self._cpu += time.process_time() - cpu

    def found(self) -> dict[str, float]:
        return {"seconds": round(self._wall, 3), "cpu_s": round(self._cpu, 3)}


def invented(pool: str, problems: list[str]) -> Iterator[tuple[Row, bool]]:
    """Samples in the order in which a stage asks for them, each with whether it is right."""
    dice = random.Random(pool)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 9))) for _ in range(3000)]
    pieces = [" ".join(dice.choices(words, k=10)) for _ in range(30_000)]
    teacher = pool == "teacher"
    cells = [(name, problem) for name in STRATEGIES for problem in problems] if teacher else [
        (None, problem) for problem in problems
    ]  # fmt: skip
    number, text = 0, ""
    for requested, problem in cells:
        for draw in range(DRAWS if teacher else DRAWS * len(STRATEGIES)):
            number += 1
            used = requested or STRATEGIES[int(dice.random() * len(STRATEGIES))]
            if not draw or dice.random() >= REPEATED:
                text = "".join(f"{dice.choice(pieces)} {int(dice.random() * 1000)}. " for _ in range(7))
            yield (
                {
                    "key": hashlib.blake2b(f"{pool}{number}".encode(), digest_size=16).hexdigest(),
                    "problem_id": problem,
                    "requested": requested,
                    "strategy": used,
                    "source": "teacher" if teacher else "student",
                    "round": 0 if teacher else 1,
                    "draw": draw,
                    "text": text if teacher else f"<{used}>\n{text}",
                    "finish_reason": "stop",
                    "max_tokens": 512,
                    "prompt_tokens": 900 if teacher else 80,
                    "completion_tokens": 100 + int(dice.random() * 100),
                    "logprob": -60 * dice.random(),
                },
                dice.random() < CORRECT,
            )


def open_ledger(given: argparse.Namespace) -> dict[str, Any]:
    """What `siked mix` does before it fetches texts."""
    from siked_core.registry import Registry
    from siked_core.reporting import SilentReporter
    from siked_core.run import attach
    from siked_core.stages.mix import choose

    with attach(NAME, Registry.discover(), SilentReporter()) as run:
        return {"rows": choose(run, 1).height}


def mix_in_pandas(given: argparse.Namespace) -> dict[str, Any]:
    """The published way: all rows in memory, one strategy after another."""
    import pandas as pd

    run = Path("runs") / NAME
    first: dict[str, Any] = {}
    for pool in ("teacher", "round-1"):
        table = pd.read_parquet(run / "pools" / pool)
        verdicts = pd.read_parquet(run / "verdicts" / pool)
        table = table.merge(verdicts, on="key")
        right = table[table["status"] == "correct"]
        first[pool] = right.drop_duplicates(["problem_id", "strategy"])
        del table, verdicts, right
    kept = []
    for strategy in STRATEGIES:
        teacher, student = (first[pool][first[pool]["strategy"] == strategy] for pool in ("teacher", "round-1"))
        solved = set(student["problem_id"])
        kept += [student, teacher[~teacher["problem_id"].isin(solved)]]
    mixture = pd.concat(kept)
    mixture[["key", "problem_id", "strategy", "source", "rationale"]].to_parquet("pandas.parquet")
    return these(mixture["key"])


def what_was_mixed(given: argparse.Namespace) -> dict[str, Any]:
    import polars as pl

    return these(pl.read_parquet(Path("runs", NAME, "mixtures", "round-1.parquet"), columns=["key"])["key"])


def these(keys: Iterable[str]) -> dict[str, Any]:
    ordered = sorted(keys)
    return {"rows": len(ordered), "keys": hashlib.blake2b("".join(ordered).encode()).hexdigest()}


Part = Callable[[argparse.Namespace], Any]
PARTS: dict[str, Part] = {"run": make_run, "fill": fill_pool, "open": open_ledger, "mixed": what_was_mixed}
PARTS["pandas"] = mix_in_pandas


# What came of it


def exponents(sizes: list[dict[str, Any]]) -> dict[str, float]:
    """The slope of CPU time over samples, both as logarithms: 1 where cost is linear. Empty for one size."""
    if len(sizes) < 2:
        return {}
    across = [math.log(size["samples"]) for size in sizes]
    costs = {"append": [size["append"]["cpu_s"] for size in sizes]}
    costs |= {
        name: [statistics.median(one["cpu_s"] for one in size[name]) for size in sizes]
        for name in ("open", "mix", "pandas")
        if all(size[name] for size in sizes)
    }
    return {
        name: round(statistics.linear_regression(across, [math.log(cost) for cost in each]).slope, 3)
        for name, each in costs.items()
    }


def table(found: dict[str, Any]) -> str:
    lines = ["medians (min-max): seconds of wall time, seconds of CPU time, peak memory in MiB"]
    for size in found["sizes"]:
        appended = size["append"]
        per = [f"{appended['rows'] / appended[name]:,.0f}" for name in ("seconds", "cpu_s")]
        lines.append(f"{size['samples']:,} samples: {per[0]} rows appended a second, {per[1]} a second of CPU time")
        lines += [f"  {label:<34}{spread(size[name])}" for name, label in LABELS.items() if size[name]]
        if size["pandas"]:
            ratio = statistics.median(b["cpu_s"] / a["cpu_s"] for a, b in zip(size["mix"], size["pandas"], strict=True))
            lines.append(f"  CPU time of pandas to that of siked mix: {ratio:.1f}")
    lines += [f"resume of {one['samples']:,} finished samples: {spread(one['again'])}" for one in found["resume"]]
    if found["exponents"]:
        slopes = ", ".join(f"{name} {slope:.2f}" for name, slope in found["exponents"].items())
        lines.append(f"CPU time grows with the samples to the power of: {slopes}")
    return "\n".join(lines)


def spread(runs: list[dict[str, Any]]) -> str:
    def of(name: str, digits: int) -> str:
        values = sorted(one[name] for one in runs)
        return f"{statistics.median(values):,.{digits}f} ({values[0]:,.{digits}f}-{values[-1]:,.{digits}f})"

    return f"{of('seconds', 1)}  {of('cpu_s', 1)}  {of('peak_mib', 0)}"


def draw(found: dict[str, Any], path: Path) -> None:
    """CPU time over samples, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, label in LABELS.items():
        points = [(size["samples"], one["cpu_s"]) for size in found["sizes"] for one in size[name]]
        if points:
            axes.plot(*zip(*points, strict=True), "o", label=label)
    points = [(size["samples"], size["append"]["cpu_s"]) for size in found["sizes"]]
    axes.plot(*zip(*points, strict=True), "o", label="append")
    axes.set(xscale="log", yscale="log", xlabel="samples", ylabel="CPU seconds")
    axes.legend()
    axes.grid(True, which="both", alpha=0.3)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(main())
