"""`siked plugins check`: what it can be pointed at, what it says, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from siked_core.scaffold import new_package


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Modules and places that a check loaded."""
    modules, places = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = places
    for name in set(sys.modules) - modules:
        if name.startswith(("siked_strategy_", "siked_selector_", "acme")):
            del sys.modules[name]


BROKEN = """
    from siked_core import Selector, Wish, hookimpl
    class First(Selector):
        "The first."
        name = "acme-first"
        def plan(self, strategies): return (Wish(),)
        def select(self, attempts, learnt): return 1
    @hookimpl
    def siked_selectors(): return [First]
"""


@pytest.mark.parametrize("target", ["selector:cascade", "cascade", "selector-cascade"])
def test_a_plugin_is_found_by_any_of_its_names(siked: Callable[..., Any], target: str) -> None:
    (found,) = json.loads(siked("plugins", "check", target, "--json").out)
    assert (found["kind"], found["name"], found["distribution"], found["passed"]) == (
        *("selector", "cascade", "siked"),
        True,
    )
    assert {one["outcome"] for one in found["findings"]} == {"passed"}


def test_a_name_of_several_kinds_and_a_kind(siked: Callable[..., Any]) -> None:
    found = json.loads(siked("plugins", "check", "pocket", "--kind", "model", "--json").out)
    assert [one["kind"] for one in found] == ["model"]


def test_a_breach_is_explained_and_ends_with_1(siked: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "acme_first.py").write_text(dedent(BROKEN))
    said = siked("plugins", "check", "acme_first.py", code=1).out
    assert "selector acme-first" in said
    assert "✗ `select` returns the index of one of the attempts" in said
    assert "seen   of 1 attempts it picked 1" in said
    assert "mend   Return a place in `attempts`." in said
    (found,) = json.loads(siked("plugins", "check", "acme_first.py", "--json", code=1).out)
    assert found["passed"] is False


def test_a_plugin_that_cannot_be_loaded_is_a_breach(siked: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "acme_gone.py").write_text("import no_such_module_at_all\n")
    said = siked("plugins", "check", "./acme_gone.py", code=1).out
    assert "✗ It can be loaded" in said
    assert "No module named 'no_such_module_at_all'" in said


def test_a_project_need_not_be_installed(siked: Callable[..., Any], tmp_path: Path) -> None:
    new_package("selector", "fresh", tmp_path, "")
    said = siked("plugins", "check", "siked-selector-fresh").out
    assert said.startswith("selector fresh (siked-selector-fresh 0.1.0): of 8 rules 8 kept\n")
    source = tmp_path / "siked-selector-fresh" / "siked_selector_fresh" / "__init__.py"
    assert "of 8 rules 8 kept" in siked("plugins", "check", str(source)).out


def test_what_needs_options_is_not_tried_without_them_and_tried_with(siked: Callable[..., Any]) -> None:
    said = siked("plugins", "check", "objective:upft").out
    assert "not tried: it cannot be made without its option tokens" in said
    assert "8 kept" in siked("plugins", "check", "objective:upft", "--set", "tokens=4").out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["cascadee"], "Did you mean 'cascade'?"),
        (["./nowhere"], "There is no file or folder ./nowhere."),
        (["selector:cascade", "--set", "ordr=[cot]"], "Unknown option of the selector 'cascade': 'ordr'."),
        (["selector:cascade", "--set", "order"], "--set takes key=value"),
        (["cascade", "--kind", "selektor"], "Did you mean 'selector'?"),
        (["./empty"], "has no pyproject.toml"),
        (["./plain"], "names no plugin"),
        (["./notes.txt"], "is no Python module"),
    ],
)
def test_a_mistake_is_one_line(siked: Callable[..., Any], tmp_path: Path, arguments: list[str], line: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "pyproject.toml").write_text("[project]\nname = 'plain'\n")
    (tmp_path / "notes.txt").write_text("x")
    told = siked("plugins", "check", *arguments, code=2).err
    assert line in told
    assert told.count("\n") == 1


def test_what_a_plugin_prints_leaves_the_document_alone(siked: Callable[..., Any], tmp_path: Path) -> None:
    loud = dedent(BROKEN).replace("return 1", "print('hello'); return 0")
    (tmp_path / "acme_loud.py").write_text(loud)
    assert json.loads(siked("plugins", "check", "acme_loud.py", "--json").out)[0]["passed"] is True


def test_what_is_in_the_folder_is_checked_and_not_what_was_imported_before(
    siked: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, picked in (("elsewhere", 0), ("here", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "acme_first.py").write_text(dedent(BROKEN).replace("return 1", f"return {picked}"))
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    __import__("acme_first")
    assert "it picked 1" in siked("plugins", "check", "here/acme_first.py", code=1).out


def test_what_a_project_says_of_itself_cannot_steer_a_terminal(siked: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "a\\u001b[2Jb"\n[project.entry-points.siked]\nselector-x = "acme_nowhere"\n'
    )
    said = siked("plugins", "check", ".", code=1).out
    assert "\x1b" not in said
    assert "a\\x1b[2Jb" in said
