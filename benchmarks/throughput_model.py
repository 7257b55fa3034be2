"""What a run of many samples on many GPUs would take, worked out from what was measured here and from what you assume.

    python benchmarks/throughput_model.py [--gpus 1 8 64] [--samples 1000000 10000000 100000000]
                                          [--rate 2500] [--tokens 200] [--price 2.5]

Nothing here was run on a GPU. Measured, and read from the files of results beside this script, is what siked's own
work takes for a sample on one core: to ask for it and write it, to judge it, to open it in the ledger and mix it
(`million`), the memory of each stage (`stage_memory`), and what a sample takes on disk (`pool_scale`, where that is
there, else `million`). Assumed, and yours to set, are what a GPU writes, how long a sample is, and what a GPU costs.

The model is as simple as it looks. A stage's time is samples times its time for one. Sampling is divided by the GPUs.
Writing goes on beside sampling, in one process. Judging follows sampling, in one process that hands programs to others
(taken as one core in all, so a machine with more is a little faster). The ledger and the mixture follow. All grow
linearly. Training is left out: it depends on the mixture, which does not grow with the draws.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import RESULTS, Picture, Record

ABOUT = (
    "Worked out, not run: what samples take on so many GPUs, from siked's measured costs for one sample and from "
    "assumed rates and prices. Sampling is divided by the GPUs; asking for samples and writing them goes on beside it "
    "in one process; judging, the ledger and the mixture follow, on one core of a machine like this one, while GPUs "
    "that are paid for wait. Everything is taken to grow linearly. Training is left out."
)


@dataclass(frozen=True)
class Costs:
    """Of one sample, on one core, as measured."""

    write_s: float
    judge_s: float
    mix_s: float
    memory_b: dict[str, float]
    """Bytes by which a stage's memory grows."""
    disk_b: float
    """With its verdict."""


@dataclass(frozen=True)
class Assumed:
    """What nobody measured here."""

    rate: float
    """Tokens that a GPU writes a second, of the teacher that is meant."""
    tokens: float
    """Of a sample."""
    price: float
    """Of a GPU for an hour."""


@dataclass(frozen=True)
class Estimate:
    """Hours, GiB and money of so many samples on so many GPUs."""

    samples: int
    gpus: int
    sampling_h: float
    writing_h: float
    judging_h: float
    mixing_h: float
    memory_gib: float
    memory_stage: str
    disk_gb: float
    cost: float
    waiting: float
    """The share of the cost that is paid for GPUs that wait for verdicts and the mixture."""

    @property
    def hours(self) -> float:
        return max(self.sampling_h, self.writing_h) + self.judging_h + self.mixing_h

    @property
    def longest(self) -> str:
        stages = {"sampling": self.sampling_h, "writing": self.writing_h, "judging": self.judging_h,
                  "mixing": self.mixing_h}  # fmt: skip
        return max(stages, key=lambda name: stages[name])


def estimate(samples: int, gpus: int, costs: Costs, assumed: Assumed) -> Estimate:
    """The whole model."""
    sampling = samples * assumed.tokens / (assumed.rate * gpus) / 3600
    writing, judging, mixing = (samples * each / 3600 for each in (costs.write_s, costs.judge_s, costs.mix_s))
    hours = max(sampling, writing) + judging + mixing
    stage = max(costs.memory_b, key=lambda name: costs.memory_b[name])
    return Estimate(
        samples, gpus, sampling, writing, judging, mixing, samples * costs.memory_b[stage] / 2**30, stage,
        samples * costs.disk_b / 1e9, hours * gpus * assumed.price, (hours - sampling) / hours,
    )  # fmt: skip


def keeps_up(costs: Costs, assumed: Assumed) -> float:
    """GPUs whose samples one core judges as fast as they are written."""
    return assumed.tokens / assumed.rate / costs.judge_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64], help="8 x 8 are 64")
    parser.add_argument("--samples", type=int, nargs="+", default=[1_000_000, 10_000_000, 100_000_000])
    parser.add_argument("--rate", type=float, default=2500, help="assumed: tokens a second that one GPU writes")
    parser.add_argument("--tokens", type=float, default=200, help="assumed: tokens of a sample")
    parser.add_argument("--price", type=float, default=2.5, help="assumed: of a GPU for an hour")
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    costs, assumed = measured(RESULTS), Assumed(given.rate, given.tokens, given.price)
    record = Record("throughput_model", "A model of throughput and cost", ABOUT)
    tell(record, costs, assumed, [estimate(n, g, costs, assumed) for n in given.samples for g in given.gpus])
    print(record.write(given.results))
    return 0


