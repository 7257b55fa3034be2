"""Does SIKeD beat plain distillation in the pocket world, at equal budget?

    python benchmarks/pocket_effect.py --seeds 1 2 3 4 5 --json effect.json --table effect.md

For every set of strategies and every seed, which seeds the problems, the teacher, training and sampling, one run with
`baselines: equal_budget`: its chosen round against "combined" (all strategies of the teacher's pool) and against each
single strategy, all trained on as many tokens as the whole run. All students answer the same test problems by their
own choice, greedily. Differences are paired by problem, and their 95 % interval is Student's t over the seeds.
Single strategies vary little from seed to seed, and cost most: `--only-combined 11 12` leaves them out for these seeds.

Runs are `siked distill` in a process of its own; a finished one is not repeated, an interrupted one goes on.
`--split validation` compares on the validation split instead, and leaves the test split alone but for a few problems:
that is for designing, on seeds other than those that will be reported.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import polars as pl

from siked_core.models import read_side_file
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach
from siked_core.scorecard import Scorecard
from siked_core.stages.evaluate import evaluate
from siked_core.stages.verify import verdicts_of

SIKED = "SIKeD"
ROUND_0 = "warm-up alone"


@dataclass(frozen=True)
class Outcome:
    """One student of one run."""

    card: Scorecard
    right: Mapping[str, bool]
    """Problem to whether it was solved by the student's own choice."""
    tokens: int
    """Trained on, in all."""
    sampled: int
    """Tokens that the student sampled in the rollouts that made it (prompts and completions)."""


def run_of(options: argparse.Namespace, strategies: str, seed: int) -> Path:
    """Make or finish the run of a set of strategies and a seed."""
    path: Path = options.runs / f"{strategies.replace(',', '-')}-{seed}"
    baselines = "combined" if seed in options.only_combined else "equal_budget"
    settings = [f"seed={seed}", f"dataset.options.seed={seed}", f"baselines={baselines}", *options.set]
    if options.split == "validation":
        settings += ["data.test_limit=10"]
    command = [sys.executable, "-m", "siked_cli", "distill", "--preset", options.preset, "--strategies", strategies]
    command += ["--run", str(path), "--plain", "--json"]
    for setting in settings:
        command += ["--set", setting]
    with (options.runs / f"{path.name}.log").open("a", encoding="utf-8") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)
    return path


def outcomes(run: Run, split: str) -> dict[str, Outcome]:
    """What the run's students did on the split, by their names in the tables."""
    report = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
    chosen = f"round-{report['chosen_round']}"
    students = {SIKED: chosen, ROUND_0: "round-0", "combined": "combined"}
    if run.recipe.baselines == "equal_budget":
        students |= {f"only {name}": f"only-{name}" for name in run.recipe.strategy_names}
    pools = [one["pool"] for one in report["rounds"][1:]]
    sampled = sum(pool["prompt_tokens"] + pool["completion_tokens"] for pool in pools)
    budget = sum(one["training_tokens"] for one in report["rounds"])
    found = {}
    for name, student in students.items():
        dataset = run.recipe.dataset.name
        card = evaluate(run, student, dataset, split)
        rows = verdicts_of(run, f"evaluations/{student}/{dataset}-{split}").filter(pl.col("requested").is_null())
        right = dict(zip(rows["problem_id"], (rows["status"] == "correct"), strict=True))
        tokens = budget if name == SIKED else read_side_file(run.student(student))["training_tokens"]
        found[name] = Outcome(card, right, tokens, sampled if name == SIKED else 0)
    return found


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean and its 95 % interval by Student's t, one value a seed; without an interval for fewer than two."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    # The 97.5 % points of Student's t for 1, 2, 3, ... degrees of freedom (any table of the distribution).
    points = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262]
    point = points[len(values) - 2] if len(values) - 2 < len(points) else 2.262
    margin = point * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return mean, mean - margin, mean + margin


