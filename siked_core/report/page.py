"""The page: one HTML file with everything in it.

It loads nothing: a content security policy forbids every request, and allows only the scripts whose digests it names.
What comes from a run is escaped by Jinja or held in JSON that cannot end a script.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from siked_core import __version__
from siked_core.report.engine import javascript
from siked_core.report.figure import Figure
from siked_core.report.figures import Section, sections
from siked_core.report.gathered import Gathered
from siked_core.report.palette import theme
from siked_core.report.payload import packed, words
from siked_core.report.tiles import lead, tiles

if TYPE_CHECKING:
    pass

LINES = 200
"""Rows of a table in the page."""
FILTERS = {"run": "Run", "round": "Round", "pool": "Pool", "strategy": "Strategy", "status": "Verdict"}


def page(
    runs: Sequence[Gathered], first: Sequence[Section] = (), differences: Sequence[str] = (), notes: Sequence[str] = ()
) -> tuple[bytes, list[list[Section]]]:
    """The page about one run, or about two side by side, and its figures, run by run.

    Args:
        first: sections about all of them together, before those of each.
        differences: lines of what differs between the recipes of two.
        notes: lines about all of them together.
    """
    import jinja2

    made = [sections(one) for one in runs]
    letters = ["A", "B"] if len(runs) > 1 else [""]
    parts = [_part(section, [section], [""]) for section in first] + _beside(made, letters)
    figures = {one["id"]: one.pop("figure") for part in parts for row in part["rows"] for one in row}
    scripts = [javascript(), _asset("report.js"), _asset("samples.js")]
    spoken = words(runs)
    data = {
        "themes": {"light": theme(dark=False), "dark": theme(dark=True)},
        "figures": {name: {"spec": one.spec, "fluid": one.fluid, "fine": one.fine} for name, one in figures.items()},
    }
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    text = environment.from_string(_asset("page.html.jinja")).render(
        title=" and ".join(one.name for one in runs),
        lead=lead(runs),
        version=__version__,
        style=_safe(_asset("report.css")),
        script_hashes=_safe(" ".join(f"'sha256-{_digest(script)}'" for script in scripts)),
        scripts=[_safe(script) for script in scripts],
        parts=parts,
        runs=[
            {
                "name": one.name,
                "letter": letter,
                "tiles": tiles(one),
                "notes": one.notes,
                "recipe": one.run.recipe.to_yaml(),
            }
            for one, letter in zip(runs, letters, strict=True)
        ],
        differences=differences,
        notes=notes,
        samples_note=_samples_note(runs),
        filters=[(name, FILTERS[name]) for name in spoken["filters"]],
        figure_data=_safe(_json(data)),
        sample_words=_safe(_json(spoken)),
        sample_data=_safe(packed(runs)),
    )
    return text.encode("utf-8", "replace"), made


def _beside(made: Sequence[list[Section]], letters: Sequence[str]) -> list[dict[str, Any]]:
    """The sections of all runs, figures of one name in one row."""
    named: dict[str, list[Section]] = {}
    for of_run in made:
        for section in of_run:
            named.setdefault(section.name, []).append(section)
    by_run = [{section.name: section for section in of_run} for of_run in made]
    found = []
    for name, some in named.items():
        mine = [one.get(name, Section(name, "", "", ())) for one in by_run]
        found.append(_part(some[0], mine, letters))
    return found


def _part(title: Section, of_runs: Sequence[Section], letters: Sequence[str]) -> dict[str, Any]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for section, letter in zip(of_runs, letters, strict=True):
        for one in section.figures:
            rows.setdefault(one.name, []).append(_shown(one, letter))
    return {"name": title.name, "short": title.short, "title": title.title, "rows": list(rows.values())}


def _shown(one: Figure, letter: str) -> dict[str, Any]:
    height, table = one.table.height, one.table.head(LINES)
    more = f"The first {LINES:,} of {height:,} rows; --json has all." if height > LINES else f"{height:,} rows."
    return {
        "id": f"figure-{one.name}{'-' + letter if letter else ''}",
        "letter": letter,
        "title": one.title,
        "reading": one.reading,
        "alt": one.alt,
        "caption": more,
        "columns": [name.replace("_", " ") for name in table.columns],
        "lines": [[_cell(value) for value in row] for row in table.iter_rows()],
        "figure": one,
    }


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _samples_note(runs: Sequence[Gathered]) -> str:
    held, drawn = sum(one.samples.height for one in runs), sum(one.drawn for one in runs)
    if held == drawn:
        return f"All {held:,} samples, right and wrong, of training problems and of evaluations."
    return (
        f"{held:,} of {drawn:,} samples, drawn at random: {drawn - held:,} are left out of this page (--samples sets "
        "how many it holds). Figures above count all of them."
    )


def _safe(text: str) -> Any:
    """What is ours, or is JSON that `_json` made: it is put in as it is."""
    from markupsafe import Markup

    return Markup(text)


def _json(content: Mapping[str, Any]) -> str:
    """JSON that may stand in a script element: nothing in it can end one, or begin a comment."""
    text = json.dumps(content, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _asset(name: str) -> str:
    return files("siked_core.report").joinpath("assets", name).read_text(encoding="utf-8")
