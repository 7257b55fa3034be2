"""What mixing policies would choose, as a picture: rows by strategy and source, and how far policies agree."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from textwrap import fill

from siked_core.errors import RunError
from siked_core.files import replacing
from siked_core.simulate import Simulation

SUFFIXES = (".png", ".svg")
LABEL = 28
"""Characters in a line of a policy's name."""
FADED = 0.45
"""Opacity of the teacher's rows beside the student's."""


def check_picture(path: Path) -> None:
    """Whether a picture can be drawn into this file, before anything is worked out for it.

    Raises:
        RunError: it is no .png or .svg, or matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise RunError(f"--picture writes {' or '.join(SUFFIXES)}, not '{path.name}'.")
    if find_spec("matplotlib") is None:
        raise RunError("--picture needs matplotlib: pip install 'siked[plots]'.")


def draw(found: Simulation, path: Path) -> None:
    """Write the picture. The same figures give the same file.

    Raises:
        RunError: the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    names = [fill(f"{place} {one.policy}", LABEL) for place, one in enumerate(found.policies, 1)]
    strategies = sorted({name for one in found.policies for name in one.by_strategy})
    figure = Figure(figsize=(11, 2 + 0.5 * len(names)), layout="constrained")
    bars, heat = figure.subplots(1, 2, width_ratios=(3, 2))
    colours = {name: f"C{place % 10}" for place, name in enumerate(strategies)}
    for place, one in enumerate(found.policies):
        left = 0
        for source, opacity in (("student", 1.0), ("teacher", FADED)):
            for strategy in strategies:
                rows = one.by_source_and_strategy.get(source, {}).get(strategy, 0)
                bars.barh(place, rows, left=left, color=colours[strategy], alpha=opacity)
                left += rows
    bars.set_yticks(range(len(names)), names)
    bars.invert_yaxis()
    bars.set_xlabel("rows; the teacher's are paler")
    bars.set_title(f"Round {found.round}")
    handles = [Patch(color=colours[name], label=name) for name in strategies]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(strategies)))
    heat.imshow(found.overlap, vmin=0, vmax=1, cmap="Greys")
    numbers = [str(place + 1) for place in range(len(names))]
    heat.set_xticks(range(len(names)), numbers)
    heat.set_yticks(range(len(names)), numbers)
    for row, shares in enumerate(found.overlap):
        for column, share in enumerate(shares):
            heat.text(
                column, row, f"{100 * share:.0f}", ha="center", va="center", color="white" if share > 0.5 else "black"
            )
    heat.set_title("Overlap in %")
    kind = path.suffix.lower().removeprefix(".")
    with rc_context({"svg.hashsalt": "siked"}), replacing(path) as temporary:
        figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)