def measured(folder: Path) -> Costs:
    """What the results beside this script say of one sample.

    Raises:
        SystemExit: they are not there.
    """
    million, memory = _read(folder, "million"), _read(folder, "stage_memory")
    samples = million["samples"]
    taken = {name: cpu_s / samples for name, (_, cpu_s, _) in million["measured"].items()}
    sizes = sorted(memory["measured"], key=int)
    least, most = (memory["measured"][size] for size in (sizes[0], sizes[-1]))
    more = int(sizes[-1]) - int(sizes[0])
    grows = {name: max(0.0, (most[name][0] - least[name][0]) * 2**20 / more) for name in ("teach", "verify", "mix")}
    disk = sum(million["bytes"][name] for name in ("pools", "verdicts")) / samples
    if (folder / "pool_scale.json").exists():  # texts of realistic length, which repeat as a model's do
        appended = max(_read(folder, "pool_scale")["sizes"], key=lambda size: size["samples"])
        disk = appended["append"]["bytes"] / appended["samples"]
    return Costs(taken["teach"], taken["verify"], taken["mix"], grows, disk)


def _read(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path} is not there. Make it first: python benchmarks/{name}.py")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def tell(record: Record, costs: Costs, assumed: Assumed, found: list[Estimate]) -> None:
    times = {
        "to ask for it and write it": costs.write_s,
        "to judge it": costs.judge_s,
        "to open it in the ledger, choose and mix": costs.mix_s,
    }
    sizes = {f"memory of `{name}`": size for name, size in costs.memory_b.items()}
    record.table(
        "measured, for one sample on one core of this machine",
        [
            *({"what": what, "takes": round(seconds * 1e6), "unit": "µs"} for what, seconds in times.items()),
            *({"what": what, "takes": round(size), "unit": "bytes"} for what, size in sizes.items()),
            {"what": "on disk, with its verdict", "takes": round(costs.disk_b), "unit": "bytes"},
        ],
    )
    record.table(
        "assumed (`--rate`, `--tokens`, `--price`)",
        [
            {"what": "tokens a second that a GPU writes", "value": assumed.rate},
            {"what": "tokens of a sample", "value": assumed.tokens},
            {"what": "price of a GPU for an hour", "value": assumed.price},
        ],
    )
    place = record.table(
        "worked out",
        [
            {
                "samples": one.samples,
                "GPUs": str(one.gpus),
                "hours": round(one.hours, 1),
                "of sampling": round(one.sampling_h, 1),
                "of writing, beside it": round(one.writing_h, 2),
                "of judging": round(one.judging_h, 2),
                "of the ledger and mixing": round(one.mixing_h, 2),
                "longest": one.longest,
                "memory beside the libraries', GiB": round(one.memory_gib, 1),
                "disk, GB": round(one.disk_gb, 1),
                "cost": round(one.cost),
                "of it for GPUs that wait, %": round(100 * one.waiting, 1),
            }
            for one in found
        ],
    )
    record.picture(Picture(place, x="samples", y="hours", series="GPUs", line=True, log=True))
    largest = max(found, key=lambda one: (one.samples, one.gpus))
    record.say(
        f"One core judges what {keeps_up(costs, assumed):.0f} such GPUs write, and one process writes down what "
        f"{assumed.tokens / assumed.rate / costs.write_s:,.0f} do. {largest.samples:,} samples on {largest.gpus} GPUs "
        f"would take {largest.hours:.0f} hours, {largest.sampling_h:.0f} of them sampling and {largest.judging_h:.0f} "
        f"judging, and cost {largest.cost:,.0f}, of which {largest.waiting:.0%} for GPUs that wait."
    )
    record.say(
        f"What does not fit first is memory: `{largest.memory_stage}` would hold {largest.memory_gib:,.0f} GiB for "
        f"{largest.samples:,} samples at once. On disk they take {largest.disk_gb:,.0f} GB."
    )
    record.keep(assumed=vars(assumed), costs=vars(costs))


if __name__ == "__main__":
    sys.exit(main())
