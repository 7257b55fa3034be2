"""The architecture, policed: who may import whom, what may be heavy, what must be said, how large a file may grow."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import siked_core
from siked_core import hookspecs
from siked_core.registry import HOOKS, Registry

ROOT = Path(__file__).parents[1]
PACKAGES = {"siked_core": ROOT / "siked_core", "siked_plugins": ROOT / "plugins", "siked_cli": ROOT / "cli"}
HEAVY = {
    "accelerate",
    "altair",
    "datasets",
    "openai",
    "peft",
    "ray",
    "safetensors",
    "sympy",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "vl_convert",
    "vllm",
}
PUBLIC_MODULES = {
    "siked_core.choices",
    "siked_core.errors",
    "siked_core.latex",
    "siked_core.models",
    "siked_core.numbers",
    "siked_core.recorded",
    "siked_core.rows",
    "siked_core.sandbox",
    "siked_core.testing",
    "siked_core.warden",
}
SHARED_FILE_SYSTEMS_LACK = {"dbm", "fcntl", "shelve", "sqlite3"}
"""What needs locks, or memory that is shared with a file, where network file systems and object stores have none."""
DEFINES_TORCH_CLASSES = {"siked_plugins.pocket.muon"}
"""Cannot be read without torch, so they count as heavy themselves: to be imported inside functions only."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENTRY_POINTS: dict[str, str] = PROJECT["project"]["entry-points"]["siked"]

FILES = {
    ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__"): path
    for package, folder in PACKAGES.items()
    for path in sorted(folder.rglob("*.py"))
}


def of_package(*packages: str) -> list[str]:
    return [module for module in FILES if module.split(".")[0] in packages]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


def imported(module: str, nodes: Iterator[ast.AST]) -> Iterator[tuple[str, str]]:
    """(module, name) of every import; the name is empty for `import x`. Relative imports are made absolute."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            yield from ((source, alias.name) for alias in node.names)


def at_import_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported: not function bodies, not `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from at_import_time(child)


def top_level(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


# Layers


@pytest.mark.parametrize("module", of_package("siked_core"))
def test_the_core_knows_neither_plugins_nor_the_command_line(module: str) -> None:
    named = {source for source, _ in imported(module, ast.walk(tree(module)))}
    # A module's name in a string would be an import in disguise.
    named |= {
        node.value
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[\w.]+", node.value)
    }
    assert not [name for name in named if top_level(name) in ("siked_plugins", "siked_cli")]


@pytest.mark.parametrize("module", of_package("siked_plugins"))
def test_plugins_use_the_public_interface_only(module: str) -> None:
    offences = []
    for source, name in imported(module, ast.walk(tree(module))):
        if top_level(source) == "siked_cli":
            offences.append(source)
        elif source == "siked_core":
            public = name in siked_core.__all__ or f"siked_core.{name}" in PUBLIC_MODULES
            offences += [] if public else [f"from siked_core import {name or '(the package itself)'}"]
        elif top_level(source) == "siked_core" and (source not in PUBLIC_MODULES or name.startswith("_")):
            offences.append(f"from {source} import {name}")
    assert not offences


def test_the_public_interface_is_complete_and_sorted() -> None:
    assert list(siked_core.__all__) == sorted(siked_core.__all__)
    for name in siked_core.__all__:
        assert getattr(siked_core, name) is not None
    assert {base.__name__ for base in HOOKS.values()} <= set(siked_core.__all__)


@pytest.mark.parametrize("module", FILES)
def test_nothing_depends_on_what_shared_file_systems_lack(module: str) -> None:
    named = {top_level(source) for source, _ in imported(module, ast.walk(tree(module)))}
    assert not named & SHARED_FILE_SYSTEMS_LACK


@pytest.mark.parametrize("module", sorted(FILES.keys() - DEFINES_TORCH_CLASSES))
def test_nothing_heavy_is_imported_with_a_module(module: str) -> None:
    names = {
        name
        for source, attribute in imported(module, at_import_time(tree(module)))
        for name in (top_level(source), source, f"{source}.{attribute}")
    }
    assert not names & (HEAVY | DEFINES_TORCH_CLASSES)


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter has imported after some code."""
    report = (
        f"\nimport json, sys\nprint()\nprint(json.dumps([name for name in {sorted(HEAVY)} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_discovery_imports_nothing_heavy() -> None:
    assert loaded_by("from siked_core.registry import Registry\nassert Registry.discover().entries") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["distill", "--help"], ["plugins", "list"], ["recipe", "schema"]])
def test_quick_commands_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom siked_cli.main import main\n"
        f"sys.argv = ['siked', *{arguments!r}]\ntry:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
    )
    assert loaded_by(code) == set()


# Packaging


def test_every_subpackage_is_listed() -> None:
    """An unlisted one would be missing from the wheel without a word."""
    found = {module for module, path in FILES.items() if path.name == "__init__.py"}
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])
    for folder in PACKAGES.values():
        for path in folder.rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} is not a package"


def test_the_installation_is_current() -> None:
    installed = {
        point.name: point.value for point in entry_points(group="siked") if point.dist and point.dist.name == "siked"
    }
    assert installed == ENTRY_POINTS, "pyproject.toml has changed since siked was installed: install it again"


def test_versions_agree() -> None:
    assert PROJECT["project"]["version"] == siked_core.__version__


# Plugins


def test_every_module_with_a_hook_is_an_entry_point() -> None:
    with_hooks = {
        module
        for module in of_package("siked_plugins")
        for node in tree(module).body
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(mark) == "hookimpl" for mark in node.decorator_list)
    }
    assert with_hooks == set(ENTRY_POINTS.values())


@pytest.mark.parametrize("point", ENTRY_POINTS)
def test_every_built_in_is_active_and_describes_itself(point: str) -> None:
    (entry,) = [e for e in discovered().entries if e.distribution == "siked" and e.entry_point == point]
    assert entry.status == "active", entry.why
    assert entry.plugin is not None
    assert point == f"{entry.kind}-{entry.name}".replace("_", "-")
    docstring = inspect.cleandoc(entry.plugin.__doc__ or "")
    summary, _, rest = docstring.partition("\n")
    assert re.fullmatch(r"\S.{8,118}\.", summary), f"no one-line summary: {docstring!r}"
    assert not rest or rest.startswith("\n"), "the summary is to be one line"
    assert inspect.getmodule(entry.plugin).__doc__, "the module is to say what it implements, and from which source"


@cache
def discovered() -> Registry:
    return Registry.discover()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_used_by_a_built_in(hook: str) -> None:
    assert any(entry.distribution == "siked" for entry in discovered().entries if entry.kind == HOOKS[hook].kind)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook: str) -> None:
    assert inspect.getdoc(getattr(hookspecs, hook))
    assert f"`{hook}`" in (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    tests = ast.parse((ROOT / "tests" / "test_registry.py").read_text(encoding="utf-8"))
    assert f"test_hook_{hook}" in {node.name for node in tests.body if isinstance(node, ast.FunctionDef)}


# Habits


@pytest.mark.parametrize("module", FILES)
def test_modules_stay_small_and_have_a_reason_to_exist(module: str) -> None:
    path = FILES[module]
    text = path.read_text(encoding="utf-8")
    assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc", "manager")
    assert text.count("\n") <= 400
    assert not text.strip() or ast.get_docstring(tree(module)), "a module says what it is for"
