"""What each method comes to in the pocket world, beside the method that it departs from.

    python benchmarks/pocket_methods.py --seeds 21 22 23

Three groups, each with arms of equally many problems, of which every arm names the one that it is held against:

- *rounds*: the preset `pocket` with another policy, transform or kind of sampling; forks of one warm-up.
- *objectives*: plain distillation of one strategy, several epochs, with another loss.
- *strategies*: plain distillation of other ways to write solutions down, or of several with a selector.

What arms differ in beside their method (tokens that are trained on, samples) the table tells. All answer the same test
problems greedily, chosen as their recipe says. With two seeds and more, differences have Student's t over the seeds,
corrected by Holm's procedure within a group; with one, the interval for matched pairs, of other problems only.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from arms import Outcome, Results, ahead, finish, holm, in_per_cent, in_points, mean_shares, run_name
from record import RESULTS, Record, Row

from siked_core.paired import Paired
from siked_core.scorecard import Score


@dataclass(frozen=True)
class Arm:
    """One method."""

    settings: tuple[str, ...]
    against: str = ""
    """The arm of its group that it is held against; empty for that one itself."""
    layer: str = ""
    """A preset that is laid over `pocket`."""
    fork: bool = False
    """Whether it starts from what the arm has that it is held against."""


def _rounds(*settings: str, layer: str = "") -> Arm:
    return Arm(("strategies=[cot, pot, l2m]", *settings), "siked", layer, fork=True)


_PLAIN = ("stopping.rounds=0", "evaluation.forced=false")
_LEARNT = (*_PLAIN, "strategies=[cot]", "rollout.warm_up_problems=1000", "training.warm_up_epochs=3")


def _plain(*settings: str, against: str = "", layer: str = "") -> Arm:
    return Arm((*_PLAIN, *settings), against, layer)


def _loss(*settings: str, against: str = "sft") -> Arm:
    return Arm((*_LEARNT, *settings), against)


ABOUT = """What each method comes to in the pocket world, beside the one that it departs from. *rounds*: the preset
`pocket` with another policy, transform, way to sample or selector, from one warm-up; *objectives*: plain distillation
of chains of thought, 1,000 problems for three epochs, with another loss; *strategies*: plain distillation of other
ways to write a solution down, 1,500 problems. 300 test problems, greedy. With several seeds differences have Student's
t over the seeds, corrected within a group (Holm); with one, the interval for matched pairs, of other problems only."""

GROUPS: Mapping[str, Mapping[str, Arm]] = {
    "rounds": {
        "siked": Arm(("strategies=[cot, pot, l2m]",)),
        "alpha, 0.8 to 0.2": _rounds("mixing.policy={name: alpha, options: {alpha: 0.8, to: 0.2, rounds: 2}}"),
        "rft": _rounds("mixing.policy=rft", "mixing.keep=null"),
        "siked, 4 samples": _rounds("rollout.samples=4"),
        # With one sample of each strategy its mixture is that of adaptive mixing per problem, row by row.
        "tata, 4 samples": replace(_rounds("rollout.samples=4", "mixing.policy=tata"), against="siked, 4 samples"),
        "smart": _rounds("mixing.policy=smart", "rollout.mode=both"),
        "star": _rounds(layer="star"),
        "rarity": _rounds("mixing.policy=rarity"),
        "utility": _rounds("mixing.policy=utility"),
        "dcot": _rounds("mixing.policy=all", "rollout.temperature=1.0", "evaluation.max_tokens=256", layer="dcot"),
        "vote": _rounds("evaluation.selector=vote"),
        "cascade pot, cot, l2m": _rounds("evaluation.selector={name: cascade, options: {order: [pot, cot, l2m]}}"),
    },
    "objectives": {
        "sft": _loss(against=""),
        "kpod": _loss("training.objective=kpod"),
        "kpod, 60 updates": _loss("training.objective={name: kpod, options: {updates: 60}}"),
        "upft, 8 tokens": _loss("training.objective={name: upft, options: {tokens: 8, whole: 0.25}}"),
        "dual": _loss("training.objective=dual"),
        "sft, 4 samples": _loss("teacher.samples=4"),
        "kto, 4 samples": _loss("teacher.samples=4", "training.objective=kto", against="sft, 4 samples"),
        "edit, 4 samples": _loss("teacher.samples=4", "training.objective=edit", against="sft, 4 samples"),
        "edit, 4 samples, others 0.1": _loss(
            "teacher.samples=4",
            "training.objective={name: edit, options: {others: 0.1}}",
            against="sft, 4 samples",
        ),
    },
    "strategies": {
        "cot": _plain("strategies=[cot]"),
        "planning": _plain("strategies=[cot]", "mixing.transforms=[planning]", against="cot"),
        "kpdd": _plain("strategies=[kpdd]", against="cot"),
        "pot": _plain("strategies=[pot]"),
        "kpdd_pot": _plain("strategies=[kpdd_pot]", against="pot"),
        "l2m": _plain("strategies=[l2m]"),
        "socratic": _plain("strategies=[socratic]", against="l2m"),
        "eot": _plain("strategies=[eot]", against="pot"),
        "etd": _plain("evaluation.forced=true", against="eot", layer="etd"),
    },
}


def difference(pairs: Sequence[tuple[Outcome, Outcome]]) -> tuple[float, float, float] | None:
    """Low, mean, high in points of one seed, by the interval for matched pairs."""
    if len(pairs) != 1:
        return None
    one, other = pairs[0]
    paired = Paired.of([flag == "1" for flag in other.right], [flag == "1" for flag in one.right])
    low, high = paired.interval
    return 100 * low, 100 * paired.difference, 100 * high


def rows(group: Mapping[str, Arm], found: Mapping[int, Mapping[str, Outcome]]) -> list[Row]:
    """Of a group's table."""
    against = {name: arm.against for name, arm in group.items() if arm.against}
    pairs = {
        name: [(arms[name], arms[other]) for arms in found.values() if name in arms and other in arms]
        for name, other in against.items()
    }
    tested = holm({name: [ahead(*pair) for pair in both] for name, both in pairs.items()})
    made: list[Row] = []
    for name in group:
        mine = [arms[name] for arms in found.values() if name in arms]
        if not mine:
            continue
        alone, corrected = difference(pairs.get(name, [])), tested.get(name)
        gap = (corrected.low, corrected.mean, corrected.high) if corrected else alone
        made.append(
            {
                "arm": name,
                "right, in %": _accuracy(mine),
                "against": against.get(name, ""),
                "ahead by, in points": in_points(*gap) if gap else "",
                "warm-up's tokens": round(_mean(one.warm_up for one in mine)),
                "rounds' tokens": round(_mean(one.trained for one in mine)),
                "sampled tokens": round(_mean(one.sampled for one in mine)),
                "chooses, in %": in_per_cent(mean_shares(mine)),
            }
        )
    return made


