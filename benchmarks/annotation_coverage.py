"""What share of GSM8K's training problems the teacher `annotations` gives a verified rationale for, per strategy.

    python benchmarks/annotation_coverage.py --data DIR [--json FILE] [--split train] [--limit N]

DIR holds `gsm8k_train.jsonl`. Every rationale goes the way that it goes in a run: the data set derives a worked
solution from the human one, the generator writes it under the strategy, the strategy reads it back, and the strategy's
default verifier judges it against the gold answer (programs are executed in the sandbox, equations are solved). Every
problem that misses a rationale is listed with the reason.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from siked_core import Claim, Problem, Rationale, Request, Sampling, SikedError, Strategy, Unreadable, Verifier
from siked_plugins.datasets.gsm8k import Gsm8k
from siked_plugins.generators.annotations import Annotations
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.eot import EquationOfThought
from siked_plugins.strategies.l2m import LeastToMost
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.verifiers.equation import EquationVerifier
from siked_plugins.verifiers.number import NumberVerifier
from siked_plugins.verifiers.program import ProgramVerifier

STRATEGIES: tuple[type[Strategy], ...] = (ChainOfThought, ProgramOfThoughts, LeastToMost, EquationOfThought)
VERIFIERS: dict[str, type[Verifier]] = {
    verifier.name: verifier for verifier in (NumberVerifier, ProgramVerifier, EquationVerifier)
}


def failures_of(strategy: Strategy, problems: Sequence[Problem], data: Gsm8k) -> dict[str, str]:
    """Problem id -> why it has no verified rationale under the strategy."""
    prompts = [strategy.teacher_prompt(problem) for problem in problems]
    requests = [Request(problem, strategy, prompt, 0, 0) for problem, prompt in zip(problems, prompts, strict=True)]
    failures: dict[str, str] = {}
    claims: list[Claim] = []
    for index, completion in Annotations().generate(requests, Sampling()):
        problem = problems[index]
        read = strategy.parse(completion.text)
        if isinstance(read, Rationale):
            claims.append(Claim(problem, read))
        elif problem.solution is None:
            failures[problem.id] = data.explain(problem.id)
        elif not completion.text:
            failures[problem.id] = f"{strategy.name} cannot write this solution down"
        else:
            failures[problem.id] = unreadable(read)
    verifier = VERIFIERS[strategy.verifier]()
    try:
        for claim, verdict in zip(claims, verifier.verify(claims), strict=True):
            if not verdict.correct:
                answer = f" {verdict.answer}" if verdict.answer else ""
                failures[claim.problem.id] = f"verified as {verdict.status}{answer}: {verdict.why}".rstrip(": ")
    finally:
        verifier.close()
    return failures


def unreadable(read: Unreadable) -> str:
    return f"not read back: {read.why}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with gsm8k_train.jsonl")
    parser.add_argument("--json", type=Path, help="write the figures and every failure to this file")
    parser.add_argument("--split", default="train", help="train (default) or test")
    parser.add_argument("--limit", type=int, help="only the first N problems")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    data = Gsm8k({"path": chosen.data})
    try:
        problems = data.complete(data.load(chosen.split, chosen.limit).problems)
    except SikedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(problems)} problems of {chosen.data}, read in {time.monotonic() - started:.1f} s")
    report: dict[str, dict[str, str]] = {}
    for kind in STRATEGIES:
        started = time.monotonic()
        failures = report[kind.name] = failures_of(kind(), problems, data)
        verified = len(problems) - len(failures)
        share = 100 * verified / len(problems)
        print(f"{kind.name:>4}  {verified:>5} verified  {share:6.2f} %  ({time.monotonic() - started:.1f} s)")
    print()
    for why, strategies in sorted(by_problem(report).items()):
        print(f"{why[0]}  {','.join(strategies):<15}  {why[1]}")
    if chosen.json:
        figures = {
            name: {"problems": len(problems), "verified": len(problems) - len(failures), "failures": failures}
            for name, failures in report.items()
        }
        chosen.json.write_text(json.dumps(figures, indent=1), "utf-8")
    print()
    for kinds, count in Counter(" ".join(strategies) for strategies in by_problem(report).values()).most_common():
        print(f"{count:>5} listed for {kinds}")
    return 0


def by_problem(report: dict[str, dict[str, str]]) -> dict[tuple[str, str], list[str]]:
    """(problem, reason) -> the strategies that lack a rationale of it for that reason."""
    together: dict[tuple[str, str], list[str]] = {}
    for name, failures in report.items():
        for problem_id, why in failures.items():
            together.setdefault((problem_id, why), []).append(name)
    return together


if __name__ == "__main__":
    sys.exit(main())
