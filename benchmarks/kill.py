"""Whether a run that is killed, again and again, comes to the same end, and what a kill costs.

    python benchmarks/kill.py [--kills 50] [--seed 1] [--json FILE]

The same small run of the embedded world is made once unbroken and once under kills (SIGKILL; of its whole process
group, or of the process alone, by turns) at seeded random instants, each followed by the same command. Compared are the
samples and verdicts of every pool, the mixtures, the scorecards and the students' weights. Counted are completions and
optimiser steps: how many were made in all, against the unbroken run's. A kill may cost one chunk of completions and one
checkpoint interval of training, and no more.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKPOINT_STEPS = 2
CHUNK = 32
"""Completions: eight batches of four."""
ARGUMENTS = (
    "distill --preset pocket-smoke --strategies cot,pot --run killed --plain "
    "--set dataset.options.train=16 --set dataset.options.validation=8 --set dataset.options.test=8 "
    f"--set training.checkpoint_steps={CHECKPOINT_STEPS} --set training.batch_size=4 "
    f"--set student.generator.options.batch_size={CHUNK // 8} "
    "--set rollout.max_tokens=24 --set evaluation.max_tokens=24"
).split()


@dataclass(frozen=True)
class Outcome:
    """What the kills cost and changed."""

    kills: int
    """Processes that were killed; less than asked for where the run ended first."""
    repeated_completions: int
    repeated_steps: int
    differences: tuple[str, ...]
    seconds: float

    @property
    def within_bounds(self) -> bool:
        return self.repeated_completions <= self.kills * CHUNK and self.repeated_steps <= self.kills * CHECKPOINT_STEPS


def worker(log: Path, arguments: list[str]) -> int:
    """The command, with every completion and every optimiser step written to a file as it happens."""
    from siked_cli.main import main
    from siked_core.contracts import Generator
    from siked_core.registry import Registry

    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def watched(plugin: type[Generator]) -> None:
        generate = plugin.generate

        def counted(self: Any, requests: Any, sampling: Any) -> Any:
            for item in generate(self, requests, sampling):
                os.write(file, b"c")
                yield item

        plugin.generate = counted  # type: ignore[method-assign]

    registry = Registry.discover()
    for name in ("pocket", "transformers"):
        watched(registry.get("generator", name))  # type: ignore[arg-type]
    os.write(file, b"|")
    watch_steps(file)
    return main(arguments)


def watch_steps(file: int) -> None:
    from transformers import Trainer

    step = Trainer.training_step

    def counted(*arguments: Any, **options: Any) -> Any:
        loss = step(*arguments, **options)
        os.write(file, b"s")
        return loss

    Trainer.training_step = counted


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--worker", str(folder / "log"), *ARGUMENTS]
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, start_new_session=True)


def finish(folder: Path) -> None:
    process = start(folder)
    if process.wait(timeout=900):
        raise RuntimeError(f"the run ended with code {process.returncode}:\n{(folder / 'said').read_text()}")


def measure(kills: int, seed: int, folder: Path) -> Outcome:
    """Kill a run so often, and compare it with an unbroken one.

    Args:
        folder: an empty one; both runs are made in it.
    """
    began = time.monotonic()
    unbroken, killed = folder / "unbroken", folder / "killed"
    unbroken.mkdir()
    killed.mkdir()
    finish(unbroken)
    goal = work(unbroken / "log")
    drawn = random.Random(seed)
    done = 0
    # The instants are spread over the work rather than over the time: most of a small run's time is imports.
    for number, instant in enumerate(sorted(drawn.uniform(0, 1) for _ in range(kills))):
        process = start(killed)
        while process.poll() is None and sum(work(killed / "log")) < instant * sum(goal):
            time.sleep(0.001)
        time.sleep(drawn.uniform(0, 0.05))
        if process.poll() is not None:
            continue
        if number % 2:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done += 1
    finish(killed)
    completions, steps = (after - before for after, before in zip(work(killed / "log"), goal, strict=True))
    return Outcome(
        done,
        completions,
        steps,
        differences(unbroken / "runs" / "killed", killed / "runs" / "killed"),
        time.monotonic() - began,
    )


def work(log: Path) -> tuple[int, int]:
    """Completions and steps so far."""
    content = log.read_bytes() if log.exists() else b""
    return content.count(b"c"), content.count(b"s")


def differences(one: Path, other: Path) -> tuple[str, ...]:
    """What differs between two finished runs of one recipe; empty where nothing does."""
    first, second = found(one), found(other)
    return tuple(sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)))


def found(run: Path) -> dict[str, Any]:
    """All that a run has found, without the times that it took."""
    from siked_core.models import hash_files
    from siked_core.pool import SAMPLES, VERDICTS, Pool, read_parquet

    content: dict[str, Any] = {}
    for top, schema in (("pools", SAMPLES), ("verdicts", VERDICTS)):
        for folder in {path.parent for path in (run / top).rglob("*.parquet")}:
            table = Pool(folder, schema).read()
            order = [name for name in ("key", "judge", "evidence") if name in table.columns]
            content[folder.relative_to(run).as_posix()] = table.sort(order).rows()
    for path in (run / "mixtures").glob("*.parquet"):
        content[f"mixtures/{path.name}"] = read_parquet(path).rows()
    for path in (run / "scorecards").glob("*.json"):
        content[f"scorecards/{path.name}"] = json.loads(path.read_text(encoding="utf-8"))
    for path in (run / "students").glob("round-*"):
        content[f"students/{path.name}"] = hash_files(path)
    return content


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        return worker(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = measure(arguments.kills, arguments.seed, Path(folder))
    limits = (outcome.kills * CHUNK, outcome.kills * CHECKPOINT_STEPS)
    print(
        f"{'kills':>6} {'completions repeated':>21} {'allowed':>8} {'steps repeated':>15} {'allowed':>8} {'differ':>7}"
    )
    print(
        f"{outcome.kills:>6} {outcome.repeated_completions:>21} {limits[0]:>8} {outcome.repeated_steps:>15} "
        f"{limits[1]:>8} {len(outcome.differences):>7}"
    )
    for name in outcome.differences:
        print(f"differs: {name}")
    if arguments.json:
        content = {
            "kills": outcome.kills,
            "repeated_completions": outcome.repeated_completions,
            "repeated_steps": outcome.repeated_steps,
            "differences": outcome.differences,
            "seconds": outcome.seconds,
        }
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if not outcome.differences and outcome.within_bounds else 1


if __name__ == "__main__":
    sys.exit(main())
