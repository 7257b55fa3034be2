"""docs/cli.md names every command and every option, and none that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from siked_cli.main import QUIET_LIBRARIES, app
from siked_cli.switches import VARIABLE

PAGE = (Path(__file__).parents[1] / "docs" / "cli.md").read_text(encoding="utf-8")
NOT_OURS = {"--help", "--install-completion", "--show-completion", "--version"}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """("plugins list", its click command) of every command that is no group."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name.strip(), command
        return
    for child, one in inner.items():
        yield from commands(one, f"{name} {child}")


COMMANDS = dict(commands(typer.main.get_command(app)))


def options(command: Any) -> set[str]:
    return {
        flag
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
        if flag[:2] == "--"
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    group, _, command = name.rpartition(" ")
    assert f"siked {name} " in PAGE or f"siked {name}\n" in PAGE, name
    if group:
        assert re.search(rf"siked {group} .*\b{command}\b", PAGE.split("## ")[0]), "the overview names it"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_documented(name: str) -> None:
    missing = {option for option in options(COMMANDS[name]) - NOT_OURS if not re.search(rf"{option}\b", PAGE)}
    assert missing == set()


def test_no_documented_option_is_gone() -> None:
    known = set().union(*(options(command) for command in COMMANDS.values())) | NOT_OURS
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) <= known


def test_the_table_names_the_key_that_an_option_sets() -> None:
    helps = {
        parameter.opts[0]: parameter.help or ""
        for parameter in COMMANDS["distill"].params
        if parameter.opts[0][:2] == "--"
    }
    rows = re.findall(r"^\| `(--[a-z-]+)[^|]*\| `([\w.]+)` \|", PAGE, re.MULTILINE)
    assert len(rows) == 21
    for option, key in rows:
        assert f"(`{key}`)" in helps[option]
    assert set(helps) - {option for option, _ in rows} == {
        "--set",
        "--run",
        "--runs",
        "--fork",
        "--pools",
        "--keep-going",
        "--allow-unsafe-exec",
        "--no-plugin",
        "--json",
        "--quiet",
        "--plain",
    }


def test_environment_variables_are_documented() -> None:
    for name in ("SIKED_RUNS", VARIABLE, *QUIET_LIBRARIES):
        assert name in PAGE
    for name, value in QUIET_LIBRARIES.items():
        assert f"{name}={value}" in PAGE
