"""Both ways of `published_steps.py` under kills: what is made twice, and when it is again where it was.

    python benchmarks/published_kills.py LOG COMMAND ...

is a script, or siked's command line, with every completion and optimiser step written to LOG as it is made.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import kill
from published_job import DISTIL, SAMPLES, commands, prepared, rows, told

SAMPLING, TRAINING = "c", "s"


def watched(log: Path, command: list[str]) -> int:
    """A script, or siked's command line, with every completion and optimiser step written to a file as it is made."""
    if not command[0].endswith(".py"):
        return kill.worker(log, command)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    kill.watch_steps(file)
    from transformers import GenerationMixin

    generate = GenerationMixin.generate

    def counted(*arguments: Any, **options: Any) -> Any:
        written = generate(*arguments, **options)
        os.write(file, SAMPLING.encode() * len(written))
        return written

    GenerationMixin.generate = counted
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")
    return 0


@dataclass
class Watched:
    """A command that is watched, in a folder; it may be given several times."""

    folder: Path
    command: list[str]

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, __file__, str(self.folder / "log"), *self.command]
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(command, cwd=self.folder, stdout=said, stderr=said, start_new_session=True)

    def made(self, kind: str) -> int:
        """Completions, or steps, that were made so far, also by those that were killed."""
        log = self.folder / "log"
        return log.read_bytes().count(kind.encode()) if log.exists() else 0

    def kill_at(self, process: subprocess.Popen[bytes], kind: str, number: int) -> int:
        """Kill it and its children when so many have been made; returns how many there were by then."""
        self.follow(process, lambda: self.made(kind) >= number)
        if process.poll() is not None:
            raise RuntimeError(f"it ended before it could be killed:\n{(self.folder / 'said').read_text()[-2000:]}")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return self.made(kind)

    def follow(
        self, process: subprocess.Popen[bytes], until: Callable[[], bool], kind: str = SAMPLING
    ) -> list[tuple[float, int]]:
        """Seconds since now, and how many had been made by then, until something holds or the process ends."""
        started, trail = time.monotonic(), [(0.0, self.made(kind))]
        while process.poll() is None and not until():
            time.sleep(0.01)
            made = self.made(kind)
            if made != trail[-1][1]:
                trail.append((time.monotonic() - started, made))
        return trail

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        if process.wait(timeout=900):
            raise RuntimeError(f"it ended with {process.returncode}:\n{(self.folder / 'said').read_text()[-2000:]}")


def back_again(trail: list[tuple[float, int]], again: int) -> float:
    """Seconds until, after a restart, more has been made than what was made a second time."""
    return next((at for at, made in trail if made > trail[0][1] + again), trail[-1][0])


def outcome(way: str, kind: str, before: int, again: int, trail: list[tuple[float, int]], whole: int) -> dict[str, Any]:
    return {
        "way": way,
        "killed in": {SAMPLING: "sampling", TRAINING: "training"}[kind],
        "of": whole,
        "made before": before,
        "made again": again,
        "seconds lost": round(back_again(trail, again), 1),
    }


def steps_under_kills(folder: Path, size: dict[str, int]) -> list[dict[str, Any]]:
    """Every step to its end, but the sampling and the round's training are killed half-way and given again."""
    folder = prepared(folder / "steps-killed", size)
    found, outputs = [], []
    for command in commands():
        script, output = command[1], command[-1]
        sampling = script == "sample.py" and "--samples" in command
        if not sampling and not (script == "train.py" and output == "student-1"):
            told(command, folder)
            continue
        kind = SAMPLING if sampling else TRAINING
        (folder / "log").unlink(missing_ok=True)
        step = Watched(folder, command[1:])
        whole = SAMPLES * rows(folder / "data" / "train.jsonl") if sampling else -(-rows(folder / "mix-1.jsonl") // 4)
        before = step.kill_at(step.start(), kind, whole // 2)
        outputs.append((folder / output).exists())
        process = step.start()
        trail = step.follow(process, lambda: False, kind)
        step.finish(process)
        found.append(outcome("separate steps", kind, before, step.made(kind) - whole, trail, whole))
        found[-1]["left behind"] = f"{output}, unfinished" if outputs[-1] else "nothing"
    return found


def siked_under_kills(folder: Path, size: dict[str, int]) -> list[dict[str, Any]]:
    """A run that is killed in both stages, and given again each time; and one that is not, which it has to equal."""
    whole = Watched(prepared(folder / "siked-whole", size), list(DISTIL))
    whole.finish(whole.start())
    # warm-up, validation and samples, the round's training, validation and test
    blocks = [(kind, len(list(block))) for kind, block in groupby((whole.folder / "log").read_text().replace("|", ""))]
    warm_up, sampled, trained = (number for _, number in blocks[:3])
    drawn = SAMPLES * size["train"]
    run = Watched(prepared(folder / "siked-killed", size), list(DISTIL))
    before = run.kill_at(run.start(), SAMPLING, sampled - drawn // 2)
    sound = [is_sound(run.folder)]
    process = run.start()
    trail = run.follow(process, lambda: run.made(TRAINING) >= warm_up + trained // 2)
    after = run.kill_at(process, TRAINING, 0)
    again = run.made(SAMPLING) - sampled
    found = [outcome("siked distill", SAMPLING, before - (sampled - drawn), again, trail, drawn)]
    sound.append(is_sound(run.folder))
    process = run.start()
    trail = run.follow(process, lambda: False, TRAINING)
    run.finish(process)
    again = run.made(TRAINING) - warm_up - trained
    found.append(outcome("siked distill", TRAINING, after - warm_up, again, trail, trained))
    differs = kill.differences(*(one.folder / "runs" / "mine" for one in (whole, run)))
    for one, whether in zip(found, sound, strict=True):
        one["left behind"] = "nothing unsound" if whether else "unsound files"
        one["differs"] = list(differs)
    return found


def is_sound(folder: Path) -> bool:
    """What `siked run check` says of the run."""
    command = [sys.executable, "-m", "siked_cli", "run", "check", "mine"]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(watched(Path(sys.argv[1]), sys.argv[2:]))
