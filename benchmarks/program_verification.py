"""How fast model-written programs are judged, against the two plain ways of doing it, side by side in one run.

    python benchmarks/program_verification.py [--programs 400] [--repeats 5] [--results DIR]

It leaves `program_verification.json`.

The mixture is 93 % plain programs and 7 % that use SymPy, all written below and varied by their numbers. Judged by
our pool with both tiers; by our pool with the cage alone; by a fresh `python -I` for each program; by a forked
`multiprocessing.Process` for each program. Those forks are timed twice: from a parent as a run has it, with PyTorch
loaded (and SymPy, so that no program has to load it), and from the leanest possible, which has loaded SymPy only. The
start of that parent is not counted. The plain ways run as many at once as our pool, and protect from nothing. Every
repeat runs all of them, one after the other, and the ratios are taken within a repeat. The plain ways get fewer
programs of the same mixture (`--baseline-programs`), since they take longer. Their answers are compared with ours.

`--endurance N` instead runs N programs, 1 % of them hostile (too much memory, output or recursion, an early end, files,
processes), through the pool with both tiers. It samples memory, open files, descendants and zombies, and what is new in
/tmp and /dev/shm, and ends with exit code 1 if any of them grows, or is left behind when the pool is closed:

    nice -n 19 python benchmarks/program_verification.py --endurance 1000000 --json endurance.json

Other processes use /tmp too: `--ignore 'pytest-*'` leaves names out, and what is left behind is named.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from record import RESULTS, Picture, Record, ratios, spread

from siked_core.sandbox import Limits, ProgramPool

ABOUT = (
    "Programs as a model writes them, 93 % plain and 7 % that use SymPy, judged by siked's pool (an interpreter for "
    "plain programs and a cage for the rest; and with the cage alone), by a fresh `python -I` for each, and by a "
    "forked process for each: of a parent like a run's, which has loaded PyTorch and SymPy, and of one that has loaded "
    "SymPy alone. All by turns, with as many workers, and with the same answers. The plain ways protect from nothing."
)
OURS = ("both tiers", "cage alone")
PLAIN_WAYS = ("fresh python -I", "forked process", "lean forked process")
TIMEOUT_S = 10.0
MEMORY_MIB = 128
SYMPY_SHARE = 0.07
PLAIN = (
    "def solution():\n    eggs = {a}\n    eaten = {b}\n    price = {c}\n    return (eggs - eaten) * price",
    "cost = {a}\nrate = {b} / 100\nyears = {c}\nanswer = round(cost * (1 + rate) ** years, 2)",
    "total = 0\nfor day in range(1, {b} + 1):\n    total += day * {a}\nanswer = total",
    "prices = [{a}, {b}, {c}]\ncounts = [2, 3, 4]\nanswer = sum(p * n for p, n in zip(prices, counts))",
    "import math\nboxes = math.ceil({a} / {b})\nanswer = boxes * {c}",
    "speed = {a}\nhours = {b}\ndistance = speed * hours\nif distance > 100:\n    distance -= {c}\nprint(distance)",
    "def share(whole, parts):\n    return whole / parts\n\n"
    "def solution():\n    each = share({a}, {b})\n    return each + {c}",
    "people = {{'adults': {a}, 'children': {b}}}\nfees = {{'adults': 12, 'children': 5.5}}\nanswer = 0\n"
    "for kind, number in people.items():\n    answer += number * fees[kind]",
    "left = {a}\nweeks = 0\nwhile left > 0:\n    left -= {b}\n    weeks += 1\nanswer = weeks + {c}",
    "minutes = [{b} * n for n in range({c})]\nbest = max(minutes)\nans = best * {a} // 60",
)
SYMPY = (
    "import sympy\nx = sympy.Symbol('x')\nanswer = sympy.solve({b} * x - {a}, x)[0]",
    "from sympy import symbols, Eq, solve\nx, y = symbols('x y')\n"
    "found = solve([Eq(x + y, {a}), Eq(x - y, {b})], [x, y])\nanswer = found[x]",
    "import sympy\nx = sympy.Symbol('x', positive=True)\nanswer = sympy.solve(x**2 - {b}**2, x)[0]",
)
HOSTILE = (
    "x = [0] * 10**10",
    "while True: print('flood' * 1000)",
    "import os\nos._exit(3)",
    "def f(n): return f(n + 1)\nf(0)",
    "x = 'a'\nwhile True: x = x * 2",
    "open('/tmp/left_behind', 'w').write('x')",
    "import os\nwhile True: os.fork()",
    "from multiprocessing.shared_memory import SharedMemory\nSharedMemory(create=True, size=2**20)",
)


def mixture(count: int, seed: int, hostile: float = 0.0) -> list[str]:
    """So many programs, varied by their numbers. The share that uses SymPy is exact."""
    chance = random.Random(seed)
    with_sympy = round(count * SYMPY_SHARE)
    programs = []
    for number in range(count):
        a, b, c = chance.randint(50, 5_000), chance.randint(2, 40), chance.randint(2, 12)
        if chance.random() < hostile:
            programs.append(chance.choice(HOSTILE))
        else:
            kinds = SYMPY if number < with_sympy else PLAIN
            programs.append(kinds[number % len(kinds)].format(a=a, b=b, c=c))
    chance.shuffle(programs)
    return programs


_READ = """
import io, json, sys
def judge(code):
    scope = {"__name__": "__main__"}
    real, sys.stdout = sys.stdout, io.StringIO()
    try:
        exec(code, scope)
        value = scope.get("answer")
        if value is None and "solution" in scope:
            value = scope["solution"]()
        printed = sys.stdout.getvalue().strip()
    except BaseException as error:
        return "failed: " + repr(error)
    finally:
        sys.stdout = real
    return str(value if value is not None else printed or scope["ans"])
