"""What millions of samples cost: to append them, and to open the ledger and mix; against the same in pandas.

    python benchmarks/pool_scale.py [--rows 1000000 3000000 10000000] [--repeats 3] [--folder DIR]
                                    [--resume 100000] [--add] [--results DIR]

It leaves `pool_scale.json`. With `--add`, what that file has of other sizes stays in it, so that sizes may be measured
one by one.

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
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pool_parts
from pool_parts import DRAWS, NAME
from record import RESULTS, Picture, Record, ratios, spread

ABOUT = (
    "A run of invented samples with the shapes of real ones: four strategies, ten samples of the teacher's of each "
    "problem under each, forty of the student's. `siked mix` and its part without texts, beside pandas, which does as "
    "the published code does: loads all rows of the same Parquet shards (kinder to it than JSON lines), keeps the "
    "first correct one of each question and strategy, and joins. By turns, each in a process of its own. Both mixtures "
    "are of the same samples."
)
CHUNK = 4096
LABELS = {"open": "ledger opened, mixture computed", "mix": "siked mix (with texts)", "pandas": "pandas (with texts)"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000], help="samples")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement")
    parser.add_argument("--chunk", type=int, default=CHUNK, help="rows of an append")
    parser.add_argument("--folder", type=Path, help="where the runs are made and removed; about 0.5 GB a million")
    parser.add_argument("--no-pandas", action="store_true", help="leave the comparison out")
    parser.add_argument("--resume", type=int, nargs="+", default=[], metavar="N", help="samples of a finished stage")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that the results go into")
    parser.add_argument("--add", action="store_true", help="keep what the results have of other sizes")
    given = parser.parse_args()
    record = Record("pool_scale", "Mixing and pools of millions", ABOUT)
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="pool-scale-") as folder:
        sizes = [measured(Path(folder), rows, given.repeats, given.chunk, not given.no_pandas) for rows in given.rows]
        resumed = [resuming(Path(folder), samples, given.repeats) for samples in given.resume]
    if given.add:
        before = json.loads((given.results / "pool_scale.json").read_text(encoding="utf-8"))
        sizes, resumed = with_those(before["sizes"], sizes), with_those(before["resume"], resumed)
    write_up(record, given.chunk, sizes, resumed)
    print(record.write(given.results))
    return 0


def with_those(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured now, and what was measured before of other numbers of samples."""
    measured = {one["samples"]: one for one in (*before, *now)}
    return [measured[samples] for samples in sorted(measured)]


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
    """Run a part in a process of its own."""
    work.mkdir(exist_ok=True)
    return timed([sys.executable, pool_parts.__file__, name, str(rows), str(chunk), pool], work)


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


def write_up(record: Record, chunk: int, sizes: list[dict[str, Any]], resumed: list[dict[str, Any]]) -> None:
    """The figures as a reader sees them."""
    rows = [shown(size["samples"], label, size[way]) for size in sizes for way, label in LABELS.items() if size[way]]
    place = record.table("from start to end of a process, of so many samples", rows)
    axes = {"x": "samples", "y": "CPU seconds", "series": "way", "line": True}
    record.picture(Picture(place, **axes, reading="CPU time, median; lower is better."))  # type: ignore[arg-type]
    appends = [
        {
            "samples": size["samples"],
            "rows": size["append"]["rows"],
            "rows a second": round(size["append"]["rows"] / size["append"]["seconds"], -3),
            "rows a second of CPU time": round(size["append"]["rows"] / size["append"]["cpu_s"], -3),
            "bytes a sample, with its verdict": round(size["append"]["bytes"] / size["samples"]),
        }
        for size in sizes
    ]
    record.table(f"samples and verdicts appended, {chunk:,} at a time", appends)
    for size in (size for size in sizes if size["pandas"]):
        cpu, wall = (ratios(*(column(size[way], of) for way in ("pandas", "mix")), 1) for of in ("cpu_s", "seconds"))
        memory = ratios(*(column(size[way], "peak_mib") for way in ("pandas", "mix")), 1)
        record.say(
            f"{size['samples']:,} samples: pandas takes {wall['median']:g} times the time of `siked mix` (least "
            f"{wall['least']:g}, most {wall['most']:g}), {cpu['median']:g} times its CPU time and {memory['median']:g} "
            "times its memory, for a mixture of the same samples."
        )
    slopes = exponents(sizes)
    if slopes:
        powers = ", ".join(f"{slope:.2f} ({way})" for way, slope in slopes.items())
        record.say(f"CPU time grows with the number of samples to the power of {powers}.")
    if resumed:
        rows = [shown(one["samples"], "siked teach, given again", one["again"]) for one in resumed]
        record.table("a finished stage, found finished", rows)
    record.keep(chunk=chunk, sizes=sizes, exponents=slopes, resume=resumed)


def shown(samples: int, way: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A row: medians, and of wall time the least and the most."""
    wall = spread(column(runs, "seconds"), 1)
    cpu, peak = (statistics.median(column(runs, name)) for name in ("cpu_s", "peak_mib"))
    return {
        "samples": samples,
        "way": way,
        "seconds": wall["median"],
        "least": wall["least"],
        "most": wall["most"],
        "CPU seconds": round(cpu, 1),
        "peak memory, GiB": round(peak / 1024, 2),
        "times": len(runs),
    }


def column(runs: list[dict[str, Any]], name: str) -> list[float]:
    return [one[name] for one in runs]


if __name__ == "__main__":
    sys.exit(main())
