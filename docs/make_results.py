"""Writes docs/results.md and its pictures from the files that the benchmarks leave in benchmarks/results/.

python docs/make_results.py          write page and pictures
python docs/make_results.py --check  say whether the pages are current, and every picture there

A page of a method has the rows that concern it between two markers: `<!-- results NAME: arm; arm -->`, all rows and
sentences where no arm is named, and `<!-- until here -->`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from record import RESULTS, markdown

from siked_core.report.engine import VEGA_LITE, check_engine, converter
from siked_core.report.palette import theme

PAGE = Path(__file__).with_name("results.md")
METHODS = Path(__file__).with_name("methods")
PICTURES = Path(__file__).parent / "pictures" / "results"
PARTS: Mapping[str, Sequence[str]] = {
    "The method": (
        "method_main", "method_rounds", "method_students", "method_larger", "method_noise", "method_learning",
        "method_gold", "policies", "methods",
    ),
    "The program": (
        "sampling", "sampling_vllm", "training", "loop_overhead", "answer_verification", "program_verification",
        "pool_scale", "startup", "stage_memory", "million", "published_steps",
    ),
    "Scale": ("scale", "throughput_model"),
}  # fmt: skip
END = "<!-- until here -->"
MARKED = re.compile(rf"(?P<begin><!-- results (?P<name>\w+):(?P<arms>[^\n]*?)-->)\n.*?{re.escape(END)}", re.DOTALL)
HEAD = """# Results

Every figure here was written by a command that anyone can repeat; the command, the versions and the machine stand
below each. This page is made by `docs/make_results.py` from the files in `benchmarks/results/`; nothing in it is typed
by hand. What the figures are worth is told in [Evidence](evidence.md), what bounds the program in
[Performance](performance.md).
"""


def page(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page."""
    lines = [HEAD]
    placed = {name for names in PARTS.values() for name in names}
    for part, names in {**PARTS, "More": sorted(set(found) - placed)}.items():
        here = [name for name in names if name in found]
        if here:
            lines += [f"## {part}", ""]
            for name in here:
                lines += section(name, found[name])
    return "\n".join(lines).rstrip() + "\n"


def section(name: str, result: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {result['title']}", "", result["about"], "")
    for sentence in result["says"]:
        yield f"- {sentence}"
    yield ""
    for table in result["tables"]:
        if table["caption"]:
            yield from (f"**{table['caption']}**", "")
        yield from (*markdown(table["rows"]), "")
    for place, picture in enumerate(result["pictures"]):
        caption = result["tables"][picture["table"]]["caption"] or result["title"]
        yield from (f"![{caption}](pictures/results/{name}-{place}.svg)", "")
        if picture["reading"]:
            yield from (picture["reading"], "")
    yield from (f"    {result['command']}", "", origin(result), "")


def origin(result: Mapping[str, Any]) -> str:
    """Where, when and with what."""
    machine = result["machine"]
    used = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
    where = f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}"
    when = f"{result['made']}, commit {result['commit'] or 'unknown'}, {result['seconds']:,} seconds"
    return f"{when}; {where}, load {machine['load']} at the end; {used}."


