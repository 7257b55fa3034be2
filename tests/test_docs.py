"""The documentation's code runs, and its tables are current."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from siked_core import RecipeError
from siked_core.recipe import resolve
from siked_core.registry import HOOKS, Registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (DOCS / "plugins.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
PLUGINS = {re.findall(r"^def (siked_\w+)", block, re.MULTILINE)[0]: block for block in BLOCKS if "@hookimpl" in block}


def load(hook: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of a documented plugin, found as a stranger's is."""
    module = f"documented_{hook}"
    (folder / f"{module}.py").write_text(PLUGINS[hook], encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    (entry,) = Registry.discover(points=[EntryPoint(hook, module, "siked")]).entries
    assert entry.status == "active", entry.why
    assert entry.kind == HOOKS[hook].kind
    return entry.plugin


@pytest.mark.parametrize("hook", sorted(HOOKS.keys() - {"siked_strategies"}))
def test_every_documented_plugin_is_one(hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(hook, tmp_path, monkeypatch)()


def test_the_documented_verifier_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import Claim, Problem, Rationale, Status

    verifier = load("siked_verifiers", tmp_path, monkeypatch)()
    claims = [
        Claim(Problem("1", "?", "Dark Blue"), Rationale("cot", "", source)) for source in (" dark  blue.", "red", "")
    ]
    assert [v.status for v in verifier.verify(claims)] == [Status.CORRECT, Status.WRONG, Status.NO_ANSWER]


def test_the_documented_tracker_writes_a_line_for_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import Figures, TrackedRun

    tracker = load("siked_trackers", tmp_path, monkeypatch)()
    name = tracker.open(TrackedRun("mine", tmp_path, {"seed": 1}, 0.0))
    tracker.log([Figures("train/round-0", 3, {"loss": 0.5, "learning_rate": 0.1}, 9.0)])
    assert Path(name) == tmp_path / "mine.csv"
    assert Path(name).read_text().splitlines() == [
        "9.0,3,train/round-0/loss,0.5",
        "9.0,3,train/round-0/learning_rate,0.1",
    ]


def test_the_documented_data_set_reads_and_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import DataError, Excluded, Problem

    plugin = load("siked_datasets", tmp_path, monkeypatch)
    (tmp_path / "train.csv").write_text("question,answer\nOne?,1\nTwo?,\nThree?, 3\nFour?,4\n")
    (tmp_path / "test.csv").write_text("question,result\nOne?,1\n")
    data = plugin({"path": tmp_path})
    assert data.splits() == ("train", "test")
    loaded = data.load("train", limit=2)
    assert loaded.problems == (Problem("train-2", "One?", "1"), Problem("train-4", "Three?", "3"))
    assert loaded.excluded == (Excluded("train-3", "it has no answer"),)
    with pytest.raises(DataError, match=r"test\.csv, line 1: there is no column answer\."):
        data.load("test")


def test_the_documented_selector_votes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import Attempt, Outcome, Status, Verdict, Wish

    selector = load("siked_selectors", tmp_path, monkeypatch)()
    assert selector.plan(["cot", "pot"]) == (Wish("cot"), Wish("pot"))
    crashed = Attempt(Wish("cot"), "cot", Verdict(Status.CRASHED))
    four, five = (Attempt(Wish(name), name, Verdict(Status.ANSWERED, answer), group)
                  for name, answer, group in (("cot", "4", 0), ("pot", "5", 1)))  # fmt: skip
    assert selector.select([crashed, four, five, five], {}) == 2
    assert selector.select([crashed, crashed], {}) == 0
    learnt = selector.fit([Outcome((four, five), (True, False))])
    assert selector.select([crashed, four, five, five], learnt) == 1


def test_the_documented_transform_takes_asides_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import MixtureRow, Problem, TransformContext
    from siked_plugins.strategies.cot import ChainOfThought

    transform = load("siked_transforms", tmp_path, monkeypatch)({"longest": 5})
    text = "2 (two) and 3 (which is one more than two) make 5.\nThe answer is 5."
    rows = [MixtureRow("k", Problem("p", "?", "5"), "cot", "teacher", 0, text)]
    (made,) = transform.transform(rows, TransformContext(0, {"cot": ChainOfThought()}, 1))
    assert made.rationale == "2 (two) and 3 make 5.\nThe answer is 5."


def test_the_documented_objective_levels_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core import ObjectiveContext, Prompt, TrainingExample, TrainingRow

    objective = load("siked_objectives", tmp_path, monkeypatch)()

    def tokenize(row: TrainingRow) -> TrainingExample:
        size = len(row.target)
        return TrainingExample((7,) * (size + 2), (-100, -100, *range(size)))

    rows = [TrainingRow(Prompt(()), "a" * size, "cot", weight) for size, weight in ((5, 1.0), (50, 2.0))]
    first, second = objective.examples(rows, ObjectiveContext(None, 99, 1, 1, tokenize))
    assert sum(
        weight for weight, label in zip(first.weights, first.labels, strict=True) if label != -100
    ) == pytest.approx(100)
    assert sum(
        weight for weight, label in zip(second.weights, second.labels, strict=True) if label != -100
    ) == pytest.approx(200)


def test_the_documented_generator_asks_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import json
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from siked_core import Completion, Message, ModelError, Problem, Prompt, Request, Sampling

    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            choice = {"message": {"content": "It is 4."}, "finish_reason": "stop"}
            body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    plugin = load("siked_generators", tmp_path, monkeypatch)
    request = Request(Problem("1", "2+2?", "4"), None, Prompt((Message("user", "2+2?"),)), 0, 2**40 + 3)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        found = list(plugin({"url": url}).generate([request], Sampling(0.7, 0.9, 32)))
        server.shutdown()
    assert found == [(0, Completion("It is 4.", "stop", 9, 5))]
    assert asked[0]["messages"] == [{"role": "user", "content": "2+2?"}]
    assert (asked[0]["temperature"], asked[0]["max_tokens"], asked[0]["seed"]) == (0.7, 32, 3)
    with pytest.raises(ModelError, match="Is the server running"):
        list(plugin({"url": url}).generate([request], Sampling()))


@pytest.mark.slow
def test_the_documented_test_passes(tmp_path: Path) -> None:
    """The block on testing, with the policy that it tests, under pytest in a process of its own."""
    (test,) = [block for block in BLOCKS if "def test_my_policy" in block]
    (tmp_path / "test_documented.py").write_text(PLUGINS["siked_mixing_policies"] + test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_documented.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# Recipes

RECIPES = (DOCS / "recipes.md").read_text(encoding="utf-8")


def test_the_tables_of_presets_and_keys_are_current(load: Callable[[Path], ModuleType]) -> None:
    module = load(DOCS / "make_recipe_table.py")
    assert module.written(RECIPES) == RECIPES, "run python docs/make_recipe_table.py"


def test_the_example_of_a_recipe_resolves(tmp_path: Path) -> None:
    (example,) = re.findall(r"\n\n((?:    .*\n)+)\n    siked distill my-recipe.yaml (.*)\n", RECIPES)
    path = tmp_path / "my-recipe.yaml"
    path.write_text("\n".join(line[4:] for line in example[0].splitlines()), encoding="utf-8")
    assert example[1] == "--set training.epochs=1 --seed 7"
    recipe = resolve(path, {"seed": 7}, ["training.epochs=1"])
    assert (recipe.preset, recipe.seed, recipe.training.epochs) == ("paper-qwen2-0.5b", 7, 1)
    assert recipe.strategies[2].options == {"shots": 4}


@pytest.mark.parametrize("assignment", ["student.lora.rank=8", "rollout.top_p=1.5"])
def test_the_messages_are_quoted_as_they_are(assignment: str) -> None:
    with pytest.raises(RecipeError) as raised:
        resolve(assignments=[assignment])
    assert f"\n    {raised.value}\n" in RECIPES


# Architecture


def test_the_tree_names_every_module_of_the_core_and_nothing_that_is_gone() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    (tree,) = re.findall(r"```\n(siked_core/ .*?)\nplugins/ ", page, re.DOTALL)
    named = set(re.findall(r"\b\w+\.py\b", tree))
    assert named == {path.name for path in (ROOT / "siked_core").rglob("*.py")} - {"__init__.py"}
    folders = {path.name for path in (ROOT / "plugins").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(re.findall(r"\b(\w+)/", page))


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    paths = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    paths = [(page.parent / path).resolve().relative_to(ROOT).as_posix() for path in paths]
    paths += re.findall(r"`((?:siked_core|plugins|cli|docs|examples|tests|benchmarks)/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
