"""KPOD's schedule and token weights as a picture, from what is in a training's folder."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from siked_core import PluginError
from siked_plugins.objectives.kpod.store import SCHEMA, SUMMARY, TABLE

RATIONALES = 24
"""So many are drawn token by token."""


def draw(folder: Path, file: Path) -> None:
    """Three panels: the budget D(t) and what is learnt of it, H(t); the share of each strategy's steps that is learnt
    in each epoch; and the weights of the first rationales' tokens, with their steps' bounds.

    Raises:
        PluginError: matplotlib is not installed, the file's suffix is none that it writes, or nothing was computed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise PluginError("Drawing needs matplotlib: pip install 'siked[plots]'.") from None
    table = pl.read_parquet(folder / TABLE) if (folder / TABLE).exists() else pl.DataFrame(schema=SCHEMA)
    table = table.filter(pl.col("step").list.len() > 0)
    if table.is_empty():
        raise PluginError(f"There is nothing to draw in {folder}: no rationale of that training has a step.")
    epochs = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["epochs"]
    numbers = [one["epoch"] + 1 for one in epochs]
    figure = Figure(figsize=(9, 9), layout="constrained")
    budget, learnt, tokens = figure.subplots(3, 1, height_ratios=[2, 2, 3])

    budget.step(numbers, [one["budget"] for one in epochs], where="mid", label="budget D(t)")
    budget.step(numbers, [one["difficulty"] for one in epochs], where="mid", label="learnt H(t)")
    budget.set(xlabel="epoch", ylabel="difficulty (nats)", xticks=numbers, ylim=(0, None))
    budget.legend()

    for strategy, rows in sorted(table.group_by("strategy"), key=lambda group: str(group[0])):
        steps = rows.get_column("difficulty").list.len().sum()
        given = [rows.get_column("given").list.get(epoch).sum() for epoch in range(len(epochs))]
        learnt.plot(numbers, [1 - one / steps for one in given], marker="o", label=str(strategy[0]))
    learnt.set(xlabel="epoch", ylabel="share of steps learnt", xticks=numbers, ylim=(0, 1.05))
    learnt.legend()

    some = table.head(RATIONALES)
    width = max(len(row) for row in some.get_column("weight"))
    nothing = float("nan")
    grid = [[*row, *[nothing] * (width - len(row))] for row in some.get_column("weight").to_list()]
    image = tokens.imshow(grid, aspect="auto", cmap="viridis", vmin=0, vmax=1, interpolation="none")
    for place, steps in enumerate(some.get_column("step").to_list()):
        for at in range(1, len(steps)):
            if steps[at] != steps[at - 1]:
                tokens.plot([at - 0.5] * 2, [place - 0.5, place + 0.5], color="white", linewidth=1)
    names = [f"{row['problem_id']} {row['strategy']}" for row in some.iter_rows(named=True)]
    tokens.set_yticks(range(len(names)), names, fontsize=6)
    tokens.set(xlabel="token of the rationale")
    figure.colorbar(image, ax=tokens, label="weight w")
    try:
        figure.savefig(file)
    except ValueError as error:
        raise PluginError(f"Cannot draw {file}: {error}.") from None
    except OSError as error:
        raise PluginError(f"Cannot write {file}: {error.strerror or error}.") from None
