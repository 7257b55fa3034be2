"""What a touch costs: CPU time of `siked --help`, of the lists and of completion, beside a bare `import typer, rich`.

Each command is run in turn with the bare import, so that both meet the same machine, and the ratios of the pairs are
what is compared: a busy core makes both slower. Times are user and system time of the process and its children, with
bytecode already written. Run it as

    python benchmarks/startup.py [--pairs 15] [--only 'siked --help' ...] [--results DIR]

and it leaves `startup.json`.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from record import RESULTS, Picture, Record, in_turns, ratios, spread

ABOUT = (
    "CPU time (user and system) of commands that should answer at once, each a process of its own, with bytecode "
    "already written; by turns with a bare `import typer, rich`, which is the least that a command line of these "
    "libraries costs. `<TAB>` is a completion."
)

BARE = (sys.executable, "-c", "import typer, rich")
SIKED = (sys.executable, "-m", "siked_cli")
COMPLETION = {"_SIKED_COMPLETE": "complete_bash"}
TOUCHES: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
    "siked --help": ((*SIKED, "--help"), {}),
    "siked plugins list": ((*SIKED, "plugins", "list"), {}),
    "siked runs": ((*SIKED, "runs"), {}),
    "siked recipe list": ((*SIKED, "recipe", "list"), {}),
    "siked distill --help": ((*SIKED, "distill", "--help"), {}),
    "siked di<TAB>": (SIKED, {**COMPLETION, "COMP_WORDS": "siked di", "COMP_CWORD": "1"}),
    "siked verify <TAB>": (SIKED, {**COMPLETION, "COMP_WORDS": "siked verify ", "COMP_CWORD": "2"}),
    "siked distill --preset <TAB>": (
        SIKED,
        {**COMPLETION, "COMP_WORDS": "siked distill --preset ", "COMP_CWORD": "3"},
    ),
    "siked distill --mixing <TAB>": (
        SIKED,
        {**COMPLETION, "COMP_WORDS": "siked distill --mixing ", "COMP_CWORD": "3"},
    ),
}


def cpu_seconds(command: Sequence[str], environment: Mapping[str, str], folder: str) -> float:
    """User and system time of one process.

    Raises:
        RuntimeError: it failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(pairs: int, touches: Iterable[str] = TOUCHES) -> dict[str, dict[str, dict[str, float]]]:
    """Of each touch the spreads of its CPU time (`ms`), of that of the bare import (`bare`), and of their `ratio`."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        plain["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")
        for name in touches:
            command, more = TOUCHES[name]
            ways = {
                "bare": partial(cpu_seconds, BARE, plain, folder),
                "siked": partial(cpu_seconds, command, {**plain, **more}, folder),
            }
            in_turns(ways, 1)  # these write the bytecode
            times = in_turns(ways, pairs)
            found[name] = {
                "ms": spread([1000 * one for one in times["siked"]], 0),
                "bare": spread([1000 * one for one in times["bare"]], 0),
                "ratio": ratios(times["siked"], times["bare"]),
            }
    return found


def write_up(record: Record, found: dict[str, dict[str, dict[str, float]]]) -> None:
    """The figures as a reader sees them."""
    place = record.table(
        "CPU time in milliseconds",
        [
            {
                "command": name,
                "CPU ms": one["ms"]["median"],
                "least": one["ms"]["least"],
                "most": one["ms"]["most"],
                "times a bare import": one["ratio"]["median"],
                "at least": one["ratio"]["least"],
                "at most": one["ratio"]["most"],
            }
            for name, one in found.items()
        ],
    )
    reading = "Milliseconds of CPU time; the whiskers go from the least to the most that was measured."
    record.picture(Picture(place, x="command", y="CPU ms", low="least", high="most", reading=reading))
    slowest = max(found, key=lambda name: found[name]["ms"]["median"])
    spent, bare = found[slowest]["ms"], statistics.median(one["bare"]["median"] for one in found.values())
    record.say(
        f"The most that a touch costs is {spent['median']:.0f} ms of CPU time (`{slowest}`; {spent['least']:.0f} to "
        f"{spent['most']:.0f}), of which importing Typer and Rich is {bare:.0f} ms."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="how often each is run")
    parser.add_argument(
        "--only", nargs="+", choices=TOUCHES, default=list(TOUCHES), metavar="COMMAND", help="as listed"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that startup.json goes into")
    given = parser.parse_args()
    record = Record("startup", "Start-up of the command line", ABOUT)
    found = measure(given.pairs, given.only)
    print(f"{'':<30}  {'CPU ms (median, least, most)':<30}  times a bare import of typer and rich")
    for name, one in found.items():
        shown = [", ".join(f"{value:g}" for value in one[what].values()) for what in ("ms", "ratio")]
        print(f"{name:<30}  {shown[0]:<30}  {shown[1]} (bare: {one['bare']['median']:.0f} ms)")
    write_up(record, found)
    print(record.write(given.results))


if __name__ == "__main__":
    main()
