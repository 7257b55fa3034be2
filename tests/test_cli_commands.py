"""The commands that need no run, and every mistake that must be one line, exit code 2, and nothing made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from siked_core import __version__
from siked_core.recipe import preset_names, validate
from siked_core.registry import KINDS, Registry

HEAVY = ("torch", "transformers", "polars", "trl", "peft", "datasets", "sympy")


Siked = Callable[..., Any]


def test_version(siked: Siked) -> None:
    assert siked("--version").out == f"siked {__version__}\n"


def test_what_a_file_says_cannot_command_the_terminal(siked: Siked) -> None:
    said = siked("distill", "no\x1b[2J.yaml", code=2)
    assert "no\\x1b[2J.yaml" in said.err
    assert "\x1b" not in said.err


def test_every_command_has_help(siked: Siked) -> None:
    from siked_cli.main import app

    commands = typer.main.get_command(app).commands
    groups = {name: list(one.commands) for name, one in commands.items() if hasattr(one, "commands")}
    calls = [[name] for name in commands if name not in groups]
    calls += [[group, name] for group, inner in groups.items() for name in inner]
    assert len(calls) >= 25
    for call in calls:
        said = siked(*call, "--help")
        assert "Usage: siked " + " ".join(call) in said.out


def test_distill_says_which_recipe_key_each_option_sets(siked: Siked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = siked("distill", "--help").out
    keys = """strategies dataset data.path teacher.generator student.model verifiers mixing.policy evaluate data.limit
        stopping.rounds rollout.samples rollout.mode training.epochs training.learning_rate seed baselines preset"""
    for key in keys.split():
        assert f"({key})" in shown, key


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["distill", "--help"], ["plugins", "list"], ["plugins", "show", "cot"], ["recipe", "show"], ["runs"]],
    ids=" ".join,
)
def test_quick_commands_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom siked_cli.main import main\n"
        f"assert main({arguments!r}) == 0\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "loaded: []"


def test_the_command_is_also_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "siked_cli", "distill", "--strategies", "cat"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: Unknown strategy 'cat'. Did you mean 'cot'?")
    assert done.stderr.count("\n") == 1


# Plugins


def test_plugins_list_shows_every_plugin_that_is_installed(siked: Siked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = siked("plugins", "list").out
    listed = json.loads(siked("plugins", "list", "--json").out)
    entries = Registry.discover().entries
    assert [(one["kind"], one["name"]) for one in listed] == [(entry.kind, entry.name) for entry in entries]
    for entry in entries:
        line = next(line for line in shown.splitlines() if line.split()[:2] == [entry.kind, entry.name])
        assert entry.status in line
        assert f"{entry.distribution} {entry.version}" in line
        assert (entry.summary or entry.why)[:40] in line


def test_plugins_list_of_one_kind(siked: Siked) -> None:
    listed = json.loads(siked("plugins", "list", "--kind", "mixing_policy", "--json").out)
    assert {one["kind"] for one in listed if one["status"] == "active"} == {"mixing_policy"}
    assert {"adaptive", "all", "self_only", "teacher_only"} <= {one["name"] for one in listed}


def test_a_plugin_that_is_switched_off_is_listed_as_such(siked: Siked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIKED_DISABLE_PLUGINS", "strategy:pot, nothing-of-this-name")
    listed = json.loads(siked("plugins", "list", "--no-plugin", "cot", "--json").out)
    off = {one["name"]: one["why"] for one in listed if one["status"] == "disabled"}
    assert off == {"cot": "switched off by 'cot'", "pot": "switched off by 'strategy:pot'"}


def test_plugins_show_tells_options_source_and_origin(siked: Siked) -> None:
    content = json.loads(siked("plugins", "show", "cot", "--json").out)[0]
    options = {option["name"]: option for option in content["options"]}
    assert options["shots"] == {
        "name": "shots",
        "type": "int, at least 0",
        "required": False,
        "default": 8,
        "description": "worked examples in the teacher's prompt",
    }
    path, _, line = content["source"].rpartition(":")
    assert Path(path).name == "cot.py"
    assert Path(path).read_text(encoding="utf-8").splitlines()[int(line) - 1].startswith("class ")
    assert (content["distribution"], content["version"]) == ("siked", __version__)
    shown = siked("plugins", "show", "cot").out
    for text in ("shots", "int, at least 0", "worked examples in the teacher's prompt", "cot.py:", "siked 0.1.0"):
        assert text in shown


def test_plugins_show_names_every_kind_that_has_the_name(siked: Siked) -> None:
    kinds = {one["kind"] for one in json.loads(siked("plugins", "show", "pocket", "--json").out)}
    assert {"dataset", "generator"} <= kinds
    one = json.loads(siked("plugins", "show", "pocket", "--kind", "dataset", "--json").out)
    assert [entry["kind"] for entry in one] == ["dataset"]


def test_required_options_and_unions_are_written_for_people(siked: Siked) -> None:
    content = json.loads(siked("plugins", "show", "transformers", "--json").out)[0]
    options = {option["name"]: option for option in content["options"]}
    assert options["model"]["required"]
    assert options["dtype"]["type"] == "'auto' or 'float32' or 'bfloat16' or 'float16'"
    assert options["chat_template"]["type"] == "text or none"


def test_a_broken_package_is_reported_and_the_rest_works(
    siked: Siked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "siked_broken-0.3.dist-info").mkdir(parents=True)
    (site / "siked_broken-0.3.dist-info" / "METADATA").write_text("Name: siked-broken\nVersion: 0.3\n", "utf-8")
    (site / "siked_broken-0.3.dist-info" / "entry_points.txt").write_text(
        "[siked]\nstrategy-tree = siked_broken\n", "utf-8"
    )
    (site / "siked_broken.py").write_text("import a_module_that_is_not_there\n", "utf-8")
    monkeypatch.syspath_prepend(str(site))
    listed = json.loads(siked("plugins", "list", "--json").out)
    (broken,) = (one for one in listed if one["status"] == "failed")
    assert (broken["name"], broken["distribution"], broken["version"]) == ("strategy-tree", "siked-broken", "0.3")
    assert "a_module_that_is_not_there" in broken["why"]
    assert {"cot", "pot"} <= {one["name"] for one in listed if one["status"] == "active"}
    assert "strategy-tree" in siked("plugins", "list", "--kind", "strategy").out, "its entry point tells its kind"
    assert "strategy-tree" not in siked("plugins", "list", "--kind", "verifier").out
    for name in ("strategy-tree", "tree"):
        shown = siked("plugins", "show", name).out
        assert "siked-broken 0.3" in shown
        assert "ModuleNotFoundError: No module named 'a_module_that_is_not_there'" in shown
    said = siked("distill", "--strategies", "cot,tree", code=2)
    assert said.err.startswith("Error: The strategy 'tree' (siked-broken 0.3) cannot be used: ModuleNotFoundError")
    assert said.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    # Switched off, it is not even imported.
    off = json.loads(siked("plugins", "list", "--no-plugin", "siked-broken", "--json").out)
    assert [one["status"] for one in off if one["distribution"] == "siked-broken"] == ["disabled"]


# Recipes


def test_a_shown_recipe_is_a_recipe(siked: Siked, tmp_path: Path) -> None:
    shown = siked("recipe", "show", "pocket-smoke", "--set", "training.epochs=2").out
    recipe = validate(yaml.safe_load(shown))
    assert (recipe.preset, recipe.training.epochs) == ("pocket-smoke", 2)
    (tmp_path / "mine.yaml").write_text(shown, encoding="utf-8")
    assert siked("recipe", "show", "mine.yaml").out == shown
    as_json = json.loads(siked("recipe", "show", "mine.yaml", "--json").out)
    assert validate(as_json) == recipe


def test_recipe_list_and_schema(siked: Siked) -> None:
    listed = json.loads(siked("recipe", "list", "--json").out)
    assert [one["name"] for one in listed] == preset_names()
    assert all(one["about"] for one in listed)
    schema = json.loads(siked("recipe", "schema").out)
    assert schema["properties"]["strategies"]["type"] == "array"
    assert schema["$defs"]["LoraRecipe"]["properties"]["r"]["default"] == 16


def test_options_and_assignments_become_recipe_keys(siked: Siked, tmp_path: Path) -> None:
    """What an option sets reaches the recipe: seen in the error of an unknown name at its place."""
    (tmp_path / "r.yaml").write_text("strategies: [{name: cot, options: {shots: 2}}]\n", encoding="utf-8")
    said = siked("distill", "r.yaml", "--set", "strategies=[{name: cot, options: {shot: 2}}]", code=2)
    assert "Unknown option of the strategy 'cot': 'shot'. Did you mean 'shots'?" in said.err


# Mistakes


BAD = {
    "unknown strategy": (["distill", "--strategies", "cot,pott"], "Unknown strategy 'pott'. Did you mean 'pot'?"),
    "strategy named twice": (["distill", "--strategies", "cot,cot"], "named twice"),
    "no strategy": (["distill", "--strategies", ""], "name at least one strategy"),
    "unknown mixing policy": (
        ["distill", "--mixing", "adaptve"],
        "Unknown mixing policy 'adaptve'. Did you mean 'adaptive'?",
    ),
    "unknown teacher": (["distill", "--teacher", "pockt"], "Unknown generator 'pockt'. Did you mean 'pocket'?"),
    "unknown data set": (["distill", "--dataset", "gsm9k"], "Unknown dataset 'gsm9k'. Did you mean 'gsm8k'?"),
    "unknown further data set": (["distill", "--evaluate", "svmp"], "Unknown dataset 'svmp'. Did you mean 'svamp'?"),
    "unknown verifier": (["distill", "--verifier", "pot=progam"], "Unknown verifier 'progam'. Did you mean 'program'?"),
    "verifier without strategy": (["distill", "--verifier", "program"], "--verifier takes strategy=verifier"),
    "verifier of another strategy": (["distill", "--verifier", "eot=equation"], "verifiers names the strategy 'eot'"),
    "unknown key": (["distill", "--set", "training.epoch=2"], "Did you mean 'epochs'?"),
    "key without value": (["distill", "--set", "training.epochs"], "--set takes key=value"),
    "value that does not fit": (["distill", "--set", "training.epochs=many"], "training.epochs"),
    "value out of range": (["distill", "--limit", "0"], "data.limit"),
    "unknown mode": (["distill", "--mode", "forcd"], "rollout.mode"),
    "unknown plugin option": (
        ["distill", "--set", "strategies=[{name: cot, options: {shot: 2}}]"],
        "Unknown option of the strategy 'cot': 'shot'. Did you mean 'shots'?",
    ),
    "missing plugin option": (["distill", "--teacher", "transformers"], "Missing option of the generator"),
    "no such bank": (
        ["distill", "--set", "strategies=[{name: cot, options: {bank: no.yaml}}]"],
        "There is no file or folder no.yaml (strategies.cot.options.bank)",
    ),
    "no such data": (["distill", "--dataset", "gsm8k", "--data", "no/where"], "There is no file or folder no/where"),
    "no such instruction": (
        ["distill", "--set", "student.instruction='@no.txt'"],
        "Cannot read the student's instruction",
    ),
    "no such recipe": (["distill", "no.yaml"], "Cannot read the recipe no.yaml: No such file or directory"),
    "preset given as a file": (["distill", "pocket-smoke"], "use --preset pocket-smoke"),
    "unknown preset": (["distill", "--preset", "pockt"], "Unknown preset 'pockt'. Did you mean 'pocket'?"),
    "no such student": (["distill", "--student", "./no/model"], "./no/model"),
    "student that is no hub name": (["distill", "--student", "not a name"], "There is no student 'not a name'"),
    "student off the hub": (["distill", "--student", "nobody/nothing"], "There is no student 'nobody/nothing'"),
    "unknown plugin switched off": (
        ["distill", "--no-plugin", "eott"],
        "--no-plugin: Unknown plugin 'eott'. Did you mean 'eot'?",
    ),
    "plugin switched off and asked for": (
        ["distill", "--no-plugin", "cot"],
        f"The strategy 'cot' (siked {__version__}) is disabled: switched off by 'cot'",
    ),
    "own verifier switched off": (["distill", "--no-plugin", "verifier:program"], "The verifier 'program'"),
    "unknown option": (["distill", "--strategie", "cot"], "No such option"),
    "option of another type": (["distill", "--rounds", "two"], "--rounds"),
    "one argument too many": (["distill", "a.yaml", "b.yaml"], "b.yaml"),
    "unknown command": (["distil"], "No such command 'distil'"),
    "teach checks as distill does": (["teach", "--strategies", "pott"], "Unknown strategy 'pott'"),
    "no such run to verify": (["verify", "pocket-001"], "There is no run at runs/pocket-001"),
    "no such run to mix": (["mix", "pocket-001", "--round", "0"], "There is no run at runs/pocket-001"),
    "no such run to train": (["train", "pocket-001", "--round", "0"], "There is no run at runs/pocket-001"),
    "no such run to roll out": (["rollout", "pocket-001", "--round", "1"], "There is no run at runs/pocket-001"),
    "round that has no rollout": (["rollout", "pocket-001", "--round", "0"], "--round must be 1 or more"),
    "missing round": (["train", "pocket-001"], "--round"),
    "no such run to evaluate": (["evaluate", "pocket-001"], "There is no run at runs/pocket-001"),
    "unknown split": (["evaluate", "pocket-001", "--split", "tset"], "Unknown split 'tset'. Did you mean 'test'?"),
    "no such run to ask": (["solve", "pocket-001", "1 + 1?"], "Unknown run 'pocket-001'"),
    "empty question": (["solve", "pocket-001", "  "], "The question is empty"),
    "unknown kind": (["plugins", "list", "--kind", "strategi"], "Did you mean 'strategy'?"),
    "unknown plugin": (["plugins", "show", "cott"], "Unknown plugin 'cott'. Did you mean 'cot'?"),
    "no such recipe to show": (["recipe", "show", "./no.yaml"], "Cannot read the recipe no.yaml"),
    "unknown preset to show": (["recipe", "show", "papr"], "Unknown preset 'papr'. Did you mean 'paper'?"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_line_and_nothing_is_made(
    siked: Siked, tmp_path: Path, arguments: list[str], message: str
) -> None:
    said = siked(*arguments, code=2)
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1, said.err
    assert message in said.err
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"strategies: [cot", "is not YAML"),
        (b"- a\n- b\n", "must be a mapping of keys"),
        (b"strategys: [cot]\n", "Unknown recipe key 'strategys'. Did you mean 'strategies'?"),
        (b"\xff\xfe", "not UTF-8"),
        (b"data: {path: no/where}\n", "There is no file or folder no/where (data.path)"),
        (b"preset: [1]\n", "must be a name"),
        (b"strategies: [{name: cot, options: {bank: bank.yaml}}]\n", "The prompt bank bank.yaml"),
    ],
)
def test_a_bad_recipe_is_one_line_and_nothing_is_made(
    siked: Siked, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    (tmp_path / "bank.yaml").write_text("shots: 8\n", encoding="utf-8")
    said = siked("distill", "r.yaml", "--json", code=2)
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    assert message in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bank.yaml", "r.yaml"]


def test_a_kind_can_be_listed_for_every_kind(siked: Siked) -> None:
    for kind in KINDS:
        assert siked("plugins", "list", "--kind", kind).out


# Runs


def test_runs_lists_what_is_there_and_what_is_damaged(siked: Siked, tmp_path: Path) -> None:
    assert "There is no run under runs" in siked("runs").out
    assert json.loads(siked("runs", "--json").out) == []
    recipe = validate({}).model_dump(mode="json")
    manifest = {
        "format": 1,
        "finished": False,
        "created": "2026-01-01T00:00:00Z",
        "recipe": recipe,
        "stages": {"teach": {"state": "done"}, "verify teacher": {"state": "running"}},
    }
    for name, text in (("pocket-001", json.dumps(manifest)), ("broken", "{")):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        (tmp_path / "elsewhere" / name / "manifest.json").write_text(text, encoding="utf-8")
    broken, good = json.loads(siked("runs", "--runs", "elsewhere", "--json").out)
    assert broken["state"].startswith("damaged")
    assert (good["state"], good["strategies"], good["stages_done"]) == ("unfinished", ["cot", "pot", "l2m"], ["teach"])
    shown = siked("runs", "--runs", "elsewhere").out
    assert "pocket-001" in shown
    assert "cot,pot,l2m" in shown
