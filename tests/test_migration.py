"""Runs of older and newer formats: read, migrated, refused; and killed in the middle of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from siked_core import manifest as manifests
from siked_core import migration
from siked_core.errors import FormatError, RunError
from siked_core.files import write_text
from siked_core.manifest import FORMAT, read_manifest, write_manifest
from siked_core.migration import MIGRATIONS, Change, migrate

FORMATS = Path(__file__).parent / "formats"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run of format 1 with a pilot, under runs/ of the test's directory."""
    run = tmp_path / "runs" / "old"
    shutil.copytree(FORMATS / "1", run)
    (run / "quote").mkdir()
    shutil.copy(run / "manifest.json", run / "quote")
    return run


def renamed(run: Path, manifest: Mapping[str, Any]) -> Change:
    """A step that gives the manifest another key, writes one file anew, and adds one."""
    kept = {key: value for key, value in manifest.items() if key != "created"}
    recipe = run / "recipe.yaml"
    before = recipe.read_text(encoding="utf-8") if recipe.exists() else ""
    assert "# of format 2" not in before, "a step reads what the older siked wrote"
    return Change(
        {**kept, "made": manifest["created"]},
        {
            "recipe.yaml": lambda path: write_text(path, f"# of format 2\n{before}"),
            "notes/of-2.txt": lambda path: write_text(path, "new"),
        },
    )


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As though this siked worked in format 3."""
    monkeypatch.setattr(manifests, "FORMAT", 3)
    monkeypatch.setattr(migration, "FORMAT", 3)
    third = {1: renamed, 2: lambda run, manifest: Change({**manifest, "third": True})}
    monkeypatch.setattr(migration, "MIGRATIONS", third)


def content(run: Path) -> dict[str, bytes]:
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file() and path.name != "run.lock"
    }


def test_there_is_a_run_of_every_format_and_a_way_to_today_s() -> None:
    numbers = sorted(int(path.name) for path in FORMATS.iterdir() if path.is_dir())
    assert numbers == list(range(1, FORMAT + 1))
    assert sorted(MIGRATIONS) == list(range(1, FORMAT))


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_run_of_every_format_goes_on(number: int, siked: Callable[..., Any], tmp_path: Path) -> None:
    shutil.copytree(FORMATS / str(number), tmp_path / "runs" / "old")
    siked("run", "migrate", "old")
    assert "is sound" in siked("run", "check", "old").out
    (row,) = json.loads(siked("runs", "--json").out)
    assert (row["state"], row["last_stage"]) == ("unfinished", "mix round-0")
    shutil.rmtree(tmp_path / "runs" / "old" / "mixtures")
    mixed = siked("mix", "old", "--round", "0").out
    assert "Mixture of round 0  23 rows" in mixed


def test_a_run_that_tells_no_number_is_of_format_1(old: Path) -> None:
    manifest = read_manifest(old)
    del manifest["format"]
    write_manifest(old, manifest)
    assert manifests.format_of(manifests.read_any(old)) == 1


@pytest.mark.parametrize("number", ["2", None, 0, True])
def test_a_format_that_is_no_number_is_damage(number: object, old: Path, siked: Callable[..., Any]) -> None:
    write_manifest(old, {**read_manifest(old), "format": number})
    with pytest.raises(RunError, match=r"its format is .* not a number from 1\. `siked run repair"):
        read_manifest(old)
    assert "manifest.json" in siked("run", "check", "old", code=1).out
    siked("run", "repair", "old")
    assert read_manifest(old)["format"] == FORMAT


def test_a_newer_format_is_refused_with_the_siked_that_is_needed(old: Path, siked: Callable[..., Any]) -> None:
    newer = {"from": 1, "to": 9, "kept": "migrated/1", "siked": "4.2"}
    write_manifest(old, {**read_manifest(old), "format": 9, "migrated": [newer]})
    before = content(old)
    for command in (["run", "check"], ["run", "repair"], ["run", "migrate"], ["verify"], ["why"]):
        said = siked(*command, "old", *(["x"] if command == ["why"] else []), code=2)
        assert said.err.count("\n") == 1
        assert "siked 4.2 wrote it. Install that version or a later one" in said.err
    assert "another siked's" in siked("runs").out
    assert content(old) == before


@pytest.mark.usefixtures("two_steps")
def test_an_older_format_is_brought_to_today_s_and_what_is_replaced_is_kept(
    old: Path, siked: Callable[..., Any]
) -> None:
    before = content(old)
    said = siked("verify", "old", code=2).err
    assert "is in format 1, of siked 0.1.0; this siked works in format 3. `siked run migrate" in said
    assert "siked run migrate" in siked("run", "check", "old", code=2).err
    assert "another siked's" in siked("runs").out
    assert content(old) == before

    done = json.loads(siked("run", "migrate", "old", "--json").out)
    assert (done["before"], done["after"]) == (1, 3)
    assert [Path(folder).name for folder in done["kept"]] == ["1", "2"]
    manifest = read_manifest(old)
    assert (manifest["format"], manifest["third"], "created" in manifest) == (3, True, False)
    assert [(step["from"], step["to"], step["kept"]) for step in manifest["migrated"]] == [
        (1, 2, "migrated/1"),
        (2, 3, "migrated/2"),
    ]
    assert (old / "recipe.yaml").read_bytes() == b"# of format 2\n" + before["recipe.yaml"]
    assert read_manifest(old / "quote")["format"] == 3
    kept = content(old / "migrated" / "1")
    assert kept == {name: before[name] for name in ("manifest.json", "recipe.yaml")}
    assert "there was nothing to do" in siked("run", "migrate", "old").out

    # And back, as the module says.
    for name in ("recipe.yaml", "manifest.json"):
        shutil.copy(old / "migrated" / "1" / name, old)
    assert {name: one for name, one in content(old).items() if name in before and "quote" not in name} == {
        name: one for name, one in before.items() if "quote" not in name
    }


@pytest.mark.usefixtures("two_steps")
def test_a_format_without_a_way_is_refused_before_anything_is_changed(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "MIGRATIONS", {1: renamed})
    before = content(old)
    with pytest.raises(RunError, match="no way from format 2 to 3"):
        migrate(old)
    assert content(old) == before


@pytest.mark.usefixtures("two_steps")
def test_a_migration_that_was_begun_has_to_be_finished_first(old: Path, siked: Callable[..., Any]) -> None:
    record = {"from": 1, "to": 2, "kept": "migrated/1", "siked": "0.1.0"}
    shutil.copytree(old, old / "migrated" / "1", ignore=shutil.ignore_patterns("[!mr]*", "m[!a]*", "migrated"))
    write_manifest(old, {**manifests.read_any(old), "format": 2, "migrating": record})
    with pytest.raises(FormatError, match="was interrupted"):
        read_manifest(old)
    siked("run", "migrate", "old")
    assert read_manifest(old)["format"] == 3


KILLED_AT_EVERY_MOMENT = """
import os, shutil, signal, sys
from pathlib import Path
old, tests = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, tests)
import test_migration as toys
from siked_core import manifest, migration

