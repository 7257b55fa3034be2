"""Fuzzes what reads a model's text: numbers, stated answers, equations, choices, mathematics, and the strategies.

    make fuzz [FUZZ_SECONDS=600]
    python benchmarks/fuzz.py [--seconds 600] [--only numbers] [--keep DIR]

Coverage-guided, with atheris (`pip install atheris`; `make fuzz` does). Each target runs in a process of its own, for
an equal share of the time, from a few seeds and a dictionary of the pieces that answers are made of. A finding is an
exception; an answer that is not itself; a strategy's rationale that does not read back as it is; or, for equations,
4 KB that cost more than 50 ms of processor time in this process (measured again, and the least of five counts: the
machine may be busy). Findings are printed and the input kept; the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

LONGEST = 4_096
SLOW_S = 0.05
"""For equations, in which all work is counted."""
SLOWER_S = 2.0
"""For the rest, which are linear in the text's length. Instrumented code runs at a fraction of its speed."""


class FindingError(Exception):
    """A promise that does not hold for an input."""


def numbers(text: str) -> None:
    from siked_core.numbers import format_number, read_number, same_answer

    prediction, _, gold = text.partition("\0")
    value = read_number(prediction)
    if value is not None:
        if value.numerator.bit_length() < 10_000 > value.denominator.bit_length():
            plain = format_number(value)
            if read_number(plain) != value:
                raise FindingError(f"{plain!r} is not read back")
        if "####" not in prediction and not same_answer(prediction, prediction):
            raise FindingError("it is not the same as itself")
    read_number(prediction, words_before=True)
    same_answer(prediction, gold)
    same_answer(gold, prediction)


def final_answer(text: str) -> None:
    from siked_core.numbers import final_answer as find

    found = find(text)
    if found is not None and (not found or found != found.strip()):
        raise FindingError(f"{found!r} is not stripped")


def choices(text: str) -> None:
    from siked_core.choices import same_choice

    question, _, rest = text.partition("\0")
    prediction, _, gold = rest.partition("\0")
    same_choice(prediction, gold, question)


def mathematics(text: str) -> None:
    from siked_core.latex import mathematics as decide

    prediction, _, gold = text.partition("\0")
    decide(prediction, gold)


def equations(text: str) -> None:
    from siked_plugins.verifiers.system import examine

    examine(text)


def strategy(name: str) -> Callable[[str], None]:
    def parse(text: str) -> None:
        from siked_core import Rationale
        from siked_plugins.strategies.cot import ChainOfThought
        from siked_plugins.strategies.eot import EquationOfThought
        from siked_plugins.strategies.kpdd import KeyPoints
        from siked_plugins.strategies.kpdd_pot import KeyPointsProgram
        from siked_plugins.strategies.l2m import LeastToMost
        from siked_plugins.strategies.pot import ProgramOfThoughts

        kinds = (ChainOfThought, EquationOfThought, KeyPoints, KeyPointsProgram, LeastToMost, ProgramOfThoughts)
        (kind,) = [kind for kind in kinds if kind.name == name]
        chosen = kind()
        read = chosen.parse(text)
        if isinstance(read, Rationale):
            again = chosen.parse(read.text)
            if again != read:
                raise FindingError(f"the canonical form reads back as {again!r}, not {read!r}")

    return parse


