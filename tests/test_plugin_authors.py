"""`siked plugins new` writes packages that install, keep their contracts and are listed; of every kind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siked_core.registry import KINDS
from siked_core.scaffold import DATA, USES, new_package, templated_kinds

ROOT = Path(__file__).parents[1]
NAME = "brand-new"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of every kind."""
    folder = tmp_path_factory.mktemp("new")
    for kind in templated_kinds():
        new_package(kind, NAME, folder, "Ann Author")
    return folder


@pytest.fixture(scope="module")
def installed(written: Path, tmp_path_factory: pytest.TempPathFactory, layered: Callable[..., Any]) -> Any:
    """An environment into which pip has installed all of them, as their author would."""
    environment = layered(tmp_path_factory.mktemp("authors") / "environment")
    environment.install(*(part for folder in sorted(written.iterdir()) for part in ("-e", str(folder))))
    return environment


def test_every_kind_has_a_template_and_a_command_that_uses_it() -> None:
    assert templated_kinds() == list(KINDS)
    assert set(USES) == set(KINDS)
    assert set(DATA) <= set(KINDS)


@pytest.mark.slow
def test_every_new_plugin_is_listed(installed: Any) -> None:
    listed = json.loads(installed.siked("plugins", "list", "--json"))
    found = {one["kind"]: (one["status"], one["distribution"]) for one in listed if one["name"] == NAME}
    assert found == {kind: ("active", f"siked-{kind}-{NAME}".replace("_", "-")) for kind in KINDS}


@pytest.mark.slow
def test_the_tests_that_come_with_every_package_pass(installed: Any, written: Path) -> None:
    done = installed.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib",
                         str(written))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_a_wheel_of_a_package_has_its_data(written: Path, tmp_path: Path) -> None:
    import zipfile

    built = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    kinds = [kind for kind in KINDS if kind in DATA]
    folders = [str(written / f"siked-{kind}-{NAME}".replace("_", "-")) for kind in kinds]
    subprocess.run([*built, "--wheel-dir", str(tmp_path), *folders], check=True)
    for kind in kinds:
        package = f"siked_{kind}_{NAME}".replace("-", "_")
        names = zipfile.ZipFile(next(tmp_path.glob(f"{package}-*.whl"))).namelist()
        assert f"{package}/py.typed" in names
        for file, _ in DATA[kind]:
            assert any(Path(name).match(f"{package}/{file}") for name in names), file


def test_every_package_is_formatted_and_passes_a_linter(written: Path) -> None:
    ruff = pytest.importorskip("ruff").find_ruff_bin()
    for arguments in (["format", "--check"], ["check", "--no-cache"]):
        done = subprocess.run([ruff, *arguments, str(written)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_every_package_passes_a_strict_type_checker(written: Path) -> None:
    """With siked's own settings, which are strict, and its cache: `make lint` has filled it."""
    pytest.importorskip("mypy")
    packages = [str(path.parent) for path in written.glob("*/siked_*/py.typed")]
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert f"no issues found in {len(KINDS)} source files" in done.stdout


def test_what_is_told_next_works(siked: Callable[..., Any], tmp_path: Path) -> None:
    said = siked("plugins", "new", "mixing-policy", "hard-first", "--author", 'O\'Neil "Q"').out
    for line in ("pip install -e siked-mixing-policy-hard-first", "siked plugins check siked-mixing-policy-hard-first",
                 "siked distill --mixing hard-first"):  # fmt: skip
        assert f"  {line}\n" in said
    import tomllib

    project = tomllib.loads((tmp_path / "siked-mixing-policy-hard-first" / "pyproject.toml").read_text())["project"]
    assert project["authors"] == [{"name": 'O\'Neil "Q"'}]
    # before it is installed, the folder of that name is what is meant
    assert "11 kept" in siked("plugins", "check", "siked-mixing-policy-hard-first").out


def test_nothing_is_overwritten(siked: Callable[..., Any], tmp_path: Path) -> None:
    made = json.loads(siked("plugins", "new", "selector", "mine", "--to", "some/where", "--json").out)
    folder = tmp_path / made["folder"]
    assert folder == tmp_path / "some" / "where" / "siked-selector-mine"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(made["files"])
    (folder / "README.md").write_text("mine")
    told = siked("plugins", "new", "selector", "mine", "--to", "some/where", code=2).err
    assert "is there already, and is left as it is" in told
    assert (folder / "README.md").read_text() == "mine"
    assert [path.name for path in (tmp_path / "some" / "where").iterdir()] == ["siked-selector-mine"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["strategie", "x"], "Unknown kind of plugin 'strategie'. Did you mean 'strategy'?"),
        (["strategy", "My Strategy!"], "'my-strategy' would do."),
        (["strategy", "../up"], "cannot be a plugin's name"),
        (["strategy", "a" * 61], "60 at most"),
        (["strategy", "cot"], "There is a strategy 'cot' already (siked 0.1.0)."),
        (["strategy", "x", "--to", "/dev/null"], "Cannot write into /dev/null"),
    ],
)
def test_a_mistake_is_one_line(siked: Callable[..., Any], arguments: list[str], line: str) -> None:
    told = siked("plugins", "new", *arguments, code=2).err
    assert line in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["none", "strategy", "warning", "path", "a1-b2_c3", "rationale"])
def test_a_name_that_means_something_else_in_python_does(name: str, tmp_path: Path) -> None:
    import ast

    made = new_package("strategy", name, tmp_path, "")
    for file in made.files:
        if file.endswith(".py"):
            ast.parse((made.folder / file).read_text())
    (source,) = made.folder.glob("siked_*/__init__.py")
    class_name = next(node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.ClassDef))
    assert class_name not in {"None", "Strategy", "Warning", "Path", "Rationale"}
