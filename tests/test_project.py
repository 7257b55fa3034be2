"""What a project says of itself, held against the code: commands, compatibility, citation, release, workflows."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from siked_cli.main import app
from siked_core.recipe import preset_names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = {one.name: one for one in map(Requirement, PROJECT["dependencies"])}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def bound(requirement: Requirement, operator: str) -> str:
    return next((one.version for one in requirement.specifier if one.operator == operator), "")


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


# Compatibility


def test_the_table_of_compatibility_is_what_is_stated_and_installed() -> None:
    rows = re.findall(
        r"^\| ([a-z][\w-]*) \| ([\d.]+) \| ([\d.]+) \| ([\d.]*) ?\|$",
        (DOCS / "compatibility.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    pinned = pins("constraints.txt")
    assert rows == [
        (name, bound(one, ">="), pinned[name], bound(one, "<")) for name, one in sorted(REQUIREMENTS.items())
    ]


def test_the_oldest_are_tested_as_the_oldest_that_are_stated() -> None:
    oldest = pins("constraints-oldest.txt")
    assert oldest.keys() == REQUIREMENTS.keys() - {"torch"}
    for name, version in oldest.items():
        assert Version(version) == Version(bound(REQUIREMENTS[name], ">="))


def test_the_page_names_the_version_of_vllm_that_is_installed() -> None:
    from siked_plugins.generators.vllm.environment import VERSION

    assert f"vLLM {VERSION}, in" in (DOCS / "compatibility.md").read_text(encoding="utf-8")


# Commands


def test_the_command_reference_is_current(load: Callable[[Path], ModuleType]) -> None:
    made = load(DOCS / "make_command_reference.py").text()
    current = (DOCS / "commands.md").read_text(encoding="utf-8") == made
    assert current, "run python docs/make_command_reference.py"


def commands(command: Any, name: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield name, command
    for child, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*name, child))


COMMANDS = dict(commands(typer.main.get_command(app)))
GUIDES = ("README.md", "start.md", "cluster.md", "faq.md", "method.md", "security.md", "compatibility.md")
SHOWN = [
    (page, line)
    for page in GUIDES
    for line in re.findall(r"^    (siked .*)$|`(siked [^`]*)`", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    for line in line
    if line
]


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=lambda text: text)
def test_a_command_that_is_shown_can_be_given(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    depth = 2 if tuple(words[:2]) in COMMANDS else 1
    command = COMMANDS[tuple(words[:depth])]
    flags = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word[:2] == "--"} <= flags
    given = [words[place + 1] for place, word in enumerate(words) if word == "--preset"]
    assert {name for names in given for name in names.split(",")} <= set(preset_names())


# Pictures


@pytest.mark.parametrize("picture", sorted((DOCS / "pictures").glob("*.svg")), ids=lambda path: path.name)
def test_a_picture_says_what_it_shows_and_takes_nothing_from_elsewhere(picture: Path) -> None:
    from xml.etree import ElementTree

    text = picture.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    for part in ("title", "desc"):
        assert root.find(f"{space}{part}").text  # type: ignore[union-attr]
    assert "href" not in text
    assert "url(http" not in text
    shown = [page for page in DOCS.rglob("*.md") if f"pictures/{picture.name})" in page.read_text(encoding="utf-8")]
    assert shown, "no page shows it"
    for page in shown:
        (told,) = set(re.findall(rf"!\[([^\]]*)\]\(pictures/{picture.name}\)", page.read_text(encoding="utf-8")))
        assert len(told) > 40, "its text for those who do not see it"


# The site


def test_the_site_takes_pages_that_it_does_not_know(load: Callable[[Path], ModuleType]) -> None:
    pytest.importorskip("mkdocs")
    hooks = load(DOCS / "site_hooks.py")
    named: set[str] = set()
    nav = [{"Start": [{"Home": "README.md"}, {"Gone": "gone.md"}]}, {"Methods": "methods/"}, {"Empty": ["gone.md"]}]
    found = {"README.md", "new.md", "methods/b.md", "methods/README.md"}
    assert hooks._fitted(nav, found, named) == [
        {"Start": [{"Home": "README.md"}]},
        {"Methods": ["methods/README.md", "methods/b.md"]},
    ]
    assert found - named == {"new.md"}


# A release


def release_check() -> ModuleType:
    path = ROOT / ".ci" / "check-release"
    loader = importlib.machinery.SourceFileLoader("check_release", str(path))
    spec = importlib.util.spec_from_loader("check_release", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_file_that_has_the_version_has_the_same() -> None:
    assert release_check().faults(None) == []


def test_a_tag_of_another_version_is_not_released() -> None:
    assert f"the tag is v0.0.0, and would have to be v{PROJECT['version']}" in release_check().faults("v0.0.0")


def test_the_citation_has_what_its_format_asks_for() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "version", "license"} <= cited.keys()
    assert cited["license"] == PROJECT["license"]
    (paper,) = cited["references"]
    page = (DOCS / "cite.md").read_text(encoding="utf-8")
    assert paper["doi"] in page
    assert all(author["family-names"] in page for author in paper["authors"])


# Workflows and hooks


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_targets_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["jobs"]
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", MAKEFILE, re.MULTILINE)) | {"test-newest"}
    for line in re.findall(r"run: make (.*)$", text, re.MULTILINE):
        asked = [word for word in shlex.split(re.sub(r"\$\{\{.*?\}\}", "*", line)) if "=" not in word]
        assert {word for word in asked if "*" not in word} <= targets


def test_the_workflow_runs_every_tier() -> None:
    (tiers,) = re.findall(r"^tiers=\((.*)\)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    assert set(tiers.split()) == set(jobs["tiers"]["strategy"]["matrix"]["tier"])
    versions = {f"3.{minor}" for minor in (11, 12, 13)}
    matrix = jobs["tiers"]["strategy"]["matrix"]
    assert {*matrix["python"], *(one["python"] for one in matrix["include"])} == versions
    assert all(f"Programming Language :: Python :: {version}" in PROJECT["classifiers"] for version in versions)


def test_hooks_before_a_commit_need_no_network() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [one["repo"] for one in config["repos"]] == ["local"]
    assert {hook["language"] for hook in config["repos"][0]["hooks"]} == {"system"}
