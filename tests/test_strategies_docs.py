"""The examples of docs/strategies.md are what the code does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from siked_core import Rationale, Step, Strategy, Unreadable, WorkedSolution, load_bank
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.eot import EquationOfThought
from siked_plugins.strategies.kpdd import KeyPoints
from siked_plugins.strategies.kpdd_pot import KeyPointsProgram
from siked_plugins.strategies.l2m import LeastToMost
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.strategies.socratic import Socratic

PAGE = (Path(__file__).parent.parent / "docs" / "strategies.md").read_text(encoding="utf-8")
STRATEGIES: list[type[Strategy]] = [
    ChainOfThought,
    ProgramOfThoughts,
    LeastToMost,
    EquationOfThought,
    KeyPoints,
    KeyPointsProgram,
    Socratic,
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("strategy_type", STRATEGIES, ids=lambda strategy_type: strategy_type.name)
def test_each_form_is_canonical(strategy_type: type[Strategy]) -> None:
    section = PAGE.partition(f"### `{strategy_type.name}`")[2]
    written = re.search(r"^```text\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)
    assert written
    read = strategy_type().parse(written[1])
    assert isinstance(read, Rationale)
    assert read.text == written[1]
    row = f"| `{strategy_type.name}` |.*| `{strategy_type.verifier}` |"
    assert re.search(row.replace("|", r"\|"), PAGE)


def test_the_recipe_names_options_that_exist(tmp_path: Path) -> None:
    recipe, bank = blocks("yaml")
    by_name = {strategy_type.name: strategy_type for strategy_type in STRATEGIES}
    for entry in yaml.safe_load(recipe)["strategies"]:
        if isinstance(entry, dict):
            by_name[entry["name"]](entry["options"])
    path = tmp_path / "my-cot.yaml"
    path.write_text(bank, encoding="utf-8")
    (shot,) = load_bank(path).shots
    read = ChainOfThought().parse(shot.completion)
    assert isinstance(read, Rationale)
    assert (read.text, read.answer_source) == (shot.completion, shot.answer)


def test_the_example_strategy_keeps_the_contract(tmp_path: Path, load: Callable[[Path], ModuleType]) -> None:
    (source,) = blocks("python")
    assert len(source.splitlines()) < 60
    path = tmp_path / "siked_expression.py"
    path.write_text(source, encoding="utf-8")
    module = load(path)
    (strategy_type,) = module.siked_strategies()
    strategy = strategy_type()
    steps = (Step("", "", "may", "48 / 2", "24"), Step("", "", "total", "48 + may", "72"))
    written = strategy.demonstrate(WorkedSolution(steps, "72"))
    assert written == "48 + (48 / 2)"
    assert strategy.parse(written) == Rationale("expression", written, f"answer = {written}")
    assert isinstance(strategy.parse("She sold 72."), Unreadable)
    assert isinstance(strategy.parse(" \n"), Unreadable)
    assert strategy.demonstrate(WorkedSolution((Step("", "", "a", "b + 1", "1"),), "1")) is None
