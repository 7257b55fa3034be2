"""SIKeD against its rivals in the pocket world: one main table, and what becomes of it as one thing is varied.

    python benchmarks/method.py                                   # everything, as `make results-method` does
    python benchmarks/method.py --studies main --seeds 31 32      # a part

Studies, each a file of results of its own, with arms that are runs of `siked distill` (`arms.py`):

- *main*: at the laboratory's size (`pocket-full`), 5 seeds: every policy, selector and rival.
- *rounds*, *noise*, *learning*, *gold*, *students*: at the size of `pocket`, 3 seeds: combined, adaptive and utility.
- *larger*: a student of 28 million parameters in a larger world; where there is a GPU, or where it is asked for.

Within a study and seed all arms share the problems, the teacher's answers and, where they have the same strategies, the
warm-up: they are forks of one run. Every round is trained on equally many tokens and samples equally often; the student
of an arm is its round that is best on validation; all answer the same test problems by their own choice, greedily.
Seeds were used for nothing else: 1-5, 11-15 and 21-25 for earlier reports, 101-103 for design.

It goes on where it was stopped: a finished arm is a line of `benchmarks/results/method.jsonl` and not run again, an
unfinished one continues as any run does. The tables are written after every arm, of what there is.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from arms import LEVEL, Outcome, Results, ahead, finish, holm, in_per_cent, in_points, mean_shares, run_name, t_point
from method_studies import ADAPTIVE, BASES, Study, preset_of, settings_of, studies
from record import RESULTS, Picture, Record, Row

FEWEST = 3
"""Seeds that an interval or a test takes: two may differ by next to nothing, or have an interval beyond 0 to 100."""


def main_record(name: str, study: Study, found: Mapping[int, Mapping[int, Outcome]]) -> Record:
    """The table of all arms, each held against adaptive mixing, and accuracy against tokens."""
    record = Record(name, study.title, study.about)
    gaps = {
        place: [ahead(arms[place], arms[0]) for arms in found.values() if place in arms and 0 in arms]
        for place in range(1, len(study.cells))
    }
    tested = holm({str(place): values for place, values in gaps.items() if len(values) >= FEWEST})
    rows: list[Row] = []
    for place, cell in enumerate(study.cells):
        mine = [arms[place] for arms in found.values() if place in arms]
        if not mine:
            continue
        corrected = tested.get(str(place))
        right = _right([one.accuracy for one in mine])
        ends = "" if right["low"] is None else f" ({right['low']} to {right['high']})"
        gap = in_points(corrected.low, corrected.mean, corrected.high) if corrected else ""
        rows.append(
            {
                "arm": cell.arm,
                "seeds": len(mine),
                "right, in %": f"{right['right, in %']}{ends}",
                "by seed": ", ".join(f"{one.accuracy:.1f}" for one in mine),
                f"ahead of {ADAPTIVE}": gap or ", ".join(f"{value:+.1f}" for value in gaps.get(place, [])),
                "p (Holm)": f"{corrected.p:.3f}" if corrected else "",
                "oracle": _share(mine),
                "chooses, in %": in_per_cent(mean_shares(mine)),
                "suited, in %": in_per_cent(_suited(mine)),
                "trained tokens": round(float(np.mean([one.warm_up + one.trained for one in mine]))),
                "sampled tokens": round(float(np.mean([one.sampled for one in mine]))),
            }
        )
    record.table("Accuracy of every arm", rows)
    record.say(_complete(study, found))
    if tested:
        sure = {study.cells[int(place)].arm: one.mean for place, one in tested.items() if one.p <= LEVEL}
        record.say(
            f"Ahead of {ADAPTIVE} at p of 0.05 after Holm: {'; '.join(n for n, m in sure.items() if m > 0) or 'none'}."
        )
        record.say(f"Behind it, likewise: {'; '.join(n for n, m in sure.items() if m < 0) or 'none'}.")
    if chosen := _chosen_rows(study, found):
        record.table("What there was to gain by choosing: the same answers, and the strategies forced, in %", chosen)
    points = _curve_rows(study, found)
    place = record.table("Accuracy against training tokens, warm-up included", points)
    reading = "Each point is a round's student; the mean over the seeds that there are."
    picture = Picture(place, "tokens", "right, in %", series="arm", line=True, reading=reading)
    record.picture(picture)
    return record


def swept_record(name: str, study: Study, found: Mapping[int, Mapping[int, Outcome]]) -> Record:
    """Three arms over what is varied."""
    record = Record(name, study.title, study.about)
    rows: list[Row] = []
    for place, cell in enumerate(study.cells):
        mine = [arms[place] for arms in found.values() if place in arms]
        if mine:
            combined = next(
                at for at, one in enumerate(study.cells) if one.value == cell.value and one.arm == "combined"
            )
            pairs = [(arms[place], arms[combined]) for arms in found.values() if place in arms and combined in arms]
            gap = interval([ahead(*pair) for pair in pairs]) if pairs and place != combined else None
            rows.append(
                {
                    study.varied: cell.value,
                    "arm": cell.arm,
                    "seeds": len(mine),
                    **_right([one.accuracy for one in mine]),
                    "ahead of combined": _gap(gap) if gap else "",
                    "oracle": _share(mine),
                    "chooses, in %": in_per_cent(mean_shares(mine)),
                }
            )
    record.table("", rows)
    record.say(_complete(study, found))
    record.picture(
        Picture(0, study.varied, "right, in %", series="arm", line=not isinstance(study.cells[0].value, str))
    )
    return record


def rounds_record(name: str, study: Study, found: Mapping[int, Mapping[int, Outcome]]) -> Record:
    """Accuracy after each round."""
    record = Record(name, study.title, study.about)
    place = record.table("", _curve_rows(study, found))
    record.say(_complete(study, found))
    record.picture(Picture(place, "round", "right, in %", "low", "high", series="arm", line=True))
    return record


def _chosen_rows(study: Study, found: Mapping[int, Mapping[int, Outcome]]) -> list[Row]:
    """Of the arms of several strategies, on the seeds on which every strategy was forced."""
    rows: list[Row] = []
    for place, cell in enumerate(study.cells):
        mine = [arms[place] for arms in found.values() if place in arms and len(arms[place].always) > 1]
        if mine:
            means = {f"always {name}": _mean([one.always[name] for one in mine]) for name in mine[0].always}
            best = _mean([one.by_family for one in mine if one.by_family is not None])
            own = _mean([one.accuracy for one in mine])
            rows.append(
                {"arm": cell.arm, "seeds": len(mine), "answers": own, **means, "best for its kind": best,
                 "oracle": _share(mine)}
            )  # fmt: skip
    return rows


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 1)


def _curve_rows(study: Study, found: Mapping[int, Mapping[int, Outcome]]) -> list[Row]:
    rows: list[Row] = []
    for place, cell in enumerate(study.cells):
        if any(setting.startswith("evaluation.selector") for setting in cell.settings):
            continue  # by their own choice, its students are those of the cell that it is a fork of
        curves = [arms[place].curve for arms in found.values() if place in arms and arms[place].curve]
        for points in zip(*curves, strict=False):
            rows.append(
                {
                    "arm": cell.arm,
                    "round": points[0][0],
                    "tokens": round(float(np.mean([tokens for _, tokens, _ in points]))),
                    "seeds": len(points),
                    **_right([accuracy for _, _, accuracy in points]),
                }
            )
    return rows


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Low, mean, high: 95 %, Student's t over the seeds; no ends for fewer than three."""
    mean = float(np.mean(values))
    if len(values) < FEWEST:
        return math.nan, mean, math.nan
    margin = t_point(0.05, len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - margin, mean, mean + margin


def _right(accuracies: Sequence[float]) -> Row:
    """The cells for accuracies in per cent, which no interval may leave."""
    low, mean, high = interval(accuracies)
    ends = (None, None) if math.isnan(low) else (round(max(low, 0.0), 1), round(min(high, 100.0), 1))
    return {"right, in %": round(mean, 1), "low": ends[0], "high": ends[1]}


def _gap(gap: tuple[float, float, float]) -> str:
    low, mean, high = gap
    return f"{mean:+.1f}" if math.isnan(low) else in_points(low, mean, high)


def _share(outcomes: Iterable[Outcome]) -> float | None:
    shares = [100 * one.oracle.count("1") / len(one.oracle) for one in outcomes if one.oracle]
    return _mean(shares) if shares else None


def _suited(outcomes: Sequence[Outcome]) -> dict[str, float]:
    known = [one.suited for one in outcomes if one.suited]
    return {name: 100 * float(np.mean([one.get(name, 0.0) for one in known])) for name in known[0]} if known else {}


def _complete(study: Study, found: Mapping[int, Mapping[int, Outcome]]) -> str:
    """How much of it there is."""
    done, planned = sum(len(arms) for arms in found.values()), len(study.seeds) * len(study.cells)
    there = "All" if done == planned else "So far"
    return f"{there} {done} of {planned} runs (seeds {', '.join(map(str, study.seeds))})."


WRITERS = {"main": main_record, "rounds": rounds_record}


def outcomes(study: Study, results: Results) -> dict[int, dict[int, Outcome]]:
    """Seed -> place of the cell -> what the file has."""
    found: dict[int, dict[int, Outcome]] = {}
    for seed in study.seeds:
        for place, cell in enumerate(study.cells):
            one = results.kept(preset_of(study, cell), settings_of(study, seed, cell), "test")
            if one is not None:
                found.setdefault(seed, {})[place] = one
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--studies", nargs="+", help="only these (main, rounds, noise, learning, gold, larger, students)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="only these")
    parser.add_argument("--arms", nargs="+", metavar="NAME", help="only these, and those that they are forks of")
    parser.add_argument("--runs", type=Path, default=Path("runs/method"), help="folder of the runs")
    parser.add_argument("--bases", type=Path, default=Path("runs/bases"), help="folder of the students' other sizes")
    parser.add_argument("--results", type=Path, default=RESULTS / "method.jsonl", help="file of finished arms")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="as of siked distill; for trials"
    )
    parser.add_argument("--tables", action="store_true", help="write the tables of what there is, and run nothing")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    known = {name: replace(one, more=tuple(options.set)) for name, one in studies(options.bases).items()}
    for name in options.studies or []:
        if name not in known:
            parser.error(f"there is no study {name!r}; there are: {', '.join(known)}")
    chosen = {name: known[name] for name in options.studies or known if options.studies or name != "larger" or cuda()}
    results = Results(options.results)
    order = [] if options.tables else sorted({seed for study in chosen.values() for seed in study.seeds})
    for seed in order:
        for name, study in chosen.items():
            if seed not in study.seeds or (options.seeds and seed not in options.seeds):
                continue
            for place, cell in enumerate(study.cells):
                if options.arms and cell.arm not in options.arms:
                    continue
                run_of = partial(_run_of, options, name, study, seed)
                settings = settings_of(study, seed, cell)
                one = results.of(preset_of(study, cell), settings, "test", partial(run_of, place), study.curve)
                print(
                    f"{name}, seed {seed}, {cell.arm} {cell.value}: {one.accuracy:.1f} (round {one.round})", flush=True
                )
                _write(name, study, options.results)
    for name, study in chosen.items():
        _write(name, study, options.results)


def cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def make_base(folder: Path) -> None:
    """Train a student's base, from its last checkpoint if there is one; nothing where it is there."""
    if not (folder / "config.json").exists():
        print(f"training the base {folder}: an hour", flush=True)
        _, shape = BASES[folder.name]
        command = [sys.executable, "-m", "siked_plugins.pocket.train_base", "--out", str(folder)]
        command += ["--batch", "16", *shape.split()]
        with folder.with_suffix(".log").open("a", encoding="utf-8") as log:
            subprocess.run(command, check=True, stdout=log)


def _run_of(options: argparse.Namespace, name: str, study: Study, seed: int, place: int) -> Path:
    cell = study.cells[place]
    for base_name in BASES:
        if f"student.model={options.bases / base_name}" in cell.settings:
            options.bases.mkdir(parents=True, exist_ok=True)
            make_base(options.bases / base_name)
    path = options.runs / name / run_name(seed, f"{cell.arm} {cell.value}".strip().replace("(", "").replace(")", ""))
    base = None if cell.base is None else _run_of(options, name, study, seed, cell.base)
    return finish(path, preset_of(study, cell), settings_of(study, seed, cell), base)


def _write(name: str, study: Study, file: Path) -> None:
    found = outcomes(study, Results(file))  # another process may have added to it
    if found:
        record = WRITERS.get(name, swept_record)(f"method_{name}", study, found)
        record.keep(seconds=round(sum(one.seconds for arms in found.values() for one in arms.values())))
        record.write(file.parent)


if __name__ == "__main__":
    main()
