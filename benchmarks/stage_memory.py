"""The memory that each stage takes at its most, with a small pool and with a large one: what grows, and how fast.

    python benchmarks/stage_memory.py [--samples 10000 100000] [--folder DIR] [--quick]

A run is made whose teacher is a file of recorded completions (`benchmarks/replayed.py`), once for each size, and each
stage is done in a process of its own: `teach`, `verify`, `mix`, `train` (the pocket student on the mixture of round 0:
all rows are made ready, some 60,000 tokens are trained on), `rollout` (as many samples as the teacher has drawn, by
that student, of one token each, so that it does not take hours), `evaluate` and `report`. Memory is the largest
resident set of that process; what lies under it is Python, siked and the libraries that the stage imports.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import replayed
from apart import Measured, arguments, part, siked
from record import Picture, Record

SIZES = [10_000, 100_000]
STAGES = ("teach", "verify", "mix", "train", "rollout", "evaluate", "report")
ABOUT = (
    "The largest resident set of each stage's process, by the samples of the teacher's pool (a file that is played "
    "back; the student is the pocket world's). `rollout` draws as many again, of one token each; `train` makes all "
    "rows of the mixture ready and trains on some 60,000 tokens of them; `evaluate` answers 100 questions; `report` "
    "shows at most 50,000 samples."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=SIZES, help="of the teacher's pool")
    parser.add_argument("--folder", type=Path, help="where the runs are made and removed")
    parser.add_argument("--quick", action="store_true", help="two tiny pools")
    given = arguments(parser, PARTS)
    sizes = sorted([160, 320] if given.quick else given.samples)
    record = Record("stage_memory", "Memory of each stage", ABOUT)
    describe(record, {size: stages(size, given.folder) for size in sizes})
    print(record.write(given.results))
    return 0


def stages(samples: int, above: Path | None) -> dict[str, Measured]:
    """A run of this size, stage by stage."""
    with tempfile.TemporaryDirectory(dir=above, prefix="stage-memory-") as folder:
        part(__file__, "make", folder=folder, samples=samples, **changes(samples))
        done = {}
        for name in STAGES:
            done[name] = part(__file__, name, folder=folder)
            print(
                f"{samples:,} samples, {name}: {done[name].peak_mib:,.0f} MiB, {done[name].seconds:.0f} s", flush=True
            )
        return done


def changes(samples: int) -> dict[str, Any]:
    """Of the recipe: one round, in which a student draws as many samples as its teacher did."""
    return {
        "rollout.mode": "free",
        "rollout.samples": samples // replayed.problems_for(samples),
        "rollout.max_tokens": 1,
        "training.warm_up_epochs": min(1.0, 2_400 / samples),  # a quarter are chosen, of some 100 tokens each
    }


def describe(record: Record, found: dict[int, dict[str, Measured]]) -> None:
    least, most = min(found), max(found)
    rows = []
    for name in STAGES:
        grown = found[most][name].peak_mib - found[least][name].peak_mib
        rows.append(
            {
                "stage": name,
                **{f"{size:,} samples, MiB": round(done[name].peak_mib) for size, done in found.items()},
                "grows by, KiB a sample": round(grown * 1024 / (most - least), 2),
                f"seconds, {most:,} samples": round(found[most][name].seconds, 1),
            }
        )
    record.table("peak memory of each stage's process", rows)
    points = [
        {"stage": name, "samples": f"{size:,}", "MiB": round(done[name].peak_mib)}
        for name in STAGES
        for size, done in found.items()
    ]
    place = record.table("the same, as drawn", points)
    record.picture(Picture(place, x="stage", y="MiB", series="samples", reading="Equal bars: it does not grow."))
    by = sorted(rows, key=lambda row: -row["grows by, KiB a sample"])
    top = max(STAGES, key=lambda name: found[most][name].peak_mib)
    record.say(
        f"Most memory with {most:,} samples was taken by `{top}` ({found[most][top].peak_mib:,.0f} MiB). What grows "
        f"most is `{by[0]['stage']}`, by {by[0]['grows by, KiB a sample']:.1f} KiB a sample, then `{by[1]['stage']}`, "
        f"by {by[1]['grows by, KiB a sample']:.1f}."
    )
    record.keep(measured={size: {name: [one.peak_mib, one.seconds] for name, one in done.items()}
                          for size, done in found.items()})  # fmt: skip


# The parts


def train(folder: str) -> dict[str, Any]:
    from siked_core.stages.train import train as fit

    with replayed.opened(folder) as run:
        fit(run, 0)
    return {}


def rollout(folder: str) -> dict[str, Any]:
    from siked_core.asking import asking
    from siked_core.records import Sampling
    from siked_core.stages.generate import draw, student_wants
    from siked_core.stages.prepare import dealt
    from siked_core.stages.rollout import asked_for, open_student

    with replayed.opened(folder) as run, asking(run, open_student(run, "round-0")) as generator:
        recipe = run.recipe.rollout
        draw(
            run,
            "round-1",
            student_wants(run.format, asked_for(run), dealt(run, 1), recipe.samples),
            stage="rollout round-1",
            generator=generator,
            sampling=Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens),
            source="student",
            round=1,
        )
        return {"samples": len(run.pool("round-1").keys())}


def evaluate(folder: str) -> dict[str, Any]:
    from siked_core.stages.evaluate import evaluate as score

    with replayed.opened(folder) as run:
        return {"answers": score(run, "round-0", "pocket", "validation").score.total}


def report(folder: str) -> dict[str, Any]:
    with redirect_stdout(sys.stderr):
        siked("report", str(Path(folder) / "runs" / replayed.NAME))
    return {}


PARTS = {**replayed.PARTS, "train": train, "rollout": rollout, "evaluate": evaluate, "report": report}


if __name__ == "__main__":
    sys.exit(main())
