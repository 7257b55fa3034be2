"""What every test runs under: one thread, no network, no terminal, every plugin switched on, no stopwatch."""

from __future__ import annotations

import os

# Before anything imports torch, which reads them once. Tests share two cores, and threads that wait must not spin.
os.environ.update(
    {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
    }
)
os.environ.pop("SIKED_DISABLE_PLUGINS", None)
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)

import importlib.util
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

# A deadline for single examples fails on a machine that is busy with something else.
settings.register_profile("siked", deadline=None, print_blob=True)
settings.load_profile("siked")
# A shell's background job begins with Ctrl-C ignored, and hands that on to the commands that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Said:
    """What a command wrote."""

    out: str
    err: str


@pytest.fixture
def siked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Said]:
    """Run a siked command in an empty directory, in this process; it must end with `code`."""
    from siked_cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIKED_RUNS", raising=False)

    def command(*arguments: str, code: int = 0) -> Said:
        ended = main(arguments)
        captured = capsys.readouterr()
        assert ended == code, f"{arguments}\n{captured.out}\n{captured.err}"
        return Said(captured.out, captured.err)

    return command


@pytest.fixture
def siked_says(siked: Callable[..., Said]) -> Callable[..., str]:
    """What a command says on stdout, or on stderr where it is to fail."""

    def command(*arguments: str, code: int = 0) -> str:
        said = siked(*arguments, code=code)
        return said.out if code == 0 else said.err

    return command


@pytest.fixture(scope="session")
def load() -> Callable[[Path], ModuleType]:
    """Make a module of a file that no package holds, such as a benchmark."""

    def module_of(path: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        sys.path.insert(0, str(path.parent))  # as where it is run: it may import its neighbours
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(str(path.parent))
        return module

    return module_of


class Begun(subprocess.Popen[str]):
    """A siked command in a process of its own, whose words can be followed."""

    def until(self, beginning: str) -> None:
        """Read what it says up to the first line that begins so."""
        assert self.stderr is not None
        for line in self.stderr:
            if line.startswith(beginning):
                return
        raise AssertionError(f"it never said '{beginning}'")


@pytest.fixture(scope="session")
def begun() -> Callable[..., Begun]:
    """Begin a siked command in a folder."""

    def command(folder: Path, *arguments: str) -> Begun:
        return Begun(
            [sys.executable, "-m", "siked_cli", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return command


@pytest.fixture(scope="session")
def scholar(load: Callable[[Path], ModuleType]) -> ModuleType:
    """The module `scholar` beside this file: it trains a tiny teacher that knows a few problems."""
    return load(Path(__file__).with_name("scholar.py"))


@pytest.fixture(scope="session")
def fake_api(load: Callable[[Path], ModuleType]) -> ModuleType:
    """The module `fake_api` beside this file: a server that speaks the OpenAI API, well or badly."""
    return load(Path(__file__).with_name("fake_api.py"))


@pytest.fixture
def api(fake_api: ModuleType) -> Iterator[Any]:
    """A server of its kind, closed at the end."""
    server = fake_api.FakeApi()
    yield server
    server.close()


@pytest.fixture(scope="session")
def untied_pocket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pocket base with an output layer of its own: vLLM on a CPU can be given other weights of such a model."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from siked_core.registry import Registry

    base = Registry.discover().create("model", "pocket").folder()
    model = AutoModelForCausalLM.from_pretrained(base)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = type(model.lm_head.weight)(model.get_input_embeddings().weight.detach().clone())
    folder = tmp_path_factory.mktemp("untied")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs on toys, to be read: `whole` and `other`, finished, each strategy forced, and in `whole` with
    baselines; `begun`, in which the teacher alone has worked."""
    from siked_core.loop import distill
    from siked_core.recipe import validate
    from siked_core.reporting import SilentReporter
    from siked_core.run import start
    from siked_core.stages.teach import teach
    from siked_core.testing import make_tiny_student, toy_recipe, toy_registry

    folder = tmp_path_factory.mktemp("toy-runs")
    tiny = make_tiny_student(tmp_path_factory.mktemp("tiny"))
    asked = {"max_tokens": 8, "selector": "own-choice", "forced": True}
    prices = {"models": {"toy-teacher": {"input": 1.0, "output": 2.0}}}
    for name in ("whole", "other", "begun"):
        rest = {"seed": 1, "baselines": "single"} if name == "whole" else {"seed": 2 if name == "other" else 1}
        changes = {**rest, "evaluation": asked, "prices": prices}
        with start(
            validate(toy_recipe(tiny, **changes)), toy_registry(), SilentReporter(), runs=folder, name=name
        ) as run:
            teach(run) if name == "begun" else distill(run)
    return folder
