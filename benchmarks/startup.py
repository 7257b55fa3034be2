"""What a touch costs: CPU time of `siked --help`, of the lists and of completion, beside a bare `import typer, rich`.

Each command is run in turn with the bare import, so that both meet the same machine, and the ratios of the pairs are
what is compared: a busy core makes both slower. Times are user and system time of the process and its children, with
bytecode already written. Run it as

    python benchmarks/startup.py [--pairs 15] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

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


def measure(pairs: int, touches: Iterable[str] = TOUCHES) -> dict[str, dict[str, float]]:
    """Of each touch: its CPU time in milliseconds (least, median, most), and its ratio to the bare import."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        plain["PYTHONPYCACHEPREFIX"] = str(Path(folder) / "bytecode")
        for name in touches:
            command, more = TOUCHES[name]
            environment = {**plain, **more}
            cpu_seconds(BARE, plain, folder)
            cpu_seconds(command, environment, folder)  # these write the bytecode
            times = [
                (cpu_seconds(BARE, plain, folder), cpu_seconds(command, environment, folder)) for _ in range(pairs)
            ]
            spent = [1000 * own for _, own in times]
            ratios = [own / bare for bare, own in times]
            found[name] = {
                f"{what}_{which}": round(of(values), digits)
                for what, values, digits in (("ms", spent, 1), ("ratio", ratios, 2))
                for which, of in (("least", min), ("median", statistics.median), ("most", max))
            }
            found[name]["bare_ms_median"] = round(1000 * statistics.median(bare for bare, _ in times), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.pairs)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'':<30}  {'CPU ms (least, median, most)':<30}  {'times a bare import of typer and rich':<38}")
    for name, one in found.items():
        spent = ", ".join(f"{one[f'ms_{which}']:.0f}" for which in ("least", "median", "most"))
        ratio = ", ".join(f"{one[f'ratio_{which}']:.2f}" for which in ("least", "median", "most"))
        print(f"{name:<30}  {spent:<30}  {ratio} (bare: {one['bare_ms_median']:.0f} ms)")


if __name__ == "__main__":
    main()