TARGETS: dict[str, Callable[[str], None]] = {
    "equations": equations,
    "numbers": numbers,
    "final_answer": final_answer,
    "choices": choices,
    "mathematics": mathematics,
    **{name: strategy(name) for name in ("cot", "pot", "l2m", "eot", "kpdd", "kpdd_pot")},
}
SEEDS = {
    "equations": [
        "ans = 2x + 1; x = 3(10)",
        "% a\na + b = 10, a - b = 2\nans = a*b",
        "total = 5\ntotal = total + 3\nans = total",
    ],
    "numbers": [
        "1,234.50\0001234.5",
        "two and a half\0005/2",
        "$1.5 million\0x = 12.5%",
        "\\frac{3}{4} cups\0003:30 p.m.",
    ],
    "final_answer": ["So 9 * 2 = 18.\n#### 18", "The answer is $\\boxed{18}$.", "Thus 7 eggs.\nQuestion: more?"],
    "choices": ["How many? (A) 5 (B) 7\0B) 7\0007", "A. red\nB. blue\0option B\0blue"],
    "mathematics": ["\\frac{\\sqrt{3}}{2}\0sqrt(3)/2", "[0,1)\0x^2+1"],
    "cot": ["She has 9 * 2 = 18 eggs.\nThe answer is 18."],
    "pot": ["```python\neggs = 9\nanswer = eggs * 2\n```", "def solution():\n    return 9 * 2"],
    "l2m": [
        "Sub-question 1: How many?\nAnswer 1: 9 * 2 = 18.\nThe answer is 18.",
        "Q1: How many?\nA1: 18\nThe answer is 18.",
    ],
    "eot": ["% eggs\nx = 9 * 2\nans = x", "ans = 18"],
    "kpdd": [
        "Core question: How many?\nNeeded information: 9; 2.\nSolution:\n9 * 2 = 18.\nThe answer is 18.",
        "### 1. Core question\nHow many?\n**Information needed:**\n- 9\n- 2\n**Solution**: 9 * 2 = 18\n#### 18",
    ],
    "kpdd_pot": ["Core question: How many?\nNeeded information: 9; 2.\nSolution:\n```python\nanswer = 9 * 2\n```"],
}
PIECES = [
    "ans",
    "x",
    " = ",
    "\n",
    "% ",
    "# ",
    "; ",
    ", ",
    "(",
    ")",
    "[",
    "{",
    "}",
    "**",
    "^",
    "/",
    "1/2",
    "10^9",
    "e5",
    "99999999",
    "total = total + 3",
    "sqrt(",
    "of",
    "####",
    "\\boxed{",
    "\\frac{",
    "\\text{",
    "The answer is ",
    "Question:",
    "Answer:",
    "```python",
    "```",
    "answer = ",
    "def solution():\n    return ",
    "print(",
    "Sub-question 1:",
    "Answer 1:",
    "(A) ",
    "B) ",
    "option ",
    "million",
    "twenty-",
    " and a half",
    "%",
    "$",
    "5:30 p.m.",
    " or ",
    "½",
    "²",
    "−",
    "\u202f",
    "\ud800",
    "**",
    "<|",
    "\0",
]


def check(target: str, text: str) -> None:
    """Run one input.

    Raises:
        Exception: a finding.
    """
    run, limit = TARGETS[target], SLOW_S if target == "equations" else SLOWER_S
    started = time.process_time()
    run(text)
    if time.process_time() - started > limit:
        seconds = []
        for _ in range(5):
            started = time.process_time()
            run(text)
            seconds.append(time.process_time() - started)
        if min(seconds) > limit:
            raise FindingError(f"it takes {min(seconds) * 1000:.0f} ms")


def fuzz(target: str, seconds: int, folder: Path) -> None:
    """Fuzz one target in this process. Never returns: libFuzzer ends it."""
    import atheris  # type: ignore[import-untyped]  # installed by `make fuzz` only

    with atheris.instrument_imports(include=["siked_core", "siked_plugins"]):
        check(target, SEEDS[target][0])
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for index, seed in enumerate(SEEDS[target]):
        (corpus / str(index)).write_text(seed, encoding="utf-8", errors="surrogatepass")
    words = folder / "dictionary"
    escaped = ("".join(f"\\x{byte:02x}" for byte in piece.encode("utf-8", "surrogatepass")) for piece in PIECES)
    words.write_text("".join(f'"{piece}"\n' for piece in escaped), encoding="ascii")

    def one(data: bytes) -> None:
        check(target, data.decode("utf-8", "surrogateescape")[:LONGEST])

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-dict={words}",
        "-timeout=30",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/", str(corpus)], one)
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--only", choices=sorted(TARGETS), help="one target")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that are findings")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.inside is not None:
        fuzz(chosen.only, chosen.seconds, chosen.inside)
    targets = [chosen.only] if chosen.only else list(TARGETS)
    findings = total = 0
    with contextlib.ExitStack() as stack:
        base = chosen.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for target in targets:
            folder = base / target
            share = max(1, chosen.seconds // len(targets))
            command = [sys.executable, __file__, "--only", target, "--seconds", str(share), "--inside", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            said = done.stdout + done.stderr
            runs = re.findall(r"number_of_executed_units: *(\d+)", said) or re.findall(r"^#(\d+)", said, re.MULTILINE)
            executions = int(runs[-1]) if runs else 0
            total += executions
            print(f"{target:12} {executions:>9} executions in {share} s: ", end="")
            kept = sorted(folder.glob("crash-*")) + sorted(folder.glob("timeout-*")) if folder.exists() else []
            if done.returncode == 0 and not kept:
                print("nothing found", flush=True)
                continue
            findings += 1
            raised = [line for line in said.splitlines() if re.match(r"\s*(\w+\.)*\w*(Error|Exception)\b", line)]
            print(raised[-1].strip() if raised else said[-2_000:], flush=True)
            for file in kept:
                print(f"  {file.name}: {file.read_bytes().decode('utf-8', 'surrogateescape')[:500]!a}", flush=True)
    print(f"{total} executions, {findings} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
