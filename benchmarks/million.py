"""A million samples end to end: a teacher's pool filled, judged and mixed, the teacher being a file.

    python benchmarks/million.py [--samples 1000000] [--folder DIR]

What is recorded is played back by the generator `replay` (`benchmarks/replayed.py` makes the file), so all that is
measured is the program's own: prompts rendered and samples keyed and written, every sample read and judged (a quarter
of them programs that are executed, a quarter equations that are solved), the ledger opened and the mixture written with
its texts. Each stage is a process of its own. At the end the stages are asked again, and find that all is done.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from apart import Measured, arguments, part
from record import Record
from replayed import PARTS, on_disk, problems_for

STAGES = {
    "teach": "teach: ask, and write the samples",
    "verify": "verify: read and judge them, and write the verdicts",
    "mix": "mix: open the ledger, choose, and write the rows",
}
BYTES_A_SAMPLE = 2_000
"""Room that is asked for beforehand: the run, and the file that is played back."""
ABOUT = (
    "A teacher's pool from a file of recorded completions (the pocket world's teacher: four strategies, four draws) "
    "through `teach`, `verify` and `mix`. Each stage is a process of its own, timed with its start; memory is its "
    "peak. "
    "What is on disk is less than a model's samples would take: of four draws most say the same, which is stored once."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000, help="of the teacher's pool")
    parser.add_argument("--folder", type=Path, help="where the run is made and removed; about 0.4 GB a million")
    given = arguments(parser, PARTS)
    size = "A million" if given.samples == 1_000_000 else f"{given.samples:,}"
    record = Record("million", f"{size} samples, end to end", ABOUT)
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="million-") as folder:
        if shutil.disk_usage(folder).free < given.samples * BYTES_A_SAMPLE:
            raise SystemExit(f"{folder} has too little room for {given.samples:,} samples. Choose another --folder.")
        recorded = part(__file__, "make", folder=folder, samples=given.samples)
        told("file of completions", recorded)
        stages = {name: run(name, folder) for name in STAGES}
        again = {name: run(name, folder, "again") for name in STAGES}
        sizes = {name: on_disk(folder, name) for name in ("pools", "verdicts", "mixtures")}
    describe(record, given.samples, recorded.answer, stages, again, sizes)
    print(record.write(given.results))
    return 0


def run(name: str, folder: str, note: str = "") -> Measured:
    done = part(__file__, name, folder=folder)
    told(f"{name} {note}".strip(), done)
    return done


def told(name: str, done: Measured) -> None:
    """On the way: this takes minutes."""
    print(f"{name}: {done.seconds:,.0f} s, {done.peak_mib:,.0f} MiB, {done.answer}", flush=True)


def describe(
    record: Record,
    asked: int,
    recorded: dict[str, Any],
    stages: dict[str, Measured],
    again: dict[str, Measured],
    sizes: dict[str, int],
) -> None:
    samples = recorded["samples"]
    record.table(
        f"{samples:,} samples of {problems_for(asked):,} problems",
        [
            {
                "stage": what,
                "seconds": round(stages[name].seconds),
                "CPU seconds": round(stages[name].cpu_s),
                "samples a second": round(samples / stages[name].seconds),
                "CPU µs a sample": round(stages[name].cpu_s / samples * 1e6),
                "peak memory, MiB": round(stages[name].peak_mib),
                "seconds when asked again": round(again[name].seconds, 1),
            }
            for name, what in STAGES.items()
        ],
    )
    record.table(
        "on disk", [{"what": name, "MB": round(size / 1e6, 1), "bytes a sample": round(size / samples)}
                    for name, size in sizes.items()]
    )  # fmt: skip
    wall, most = sum(one.seconds for one in stages.values()), max(one.peak_mib for one in stages.values())
    record.say(
        f"{samples:,} samples took {wall / 60:.1f} minutes from the file to the mixture "
        f"({samples / wall:,.0f} a second), {most / 1024:.1f} GiB of memory at most, and "
        f"{sum(sizes.values()) / 1e6:,.0f} MB on disk; {stages['verify'].seconds / wall:.0%} of the time went into "
        "verdicts."
    )
    record.say(
        f"{stages['verify'].answer['correct']:,} samples were correct, and {stages['mix'].answer['rows']:,} rows were "
        f"chosen. Asked again, the three stages took {sum(one.seconds for one in again.values()):.0f} s together."
    )
    record.keep(
        samples=samples,
        recorded_bytes=recorded["bytes"],
        statuses=stages["verify"].answer["statuses"],
        measured={name: [stages[name].seconds, stages[name].cpu_s, stages[name].peak_mib] for name in STAGES},
        bytes=sizes,
    )


if __name__ == "__main__":
    sys.exit(main())
