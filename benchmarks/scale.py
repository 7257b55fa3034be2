"""Two processes against one: training by DDP through siked's own launcher, sampling through Ray.

    python benchmarks/scale.py [--rows 2400] [--requests 1024] [--repeats 3] [--quick]

*Training*: the pocket student on the same rows in the same optimiser steps of 32 rows, as `launch.processes` 1 and 2 do
it (`siked_core.launch`: children of siked's, torch's launcher, gloo). One process has one thread or two, so that it
shows what a second process gains over a second thread. The rate is that of the steps after the first ten; the whole
time has the start of the processes in it. All have to come to the same loss.

*Sampling*: the same requests to the pocket student, by `transformers` in this process and by `ray` with one worker and
with two, on a cluster that Ray starts on this machine; one thread each. The rate begins when a worker has the model.

Where other work shares the cores, or there are but two of them, two of anything cannot be twice as fast as one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from apart import Measured, arguments, part
from record import Picture, Record, in_turns, ratios, spread

WAYS = {"1 process, 1 thread": (1, 1), "1 process, 2 threads": (1, 2), "2 processes, 1 thread each": (2, 1)}
SAMPLERS = {"without Ray": 0, "Ray, 1 worker": 1, "Ray, 2 workers": 2}
BATCH, ACCUMULATION = 16, 2
FIRST = 10
"""Optimiser steps that are not timed."""
TOLERANCE = 1e-4
"""Of the mean loss, relative: sums are taken in another order."""
ABOUT = (
    "Training of the pocket student by one process and by two (DDP on CPUs, gloo), on the same rows in the same steps "
    f"of {BATCH * ACCUMULATION}, and sampling from it without Ray and with one and two workers. By turns, each in "
    "processes of its own."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2400, help="that are trained on")
    parser.add_argument("--requests", type=int, default=1024, help="that are sampled")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few rows, once")
    parser.add_argument("--no-ray", action="store_true", help="training only")
    given = arguments(parser, PARTS)
    if given.quick:
        given.rows, given.requests, given.repeats = (FIRST + 2) * BATCH * ACCUMULATION, 64, 1
    record = Record("scale", "Two processes against one", ABOUT)
    training(record, given.rows, given.repeats)
    if not given.no_ray:
        sampling(record, given.requests, given.repeats)
    print(record.write(given.results))
    return 0


def training(record: Record, rows: int, repeats: int) -> None:
    done: dict[str, list[Measured]] = {name: [] for name in WAYS}

    def way(name: str) -> float:
        processes, threads = WAYS[name]
        done[name].append(part(__file__, "train", rows=rows, processes=processes, threads=threads))
        return float(done[name][-1].answer["tokens_a_second"])

    rates = in_turns({name: lambda name=name: way(name) for name in WAYS}, repeats)  # type: ignore[misc]
    losses = [one.answer["loss"] for each in done.values() for one in each]
    if max(losses) - min(losses) > TOLERANCE * min(losses):
        raise SystemExit(f"The trainings did not come to the same loss: {losses}.")
    alone, two = rates["1 process, 1 thread"], rates["2 processes, 1 thread each"]
    whole = {name: [one.answer["seconds"] for one in each] for name, each in done.items()}
    table = _rows("training", rates, "times one process", alone, "seconds in all, median", whole)
    place = record.table(f"training, {rows:,} rows in steps of {BATCH * ACCUMULATION}", table)
    record.picture(
        Picture(place, "training", "times one process, median", "times one process, least", "times one process, most",
                reference=1, reading="2 would be twice as fast as one process with one thread.")
    )  # fmt: skip
    gain, threads = ratios(two, alone), ratios(two, rates["1 process, 2 threads"])
    record.say(
        f"Two processes trained {gain['median']:.2f} times as fast as one with one thread ({gain['least']:.2f} to "
        f"{gain['most']:.2f}), and {threads['median']:.2f} times as fast as one with two threads; mean losses agree to "
        f"{max(losses) - min(losses):.0e}."
    )
    record.keep(training={name: [one.answer for one in each] for name, each in done.items()})


def sampling(record: Record, requests: int, repeats: int) -> None:
    done: dict[str, list[Measured]] = {name: [] for name in SAMPLERS}

    def way(name: str) -> float:
        done[name].append(part(__file__, "sample", requests=requests, workers=SAMPLERS[name]))
        return float(done[name][-1].answer["tokens_a_second"])

    rates = in_turns({name: lambda name=name: way(name) for name in SAMPLERS}, repeats)  # type: ignore[misc]
    texts = {name: each[0].answer.pop("texts") for name, each in done.items()}
    for turn in (turn for turns in done.values() for turn in turns[1:]):
        turn.answer.pop("texts")
    plain = texts["without Ray"]
    same = min(sum(a == b for a, b in zip(plain, each, strict=True)) / len(plain) for each in texts.values())
    if same < 0.9:  # batches differ, and with them the rounding
        raise SystemExit(f"Only {same:.0%} of the texts are the same with Ray and without.")
    one = rates["Ray, 1 worker"]
    opened = {name: [each.answer["opened_s"] for each in turns] for name, turns in done.items()}
    table = _rows("sampling", rates, "times one worker", one, "seconds until a worker had the model, median", opened)
    place = record.table(f"sampling, {requests:,} requests", table)
    record.picture(
        Picture(place, "sampling", "times one worker, median", "times one worker, least", "times one worker, most",
                reference=1, reading="2 would be twice as fast as one worker.")
    )  # fmt: skip
    gain, cost = ratios(rates["Ray, 2 workers"], one), ratios(one, rates["without Ray"])
    record.say(
        f"Two workers of a Ray cluster sampled {gain['median']:.2f} times as fast as one ({gain['least']:.2f} to "
        f"{gain['most']:.2f}); one worker, {cost['median']:.2f} times as fast as without Ray. {same:.1%} of the texts "
        "were the same."
    )
    record.keep(sampling={name: [turn.answer for turn in turns] for name, turns in done.items()})


def _rows(
    what: str,
    rates: dict[str, list[float]],
    times: str,
    base: list[float],
    also: str,
    seconds: dict[str, list[float]],
) -> list[dict[str, Any]]:
    """A row for each way: its rates, how many times as fast as `base` in the same turn, and seconds of its own."""

    def columns(name: str, values: list[float], digits: int) -> dict[str, float]:
        return {f"{name}, {which}": value for which, value in spread(values, digits).items()}

    return [
        {
            what: name,
            **columns("tokens a second", values, 0),
            **columns(times, [a / b for a, b in zip(values, base, strict=True)], 2),
            also: spread(seconds[name], 1)["median"],
        }
        for name, values in rates.items()
    ]


# The parts


class Steps:
    """A `Progress` that remembers when each optimiser step was done."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def advance(self, amount: int = 1) -> None:
        self.at += [time.perf_counter()] * amount

    def describe(self, text: str) -> None: ...

    def measure(self, step: int, values: Any) -> None: ...

    def finish(self, summary: str) -> None: ...


