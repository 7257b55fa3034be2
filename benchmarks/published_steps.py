"""The same distillation step by step, as research code does it, and with `siked distill`: time, lines, and kills.

    python benchmarks/published_steps.py [--train 200] [--validation 100] [--test 100] [--turns 3] [--kills]
                                         [--add] [--results DIR]

`benchmarks/published/` has the steps of SIKeD (arXiv 2410.18574) as plain scripts, written for this benchmark with
transformers, TRL's `SFTTrainer` and pandas, and the shell commands between them; and the recipe of the same for siked.
Both begin with the same recorded answers of a teacher to the same problems of the pocket world, train the same student
as long, sample from it equally often, and answer the same questions. Both do so from beginning to end in every turn.

The problems are others in every turn. The choice of a strategy of so small a student, and with it its accuracy, is a
lottery.

With `--kills`, both are killed (SIGKILL) half-way through sampling and half-way through the round's training, and
given again: of the scripts the step that was killed, which is all that a user who knows where it stopped has to repeat.
Completions and optimiser steps are counted as they are made. `--add` keeps what the results have and adds to it, so
that turns and kills may be measured one by one.
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from published_job import PUBLISHED, RECIPE, SCRIPTS, by_siked, by_steps, prepared
from published_kills import siked_under_kills, steps_under_kills
from record import RESULTS, Picture, Record, ratios, spread

STEPS, SIKED = "separate steps", "siked distill"
ABOUT = (
    "One round of SIKeD on the pocket world: the warm-up on the teacher's answers under three strategies, samples of "
    "the student, the adaptive mixture, and the round's training. As separate commands (`benchmarks/published/`: "
    "scripts with transformers, TRL's `SFTTrainer` and pandas, as research code has them; written for this comparison, "
    "none of the published code is in them) and as `siked distill` with one recipe. The same recorded teacher, "
    "problems, base model, epochs, batches, rates and numbers of samples. They are not equal to the bit: streams of "
    "random numbers differ, siked trains on batches of like length, reads more spellings of an answer, and tests the "
    "student that was best on validation (and the warm-up's), the scripts the last one. The student is so small that "
    "starting processes is much of the time; with a large one that share shrinks. Every turn has other problems; after "
    "so little training the accuracy of both is a matter of which strategy the student happens to choose, so it says "
    "that both train, not which is better. siked keeps samples in batches, of 128 here, and a checkpoint every 50 "
    "steps, and loses at most one of either, however long the run; the scripts write when they are done."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=200, help="training problems")
    parser.add_argument("--validation", type=int, default=100, help="questions that each round is scored on")
    parser.add_argument("--test", type=int, default=100, help="questions that the last student is scored on")
    parser.add_argument("--turns", type=int, default=3, help="how often both are run")
    parser.add_argument("--kills", action="store_true", help="kill both as well, in a further run of each")
    parser.add_argument("--add", action="store_true", help="keep what the results have, and add to it")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that the results go into")
    given = parser.parse_args()
    size = {"train": given.train, "validation": given.validation, "test": given.test}
    record = Record("published_steps", "Step by step, and with one command", ABOUT)
    turns, killed = [], []
    if given.add:
        before = json.loads((given.results / "published_steps.json").read_text(encoding="utf-8"))
        if before["size"] != size:
            raise SystemExit(f"The results are of another size: {before['size']}.")
        turns, killed = before["turns"], before["killed"]
    with tempfile.TemporaryDirectory(prefix="published-steps-") as folder:
        for _ in range(given.turns):
            seed = len(turns) + 1  # other problems in every turn
            ways = {"by_steps": by_steps, "by_siked": by_siked}
            order = list(ways)[:: 1 if seed % 2 else -1]
            turns.append({way: ways[way](prepared(Path(folder) / f"{way}-{seed}", size, seed)) for way in order})
            print(json.dumps(turns[-1]), flush=True)
        if given.kills:
            killed = [*steps_under_kills(Path(folder), size), *siked_under_kills(Path(folder), size)]
    write_up(record, size, turns, killed)
    print(record.write(given.results))
    return 0


def lines(path: Path) -> int:
    """Lines that somebody wrote: without empty ones, comments and docstrings."""
    text = path.read_text(encoding="utf-8")
    silent: set[int] = set()
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
                said = node.body[0]
                silent |= set(range(said.lineno, (said.end_lineno or said.lineno) + 1))
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in silent
        for number, line in enumerate(text.splitlines(), 1)
    )


def write_up(record: Record, size: dict[str, int], turns: list[dict[str, Any]], killed: list[dict[str, Any]]) -> None:
    """The figures as a reader sees them."""
    ways = {STEPS: "by_steps", SIKED: "by_siked"}
    written = {STEPS: sum(lines(PUBLISHED / name) for name in SCRIPTS), SIKED: lines(PUBLISHED / RECIPE) + 1}
    if turns:
        seconds = {way: [turn[name]["seconds"] for turn in turns] for way, name in ways.items()}
        table = [
            {
                "way": way,
                "seconds": spread(seconds[way], 1)["median"],
                "least": min(seconds[way]),
                "most": max(seconds[way]),
                "processes": len(turns[0][name]["parts"]) if way == STEPS else 1,
                "trained on, rows": ", ".join(" + ".join(map(str, turn[name]["rows"])) for turn in turns),
                "right on validation, in %": of_all(turns, name, "validation"),
                "right on test, in %": of_all(turns, name, "test"),
                "lines that a user writes": written[way],
            }
            for way, name in ways.items()
        ]
        caption = ", ".join(f"{number} {split}" for split, number in size.items())
        place = record.table(f"from the teacher's answers to a tested student ({caption} problems)", table)
        reading = "Seconds from beginning to end; the whiskers go from the least to the most."
        record.picture(Picture(place, x="way", y="seconds", low="least", high="most", reading=reading))
        record.table("where the seconds go (medians)", where_they_go(turns))
        quicker = ratios(seconds[STEPS], seconds[SIKED])
        record.say(
            f"The separate steps take {quicker['median']:g} times as long as `siked distill` (least "
            f"{quicker['least']:g}, most {quicker['most']:g}; {len(turns)} turns), and are {written[STEPS]} lines that "
            f"a user writes, against {written[SIKED]} of a recipe and its command."
        )
    if killed:
        caption = "after a kill half-way: what was made a second time, and the seconds until it was again where it was"
        record.table(caption, [{name: value for name, value in one.items() if name != "differs"} for one in killed])
        for one in killed:
            record.say(
                f"Killed half-way through {one['killed in']}: {one['way']} made {one['made again']:,} of "
                f"{one['made before']:,} a second time, and was back after {one['seconds lost']:g} s."
            )
        differs = {name for one in killed for name in one.get("differs", ())}
        record.say(
            "The run that was killed twice came to another end: " + ", ".join(sorted(differs)) + "."
            if differs
            else "The run of siked that was killed twice has the pools, mixtures and weights of the unbroken one."
        )
    record.keep(size=size, turns=turns, killed=killed)


def of_all(turns: list[dict[str, Any]], name: str, split: str) -> str:
    """Of every turn, in per cent."""
    return ", ".join(f"{100 * turn[name]['right'][split]:.0f}" for turn in turns)


def where_they_go(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians of the seconds, by what they were spent on."""

    def kind(way: str, part: str) -> str:
        if way == "by_steps":
            return {"filter": "judging", "train": "training", "sample": "sampling", "mix": "mixing"}[part]
        first = part.partition(" ")[0]
        return {"verify": "judging", "train": "training", "mix": "mixing"}.get(first, "sampling")

    found = []
    for what in ("judging", "mixing", "training", "sampling", "the rest"):
        row: dict[str, Any] = {"what": what}
        for way, name in ((STEPS, "by_steps"), (SIKED, "by_siked")):
            each = []
            for turn in (turn[name] for turn in turns):
                known = sum(seconds for part, seconds in turn["parts"] if kind(name, part) == what)
                spent = sum(seconds for _, seconds in turn["parts"])
                each.append(turn["seconds"] - spent if what == "the rest" else known)
            row[way] = round(statistics.median(each), 1)
        found.append(row)
    return found


if __name__ == "__main__":
    sys.exit(main())
