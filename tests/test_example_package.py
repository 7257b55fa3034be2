"""The example packages: the strategy, and that siked takes all three up once pip has installed them."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from siked_core import Rationale, Step, Strategy, Unreadable, WorkedSolution
from siked_core.numbers import same_answer

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("siked-*"))
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, layered: Callable[..., Any]) -> Any:
    """An environment into which pip has installed copies of the examples, as a user would."""
    work = tmp_path_factory.mktemp("example")
    environment = layered(work / "environment")
    ignored = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    copies = [shutil.copytree(folder, work / "source" / folder.name, ignore=ignored) for folder in EXAMPLES]
    environment.install(*map(str, copies))
    return environment


def test_there_are_three_and_they_are_short() -> None:
    assert [folder.name for folder in EXAMPLES] == [
        "siked-mixing-policy-short-first",
        "siked-strategy-table",
        "siked-verifier-tolerance",
    ]
    for folder in EXAMPLES:
        assert (folder / "README.md").exists()
        lines = sum(
            path.read_text(encoding="utf-8").count("\n")
            for path in folder.rglob("*.py")
            if not {"tests", "build"} & set(path.parts)
        )
        assert lines < 60, folder.name


def test_the_plugins_are_listed_beside_the_built_in_ones(installed: Any) -> None:
    plugins = json.loads(installed.siked("plugins", "list", "--json"))
    found = {(one["kind"], one["name"]): (one["distribution"], one["version"], one["status"]) for one in plugins}
    assert found["strategy", "table"] == ("siked-strategy-table", "0.1.0", "active")
    assert found["verifier", "tolerance"] == ("siked-verifier-tolerance", "0.1.0", "active")
    assert found["mixing_policy", "short-first"] == ("siked-mixing-policy-short-first", "0.1.0", "active")
    assert found["strategy", "cot"][0] == "siked"
    (summary,) = [plugin["summary"] for plugin in plugins if plugin["name"] == "table"]
    assert summary.startswith("Table: one row of sub-question")


def test_their_own_tests_pass_where_they_are_installed(installed: Any) -> None:
    done = installed.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib",
                         *(str(folder / "tests") for folder in EXAMPLES))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_one_can_be_switched_off_by_its_distribution(installed: Any) -> None:
    plugins = json.loads(installed.siked("plugins", "list", "--no-plugin", "siked-strategy-table", "--json"))
    (found,) = [plugin for plugin in plugins if plugin["distribution"] == "siked-strategy-table"]
    assert found["status"] == "disabled"


@pytest.mark.slow
def test_a_student_is_distilled_with_all_three_without_a_line_changed_in_siked(installed: Any) -> None:
    ours = ["--strategies", "cot,table", "--verifier", "cot=tolerance", "--mixing", "short-first"]
    report = json.loads(installed.siked("distill", "--preset", "pocket-smoke", *ours, "--json"))
    taught = report["rounds"][0]
    assert taught["pool"]["by_strategy"]["table"]["correct"] > 0
    assert taught["pool"]["by_strategy"]["cot"]["correct"] > 0
    assert taught["mixture"]["by_strategy"]["table"] > 0
    assert {score["strategy"] for score in report["test"][0]["strategies"]} == {"cot", "table"}
    assert (installed.folder / report["student"] / "config.json").exists()
