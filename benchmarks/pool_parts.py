"""What `pool_scale.py` measures, each part in a process of its own, in the folder of a run:

python benchmarks/pool_parts.py PART ROWS CHUNK [POOL]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

NAME = "scale"
STRATEGIES = ("cot", "eot", "l2m", "pot")
DRAWS = 10
CORRECT, REPEATED = 0.6, 0.1
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("rows", type=int, help="samples in all")
    parser.add_argument("chunk", type=int, help="rows of an append")
    parser.add_argument("pool", nargs="?", choices=("teacher", "round-1", ""))
    given = parser.parse_args()
    print(json.dumps(PARTS[given.part](given)))


def make_run(given: argparse.Namespace) -> None:
    """An empty run of a data set with as many problems as the samples need."""
    from siked_core.recipe import validate
    from siked_core.registry import Registry
    from siked_core.reporting import SilentReporter
    from siked_core.run import start
    from siked_core.stages.prepare import problems

    data = Path("data")
    data.mkdir()
    count = -(-given.rows // (2 * DRAWS * len(STRATEGIES))) + 1  # one is held out for validation
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


if __name__ == "__main__":
    main()
