"""The job of `published_steps.py`: its data, and both ways of doing it from beginning to end."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).with_name("published")
SCRIPTS = ("filter.py", "train.py", "sample.py", "mix.py", "run.sh")
RECIPE = "recipe.yaml"
DISTIL = ("distill", RECIPE, "--run", "mine", "--plain")
STRATEGIES = ("cot", "pot", "l2m")
SAMPLES = 4
"""Of each training problem, as `run.sh` and the recipe say."""


def prepared(folder: Path, size: dict[str, int], seed: int = 1) -> Path:
    """A folder with the scripts, the recipe, and the data: problems of the pocket world and its teacher's answers."""
    from siked_core import Message, Prompt, Request, Sampling
    from siked_core.registry import Registry

    data = folder / "data"
    data.mkdir(parents=True)
    for name in (*SCRIPTS, RECIPE):
        shutil.copy(PUBLISHED / name, folder)
    registry = Registry.discover()
    world, teacher = (
        registry.create("dataset", "pocket", {**size, "seed": seed}),
        registry.create("generator", "pocket"),
    )
    splits = {split: world.load(split).problems for split in size}
    for split, problems in splits.items():
        write_rows(data / f"{split}.jsonl", [{"question": one.question, "answer": one.answer} for one in problems])
    asked = [
        Request(problem, registry.create("strategy", name), Prompt((Message("user", problem.question),)), 0, number)
        for number, (name, problem) in enumerate((name, one) for name in STRATEGIES for one in splits["train"])
    ]
    answered = [{}] * len(asked)
    for place, completion in teacher.generate(asked, Sampling()):
        problem = asked[place].problem
        row = {"question": problem.question, "answer": problem.answer, "strategy": asked[place].strategy.name}
        answered[place] = row | {"text": completion.text}
    write_rows(data / "teacher.jsonl", answered)
    return folder


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def commands() -> list[list[str]]:
    """The lines of run.sh that run a script, with this interpreter and the pocket student."""
    from siked_core.registry import Registry

    student = str(Registry.discover().create("model", "pocket").folder())
    lines = (PUBLISHED / "run.sh").read_text(encoding="utf-8").replace("$STUDENT", shlex.quote(student)).splitlines()
    return [[sys.executable, *shlex.split(line)[1:]] for line in lines if line.startswith("python ")]


def told(command: list[str], folder: Path) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def by_steps(folder: Path) -> dict[str, Any]:
    """From beginning to end, command by command: seconds of each, and the share of right answers to the questions."""
    found: dict[str, Any] = {"parts": [], "right": {}}
    for command in commands():
        started = time.monotonic()
        said = told(command, folder)
        found["parts"].append([Path(command[1]).stem, round(time.monotonic() - started, 2)])
        if command[1] == "filter.py" and (split := command[2].partition("-")[0]) in ("validation", "test"):
            share = re.search(r"(\d+) of (\d+) right", said)
            assert share is not None, said
            found["right"][split] = int(share[1]) / int(share[2])  # the last student's, in the end
    found["seconds"] = round(sum(seconds for _, seconds in found["parts"]), 2)
    found["rows"] = [rows(folder / name) for name in ("pool-0.jsonl", "mix-1.jsonl")]
    return found


def rows(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def by_siked(folder: Path) -> dict[str, Any]:
    """The same of `siked distill`, with the seconds of its stages.

    Raises:
        RuntimeError: it drew another number of samples than the steps do.
    """
    started = time.monotonic()
    told([sys.executable, "-m", "siked_cli", *DISTIL], folder)
    seconds = time.monotonic() - started
    run = folder / "runs" / "mine"
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    stages = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["stages"]
    tested = next(card for card in report["test"] if card["student"] == f"round-{report['chosen_round']}")
    right = {"validation": report["rounds"][-1]["validation"]["score"]["accuracy"], "test": tested["score"]["accuracy"]}
    parts = [[name, round(stage.get("seconds", 0.0), 2)] for name, stage in stages.items()]
    if (drawn := report["rounds"][1]["pool"]["samples"]) != SAMPLES * rows(folder / "data" / "train.jsonl"):
        raise RuntimeError(f"siked drew {drawn} samples: this is not the same job.")
    mixed = [one["mixture"]["rows"] for one in report["rounds"]]
    return {"parts": parts, "right": right, "seconds": round(seconds, 2), "rows": mixed}
