"""siked from Python: the page about it and the notebook run as they are; tables have the columns that are told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

import siked_core
from siked_core import Distillation, RunError, distill, open_run
from siked_core.recipe import resolve, validate
from siked_core.reporters import automatic, in_notebook
from siked_core.reporters.notebook import NotebookReporter
from siked_core.reporters.plain import PlainReporter
from siked_core.reporting import SilentReporter
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.tidy import COLUMNS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "examples" / "notebooks" / "pocket.ipynb"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Distillation:
    """A run of toys, with a data set that has families and a round of the student's own."""
    folder = tmp_path_factory.mktemp("python")
    recipe = validate(toy_recipe(make_tiny_student(folder / "tiny")))
    return distill(recipe, runs=folder / "runs", run="mine", reporter=SilentReporter(), registry=toy_registry())


def test_importing_siked_is_cheap_and_loads_the_rest_when_asked() -> None:
    code = (
        "import sys, siked_core\n"
        "heavy = ('torch', 'polars', 'transformers', 'rich', 'huggingface_hub')\n"
        "assert not [name for name in heavy if name in sys.modules], sys.modules.keys()\n"
        "from siked_core import distill, open_run, Solver, Solution, Distillation\n"
        "assert not {'torch', 'transformers', 'rich'} & sys.modules.keys()\n"
        "assert 'distill' in dir(siked_core)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'distil'"):
        siked_core.distil  # noqa: B018


@pytest.mark.parametrize("table", COLUMNS)
def test_tables_have_the_columns_that_are_described(found: Distillation, table: str) -> None:
    frame = found.table(table)
    assert frame.columns == list(COLUMNS[table])
    assert frame.height or table == "predictions", "the run was not quoted"
    if hasattr(found, table):
        assert getattr(found, table)().equals(frame)


def test_tables_tell_what_the_report_does(found: Distillation) -> None:
    report = found.report
    assert report is not None
    rounds = found.rounds()
    assert rounds["student"].to_list() == [one["student"] for one in report["rounds"]]
    assert rounds.filter("chosen")["round"].to_list() == [report["chosen_round"]]
    assert rounds["samples"].to_list() == [one["pool"]["samples"] for one in report["rounds"]]
    samples = found.samples()
    for one in report["rounds"]:
        pool = samples.filter(pl.col("round") == one["round"])
        assert (pool["status"] == "correct").sum() == one["pool"]["correct"]
        assert found.mixtures().filter(student=one["student"]).height == one["mixture"]["rows"]
    (test,) = [card for card in report["test"] if card["student"] == rounds.filter("chosen")["student"][0]]
    of_test = {"student": test["student"], "split": "test"}
    scores = found.scores().filter(**of_test)
    whole = scores.filter(pl.col("family").is_null())
    assert whole.filter(way="answer")["correct"].to_list() == [test["score"]["correct"]]
    assert whole.filter(way="oracle")["accuracy"].to_list() == [test["oracle"]["accuracy"]]
    for strategy in test["strategies"]:
        (forced,) = whole.filter(way="forced", strategy=strategy["strategy"])["correct"]
        assert forced == strategy["forced"]["correct"]
    questions = found.questions().filter(**of_test)
    assert questions["right"].sum() == test["score"]["correct"]
    assert set(questions["family"]) == {"sum"}
    assert len(questions["forced"][0]) == 2
    assert found.samples(evaluations=True).height > samples.height


def test_a_run_is_opened_asked_and_not_changed(found: Distillation) -> None:
    again = open_run("mine", runs=found.path.parent, registry=toy_registry())
    assert again.path == found.path
    assert again.recipe == found.recipe
    assert again.student == found.path / "students" / f"round-{(found.report or {})['chosen_round']}"
    with again.solver() as solver:
        assert solver.strategies == ("loud", "quiet")
        (solution,) = solver.solve(["2+3?"], strategy="loud")
    assert solution.answer in ("5", "6")
    assert not (found.path / "run.lock").exists()
    with pytest.raises(RunError, match="There is no run at"):
        open_run("other", runs=found.path.parent)


