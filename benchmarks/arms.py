"""Arms: runs of `siked distill` that are held against one another. What the benchmarks of methods share.

An arm is a preset with settings; a seed seeds its problems, teacher, training and sampling. A run is made by
`siked distill` in a process of its own; a finished one is not repeated, an interrupted one goes on. An arm's student of
a seed is its round that is best on validation. What it did may be kept in a file of results, a line of JSON each: an
arm that is in it is not run again, also where its run is gone.

Over seeds, differences are paired by problem within a seed and have Student's t; p-values of several are corrected by
Holm's procedure, and each interval has the level at which Holm tests that difference.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import mpmath
import numpy as np

from siked_core.keys import digest
from siked_core.models import read_side_file
from siked_core.provenance import versions
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.results import Result, results_of
from siked_core.run import Run, attach
from siked_core.stages.evaluate import evaluate
from siked_core.stages.prepare import problems
from siked_core.stages.verify import verdicts_of

LEVEL = 0.05


def finish(path: Path, preset: str, settings: Sequence[str], base: Path | None = None) -> Path:
    """Make or finish a run, as a fork of `base` if there is one: what is the same there is found by its key.

    Beside the run lie what `siked distill` printed, `PATH.json`, its progress, `PATH.log`, and what it was asked for,
    `PATH.settings`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    done, asked = path.with_suffix(".json"), path.with_suffix(".settings")
    wanted = json.dumps([preset, *settings])
    if asked.exists() and asked.read_text(encoding="utf-8") == wanted:  # a fork of a finished one would be another fork
        return Path(json.loads(done.read_text(encoding="utf-8"))["run"])
    if base is not None and not path.exists():
        shutil.copytree(base, path, ignore=shutil.ignore_patterns("run.lock", "round-[1-9]*", "scorecards", "report*"))
    command = [sys.executable, "-m", "siked_cli", "distill", "--preset", preset, "--run", str(path)]
    command += ["--plain", "--json", *(["--fork"] if base is not None else [])]
    for setting in settings:
        command += ["--set", setting]
    with done.open("w", encoding="utf-8") as out, path.with_suffix(".log").open("a", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=out, stderr=log)
    asked.write_text(wanted, encoding="utf-8")
    return Path(json.loads(done.read_text(encoding="utf-8"))["run"])


@dataclass(frozen=True)
class Outcome:
    """What an arm's student of a seed did."""

    right: str
    """A 1 or a 0 for each problem."""
    problems: str
    """Tells them and their order from others."""
    round: int
    trained: int
    """Tokens of prompts and targets, of the rounds up to its own, without the warm-up."""
    shares: Mapping[str, float]
    """Of the strategies that it chose."""
    warm_up: int = 0
    """Tokens that round 0 was trained on."""
    sampled: int = 0
    """Tokens that students sampled in the rollouts up to its round, prompts and completions."""
    oracle: str = ""
    """A 1 for each problem that some forced strategy solves, else a 0; empty where not all were forced."""
    suited: Mapping[str, float] = field(default_factory=dict)
    """Of the oracle's solved problems, each one's credit divided evenly among the strategies that solve it."""
    always: Mapping[str, float] = field(default_factory=dict)
    """Accuracy, in per cent, of each strategy when it is forced on every problem."""
    by_family: float | None = None
    """Accuracy, in per cent, of forcing on each problem the strategy that was best, on validation, for its family: of a
    choice that knows the kind of a problem, and nothing else of it."""
    curve: Sequence[tuple[int, int, float]] = ()
    """Of every round, where asked for: its number, tokens trained on up to it, accuracy in per cent."""
    seconds: float = 0.0
    """Of the run's stages; a fork's are its own."""

    @property
    def accuracy(self) -> float:
        """In per cent."""
        return 100 * self.right.count("1") / len(self.right)


def outcome(path: Path, split: str, curve: bool = False) -> Outcome:
    """Of a finished run; with `curve`, every round's student is asked the split's problems, by its own choice."""
    with attach(path, Registry.discover(), SilentReporter()) as run:
        report = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
        best, home = report["chosen_round"], run.recipe.dataset.name
        student = f"round-{best}"
        card = evaluate(run, student, home, split)
        answered = results_of(run, student, home, split)
        names = run.recipe.strategy_names
        solvers = [[name for name in names if one.forced.get(name)] for one in answered]
        whole = all(set(names) <= set(one.forced) for one in answered)
        solved = sum(bool(names) for names in solvers) if whole else 0
        warm_up = read_side_file(run.student("round-0"))["training_tokens"]
        return Outcome(
            "".join("1" if one.right else "0" for one in answered),
            digest([one.problem_id for one in answered]),
            best,
            sum(one["training_tokens"] for one in report["rounds"][1 : best + 1]),
            {one.strategy: one.share for one in card.strategies},
            warm_up,
            sum(_sampled(run, round) for round in range(1, best + 1)),
            "".join("1" if names else "0" for names in solvers) if whole else "",
            {name: sum(1 / len(one) for one in solvers if name in one) / solved for name in names} if solved else {},
            {name: 100 * _mean(one.forced[name] for one in answered) for name in names} if whole else {},
            _by_family(run, student, split, answered) if whole else None,
            _curve(run, report["rounds"], warm_up, split) if curve else (),
            report["spending"]["total"]["seconds"],
        )


