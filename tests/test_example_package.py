"""The example package: its strategy, and that siked takes it up once pip has installed it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from siked_core import Rationale, Step, Strategy, Unreadable, WorkedSolution
from siked_core.numbers import same_answer

PACKAGE = Path(__file__).parents[1] / "examples" / "siked-strategy-table"
MODULE = PACKAGE / "siked_strategy_table" / "__init__.py"


@cache
def table() -> Strategy:
    """The example's strategy, from its source: these tests need no installation."""
    spec = importlib.util.spec_from_file_location("siked_strategy_table", MODULE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (plugin,) = module.siked_strategies()
    strategy: Strategy = plugin()
    return strategy


def test_it_is_short() -> None:
    assert MODULE.read_text(encoding="utf-8").count("\n") < 60


def test_every_worked_example_is_read_as_it_stands_and_gives_its_answer() -> None:
    assert len(table().bank.shots) == 8
    for shot in table().bank.shots:
        read = table().parse(shot.completion)
        assert isinstance(read, Rationale), shot.question
        assert read.text == shot.completion
        assert same_answer(read.answer_source, shot.answer)
        for process, result in re.findall(r"\|([^|a-z]*)\|([\d.]+)\|$", shot.completion, re.MULTILINE):
            assert eval(process) == float(result)  # our own file's arithmetic


def test_headers_rulers_words_and_spaces_around_the_rows_are_dropped() -> None:
    text = (
        "Here is the table:\n|step|subquestion|process|result|\n|---|---|---|---|\n"
        "| 1 | How many? | 2 + 3 | 5 |\n\nTherefore, the answer is: 5.\nQuestion: And now?\n|1|What?|9|9|"
    )
    assert table().parse(text) == Rationale("table", "|1|How many?|2 + 3|5|\nThe answer is 5.", "5")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "There is no numbered row."),
        ("She has 2 + 3 = 5.\nThe answer is 5.", "There is no numbered row."),
        ("|1|How many?|2 + 3|5|", 'There is no line "The answer is N." after the rows.'),
        ("|1|How many?|5|\nThe answer is 5.", "Row 1 has 3 cells: it must have 4."),
    ],
)
def test_what_cannot_be_read_says_why(text: str, why: str) -> None:
    assert table().parse(text) == Unreadable(why)


def test_a_known_solution_is_written_down_with_its_numbers() -> None:
    first = Step("How many in May?", "In May 48 / 2 = 24.", "in_may", "48 / 2", "24")
    second = Step("How many in all?", "In all 48 + 24 = 72.", "in_all", "48 + in_may", "72")
    written = "|1|How many in May?|48 / 2|24|\n|2|How many in all?|48 + 24|72|\nThe answer is 72."
    assert table().demonstrate(WorkedSolution((first, second), "72")) == written
    assert table().parse(written) == Rationale("table", written, "72")


@pytest.mark.parametrize(
    "steps",
    [(), (Step("One | or two?", "1", "one", "1", "1"),), (Step("One\nor two?", "1", "one", "1", "1"),)],
    ids=["no steps", "a bar in a cell", "a line break in a cell"],
)
def test_a_solution_that_would_not_be_read_back_is_not_written(steps: tuple[Step, ...]) -> None:
    assert table().demonstrate(WorkedSolution(steps, "1")) is None


class Environment:
    """A virtual environment of its own, layered over the one that runs the tests: torch is not installed twice.

    A `.pth` file adds our packages behind its own; `addsitedir` also reads the `.pth` files that lie there, so
    that an editable siked is seen as well.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        where = self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
        ours = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
        lines = [f"import site; site.addsitedir({path!r})\n" for path in ours]
        (Path(where) / "layered.pth").write_text("".join(lines), encoding="utf-8")

    def run(self, program: str, *arguments: str, timeout_s: int = 300) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs, away from the source tree."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SIKED"))}
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=self.folder,
            env=ours,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment into which pip has installed a copy of the example, as a user would."""
    work = tmp_path_factory.mktemp("example")
    environment = Environment(work / "environment")
    source = shutil.copytree(PACKAGE, work / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    done = environment.run("python", "-m", "pip", "install", *options, str(source))
    assert done.returncode == 0, done.stderr
    return environment


def siked(environment: Environment, *arguments: str) -> str:
    """What siked prints there: its entry point, with that environment's interpreter."""
    done = environment.run("python", "-m", "siked_cli", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_strategy_is_listed_beside_the_built_in_ones(installed: Environment) -> None:
    plugins = json.loads(siked(installed, "plugins", "list", "--kind", "strategy", "--json"))
    found = {plugin["name"]: (plugin["distribution"], plugin["version"], plugin["status"]) for plugin in plugins}
    assert found["table"] == ("siked-strategy-table", "0.1.0", "active")
    assert found["cot"][0] == "siked"
    (summary,) = [plugin["summary"] for plugin in plugins if plugin["name"] == "table"]
    assert summary.startswith("Table: one row of sub-question")


def test_it_can_be_switched_off_by_its_distribution(installed: Environment) -> None:
    plugins = json.loads(siked(installed, "plugins", "list", "--no-plugin", "siked-strategy-table", "--json"))
    (found,) = [plugin for plugin in plugins if plugin["distribution"] == "siked-strategy-table"]
    assert found["status"] == "disabled"


@pytest.mark.slow
def test_a_student_is_distilled_with_it_without_a_line_changed_in_siked(installed: Environment) -> None:
    report = json.loads(siked(installed, "distill", "--preset", "pocket-smoke", "--strategies", "cot,table", "--json"))
    taught = report["rounds"][0]
    assert taught["pool"]["by_strategy"]["table"]["correct"] > 0
    assert taught["mixture"]["by_strategy"]["table"] > 0
    assert {score["strategy"] for score in report["test"][0]["strategies"]} == {"cot", "table"}
    assert (installed.folder / report["student"] / "config.json").exists()