"""
"""What both plain ways do with a program: run it, and read its answer as our pool does."""
exec(_READ)


def by_fresh_python(programs: Sequence[str], workers: int) -> list[str]:
    """A fresh interpreter for each program."""
    script = _READ + "\nprint(json.dumps(judge(sys.stdin.read())))"

    def run(code: str) -> str:
        done = subprocess.run(
            [sys.executable, "-I", "-c", script],
            input=code,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return str(json.loads(done.stdout))

    with ThreadPoolExecutor(workers) as threads:
        return list(threads.map(run, programs))


def by_forked_process(programs: Sequence[str], workers: int, parent: str) -> tuple[float, list[str]]:
    """A forked process for each program; the seconds, without the start of their parent, and the answers."""
    done = subprocess.run(
        [sys.executable, __file__, "--forked-parent", parent, "--workers", str(workers)],
        input=json.dumps(list(programs)),
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    return float(told["seconds"]), [str(answer) for answer in told["answers"]]


def forked_parent(workers: int, parent: str) -> None:
    """Fork one process per program, `workers` at a time; programs come in on stdin, answers go out on stdout."""
    import sympy  # noqa: F401

    if parent == "torch":
        import torch  # noqa: F401

    context = multiprocessing.get_context("fork")
    programs = json.load(sys.stdin)
    started = time.perf_counter()
    answers: list[str] = [""] * len(programs)
    running: dict[int, tuple[Any, Any]] = {}
    waiting = list(enumerate(programs))[::-1]
    while waiting or running:
        while waiting and len(running) < workers:
            index, code = waiting.pop()
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_send_answer, args=(theirs, code))
            process.start()
            theirs.close()
            running[index] = (process, ours)
        ready = multiprocessing.connection.wait([ours for _, ours in running.values()], TIMEOUT_S)
        if not ready:
            raise TimeoutError("a program of the benchmark does not end")
        for index, (process, ours) in list(running.items()):
            if ours in ready:
                answers[index] = ours.recv()
                process.join()
                ours.close()
                del running[index]
    json.dump({"seconds": time.perf_counter() - started, "answers": answers}, sys.stdout)


def _send_answer(connection: Any, code: str) -> None:
    connection.send(globals()["judge"](code))


def compare(arguments: argparse.Namespace) -> tuple[dict[str, list[float]], Counter[int]]:
    """Run all ways side by side: of each, the seconds that a program took, by repeats; and the tiers that judged."""
    seconds: dict[str, list[float]] = {name: [] for name in (*OURS, *PLAIN_WAYS)}
    tiers: Counter[int] = Counter()
    workers = arguments.workers
    limits = Limits(timeout_s=TIMEOUT_S)
    with ProgramPool(limits, workers, fast=True) as both, ProgramPool(limits, workers) as cage:
        for pool in (both, cage):  # started once in a run's life; the plain ways have nothing to start
            pool.run(mixture(20, -1))
        for repeat in range(arguments.repeats):
            programs = mixture(arguments.programs, repeat)
            few = mixture(arguments.baseline_programs, 1_000 + repeat)
            for name, pool in zip(OURS, (both, cage), strict=True):
                started = time.perf_counter()
                found = pool.run(programs)
                seconds[name].append((time.perf_counter() - started) / len(programs))
                assert all(one.status == "answered" for one in found), Counter(one.status for one in found)
                if pool is both:
                    tiers.update(one.tier for one in found)
            expected = [one.answer for one in both.run(few)]
            started = time.perf_counter()
            answers = {"fresh python -I": by_fresh_python(few, workers)}
            seconds["fresh python -I"].append((time.perf_counter() - started) / len(few))
            for name, parent in (("forked process", "torch"), ("lean forked process", "lean")):
                took, answers[name] = by_forked_process(few, workers, parent)
                seconds[name].append(took / len(few))
            for name, given in answers.items():
                assert given == expected, (
                    name,
                    [both for both in zip(given, expected, strict=True) if len(set(both)) > 1],
                )
            print(" ".join(f"{name}: {1_000 * each[-1]:.2f} ms" for name, each in seconds.items()), flush=True)
    if not tiers[1]:
        raise SystemExit("The interpreter for plain programs judged none of them: `siked doctor` tells why.")
    return seconds, tiers


def write_up(
    record: Record, seconds: dict[str, list[float]], tiers: Counter[int], arguments: argparse.Namespace
) -> None:
    """The figures as a reader sees them."""
    record.table(
        f"milliseconds for a program, {arguments.workers} at once",
        [{"way": name, **spread([1_000 * one for one in each])} for name, each in seconds.items()],
    )
    quicker = {(ours, other): ratios(seconds[other], seconds[ours], 1) for ours in OURS for other in PLAIN_WAYS}
    rows = [
        {"against": other, "siked": ours, "times as fast": one["median"], "least": one["least"], "most": one["most"]}
        for (ours, other), one in quicker.items()
    ]
    place = record.table("how many times as fast", rows)
    axes = {"x": "against", "y": "times as fast", "low": "least", "high": "most", "series": "siked"}
    reading = "Ratios within turns; the whiskers go from the least to the most. 1 would be equally fast."
    record.picture(Picture(place, **axes, reference=1, reading=reading))  # type: ignore[arg-type]
    fresh, forked = (quicker["both tiers", other] for other in PLAIN_WAYS[:2])
    record.say(
        f"A program is judged {fresh['median']:g} times as fast as in a fresh interpreter (least {fresh['least']:g}, "
        f"most {fresh['most']:g}) and {forked['median']:g} times as fast as in a process forked from a run's (least "
        f"{forked['least']:g}, most {forked['most']:g}); {tiers[1] / tiers.total():.0%} by the interpreter for plain "
        "programs, the rest in the cage."
    )
    record.keep(
        programs=arguments.programs,
        baseline_programs=arguments.baseline_programs,
        sympy_share=SYMPY_SHARE,
        served_by_tier=dict(tiers),
        cpu_s=seconds,
    )


def endure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run very many programs and watch what grows."""
    batch = min(2_000, max(20, arguments.endurance // 20))
    harmless: Counter[str] = Counter()
    hostile: Counter[str] = Counter()
    tiers: Counter[int] = Counter()
    samples: list[dict[str, Any]] = []
    before = _watch()
    present = _files(arguments.ignore)
    started = time.monotonic()
    done = 0
    with ProgramPool(Limits(timeout_s=2, memory_mib=MEMORY_MIB), arguments.workers, fast=True) as pool:
        while done < arguments.endurance and time.monotonic() - started < arguments.seconds:
            programs = mixture(min(batch, arguments.endurance - done), done, hostile=0.01)
            found = pool.run(programs)
            done += len(found)
            for code, one in zip(programs, found, strict=True):
                (hostile if code in HOSTILE else harmless)[one.status] += 1
            tiers.update(one.tier for one in found)
            left = len(_files(arguments.ignore) - present)
            seconds = time.monotonic() - started
            samples.append({"programs": done, "seconds": round(seconds, 1), **_watch(), "new_files": left})
            print(" ".join(f"{name}={value}" for name, value in samples[-1].items()), flush=True)
    time.sleep(0.5)
    after = _watch()
    left_behind = sorted(_files(arguments.ignore) - present)
    faults = growth(samples, arguments.workers)
    faults += [
        f"{name} is {after[name]} after closing the pool, and was {before[name]} before"
        for name in ("open_files", "descendants", "zombies")
        if after[name] > before[name]
    ]
    faults += [f"left behind: {path}" for path in left_behind]
    faults += [f"{count} harmless programs: {status}" for status, count in harmless.items() if status != "answered"]
    faults += [f"{hostile['answered']} hostile programs answered"] if hostile["answered"] else []
    for fault in faults:
        print(f"FAULT: {fault}")
    result = {
        "programs": done,
        "programs_a_second": round(done / seconds, 1),
        "harmless": dict(harmless),
        "hostile": dict(hostile),
        "served_by_tier": dict(tiers),
        "before": before,
        "samples": samples,
        "after_closing": after,
        "faults": faults,
    }
    print(f"{done:,} programs, {result['programs_a_second']} a second, {len(faults)} faults")
    return result


def growth(samples: Sequence[dict[str, Any]], workers: int) -> list[str]:
    """What grew: its last quarter of the samples lies above its second, by more than it varies.

    The first quarter is the start: interpreters are loaded, and their caches filled.
    """
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]
    # An interpreter of the fast tier keeps what its hungriest program took, at most a quarter of MEMORY_MIB, until
    # it is replaced.
    slack = {"memory_mib": 16, "descendants_mib": 32 + workers * MEMORY_MIB // 4}
    faults = []
    for name in ("memory_mib", "descendants_mib", "open_files", "descendants", "zombies", "new_files"):
        was, is_now = max(one[name] for one in early), min(one[name] for one in late)
        if is_now > was + slack.get(name, 0):
            faults.append(f"{name} grew from at most {was} to at least {is_now}")
    return faults


def _files(ignored: Sequence[str]) -> set[str]:
    return {
        str(path)
        for folder in ("/tmp", "/dev/shm")
        if Path(folder).is_dir()
        for path in Path(folder).iterdir()
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)
    }


def _watch() -> dict[str, Any]:
    """Memory in MiB, open files, child processes, zombies. Linux only: it reads /proc."""
    parents: dict[int, tuple[int, str, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = (int(fields[1]), fields[0], int(fields[21]) * os.sysconf("SC_PAGESIZE"))
    family: set[int] = set()
    more = {os.getpid()}
    while more:
        family |= more
        more = {pid for pid, (parent, _, _) in parents.items() if parent in family} - family
    children = family - {os.getpid()}
    return {
        "memory_mib": round(parents[os.getpid()][2] / 2**20, 1),
        "descendants_mib": round(sum(parents[pid][2] for pid in children) / 2**20, 1),
        "open_files": len(os.listdir("/proc/self/fd")),
        "descendants": len(children),
        "zombies": sum(parents[pid][1] == "Z" for pid in children),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=400, help="for our pool, in each repeat")
    parser.add_argument("--baseline-programs", type=int, default=100, help="for the plain ways, in each repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--endurance", type=int, default=0, metavar="N", help="run N programs and watch for leaks")
    parser.add_argument("--ignore", action="append", default=[], metavar="PATTERN", help="names in /tmp not to watch")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop the endurance run after so long")
    parser.add_argument("--json", type=Path, help="write what the endurance run found here")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that the comparison goes into")
    parser.add_argument("--forked-parent", choices=("torch", "lean"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.forked_parent:
        forked_parent(arguments.workers, arguments.forked_parent)
        return
    if not arguments.endurance:
        record = Record("program_verification", "Judging programs", ABOUT)
        write_up(record, *compare(arguments), arguments)
        print(record.write(arguments.results))
        return
    result = endure(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if result["faults"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