def _accuracy(outcomes: Sequence[Outcome]) -> str:
    if len(outcomes) > 1:
        return f"{_mean(one.accuracy for one in outcomes):.1f} ({', '.join(f'{one.accuracy:.1f}' for one in outcomes)})"
    (only,) = outcomes
    low, high = Score(only.right.count("1"), len(only.right)).interval
    return f"{only.accuracy:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def _mean(values: object) -> float:
    return float(np.mean(list(values)))  # type: ignore[call-overload]


def preset_of(options: argparse.Namespace, arm: Arm) -> str:
    return f"{options.preset},{arm.layer}" if arm.layer else options.preset


def settings_of(options: argparse.Namespace, seed: int, arm: Arm) -> list[str]:
    """All that an arm of a seed is set to."""
    return [f"seed={seed}", f"dataset.options.seed={seed}", "stopping.patience=99", *arm.settings, *options.set]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--preset", default="pocket")
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--groups", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="only these, and those that they are held against")
    parser.add_argument("--runs", type=Path, default=Path("runs/methods"), help="folder of the runs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of siked distill")
    parser.add_argument("--results", type=Path, default=RESULTS / "pocket_methods.jsonl", help="finished arms")
    parser.add_argument("--tables", action="store_true", help="write the tables of what there is, and run nothing")
    options = parser.parse_args()
    results = Results(options.results)
    made = Record("methods", "One method at a time", ABOUT)
    for kind in options.groups:
        group = GROUPS[kind]
        wanted = set(options.arms or group) | {group[name].against for name in options.arms or [] if name in group}
        found: dict[int, dict[str, Outcome]] = {seed: {} for seed in options.seeds}
        for seed in options.seeds:

            def run_of(name: str, group: Mapping[str, Arm] = group, seed: int = seed) -> Path:
                arm = group[name]
                path = options.runs / run_name(seed, name)
                base = run_of(arm.against) if arm.fork else None
                return finish(path, preset_of(options, arm), settings_of(options, seed, arm), base)

            for name in [name for name in group if name in wanted]:
                preset, mine = preset_of(options, group[name]), settings_of(options, seed, group[name])
                kept = results.kept(preset, mine, "test")
                if kept is None and options.tables:
                    continue
                one = kept or results.of(preset, mine, "test", partial(run_of, name))
                found[seed][name] = one
                print(f"seed {seed}, {name}: {one.accuracy:.1f}", flush=True)
        if any(found.values()):
            made.table(kind, rows(group, found))
        done, planned = sum(map(len, found.values())), len(options.seeds) * len(group)
        made.say(f"{kind}: {done} of {planned} runs (seeds {', '.join(map(str, options.seeds))}).")
    print("\n".join(made.lines()))
    if not options.arms:
        made.write()


if __name__ == "__main__":
    main()
