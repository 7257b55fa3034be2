"""How fast a student is trained: siked's training against a bare PyTorch loop and TRL's `SFTTrainer` as in its README.

The same student, rows, batch size and learning rate, one epoch each, by turns, in this process:

- siked: `siked_core.training.fit`, which is what the stage `train` calls, with its checkpoints;
- a bare loop: shuffled rows, padded batches, AdamW, clipped gradients, a linear schedule; nothing else;
- `SFTTrainer` on prompts and completions as text, with float32 (bfloat16, its default, is slower on most CPUs), with
  and without the activation checkpointing that it has by default.

Tokens are those of the rows, without padding. Seconds are the process's own processor time: with one thread, what it
would take on a machine that does nothing else. The rate is that after the first steps; what is spent before the first
step is measured apart, in fresh processes. After the epoch each student's loss on held-out rows is measured: they must
have learnt alike. Run it as

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/training.py [--rows 240] [--repeats 3] [--quick]

`--prepare` only makes the rows, which takes about a minute and is found again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: threads that wait must not spin

from pocket_student import STRATEGIES, begun
from record import RESULTS, Picture, Record, in_turns, ratios, spread
from training_ways import BARE, FIRST_STEPS, OURS, TRL, TRL_FAST, WAYS, Clock, Material, material, store, stored

from siked_core.reporting import Progress, SilentReporter


@contextmanager
def hushed() -> Iterator[None]:
    """What libraries print goes to stderr."""
    out = sys.stdout
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = out


def start_up(way: str, rows: Path) -> float:
    """Processor seconds of a process up to the end of its first step."""
    return float(child("--first-step", way, str(rows))["seconds"])


def rounds(number: int) -> list[float]:
    """Of each training of one run, seconds from where its stage begins to the end of its first step."""
    found: list[float] = child("--rounds", str(number))["seconds"]
    return found


def child(*what: str) -> dict[str, Any]:
    """What this script prints when it is run so."""
    command = [sys.executable, str(Path(__file__).resolve()), *what]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def first_step(way: str, folder: Path) -> None:
    """In a process of its own: train a few rows, and print when the first step ended."""
    given = stored(folder)
    with hushed():
        outcome = WAYS[way](given)
    print(json.dumps({"seconds": outcome.ends[0]}))


def run_of_rounds(number: int) -> None:
    """In a process of its own: a whole small run, and what each of its trainings took to its first step."""
    from siked_core import distill

    seconds: list[float] = []

    class Timed(SilentReporter):
        @contextmanager
        def stage(self, name: str, total: int, unit: str) -> Iterator[Progress]:
            clock, began = Clock(), time.process_time()
            yield clock
            if name.startswith("train"):
                seconds.append(clock.ends[0] - began)

    settings = {
        "strategies": list(STRATEGIES),
        "dataset.options": {"train": 24, "validation": 8, "test": 8},
        "training.warm_up_epochs": 1,
        "rollout.samples": 1,
        "stopping.rounds": number,
        "stopping.patience": 9,
    }
    with tempfile.TemporaryDirectory() as folder:
        distill(preset="pocket-smoke", settings=settings, runs=folder, reporter=Timed())
    print(json.dumps({"seconds": seconds}))


def measure(given: Material, repeats: int, starts: int, folder: Path) -> Path:
    """Measure, and write the results."""
    tokens = sum(len(one.input_ids) for one in given.examples)
    record = Record(
        "training",
        "Training a student",
        f"{len(given.examples):,} rows of the pocket world's warm-up ({tokens:,} tokens, prompts and answers, without "
        f"padding) under three strategies, {given.recipe.batch_size} at a time, one epoch with AdamW and a linear "
        f"schedule, in float32. The rate is that after the first {FIRST_STEPS} steps, in processor time of one thread. "
        "`SFTTrainer` is called as in its README, on the rows as prompts and completions, with the same settings, and "
        "float32 in the place of its default bfloat16.",
    )
    losses: dict[str, list[float]] = {name: [] for name in WAYS}

    def rate(name: str) -> float:
        outcome = WAYS[name](given)
        losses[name].append(outcome.loss)
        return given.rate(outcome.ends)

    with hushed():
        found = in_turns({name: partial(rate, name) for name in WAYS}, repeats)
    learnt = {name: statistics.median(values) for name, values in losses.items()}
    table = record.table(
        "Tokens a second, by turns, and what was learnt",
        [
            {
                "way": name,
                **{f"{what} tokens a second": value for what, value in spread(values, 0).items()},
                **{f"siked's ratio to it, {what}": value for what, value in ratios(found[OURS], values).items()},
                "loss on held-out rows": round(learnt[name], 3),
            }
            for name, values in found.items()
        ],
    )
    record.picture(Picture(table, "way", "median tokens a second", "least tokens a second", "most tokens a second"))
    for name in (BARE, TRL, TRL_FAST):
        ratio = ratios(found[OURS], found[name])
        record.say(
            f"Against {name}: {ratio['median']:.2f} times as fast ({ratio['least']:.2f} to {ratio['most']:.2f})."
        )
    with tempfile.TemporaryDirectory() as place:
        rows = Path(place) / "rows"
        store(given, rows)
        seconds = in_turns({name: partial(start_up, name, rows) for name in (OURS, BARE, TRL)}, starts)
    record.table(
        "Processor seconds of a process up to the end of its first step",
        [{"way": name, **spread(values, 1)} for name, values in seconds.items()],
    )
    first, *later = rounds(2)
    record.table(
        "The trainings of one run (pocket-smoke): processor seconds of each to the end of its first step",
        [{"training": f"round {number}", "seconds": round(one, 2)} for number, one in enumerate([first, *later])],
    )
    record.say(
        f"The first training of a run took {first:.1f} s of processor time to its first step, those after it "
        f"{max(later):.1f} s at most."
    )
    record.keep(rates=found, losses=losses, start_up=seconds, rounds=[first, *later])
    return record.write(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--warm-up", type=int, default=1500, help="problems of the warm-up that the rows are taken from"
    )
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--starts", type=int, default=1, help="processes of each way whose start-up is timed")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the rows' run is made")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--prepare", action="store_true", help="make the rows, and end")
    parser.add_argument("--quick", action="store_true", help="small numbers, of no worth: whether it runs")
    parser.add_argument("--first-step", nargs=2, metavar=("WAY", "ROWS"), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.first_step:
        first_step(given.first_step[0], Path(given.first_step[1]))
        return
    if given.rounds:
        run_of_rounds(given.rounds)
        return
    if given.quick:
        given.warm_up, given.rows, given.repeats, given.starts = 48, 48, 1, 1
    with begun(given.runs, given.warm_up, 250, "pocket-smoke" if given.quick else "pocket") as run:
        rows = material(run, given.rows)
    if not given.prepare:
        print(measure(rows, given.repeats, given.starts, given.out))


if __name__ == "__main__":
    main()
