"""What is touched often answers at once: help, lists and completion, and nothing heavy is imported for them."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from siked_cli import completions
from siked_cli.commands import ABOUT, LISTED, MODULES
from siked_cli.main import app, main

HEAVY = [
    "torch",
    "transformers",
    "polars",
    "pyarrow",
    "trl",
    "peft",
    "datasets",
    "accelerate",
    "sympy",
    "openai",
    "ray",
]
HELP_ALONE = ["siked_core", "pydantic", "rich.console", "yaml"]
"""What `siked --help` does without as well."""
WATCH = """
import importlib.abc, json, sys

class Watch(importlib.abc.MetaPathFinder):
    found = {}

    def find_spec(self, name, path=None, target=None):
        if name in FORBIDDEN and name not in self.found:
            frame, chain = sys._getframe(1), []
            while frame is not None:
                module = frame.f_globals.get("__name__", "")
                if not module.startswith("importlib") and module not in chain[-1:]:
                    chain.append(module)
                frame = frame.f_back
            self.found[name] = " <- ".join(chain)

sys.meta_path.insert(0, Watch())
from siked_cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(Watch.found), file=sys.stderr)
"""


def imported(folder: Path, forbidden: list[str], *arguments: str, **environment: str) -> dict[str, str]:
    """Those of the forbidden modules that a command imported, each with the chain of modules that asked for it."""
    done = subprocess.run(
        [sys.executable, "-c", f"FORBIDDEN = {forbidden!r}\n{WATCH}", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stderr.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def with_a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is listed with its accuracy."""
    from siked_core.recipe import validate

    folder = tmp_path_factory.mktemp("startup")
    run = folder / "runs" / "mine"
    (run / "scorecards").mkdir(parents=True)
    recipe = validate({}).model_dump(mode="json")
    content = {"format": 1, "finished": False, "created": "2026-01-01T00:00:00Z", "recipe": recipe, "stages": {}}
    (run / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    score = {"total": 4, "correct": 3, "accuracy": 0.75, "interval": [0.3, 0.95]}
    card = {"dataset": "pocket", "split": "validation", "student": "round-0", "score": score}
    (run / "scorecards" / "one.json").write_text(json.dumps(card), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "line",
    ["distill --help", "plugins list", "runs", "recipe show pocket"],
)
def test_nothing_heavy_is_imported(with_a_run: Path, line: str) -> None:
    assert imported(with_a_run, HEAVY, *line.split()) == {}


@pytest.mark.parametrize("line", ["verify ", "distill --mixing "])
def test_completion_imports_nothing_heavy(with_a_run: Path, line: str) -> None:
    environment = {"_SIKED_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": f"siked {line}"}
    assert imported(with_a_run, HEAVY, **environment) == {}


def test_help_imports_nothing_of_the_core_and_no_command(tmp_path: Path) -> None:
    modules = [f"siked_cli.{MODULES.get(name, name)}" for name in ABOUT]
    assert imported(tmp_path, [*HEAVY, *HELP_ALONE, *modules], "--help") == {}


def test_the_offender_is_named(tmp_path: Path) -> None:
    """The watch itself: what imports pydantic is told, with who asked for it."""
    found = imported(tmp_path, ["siked_core", "no_such_module"], "plugins", "list")
    assert list(found) == ["siked_core"]
    assert found["siked_core"].startswith("siked_cli.plugin")
    assert found["siked_core"].endswith("__main__")


def test_help_costs_little_more_than_the_library(load: Callable[[Path], ModuleType]) -> None:
    """Of paired runs the median, so that a busy machine does not decide; `benchmarks/startup.py` has the figures."""
    startup = load(Path(__file__).parents[1] / "benchmarks" / "startup.py")
    found = startup.measure(3, ["siked --help"])["siked --help"]
    assert found["ratio"]["median"] <= 1.5, found


# The table of commands


def test_the_commands_say_of_themselves_what_the_table_says() -> None:
    group: Any = typer.main.get_command(app)
    assert list(group.commands) == list(ABOUT)
    for name, about in ABOUT.items():
        said = " ".join((group.commands[name].help or "").split("\n\n", 1)[0].split())
        assert said.replace("`", "") == about, name


def test_every_command_is_in_the_help(siked_says: Callable[..., str]) -> None:
    shown = siked_says("--help")
    for heading, named in LISTED.items():
        assert f"\n{heading}:\n" in shown
        for name in named:
            assert f"\n  {name} " in shown


def test_every_module_of_the_table_is_a_command() -> None:
    for name in ABOUT:
        module = importlib.import_module(f"siked_cli.{MODULES.get(name, name)}")
        assert hasattr(module, "command") or hasattr(module, "app")


# Completion


def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: str, line: str) -> str:
    """What a shell is told for a line that ends where the cursor is."""
    words = line.split(" ")
    told: Mapping[str, str] = {
        "_SIKED_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("siked di", ["distill"]),
        ("siked distill --max-", ["--max-cost", "--max-tokens", "--max-hours"]),
        ("siked distill --preset pocket-", ["pocket-full", "pocket-smoke"]),
        ("siked distill --preset pocket,dco", ["pocket,dcot"]),
        ("siked distill --strategies cot,po", ["cot,pot"]),
        ("siked distill --strategies cot,co", []),
        ("siked distill --mode f", ["forced", "free"]),
        ("siked distill --set training.epo", ["training.epochs="]),
        ("siked distill --no-plugin adap", ["adaptive"]),
        ("siked verify ", ["mine"]),
        ("siked verify --runs nowhere ", []),
        ("siked distill --run mi", ["mine"]),
        ("siked plugins show adapt", ["adaptive"]),
        ("siked plugins list --kind sel", ["selector"]),
        ("siked recipe show pocket-s", ["pocket-smoke"]),
    ],
)
def test_bash_is_offered(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    with_a_run: Path,
    line: str,
    words: list[str],
) -> None:
    monkeypatch.chdir(with_a_run)
    monkeypatch.delenv("SIKED_RUNS", raising=False)
    assert offered(monkeypatch, capsys, "bash", line).split() == words


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_what_a_word_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], with_a_run: Path, shell: str
) -> None:
    monkeypatch.chdir(with_a_run)
    monkeypatch.setenv("SIKED_RUNS", "runs")
    assert "pocket, pocket" in offered(monkeypatch, capsys, shell, "siked verify ")
    assert "Distil a teacher" in offered(monkeypatch, capsys, shell, "siked dis")
    assert "The embedded world" in offered(monkeypatch, capsys, shell, "siked distill --preset pocket")