manifest.FORMAT = migration.FORMAT = 2
migration.MIGRATIONS = {1: toys.renamed}
left = 0
for name in ("replace", "link", "unlink", "fsync"):
    def counted(*arguments, _real=getattr(os, name), **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return _real(*arguments, **options)
    setattr(os, name, counted)
for moment in range(1, 500):
    run = old.with_name(f"killed-{moment}")
    shutil.copytree(old, run)
    child = os.fork()
    if child == 0:
        left = moment
        migration.migrate(run)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        shutil.rmtree(run)
        sys.exit(os.WEXITSTATUS(status))
sys.exit("it never ended")
"""


@pytest.mark.slow
@pytest.mark.usefixtures("two_steps")
def test_a_kill_at_any_moment_loses_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process for each system call that changes the disk, killed at it; then the same command finishes the work."""
    shutil.rmtree(old / "quote")
    before = content(old)
    command = [sys.executable, "-c", KILLED_AT_EVERY_MOMENT, str(old), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(manifests, "FORMAT", 2)
    monkeypatch.setattr(migration, "FORMAT", 2)
    killed = sorted(old.parent.glob("killed-*"))
    states = set()
    for run in killed:
        found = manifests.read_any(run)
        states.add((found["format"], "migrating" in found))
        if found["format"] == 1:  # nothing has been replaced
            now = content(run)
            assert {name: now[name] for name in before} == before
        else:  # what was replaced is there
            kept = content(run / "migrated" / "1")
            assert kept == {name: before[name] for name in ("manifest.json", "recipe.yaml")}
        migrate(run)
        manifest = read_manifest(run)
        assert (manifest["format"], manifest["made"]) == (2, json.loads(before["manifest.json"])["created"])
        assert (run / "recipe.yaml").read_bytes() == b"# of format 2\n" + before["recipe.yaml"]
        assert (run / "notes" / "of-2.txt").read_text() == "new"
        copies = [content(copy) for copy in (run / "migrated").iterdir()]
        assert any(copy.get("recipe.yaml") == before["recipe.yaml"] for copy in copies)
    assert states == {(1, False), (2, True), (2, False)}
    assert len(killed) > 15
