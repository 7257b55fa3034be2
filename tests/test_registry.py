"""The registry against real distributions on disk: what is found, what is kept apart, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from siked_core import PluginError, RecipeError, hookspecs
from siked_core.contracts import Kind
from siked_core.registry import HOOKS, KINDS, Entry, Registry, plural
from siked_core.student import resolve_model

Install = Callable[..., None]

TABLE = """
    from pydantic import Field
    from siked_core import Options, Rationale, Strategy, StrategyOptions, hookimpl

    class TableOptions(StrategyOptions):
        columns: int = Field(3, ge=1)

    class Table(Strategy):
        \"\"\"Steps in a table.

        And more about it.
        \"\"\"
        name = "table"
        verifier = "number"
        options_type = TableOptions

        def parse(self, text):
            return Rationale(self.name, text, text)

    @hookimpl
    def siked_strategies():
        return [Table]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put distributions on `sys.path` as an installer would: modules, and a .dist-info with its entry points."""
    before = set(sys.modules)

    def put(distribution: str, entries: dict[str, str], modules: dict[str, str], version: str = "1.0") -> None:
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {target}" for name, target in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[siked]", *lines]))
        for name, source in modules.items():
            (site / f"{name}.py").write_text(dedent(source))
        monkeypatch.syspath_prepend(str(site))

    yield put
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


def of(registry: Registry, distribution: str) -> list[Entry]:
    return [entry for entry in registry.entries if entry.distribution == distribution]


def only(registry: Registry, distribution: str = "acme") -> Entry:
    (entry,) = of(registry, distribution)
    return entry


# Every hook


def offer(install: Install, base: str, hook: str, methods: dict[str, str]) -> None:
    """Install a plugin of one kind, and check that it is found, usable, and described by its docstring."""
    body = "\n".join(f"    def {name}({arguments}): ..." for name, arguments in methods.items())
    source = (
        f"from siked_core import {base}, hookimpl\n"
        f'class One({base}):\n    """Summary of it."""\n    name = "acme-one"\n    verifier = "number"\n{body}\n'
        f"@hookimpl\ndef {hook}():\n    return [One]\n"
    )
    install("acme", {"one": "acme_one"}, {"acme_one": source})
    registry = Registry.discover()
    found = only(registry)
    assert (found.kind, found.name, found.status) == (HOOKS[hook].kind, "acme-one", "active")
    assert (found.distribution, found.version, found.entry_point) == ("acme", "1.0", "one")
    assert found.summary == "Summary of it."
    assert "acme-one" in registry.names(HOOKS[hook].kind)
    assert isinstance(registry.create(HOOKS[hook].kind, "acme-one"), HOOKS[hook])


def test_hook_siked_strategies(install: Install) -> None:
    offer(install, "Strategy", "siked_strategies", {"parse": "self, text"})


def test_hook_siked_verifiers(install: Install) -> None:
    offer(install, "Verifier", "siked_verifiers", {"answers": "self, rationales", "compare": "self, answer, gold"})


def test_hook_siked_mixing_policies(install: Install) -> None:
    offer(install, "MixingPolicy", "siked_mixing_policies", {"mix": "self, candidates, context"})


def test_hook_siked_generators(install: Install) -> None:
    methods = {"fingerprint": "self", "generate": "self, requests, sampling"}
    offer(install, "Generator", "siked_generators", methods)


def test_hook_siked_datasets(install: Install) -> None:
    offer(install, "Dataset", "siked_datasets", {"splits": "self", "load": "self, split, limit=None"})


def test_hook_siked_transforms(install: Install) -> None:
    offer(install, "Transform", "siked_transforms", {"transform": "self, rows, context"})


def test_hook_siked_objectives(install: Install) -> None:
    offer(install, "Objective", "siked_objectives", {"examples": "self, rows, context"})


def test_hook_siked_selectors(install: Install) -> None:
    offer(install, "Selector", "siked_selectors", {"plan": "self, strategies", "select": "self, attempts"})


def test_hook_siked_models(install: Install) -> None:
    offer(install, "Model", "siked_models", {"folder": "self"})


def test_hook_siked_trackers(install: Install) -> None:
    offer(install, "Tracker", "siked_trackers", {"open": "self, run", "log": "self, figures"})


def test_hooks_kinds_and_specs_agree() -> None:
    specs = {name for name in vars(hookspecs) if name.startswith("siked_")}
    assert specs == set(HOOKS)
    assert {base.kind for base in HOOKS.values()} == set(KINDS)
    for kind in KINDS:
        assert f"siked_{plural(kind).replace(' ', '_')}" in HOOKS


# Broken plugins are kept apart

BROKEN = {
    "import": ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
    "syntax": ("def (:", "SyntaxError"),
    "exit": ("import sys\nsys.exit('goodbye')", "SystemExit: goodbye"),
    "raises": (
        "from siked_core import hookimpl\n@hookimpl\ndef siked_strategies():\n    raise RuntimeError('not\\ntoday')",
        "RuntimeError: not today",
    ),
    "none": (
        "from siked_core import hookimpl\n@hookimpl\ndef siked_strategies(): ...",
        "it returned None, which is not a list of classes",
    ),
    "text": (
        "from siked_core import hookimpl\n@hookimpl\ndef siked_strategies(): return 'table'",
        "it returned 'table', which is not a list of classes",
    ),
    "junk": (
        "from siked_core import hookimpl\n@hookimpl\ndef siked_strategies(): return [42]",
        "it returned 42, which is not a subclass of siked_core.Strategy",
    ),
    "other kind": (
        "from siked_core import Selector, hookimpl\n@hookimpl\ndef siked_strategies(): return [Selector]",
        "which is not a subclass of siked_core.Strategy",
    ),
    "unmarked": (
        "def siked_strategies(): return []",
        "'siked_strategies' is not marked with @siked_core.hookimpl, so it is never called",
    ),
    "misspelt": (
        "from siked_core import hookimpl\n@hookimpl\ndef siked_strategy(): return []",
        "Unknown hook 'siked_strategy'. Did you mean 'siked_strategies'?",
    ),
    "arguments": (
        "from siked_core import hookimpl\n@hookimpl\ndef siked_strategies(registry): return []",
        "PluginValidationError",
    ),
    "nothing": ("x = 1", "it has no hook of siked's"),
    "bad name": (TABLE.replace('"table"', '"Big Table"'), "Table has the name 'Big Table'; a name is lower-case"),
    "no name": (TABLE.replace('name = "table"', ""), "Table has the name None"),
    "abstract": (TABLE.replace("def parse", "def parze"), "Table ('table') lacks parse"),
    "lies about its kind": (
        TABLE.replace('name = "table"', 'name = "table"\n        kind = "verifier"'),
        "Table ('table') says that it is a verifier, not a strategy",
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_plugin_is_reported_and_leaves_the_others_alone(install: Install, broken: str) -> None:
    source, why = BROKEN[broken]
    install("acme", {"strategy-table": "acme_table"}, {"acme_table": source})
    install("good", {"fine": "acme_good"}, {"acme_good": TABLE.replace('"table"', '"good"')})
    registry = Registry.discover()
    found = only(registry)
    assert found.status == "failed"
    assert why in found.why
    assert "\n" not in found.why
    assert only(registry, "good").status == "active"
    with pytest.raises(PluginError) as raised:
        registry.get("strategy", "table")
    assert str(raised.value).startswith("The strategy 'table' (acme 1.0) cannot be used: ")
    assert raised.value.__cause__ is found.error


def test_a_missing_module_and_a_malformed_entry_point_are_failures_too(install: Install) -> None:
    install("acme", {"gone": "acme_gone", "odd": "not a module!", "attribute": "json:nothing"}, {})
    assert [(e.name, e.status) for e in of(Registry.discover(), "acme")] == [
        ("attribute", "failed"),
        ("gone", "failed"),
        ("odd", "failed"),
    ]


def test_one_bad_class_does_not_take_its_neighbours_along(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE.replace("[Table]", "[Table, 3]")})
    entries = of(Registry.discover(), "acme")
    assert sorted((entry.name, entry.status) for entry in entries) == [
        ("one.siked_strategies", "failed"),
        ("table", "active"),
    ]


def test_an_empty_offer_is_no_failure(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE.replace("[Table]", "[]")})
    assert of(Registry.discover(), "acme") == []


def test_two_entry_points_may_name_one_module_and_an_entry_point_an_object(install: Install) -> None:
    source = dedent(TABLE) + (
        "class Both:\n    @hookimpl\n    def siked_selectors(self):\n        return []\nboth = Both()\n"
    )
    install("acme", {"a": "acme_table", "b": "acme_table:both", "c": "acme_table"}, {"acme_table": source})
    entries = of(Registry.discover(), "acme")
    # The module is offered twice, so its plugin's name is too: said as it is, and not as a crash.
    assert [(e.entry_point, e.status) for e in entries] == [("a", "failed"), ("c", "failed")]
    assert "the name is offered by acme (a) and acme (c)" in entries[0].why


# Duplicates


def test_a_name_that_two_distributions_offer_is_refused_naming_both(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE})
    install("acme-other", {"two": "acme_other"}, {"acme_other": TABLE}, version="2.5")
    registry = Registry.discover()
    with pytest.raises(PluginError) as raised:
        registry.get("strategy", "table")
    for text in ("acme (one)", "acme-other (two)", "SIKED_DISABLE_PLUGINS"):
        assert text in str(raised.value)
    assert "table" not in registry.names("strategy")


def test_switching_one_of_two_off_leaves_the_other(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE})
    install("acme-other", {"two": "acme_other"}, {"acme_other": TABLE}, version="2.5")
    registry = Registry.discover(disabled=["acme-other"])
    assert registry.get("strategy", "table").__module__ == "acme_table"


def test_one_name_may_serve_two_kinds(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE.replace('"table"', '"number"')})
    registry = Registry.discover()
    assert only(registry).status == "active"


# Switching off


@pytest.mark.parametrize("switch", ["table", "strategy:table"])
def test_a_plugin_is_switched_off_by_name(install: Install, switch: str) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE})
    registry = Registry.discover(disabled=[switch])
    assert (only(registry).status, only(registry).why) == ("disabled", f"switched off by '{switch}'")
    with pytest.raises(PluginError, match=r"The strategy 'table' \(acme 1.0\) is disabled: switched off by"):
        registry.get("strategy", "table")


def test_a_kind_and_name_switches_off_that_kind_only(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE})
    assert only(Registry.discover(disabled=["verifier:table"])).status == "active"


@pytest.mark.parametrize("switch", ["strategy-table", "acme"])
def test_an_entry_point_or_a_distribution_that_is_switched_off_is_not_even_imported(
    install: Install, switch: str
) -> None:
    install("acme", {"strategy-table": "acme_table"}, {"acme_table": TABLE})
    registry = Registry.discover(disabled=[switch])
    assert "acme_table" not in sys.modules
    assert only(registry).status == "disabled"
    with pytest.raises(PluginError, match=r"The strategy 'table' .* is disabled: switched off by"):
        registry.get("strategy", "table")
    with pytest.raises(PluginError, match="Unknown verifier 'table'"):
        registry.get("verifier", "table")


# Asking


def test_an_unknown_name_is_answered_with_the_nearest_and_all(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE})
    with pytest.raises(PluginError) as raised:
        Registry.discover().get("strategy", "tabel")
    assert str(raised.value).startswith("Unknown strategy 'tabel'. Did you mean 'table'? Available: ")


def test_an_unknown_name_mentions_what_could_not_be_loaded(install: Install) -> None:
    install("acme", {"one": "acme_one"}, {"acme_one": "import no_such_module_at_all"})
    points = [point for point in _points() if point.dist and point.dist.name == "acme"]
    with pytest.raises(PluginError) as raised:
        Registry.discover(points=points).get("mixing_policy", "table")
    message = "Unknown mixing policy 'table'. None is available. (1 could not be loaded: see siked plugins list.)"
    assert str(raised.value) == message


def _points() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return list(entry_points(group="siked"))


def test_options_are_validated_in_one_line(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE})
    registry = Registry.discover()
    assert registry.create("strategy", "table", {"columns": 5}).options.columns == 5
    with pytest.raises(RecipeError) as unknown_option:
        registry.create("strategy", "table", {"colums": 5})
    assert str(unknown_option.value) == (
        "Unknown option of the strategy 'table': 'colums'. Did you mean 'columns'? "
        "Available: bank, columns, instruction, shots, suffix."
    )
    with pytest.raises(RecipeError) as bad_option:
        registry.create("strategy", "table", {"columns": 0})
    assert str(bad_option.value) == (
        "Bad option of the strategy 'table': 'columns': input should be greater than or equal to 1, not 0."
    )


def test_entries_come_in_the_order_of_kinds_and_names(install: Install) -> None:
    install("acme", {"z": "acme_table", "a": "acme_gone"}, {"acme_table": TABLE})
    kinds: list[Kind | str] = [entry.kind for entry in Registry.discover().entries]
    assert kinds == sorted(kinds, key=lambda kind: KINDS.index(kind) if kind in KINDS else len(KINDS))


def test_find_gives_every_status(install: Install) -> None:
    install("acme", {"one": "acme_table"}, {"acme_table": TABLE})
    registry = Registry.discover(disabled=["table"])
    assert [entry.status for entry in registry.find("table")] == ["disabled"]
    assert registry.find("table", "verifier") == []


@pytest.mark.parametrize("source", ["import no_such_module_at_all", None], ids=["failed", "disabled"])
def test_a_model_that_cannot_be_used_is_not_taken_for_a_hub_name(install: Install, source: str | None) -> None:
    offered = """
        from pathlib import Path
        from siked_core import Model, hookimpl
        class Seedling(Model):
            name = "seedling"
            def folder(self): return Path(__file__).parent
        @hookimpl
        def siked_models(): return [Seedling]
    """
    install("acme", {"model-seedling": "acme_seedling"}, {"acme_seedling": source or offered})
    registry = Registry.discover(disabled=[] if source else ["acme"])
    with pytest.raises(PluginError, match=r"The model 'seedling' \(acme 1\.0\) (cannot be used|is disabled): "):
        resolve_model("seedling", registry)
    assert resolve_model("someone/seedling", registry) == "someone/seedling"