def train(rows: int, processes: int, threads: int) -> dict[str, float]:
    """Train through siked's launcher; the processes are its children."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    from siked_core.format import StudentFormat
    from siked_core.launch import train_as_launched
    from siked_core.models import load_tokenizer
    from siked_core.recipe_launch import LaunchRecipe
    from siked_core.recipe_student import StudentRecipe, TrainingRecipe
    from siked_core.registry import Registry
    from siked_core.student import prepare_tokenizer, resolve_model
    from siked_core.training import row_encoder, training_row
    from siked_core.training_job import TrainingJob

    registry = Registry.discover()
    base = resolve_model("pocket", registry)
    form = StudentFormat.build(["cot", "pot"], "<{strategy}>\n", "")
    tokenizer = load_tokenizer(base)
    prepare_tokenizer(tokenizer, StudentRecipe(model="pocket"), form)
    strategies = [registry.create("strategy", name, {}) for name in form.tags()]
    made = registry.create("dataset", "pocket", {"train": rows // len(strategies), "validation": 1, "test": 1})
    encoder = row_encoder(tokenizer, form)
    examples = [
        encoder(training_row(form, strategy, problem, strategy.demonstrate(problem.solution)))
        for problem in made.load("train").problems
        for strategy in strategies
    ]
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        settings = {"batch_size": BATCH, "accumulation": ACCUMULATION, "learning_rate": 1e-3, "checkpoint_steps": 10**9}
        job = TrainingJob(
            base=base, epochs=1, recipe=TrainingRecipe(**settings), lora=None, dtype="float32", seed=1,
            checkpoints=where / "checkpoints", destination=where / "student",
            launch=LaunchRecipe(processes=processes, apart=True),
        )  # fmt: skip
        began = time.perf_counter()
        trained = train_as_launched(job, tokenizer, examples, folder=where / "job", progress=steps)
        seconds = time.perf_counter() - began
    timed = len(steps.at) - FIRST
    rate = trained.tokens / trained.steps * timed / (steps.at[-1] - steps.at[FIRST - 1])
    return {
        "tokens_a_second": round(rate, 1),
        "seconds": round(seconds, 2),
        "loss": trained.loss,
        "steps": trained.steps,
    }


def sample(requests: int, workers: int) -> dict[str, Any]:
    """Ask the pocket student; with workers, over Ray."""
    # Ray has its workers yield to everything else; here they must not.
    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    os.environ.pop("RAY_ADDRESS", None)
    from siked_core import Request, Sampling
    from siked_core.format import StudentFormat
    from siked_core.registry import Registry
    from siked_core.student import resolve_model

    registry = Registry.discover()
    options: dict[str, Any] = {"model": resolve_model("pocket", registry)}
    name = "transformers"
    if workers:
        name, options = "ray", {"generator": name, **options, "workers": workers, "address": "local"}
    generator = registry.create("generator", name, options)
    form = StudentFormat.build(["cot", "pot"], "<{strategy}>\n", "")
    made = registry.create("dataset", "pocket", {"train": requests, "validation": 1, "test": 1})
    problems = made.load("train").problems
    asked = [Request(one, None, form.prompt(one.question), 0, seed) for seed, one in enumerate(problems)]
    began = time.perf_counter()
    generator.open()
    opened = time.perf_counter()
    try:
        said = dict(generator.generate(asked, Sampling(0.7, 0.95, 96)))
        seconds = time.perf_counter() - opened
    finally:
        generator.close()
    tokens = sum(one.completion_tokens for one in said.values())
    return {
        "tokens_a_second": round(tokens / seconds, 1),
        "opened_s": round(opened - began, 2),
        "texts": [said[place].text for place in range(requests)],
    }


PARTS = {"train": train, "sample": sample}


if __name__ == "__main__":
    sys.exit(main())