def test_an_unfinished_run_has_tables_of_what_there_is(found: Distillation, tmp_path: Path) -> None:
    from siked_core.run import start
    from siked_core.stages.teach import teach

    with start(found.recipe, found.registry, SilentReporter(), runs=tmp_path, name="begun") as run:
        teach(run)
    begun = open_run(tmp_path / "begun", registry=found.registry)
    assert begun.samples()["pool"].unique().to_list() == ["teacher"]
    assert begun.report is None
    assert begun.questions().columns == list(COLUMNS["questions"])
    assert begun.rounds()["samples"].to_list() == [begun.samples().height]
    (begun.path / "wanted" / "teacher.parquet").unlink()
    with pytest.warns(UserWarning, match="The samples of teacher are left out: "):
        assert begun.samples().columns == list(COLUMNS["samples"])
    with pytest.raises(RunError, match="There is no table 'other'"):
        begun.table("other")


def test_a_recipe_is_whole(found: Distillation) -> None:
    with pytest.raises(TypeError, match="A Recipe is whole"):
        distill(resolve(preset="pocket-smoke"), settings={"seed": 2})


# Progress


class Shown:
    """A notebook's display, with all that was ever in it."""

    def __init__(self, content: dict[str, str]) -> None:
        self.all = [content]

    def update(self, content: dict[str, str], raw: bool) -> None:
        self.all.append(content)


def test_progress_in_a_notebook_is_one_display(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Shown] = []

    def display(content: dict[str, str], raw: bool, display_id: bool) -> Shown:
        shown.append(Shown(content))
        return shown[-1]

    monkeypatch.setattr("IPython.display.display", display)
    times: Iterator[float] = iter(range(1000))
    reporter = NotebookReporter(clock=lambda: next(times), period=0.5)
    reporter.note("Run <b>x</b>")
    for stage in ("teach", "verify"):
        with reporter.stage(stage, 3, "samples") as progress:
            for _ in range(3):
                progress.advance()
            progress.finish("all right")
    (one,) = shown
    assert len(one.all) > 6
    last = one.all[-1]
    assert [line.partition(":")[0] for line in last["text/plain"].splitlines()] == ["Run <b>x</b>", "teach", "verify"]
    assert "verify: done in" in last["text/plain"]
    assert "&lt;b&gt;x&lt;/b&gt;" in last["text/html"]
    assert "<b>" not in last["text/html"]


def test_elsewhere_progress_is_plain_lines() -> None:
    assert not in_notebook()
    assert type(automatic()) is PlainReporter


# The page and the notebook


def test_the_descriptions_of_columns_are_current(load: Callable[[Path], ModuleType]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert load(ROOT / "docs" / "make_table_tables.py").written(text) == text, "run python docs/make_table_tables.py"


@pytest.mark.slow
def test_the_page_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for place, block in enumerate(blocks):
        exec(compile(block, f"docs/python.md, block {place + 1}", "exec"), names)
    assert isinstance(names["found"], Distillation)
    said = capsys.readouterr()
    assert "Run runs/pocket-001" in said.err
    assert "teach: done in" in said.err


@pytest.mark.slow
def test_the_notebook_runs_and_is_kept_without_outputs(tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    progress, *rest = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert "train round-1: done in" in progress[0]["data"]["text/plain"], "one display, kept up to date"
    # A kernel also shows what libraries write to the file descriptors themselves, which differs by machine.
    noise = [output["text"] for output in progress if output.output_type == "stream"]
    assert not any("round-" in text for text in noise), f"progress beside its display: {noise}"
    assert [one.output_type for one in progress if one.output_type != "stream"] == ["display_data", "execute_result"]
    assert all(outputs for outputs in rest)
    assert (tmp_path / "runs" / "pocket-001" / "report.json").exists()
    assert json.loads(NOTEBOOK.read_text(encoding="utf-8"))["nbformat"] == 4
