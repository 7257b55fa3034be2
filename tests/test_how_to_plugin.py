"""docs/how-to-plugin.md, command by command and file by file, as a reader would follow it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "how-to-plugin.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
QUICK = "siked distill"
"""How the command begins that takes long."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, layered: Callable[..., Any]) -> Any:
    """An environment whose `pip` and `siked` are its own, and use nothing but what is on this machine."""
    made = layered(tmp_path_factory.mktemp("how-to") / "environment")
    programs = {
        "pip": '-m pip "$1" --quiet --no-deps --no-index --no-build-isolation --disable-pip-version-check "${@:2}"',
        "siked": '-m siked_cli "$@"',
        "pytest": '-m pytest -p no:cacheprovider "$@"',
    }
    for name, arguments in programs.items():
        file = made.folder / "bin" / name
        file.write_text(f'#!/usr/bin/env bash\nexec "$(dirname "$0")/python" {arguments}\n')
        file.chmod(0o755)
    return made


def follow(environment: Any, folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Write the files and run the commands that are wanted, in the page's order; what the commands said."""
    said = []
    for language, file, content in BLOCKS:
        if file:
            assert (folder / file).exists(), "the page changes what the template wrote"
            (folder / file).write_text(content, encoding="utf-8")
            continue
        assert language == "bash"
        for command in filter(wanted, content.splitlines()):
            done = environment.run("bash", "-c", command, cwd=folder)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said.append(f"{command}\n{done.stdout}")
    return said


@pytest.mark.slow
def test_a_reader_who_follows_the_page_has_a_student(environment: Any, tmp_path: Path) -> None:
    said = "\n".join(follow(environment, tmp_path, lambda command: True))
    assert re.search(r"strategy +checked +siked-strategy-checked 0\.1\.0 +active", said)
    assert "strategy checked (siked-strategy-checked 0.1.0): of 12 rules 12 kept" in said
    assert "13 passed" in said
    assert (tmp_path / "runs" / "first" / "report.json").exists()
    assert "checked" in said.split(QUICK)[-1]


def test_the_page_is_one_page() -> None:
    assert PAGE.count("\n") <= 150
    assert subprocess.run(["bash", "-n"], input="\n".join(c for _, f, c in BLOCKS if not f), text=True, check=True)
