"""Which mixing policy makes the better student of the pocket world, at equal sampling and equal training?

    python benchmarks/pocket_policies.py --seeds 101 102 103 --split validation

For every seed, which seeds the problems, the teacher, training and sampling, one run for each arm. The arms of several
strategies are forks of the first one's run, so that they share its problems, the teacher's pool, the warm-up and its
samples; what they train on is their own. Rounds are trained on `--tokens` tokens, whatever their mixtures (to a batch),
and sample equally often. An arm of a single strategy is RFT on it: it samples as many times as the others do in all,
and its warm-up takes as many epochs more as it has strategies less. All students answer the same problems by their own
choice, greedily; each arm's is its round that is best on validation.

Differences to `--of` are paired by problem, with Student's t over the seeds. Of all that are tested p-values are
corrected by Holm's procedure, and each interval has the level at which Holm tests that difference.

Runs are `siked distill` in a process of its own; a finished one is not repeated, an interrupted one goes on. Results of
seeds that were run elsewhere are read from `--results`, to which this adds its own. The table goes into the results
that docs/results.md is made of (`policies`); on the validation split, which is for designing, it is only printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from arms import LEVEL, Outcome, Results, ahead, finish, holm, in_per_cent, in_points, mean_shares, run_name
from record import RESULTS, Record, Row

PUBLISHED = [["pot", "cot", "l2m"], ["cot", "pot", "l2m"], ["l2m", "pot", "cot"]]
"""Orders of SIKeD's biased mixing."""
TOKENS = 85_000
"""About what a round of the preset `pocket` trains on with three strategies and its own policy."""


def arms(strategies: Sequence[str]) -> dict[str, list[str]]:
    """Name -> settings of the recipe. The first is the run that those of several strategies are forks of."""
    orders = [order for order in PUBLISHED if set(order) == set(strategies)] or [list(strategies)]
    several = {
        "adaptive per problem": "{name: adaptive, options: {per: problem}}",
        "adaptive": "{name: adaptive, options: {per: strategy}}",
        "all": "all",
        **{f"biased {' > '.join(order)}": f"{{name: biased, options: {{order: {order}}}}}" for order in orders},
        "rft": "rft",
        "tata": "tata",
        "utility": "utility",
        "utility, margin 1": "{name: utility, options: {margin: 1}}",
        "utility, margin 2": "{name: utility, options: {margin: 2}}",
        "utility, margin 1, difficulty 1": "{name: utility, options: {margin: 1, difficulty: 1}}",
    }
    together = {name: [f"mixing.policy={policy}"] for name, policy in several.items()}
    alone = {
        f"only {name}, rft": [
            f"strategies=[{name}]",
            f"rollout.samples={len(strategies)}",
            f"training.warm_up_epochs={len(strategies)}",
            "mixing.policy=rft",
            "mixing.keep=null",
        ]
        for name in strategies
    }
    return together | alone


def settings_of(options: argparse.Namespace, seed: int, settings: Sequence[str]) -> list[str]:
    """All that an arm of a seed is set to."""
    every = [f"seed={seed}", f"dataset.options.seed={seed}", f"training.tokens_per_round={options.tokens}"]
    every += ["stopping.patience=99", f"strategies=[{', '.join(options.strategies)}]"]
    every += ["data.test_limit=10"] if options.split == "validation" else []
    return [*every, *options.set, *settings]


def record(found: Mapping[int, Mapping[str, Outcome]], of: str) -> Record:
    """The table, and what it comes to."""
    names = list(dict.fromkeys(name for by_arm in found.values() for name in by_arm))
    gaps = {
        name: [ahead(by_arm[of], by_arm[name]) for by_arm in found.values() if name in by_arm and of in by_arm]
        for name in names
        if name != of
    }
    tested = holm(gaps)
    rows: list[Row] = []
    for name in names:
        mine = [by_arm[name] for by_arm in found.values() if name in by_arm]
        one = tested.get(name)
        rows.append(
            {
                "arm": name,
                "right, in %": round(float(np.mean([each.accuracy for each in mine])), 1),
                f"{of} ahead by, in points": in_points(one.low, one.mean, one.high) if one else "",
                "p (Holm)": f"{one.p:.3f}" if one else "",
                "by seed": ", ".join(f"{each.accuracy:.1f}" for each in mine),
                "tokens of rounds": round(float(np.mean([each.trained for each in mine]))),
                "chooses, in %": in_per_cent(mean_shares(mine)),
            }
        )
    about = f"""Mixing policies and single strategies at equal sampling, with rounds of equally many tokens; seeds
{", ".join(map(str, found))}. Differences to `{of}` are paired by problem, with Student's t over the seeds, and
intervals and p-values are corrected for how many are tested (Holm)."""
    made = Record("policies", "Mixing policies", about)
    made.table("", rows)
    sure = {name: one.mean for name, one in tested.items() if one.p <= LEVEL}
    made.say(
        f"`{of}` is ahead, at p of 0.05 after Holm, of: {'; '.join(n for n, m in sure.items() if m > 0) or 'none'}."
    )
    made.say(f"It is behind, likewise: {'; '.join(n for n, m in sure.items() if m < 0) or 'none'}.")
    made.say(f"Not told apart from it: {'; '.join(name for name in tested if name not in sure) or 'none'}.")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="pocket")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--strategies", type=lambda text: text.split(","), default=["cot", "pot", "l2m"])
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="only these; the first arm is always run")
    parser.add_argument("--of", default="utility", help="the arm that the others are held against")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="that a round is trained on")
    parser.add_argument("--split", choices=["validation", "test"], default="test")
    parser.add_argument("--runs", type=Path, default=Path("runs/policies"), help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of siked distill")
    parser.add_argument("--results", type=Path, default=RESULTS / "pocket_policies.jsonl", help="finished arms")
    options = parser.parse_args()
    known = arms(options.strategies)
    first = next(iter(known))
    chosen = [name for name in known if name == first or not options.arms or name in options.arms]
    unknown = [name for name in [*(options.arms or []), options.of] if name not in known]
    if unknown:
        parser.error(f"there is no arm {unknown[0]!r}; there are: {'; '.join(known)}")
    results = Results(options.results)
    found: dict[int, dict[str, Outcome]] = {seed: {} for seed in options.seeds}
    for seed in options.seeds:

        def run_of(name: str, seed: int = seed) -> Path:
            path = options.runs / run_name(seed, name)
            base = None if name == first or name.startswith("only ") else run_of(first)
            return finish(path, options.preset, settings_of(options, seed, known[name]), base)

        for name in chosen:
            mine = settings_of(options, seed, known[name])
            one = results.of(options.preset, mine, options.split, partial(run_of, name))
            found[seed][name] = one
            print(f"seed {seed}, {name}: {one.accuracy:.1f} (round {one.round})", flush=True)
    made = record(found, options.of)
    print("\n".join(made.lines()))
    if options.split == "test":
        made.write()


if __name__ == "__main__":
    main()
