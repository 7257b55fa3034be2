"""Plugins that were written for another version of the contract, and those that use what will go."""

from __future__ import annotations

import json
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from siked_core import Selector, contract_version, hookspecs, registry
from siked_core.deprecation import deprecated
from siked_core.plugin import PluginDeprecationWarning
from siked_core.registry import Registry

FIRST = """
    from siked_core import Selector, Wish, hookimpl
    class First(Selector):
        "The first."
        name = "acme-first"
        def plan(self, strategies): return (Wish(),)
        def select(self, attempts, learnt): return 0
    @hookimpl
    def siked_selectors(): return [First]
"""


@dataclass
class Module:
    """An entry point of a distribution that is not installed."""

    module: types.ModuleType
    name: str = "selector-acme-first"

    @property
    def dist(self) -> Any:
        return types.SimpleNamespace(name="acme", version="1.2")

    def load(self) -> Any:
        return self.module


def module(source: str, stated: str = "") -> Module:
    made = types.ModuleType("acme_first")
    exec(compile(stated + dedent(source), "acme_first.py", "exec"), made.__dict__)
    return Module(made)


def discovered(point: Module) -> Any:
    (entry,) = Registry.discover(points=[point]).entries
    return entry


def test_our_own_version_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert f'SIKED_CONTRACT = "{contract_version.CONTRACT_VERSION}"' in page


@pytest.mark.parametrize("stated", ["", 'SIKED_CONTRACT = "1.0"\n'])
def test_the_present_version_or_none_is_taken_as_it_is(stated: str) -> None:
    entry = discovered(module(FIRST, stated))
    assert (entry.status, entry.notes) == ("active", ())


@pytest.mark.parametrize(
    ("stated", "why"),
    [
        ('"1.1"', "it was written for version 1.1 of the plugin contract, and this siked has 1.0: upgrade siked"),
        ('"2.0"', "it was written for version 2.0 of the plugin contract, and this siked has 1.0: upgrade siked"),
        ('"0.9"', "it was written for version 0.9 of the plugin contract, and this siked has 1.0: upgrade the plugin"),
        ("1.0", 'SIKED_CONTRACT is 1.0: it is to be a text such as "1.0"'),
        ('"one"', "SIKED_CONTRACT is 'one': it is to be a text"),
    ],
)
def test_another_version_is_refused_in_one_line(stated: str, why: str) -> None:
    entry = discovered(module(FIRST, f"SIKED_CONTRACT = {stated}\n"))
    assert entry.status == "failed"
    assert why in entry.why


def test_an_older_major_version_is_warned_of_until_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_version, "CONTRACT_VERSION", "2.3")
    monkeypatch.setattr(contract_version, "OLDEST_GOES_IN", "siked 3.0")
    with pytest.warns(PluginDeprecationWarning) as told:
        entry = discovered(module(FIRST, 'SIKED_CONTRACT = "1.0"\n'))
    assert entry.status == "active"
    assert [str(one.message) for one in told] == [
        "The selector 'acme-first' (acme 1.2) was written for version 1.0 of the plugin contract, and this siked has "
        "2.3. That is accepted until siked 3.0: upgrade the plugin."
    ]
    assert discovered(module(FIRST, 'SIKED_CONTRACT = "2.1"\n')).notes == ()


# Hooks, their arguments, and methods that will go


@pytest.fixture
def old_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As siked would be if it had renamed a hook, and no longer gave hooks the argument `home`."""

    class Specs:
        @hookspecs.hookspec(warn_on_impl=deprecated("the hook siked_pickers", use="siked_selectors", until="siked 0.4"))
        def siked_pickers(self, home: str) -> None: ...

        @hookspecs.hookspec(
            warn_on_impl_args={"home": deprecated("the argument home", use="Plugin.equip", until="siked 0.5")}
        )
        def siked_selectors(self, home: str) -> None: ...

    monkeypatch.setattr(registry.hookspecs, "siked_pickers", Specs().siked_pickers, raising=False)
    monkeypatch.setattr(registry.hookspecs, "siked_selectors", Specs().siked_selectors)
    monkeypatch.setattr(registry, "RENAMED_HOOKS", {"siked_pickers": "siked_selectors"})
    monkeypatch.setattr(registry, "HOOK_ARGUMENTS", {"home": "/home/ann"})


OLD_NAME = FIRST.replace("def siked_selectors()", "def siked_pickers()")
OLD_ARGUMENT = FIRST.replace("def siked_selectors()", "def siked_selectors(home)").replace(
    "return [First]", "assert home == '/home/ann'; return [First]"
)
TOLD = {
    OLD_NAME: "The selector 'acme-first' (acme 1.2) uses the hook siked_pickers, which goes in siked 0.4: use "
    "siked_selectors instead.",
    OLD_ARGUMENT: "The selector 'acme-first' (acme 1.2) uses the argument home, which goes in siked 0.5: use "
    "Plugin.equip instead.",
}


@pytest.mark.usefixtures("old_hooks")
@pytest.mark.parametrize("source", TOLD, ids=["name", "argument"])
def test_an_old_hook_is_used_and_told_of_once(source: str) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        entry = discovered(module(source))
    assert entry.status == "active"
    assert [str(one.message) for one in told] == [TOLD[source]]


@pytest.mark.usefixtures("old_hooks")
def test_a_present_hook_is_told_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert discovered(module(FIRST)).notes == ()


def test_a_method_under_its_old_name_is_used_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Selector, "renamed", {"pick": deprecated("the method pick", use="select", until="siked 0.4")})
    old = FIRST.replace("def select(", "def pick(")
    with pytest.warns(PluginDeprecationWarning, match="uses the method pick, which goes in siked 0.4: use select"):
        entry = discovered(module(old))
    assert entry.status == "active"
    assert entry.plugin().select((), {}) == 0


@pytest.mark.usefixtures("old_hooks")
def test_the_list_and_every_command_tell(
    siked: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[siked]\nselector-acme-first = acme_first\n")
    (tmp_path / "acme_first.py").write_text(dedent(OLD_NAME))
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        said = siked("plugins", "list", "--kind", "selector")
        told = json.loads(siked("plugins", "list", "--kind", "selector", "--json").out)
        shown = siked("plugins", "show", "self")
    finally:
        sys.modules.pop("acme_first", None)
    line = TOLD[OLD_NAME]
    assert said.err == f"Warning: {line}\n"
    assert "uses the hook siked_pickers" in " ".join(said.out.split())
    assert shown.err == f"Warning: {line}\n"
    (acme,) = [one for one in told if one["name"] == "acme-first"]
    assert acme["notes"] == ["uses the hook siked_pickers, which goes in siked 0.4: use siked_selectors instead"]


def test_an_entry_point_will_do_as_it_is() -> None:
    (entry,) = Registry.discover(points=[EntryPoint("selector-self", "siked_plugins.selectors.self", "siked")]).entries
    assert entry.status == "active"