def filled(text: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """A method's page with fresh rows in it."""

    def fresh(match: re.Match[str]) -> str:
        name, arms = match["name"], [arm.strip() for arm in match["arms"].split(";") if arm.strip()]
        tables = found[name]["tables"] if name in found else []
        rows = [row for table in tables for row in table["rows"] if not arms or row.get("arm") in arms]
        if not rows:
            return "\n".join([match["begin"], "", END])
        said = [f"- {sentence}" for sentence in found[name]["says"]] if not arms else []
        lines = [*markdown(rows), "", *said, *([""] if said else []), f"    {found[name]['command']}", ""]
        return "\n".join([match["begin"], "", *lines, END])

    return MARKED.sub(fresh, text)


def drawing(result: Mapping[str, Any], picture: Mapping[str, Any]) -> str:
    """An SVG file's text: points over a number, bars beside one another for names."""
    rows = result["tables"][picture["table"]]["rows"]
    numbers = all(isinstance(row.get(picture["x"]), int | float) for row in rows)
    chart = (_points if numbers else _bars)(rows, picture)
    chart = chart.properties(width=560, config=theme(dark=False, background="white"))
    return str(converter().vegalite_to_svg(chart.to_json(), vl_version=VEGA_LITE))


def _points(rows: Sequence[Mapping[str, Any]], picture: Mapping[str, Any]) -> Any:
    import altair as alt

    kind = "log" if picture.get("log") else "linear"
    axis = alt.Axis(format="~s", labelOverlap=True)  # 10M
    across = alt.X(f"{_name(picture['x'])}:Q", title=picture["x"], scale=alt.Scale(type=kind, zero=False), axis=axis)
    scale = alt.Scale(type=kind, zero=not picture["line"])
    up = alt.Y(f"{_name(picture['y'])}:Q", title=picture["y"], scale=scale)
    base = alt.Chart(alt.Data(values=list(rows))).encode(across, **_colour(picture))
    parts = [base.mark_line(opacity=0.7).encode(up)] if picture["line"] else []
    parts.append(base.mark_point(filled=True, size=60).encode(up))
    if picture["low"] and picture["high"]:
        parts.append(base.mark_rule().encode(alt.Y(f"{_name(picture['low'])}:Q"), alt.Y2(_name(picture["high"]))))
    if picture["reference"] is not None:
        line = alt.Chart(alt.Data(values=[{"at": picture["reference"]}])).mark_rule(strokeDash=[4, 4], opacity=0.6)
        parts.append(line.encode(y="at:Q"))
    return alt.layer(*parts).properties(height=300)


def _bars(rows: Sequence[Mapping[str, Any]], picture: Mapping[str, Any]) -> Any:
    import altair as alt

    x, series = picture["x"], picture["series"]
    several = len({row.get(x) for row in rows}) < len(rows)
    axis = alt.Axis(labelLimit=360)
    named = alt.Y(f"{_name(x)}:N", title=None, sort=None, axis=axis)
    beside = {"yOffset": alt.YOffset(f"{_name(series)}:N", sort=None)} if series and several else {}
    base = alt.Chart(alt.Data(values=list(rows))).encode(named, **_colour(picture), **beside)
    long = alt.X(f"{_name(picture['y'])}:Q", title=picture["y"])
    parts = [base.mark_bar(opacity=0.75).encode(long)]
    if picture["low"] and picture["high"]:
        ends = alt.X(f"{_name(picture['low'])}:Q"), alt.X2(_name(picture["high"]))
        parts.append(base.mark_rule(strokeWidth=1.5).encode(*ends, color=alt.value("#1F2328")))
    if picture["reference"] is not None:
        line = alt.Chart(alt.Data(values=[{"at": picture["reference"]}])).mark_rule(strokeDash=[4, 4], opacity=0.6)
        parts.append(line.encode(x="at:Q"))
    return alt.layer(*parts).properties(height=alt.Step(14 if several else 22))


def _colour(picture: Mapping[str, Any]) -> dict[str, Any]:
    import altair as alt

    series = picture["series"]
    return (
        {"color": alt.Color(f"{_name(series)}:N", title=series, sort=None, legend=alt.Legend(labelLimit=320))}
        if series
        else {}
    )


def _name(column: str) -> str:
    """A column's name where colons, dots and brackets have a meaning."""
    for sign in "\\.[]:":
        column = column.replace(sign, f"\\{sign}")
    return column


def results() -> dict[str, Mapping[str, Any]]:
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}
    return {name: one for name, one in found.items() if "about" in one}


def main() -> int:
    found = results()
    pages = {path: filled(path.read_text(encoding="utf-8"), found) for path in sorted(METHODS.glob("*.md"))}
    pages[PAGE] = page(found)
    drawn = {f"{name}-{place}.svg": (name, one) for name in found for place, one in enumerate(found[name]["pictures"])}
    if "--check" in sys.argv[1:]:
        stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        stale += [PICTURES / file for file in drawn if not (PICTURES / file).exists()]
        for path in stale:
            print(f"{path} is not current: run python docs/make_results.py", file=sys.stderr)
        return 1 if stale else 0
    check_engine()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    PICTURES.mkdir(parents=True, exist_ok=True)
    for file in {path.name for path in PICTURES.glob("*.svg")} - set(drawn):
        (PICTURES / file).unlink()
    for file, (name, picture) in drawn.items():
        (PICTURES / file).write_text(drawing(found[name], picture) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
