"""`siked report` and `siked compare --html`: the page, its figures and samples, and what a model cannot do to it."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_cli.options import HELD
from siked_core.errors import RunError
from siked_core.report import engine
from siked_core.report.figure import FAMILIES, most_common
from siked_core.report.figures import sections
from siked_core.report.gathered import SAMPLES, Gathered, gather
from siked_core.report.images import write_images
from siked_core.report.page import page
from siked_core.report.palette import strategy_colours
from siked_core.report.payload import LONGEST, columns
from siked_core.report.written import write_comparison, write_report
from siked_core.reporting import SilentReporter
from siked_core.run import attach
from siked_core.testing import toy_registry

HOSTILE = [
    "</script><script>document.title='broken'</script>",
    "<img src=x onerror=\"document.title='broken'\">",
    "[bold red]not markup[/] \x1b[31mnot a colour\x07",
    "]]> --> <!-- <style>*{display:none}</style>",
    "{{ 7 * 7 }} {% raw %} \u2028\u2029 \u202egnp.exe",
    "x" * (LONGEST + 10),
]
SIDES = ("</title><script>", "a\udcffb")  # a name that ends an element; a file name that is no UTF-8


@pytest.fixture(scope="module")
def found(toy_runs: Path) -> Iterator[Gathered]:
    with attach("whole", toy_registry(), SilentReporter(), runs=toy_runs, lock=False) as run:
        yield gather(run)


@pytest.fixture(autouse=True)
def quick_script(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Bundling Vega takes seconds, and what is in it matters to a browser only."""
    if "bundle" not in request.node.name:
        monkeypatch.setattr("siked_core.report.page.javascript", lambda: "window.vegaEmbed = null;")


def unpacked(html: str) -> dict[str, Any]:
    (packed,) = re.findall(r'id="sample-data">([^<]*)<', html)
    content: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return content


