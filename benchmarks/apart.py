"""Parts of a benchmark in processes of their own, so that each starts afresh and its memory is its own.

A script names its parts, functions of plain values, and has its command line read by `arguments`. What
`BENCHMARK_PREFIX` holds is put before each process, e.g. `taskset -c 0`, or a command that waits until the machine is
free; it is not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from record import RESULTS


@dataclass(frozen=True)
class Measured:
    """A part when it has ended."""

    answer: Any
    seconds: float
    """Of wall time, from the start of its process."""
    cpu_s: float
    """Of it and of the processes that it has started and seen end."""
    peak_mib: float
    """Its largest resident memory."""
    children_mib: float
    """That of the largest of its processes."""


def part(script: str | Path, name: str, /, **given: Any) -> Measured:
    """Run a part of a script in a process of its own.

    Raises:
        SystemExit: it failed; the end of what it wrote is shown.
    """
    prefix = shlex.split(os.environ.get("BENCHMARK_PREFIX", ""))
    command = [*prefix, sys.executable, str(script), "--part", json.dumps([name, given])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"The part '{name}' of {Path(script).name} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def arguments(parser: argparse.ArgumentParser, parts: Mapping[str, Callable[..., Any]]) -> argparse.Namespace:
    """What a script was given, with the folder of its results. In the process of a part, that is done, and no more."""
    parser.add_argument("--results", type=Path, default=RESULTS, help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        answer(parts, given.part)
        raise SystemExit(0)
    return given


def answer(parts: Mapping[str, Callable[..., Any]], asked: str) -> None:
    """In the process: do the part, and print what it came to as its last line."""
    name, given = json.loads(asked)
    print("\n" + json.dumps(asdict(measured(lambda: parts[name](**given)))))


def measured(work: Callable[[], Any]) -> Measured:
    """Do it in this process; seconds are counted from the process's start."""
    found = work()
    taken = os.times()
    cpu_s = taken.user + taken.system + taken.children_user + taken.children_system
    seconds = time.time() - psutil.Process().create_time()
    unit = 1024 if sys.platform != "darwin" else 1024**2
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit
    return Measured(found, round(seconds, 3), round(cpu_s, 3), round(_peak_mib(), 1), round(children, 1))


def _peak_mib() -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # elsewhere than on Linux; there it counts what was before the interpreter, too
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def siked(*words: str) -> None:
    """A command of siked's in this process, as a user gives it.

    Raises:
        SystemExit: it failed.
    """
    from siked_cli.main import main

    if code := main(words):
        raise SystemExit(code)