def test_completion_leaves_out_what_it_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context: Any = type("Context", (), {"params": {"runs": tmp_path}})()
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"recipe": {}}'), ("d[1]", "\xff")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text, encoding="latin-1")
    assert completions.runs(context, "") == [("a", ""), ("b", ""), ("c", ""), ("d[1]", "")]
    assert completions.runs(context, "d[") == [("d[1]", "")]


def test_a_plugin_that_is_broken_or_hostile_does_not_break_completion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, code in (
        ("broken", "raise RuntimeError('no')"),
        (
            "loud",
            "import siked_core\nclass Loud(siked_core.Verifier):\n"
            "    '''[/bold]\\x1b[31m A $(touch pwned) `touch pwned` verifier'''\n    name = 'loud'\n"
            "    def answers(self, rationale): ...\n    def compare(self, claim, problem): ...\n"
            "    def prepare(self, *a): ...\n"
            "Loud.__abstractmethods__ = frozenset()\n"
            "@siked_core.hookimpl\ndef siked_verifiers(): return [Loud]\n",
        ),
    ):
        info = tmp_path / f"siked_{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: siked-{name}\nVersion: 1\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[siked]\n{name} = siked_{name}\n", encoding="utf-8")
        (tmp_path / f"siked_{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = offered(monkeypatch, capsys, "zsh", "siked plugins show lou")
    assert '"loud"' in told
    assert "\x1b" not in told
    assert "\\$(touch" in told
    assert "\\`touch" in told