class Elements(HTMLParser):
    """Counts elements and collects what could load or run something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.scripts: list[dict[str, str | None]] = []
        self.refers: list[str] = []
        self.handlers: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "script":
            self.scripts.append(dict(attrs))
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.refers += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]


# Figures


def test_a_finished_run_has_every_figure_that_it_can_have(found: Gathered) -> None:
    made = {one.name: one for part in sections(found) for one in part.figures}
    assert set(made) == {
        *("accuracy", "forced", "choices"),
        *("solved-training", "map-training", "solved-validation", "map-validation"),
        *("alpha", "mixtures", "yields", "verdicts", "time"),
    }
    for one in made.values():
        assert one.title
        assert one.reading.endswith(".")
        assert one.alt.endswith(".")
        assert one.table.height > 0
        assert one.spec["description"] == one.alt
        assert "config" not in one.spec


def test_a_strategy_has_one_colour_in_every_figure(found: Gathered) -> None:
    def scales(node: Any) -> Iterator[dict[str, str]]:
        if isinstance(node, dict):
            color = node.get("color")
            if isinstance(color, dict) and color.get("field") == "strategy":
                yield dict(zip(color["scale"]["domain"], color["scale"]["range"], strict=True))
            for child in node.values():
                yield from scales(child)
        elif isinstance(node, list):
            for child in node:
                yield from scales(child)

    all_of_them = [one for part in sections(found) for figure in part.figures for one in scales(figure.spec)]
    assert len(all_of_them) > 4
    for one in all_of_them:
        assert one.items() <= found.colours.items()
    assert len(set(strategy_colours([str(n) for n in range(8)]).values())) == 9


def test_shares_and_accuracies_have_honest_axes(found: Gathered) -> None:
    def domains(node: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict):
            for axis in ("x", "y"):
                one = node.get(axis)
                if isinstance(one, dict) and one.get("field") in ("accuracy", "share", "alpha"):
                    yield one["field"], one["scale"]["domain"]
            for child in node.values():
                yield from domains(child)
        elif isinstance(node, list):
            for child in node:
                yield from domains(child)

    all_of_them = [one for part in sections(found) for figure in part.figures for one in domains(figure.spec)]
    assert {field for field, _ in all_of_them} == {"accuracy", "share", "alpha"}
    assert all(domain == [0, 1] for _, domain in all_of_them)


def test_predictions_and_families_and_other_data_sets_are_drawn_where_there_are_some(found: Gathered) -> None:
    said = {
        "round": [0, None],
        "step": ["teach", "test"],
        "quantity": ["seconds", "tokens_out"],
        "expected": [10.0, 5.0],
    }
    quoted = pl.DataFrame(
        {**said, "low": [5.0, 4.0], "high": [20.0, 6.0], "actual": [12.0, 9.0], "inside": [True, False]}
    )
    other = found.accuracies.with_columns(dataset=pl.lit("elsewhere"))
    shares = found.shares.filter(pl.col("family").is_not_null()).with_columns(family=pl.lit("products"))
    more = replace(
        found,
        predictions=quoted,
        accuracies=pl.concat([found.accuracies, other]),
        shares=pl.concat([found.shares, shares]),
    )
    made = {one.name: one for part in sections(more) for one in part.figures}
    assert made["predictions"].title == "1 of 2 figures of the quote held"
    assert {"test-sets", "families"} <= set(made)
    assert set(made["test-sets"].table["dataset"]) == {"sums", "elsewhere"}


def test_more_families_than_can_be_told_apart_are_cut_and_said_so() -> None:
    table = pl.DataFrame({"family": [f"f{n}" for n in range(FAMILIES + 5)], "problems": list(range(FAMILIES + 5))})
    kept, told = most_common(table)
    assert kept.height == FAMILIES
    assert min(kept["problems"]) == 5
    assert told == f" Only the {FAMILIES} largest of {FAMILIES + 5} families are drawn."
    assert most_common(kept) == (kept, "")


def test_figures_are_files_without_a_browser(found: Gathered, tmp_path: Path) -> None:
    figures = [one for part in sections(found) for one in part.figures if one.name in ("alpha", "map-training")]
    paths = list(write_images(figures, tmp_path / "figures", ("svg", "png", "pdf")))
    assert sorted(path.name for path in paths) == sorted(
        f"{name}.{kind}" for name in ("alpha", "map-training") for kind in ("svg", "png", "pdf")
    )
    starts = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix[1:]]) for path in paths)


# The page


def test_the_page_loads_nothing_and_runs_only_what_it_names(found: Gathered) -> None:
    html = page([found])[0].decode()
    elements = Elements(html)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")
    assert all(one == "data:," or one.startswith("#") for one in elements.refers)
    assert not elements.handlers
    assert [one.get("type") for one in elements.scripts] == ["application/json"] * 2 + ["application/octet-stream"] + [
        None
    ] * 3
    assert not elements.tags & {"img", "iframe", "object", "embed", "base", "video", "audio"}
    assert html.count("<figure id=") == len([one for part in sections(found) for one in part.figures])
    assert html.count("<table>") == html.count("<figure id=")


def test_the_scripts_of_the_bundle_are_the_ones_that_are_allowed(found: Gathered) -> None:
    import hashlib

    html = page([found])[0].decode()
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 3
    assert "vegaEmbed" in scripts[0]
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in html


def test_what_a_model_wrote_stays_text(found: Gathered) -> None:
    rows = found.samples.head(len(HOSTILE)).with_columns(
        text=pl.Series(HOSTILE), rationale=pl.Series(HOSTILE[::-1]), answer=pl.Series(HOSTILE), why=pl.Series(HOSTILE),
        question=pl.Series(HOSTILE),
    )  # fmt: skip
    hostile = replace(found, samples=rows, drawn=rows.height, notes=(HOSTILE[0], HOSTILE[1]))
    plain = page([replace(found, samples=rows.clear(), drawn=0)])[0].decode()
    html = page([hostile])[0].decode()
    assert len(Elements(html).scripts) == len(Elements(plain).scripts)
    assert Elements(html).tags - Elements(plain).tags <= {"p"}
    held = unpacked(html)
    assert held["rows"]["text"][:5] == HOSTILE[:5]
    assert held["problems"]["question"][:5] == HOSTILE[:5]
    assert held["rows"]["text"][5].endswith("\n… 10 more characters are left out; `siked why` shows them all.")
    assert "&lt;/script&gt;" in html


def test_a_lone_surrogate_breaks_nothing(found: Gathered, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SIDES:
        monkeypatch.setattr(found.run, "path", Path("/runs") / name.replace("/", "-"))
        html = page([found])[0].decode("utf-8")
        assert html.count("<title>") == html.count("</title>") == 1
    held = json.loads(json.dumps(columns([found])))
    assert held["names"]["run"] == [found.name]


def test_samples_are_packed_without_loss(found: Gathered) -> None:
    held = columns([found])
    names, rows, problems = held["names"], held["rows"], held["problems"]
    assert len(rows["key"]) == found.samples.height == found.drawn
    for place, row in enumerate(found.samples.iter_rows(named=True)):
        assert names["strategy"][rows["strategy"][place]] == row["strategy"]
        assert names["status"][rows["status"][place]] == row["status"]
        assert names["requested"][rows["requested"][place]] == row["requested"]
        assert [names["mixture"][one] for one in rows["mixtures"][place]] == row["mixtures"]
        assert problems["question"][rows["problem"][place]] == row["question"]
        assert rows["text"][place] == row["text"]
        assert (rows["rationale"][place] or row["text"].strip()) == (row["rationale"] or row["text"].strip())


def test_left_out_samples_are_told(toy_runs: Path, tmp_path: Path) -> None:
    with attach("whole", toy_registry(), SilentReporter(), runs=toy_runs, lock=False) as run:
        written = write_report(run, output=tmp_path / "few.html", limit=5)
    html = (tmp_path / "few.html").read_text(encoding="utf-8")
    assert f"5 of {written.drawn} samples, drawn at random: {written.drawn - 5} are left out of this page" in html
    assert len(unpacked(html)["rows"]["key"]) == written.samples == 5


def test_a_run_that_has_begun_and_one_with_nothing_get_a_page(toy_runs: Path, tmp_path: Path) -> None:
    from siked_core.recipe import validate
    from siked_core.run import start
    from siked_core.testing import toy_recipe

    with attach("begun", toy_registry(), SilentReporter(), runs=toy_runs, lock=False) as run:
        written = write_report(run, output=tmp_path / "begun.html")
        student = run.recipe.student.model
    assert {one.name for part in written.sections for one in part.figures} >= {"yields", "verdicts", "time"}
    assert "not finished" in (tmp_path / "begun.html").read_text(encoding="utf-8")
    recipe = validate(toy_recipe(Path(getattr(student, "name", student))))
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="empty") as run:
        written = write_report(run)
    assert written.page == tmp_path / "empty" / "report.html"
    assert "Nothing has been measured yet" in written.page.read_text(encoding="utf-8")


def test_two_runs_stand_side_by_side(toy_runs: Path, tmp_path: Path) -> None:
    runs = [attach(name, toy_registry(), SilentReporter(), runs=toy_runs, lock=False) for name in ("whole", "other")]
    written = write_comparison(runs[0], runs[1], tmp_path / "both.html")
    html = (tmp_path / "both.html").read_text(encoding="utf-8")
    for name in ("accuracy", "alpha", "yields"):
        assert f'id="figure-{name}-A"' in html
        assert f'id="figure-{name}-B"' in html
    assert 'id="figure-both-accuracy"' in html
    assert 'id="figure-both-differences"' in html
    assert "<code>seed: 1 -&gt; 2</code>" in html
    held = unpacked(html)
    assert held["names"]["run"] == ["A whole", "B other"]
    assert len(held["rows"]["key"]) == written.samples


# The commands


def test_the_command_and_the_core_agree_on_how_many_samples_a_page_holds() -> None:
    assert HELD == SAMPLES


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("report", "compare"):
        monkeypatch.setattr(f"siked_cli.{module}.open_registry", lambda _: toy_registry())


@pytest.mark.usefixtures("toys")
def test_the_command_writes_page_and_figures_and_changes_nothing_else(
    siked_says: Callable[..., str], toy_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    before = {path: path.stat().st_mtime_ns for path in toy_runs.rglob("*")}
    runs = ("--runs", str(toy_runs))
    said = siked_says("report", "whole", *runs, "-o", "out.html", "--open")
    assert re.match(r"out\.html  [\d.]+ [kM]B, with \d+ samples\n", said)
    assert opened == [(tmp_path / "out.html").as_uri()]
    found = json.loads(siked_says("report", "whole", *runs, "--figures", "figs", "--format", "svg", "--json"))
    assert found["page"] is None
    assert len(found["images"]) == len(found["figures"]) == len(list((tmp_path / "figs").glob("*.svg")))
    assert found["figures"]["accuracy"]["rows"][0]["student"] == "round-0"
    said = siked_says("compare", "whole", "other", *runs, "--html", "both.html")
    assert "both.html" in said.splitlines()[-1]
    assert {path: path.stat().st_mtime_ns for path in toy_runs.rglob("*")} == before
    siked_says("report", "whole", *runs)
    assert {path.name for path in toy_runs.rglob("*")} - {path.name for path in before} == {"report.html"}
    (toy_runs / "whole" / "report.html").unlink()


@pytest.mark.usefixtures("toys")
def test_mistakes_are_one_line(
    siked_says: Callable[..., str], toy_runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = ("--runs", str(toy_runs))
    said = siked_says("report", "whole", *runs, "--figures", "figs", "--format", "pgn", code=2)
    assert "Unknown format 'pgn'. Did you mean 'png'?" in said
    assert "There is no run at" in siked_says("report", "nothing", *runs, code=2)
    assert "--html compares two single runs" in siked_says(
        "compare", "whole,other", "begun", *runs, "--html", "x", code=2
    )
    (tmp_path / "file").write_text("")
    assert "Cannot write" in siked_says("report", "whole", *runs, "-o", "file/out.html", code=2)
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    said = siked_says("report", "whole", *runs, code=2)
    assert "Figures need altair and vl-convert-python, which is not installed: pip install 'siked[report]'." in said


def test_a_damaged_scorecard_is_named(toy_runs: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(toy_runs / "whole", copy)
    (copy / "scorecards" / "round-0.sums-test.json").write_text("{")
    with (
        attach(copy, toy_registry(), SilentReporter(), lock=False) as run,
        pytest.raises(RunError, match=r"round-0\.sums"),
    ):
        gather(run)