def compare(found: Mapping[int, Mapping[str, Outcome]]) -> dict[str, Any]:
    """Accuracies and paired differences in points, each arm over the seeds that have it."""
    arms: dict[str, Any] = {}
    for name in dict.fromkeys(name for of_seed in found.values() for name in of_seed):
        having = {seed: of_seed for seed, of_seed in found.items() if name in of_seed}
        mine = [of_seed[name] for of_seed in having.values()]
        gaps = []
        for of_seed in having.values():
            rivals, ours = of_seed[name].right, of_seed[SIKED].right
            gaps.append(100 * float(np.mean([ours[problem] - rivals[problem] for problem in ours])))
        arms[name] = {
            "accuracy": interval([100 * one.card.score.accuracy for one in mine]),
            "by_seed": {seed: 100 * of_seed[name].card.score.accuracy for seed, of_seed in having.items()},
            "difference": interval(gaps),
            "difference_by_seed": dict(zip(having, gaps, strict=True)),
            "training_tokens": float(np.mean([one.tokens for one in mine])),
            "sampled_tokens": float(np.mean([one.sampled for one in mine])),
            "shares": {
                score.strategy: 100 * float(np.mean([_share(one, score.strategy) for one in mine]))
                for score in mine[0].card.strategies
            },
        }
    return {"arms": arms, "families": families([of_seed[SIKED].card for of_seed in found.values()])}


def _share(outcome: Outcome, strategy: str) -> float:
    return next(score.share for score in outcome.card.strategies if score.strategy == strategy)


def families(cards: Sequence[Scorecard]) -> dict[str, dict[str, float]]:
    """Family to accuracy in per cent: by own choice, and with each strategy forced; mean over the cards."""
    table: dict[str, dict[str, float]] = {}
    for family in cards[0].families:
        row = {"own choice": 100 * float(np.mean([card.families[family].accuracy for card in cards]))}
        for place, score in enumerate(cards[0].strategies):
            if score.forced_families:
                every = [card.strategies[place].forced_families[family].accuracy for card in cards]
                row[score.strategy] = 100 * float(np.mean(every))
        table[family] = row
    return table


def markdown(results: Mapping[str, Any]) -> str:
    """The tables of every set of strategies."""
    lines: list[str] = []
    for strategies, result in results.items():
        lines += [f"### {strategies}", ""]
        lines += [
            "| student | seeds | right, in % | SIKeD ahead by, in points | training tokens | sampled tokens | "
            "chooses, in % |"
        ]
        lines += ["|---|---|---|---|---|---|---|"]
        for name, arm in result["arms"].items():
            shares = ", ".join(f"{strategy} {share:.0f}" for strategy, share in arm["shares"].items())
            ahead = "" if name == SIKED else _with_interval(arm["difference"], "+")
            tokens, sampled = (f"{arm[kind] / 1e6:.2f} M" for kind in ("training_tokens", "sampled_tokens"))
            seeds, right = len(arm["by_seed"]), _with_interval(arm["accuracy"])
            lines.append(f"| {name} | {seeds} | {right} | {ahead} | {tokens} | {sampled} | {shares} |")
        by_seed = result["arms"]["combined"]["difference_by_seed"]
        gaps = ", ".join(f"{difference:+.1f} (seed {seed})" for seed, difference in by_seed.items())
        columns = list(next(iter(result["families"].values())))
        lines += ["", f"Ahead of combined, in points: {gaps}."]
        lines += ["", f"| family | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
        for family, row in result["families"].items():
            lines.append(f"| {family} | {' | '.join(f'{row[column]:.0f}' for column in columns)} |")
        lines.append("")
    return "\n".join(lines)


def _with_interval(values: Sequence[float], sign: str = "") -> str:
    mean, low, high = values
    return f"{mean:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="pocket")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument(
        "--only-combined", type=int, nargs="+", default=[], metavar="SEED", help="leave single strategies out for these"
    )
    parser.add_argument("--strategies", nargs="+", default=["cot,pot,l2m", "cot,pot,l2m,eot"], help="sets to compare")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--runs", type=Path, default=Path("runs/effect"), help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of siked distill")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--table", type=Path, help="write the tables to this file, as Markdown")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for strategies in options.strategies:
        found: dict[int, dict[str, Outcome]] = {}
        for seed in options.seeds:
            path = run_of(options, strategies, seed)
            with attach(path, Registry.discover(), SilentReporter()) as run:
                found[seed] = outcomes(run, options.split)
            scores = ", ".join(f"{name} {100 * one.card.score.accuracy:.1f}" for name, one in found[seed].items())
            print(f"{strategies}, seed {seed}: {scores}", flush=True)
        results[strategies] = compare(found)
    document = {"preset": options.preset, "set": options.set, "split": options.split, "seeds": options.seeds}
    if options.json:
        options.json.write_text(json.dumps(document | {"results": results}, indent=1) + "\n", encoding="utf-8")
    text = markdown(results)
    if options.table:
        options.table.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