def _by_family(run: Run, student: str, split: str, asked: Sequence[Result]) -> float:
    home, names = run.recipe.dataset.name, run.recipe.strategy_names
    evaluate(run, student, home, "validation")
    tried = results_of(run, student, home, "validation")
    family = {one.id: one.family for part in ("validation", split) for one in problems(run, part)}

    def solved(name: str, of: str) -> tuple[int, int]:
        alike = [one for one in tried if family[one.problem_id] == of]
        return sum(one.forced[name] for one in alike), sum(one.forced[name] for one in tried)

    best = {of: max(names, key=partial(solved, of=of)) for of in set(family.values())}
    return 100 * _mean(one.forced[best[family[one.problem_id]]] for one in asked)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _curve(
    run: Run, rounds: Sequence[Mapping[str, Any]], warm_up: int, split: str
) -> tuple[tuple[int, int, float], ...]:
    found, tokens, home = [], warm_up, run.recipe.dataset.name
    for one in rounds:
        tokens += one["training_tokens"] if one["round"] else 0
        evaluate(run, one["student"], home, split)
        own = [answer.own for answer in results_of(run, one["student"], home, split)]
        found.append((one["round"], tokens, 100 * sum(own) / len(own)))
    return tuple(found)


def run_name(seed: int, arm: str) -> str:
    """What an arm's run of a seed is called."""
    return f"{seed}-{arm.replace(' > ', '-').replace(', ', '-').replace(' ', '-')}"


def mean_shares(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Of each strategy that an arm's students may choose, how often they do, over the seeds, in per cent."""
    return {name: 100 * float(np.mean([one.shares.get(name, 0.0) for one in outcomes])) for name in outcomes[0].shares}


def in_points(low: float, mean: float, high: float) -> str:
    """+2.1 (-0.9 to +5.2)"""
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def in_per_cent(shares: Mapping[str, float]) -> str:
    """cot 11, pot 89"""
    return ", ".join(f"{name} {share:.0f}" for name, share in shares.items())


def _sampled(run: Run, round: int) -> int:
    table = verdicts_of(run, f"round-{round}")
    return int(table["prompt_tokens"].sum() + table["completion_tokens"].sum())


@dataclass(frozen=True)
class Difference:
    """An arm against another, in points."""

    mean: float
    low: float
    high: float
    """The interval at the level that Holm's procedure tests it at."""
    p: float
    """Corrected."""


def t_two_sided(t: float, freedom: int) -> float:
    """The p-value of Student's t."""
    if math.isinf(t):
        return 0.0
    return float(mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True))


def t_point(level: float, freedom: int) -> float:
    """The t whose two-sided p-value is `level`."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_two_sided(middle, freedom) > level else (low, middle)
    return high


def holm(differences: Mapping[str, Sequence[float]]) -> dict[str, Difference]:
    """Each arm's differences over the seeds, tested together; nothing for fewer than two seeds."""
    tested: dict[str, tuple[float, float, int, float]] = {}
    for name, values in differences.items():
        if len(values) < 2:
            continue
        mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
        t = abs(mean) / error if error else (math.inf if mean else 0.0)
        tested[name] = mean, error, len(values) - 1, t_two_sided(t, len(values) - 1)
    found, least = {}, 0.0
    for place, name in enumerate(sorted(tested, key=lambda one: tested[one][3])):
        mean, error, freedom, p = tested[name]
        left = len(tested) - place
        least = max(least, min(1.0, p * left))
        margin = error * t_point(LEVEL / left, freedom)
        found[name] = Difference(mean, mean - margin, mean + margin, least)
    return found


def ahead(a: Outcome, b: Outcome) -> float:
    """By how many points A is right more often than B, on the same problems."""
    if a.problems != b.problems:
        raise ValueError("these students were asked different problems")
    return a.accuracy - b.accuracy


class Results:
    """The outcomes that a file keeps, and with what they were had."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._kept: dict[str, dict[str, Any]] = {}
        if file is not None and file.exists():
            for line in file.read_text(encoding="utf-8").splitlines():
                kept = json.loads(line)
                self._kept[_key(kept)] = kept

    def kept(self, preset: str, settings: Sequence[str], split: str) -> Outcome | None:
        """An arm's outcome, if the file has it."""
        kept = self._kept.get(_key({"preset": preset, "settings": list(settings), "split": split}))
        if kept is None:
            return None
        curve = tuple((round, tokens, accuracy) for round, tokens, accuracy in kept["outcome"].get("curve", ()))
        return Outcome(**{**kept["outcome"], "curve": curve})

    def of(
        self, preset: str, settings: Sequence[str], split: str, make: Callable[[], Path], curve: bool = False
    ) -> Outcome:
        """An arm's outcome: from the file, or of the run that `make` finishes."""
        mine = {"preset": preset, "settings": list(settings), "split": split}
        known = self.kept(preset, settings, split)
        if known is not None:
            return known
        found = outcome(make(), split, curve)
        if self._file is not None:
            line = json.dumps(mine | {"outcome": asdict(found), "with": versions()}, ensure_ascii=False)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        return found


def _key(kept: Mapping[str, Any]) -> str:
    return digest([kept["preset"], kept["settings"], kept["split"]])
