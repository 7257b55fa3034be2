"""`--allow-unsafe-exec`: where programs cannot be caged they are refused, unless the user says otherwise.

The machine of these tests says that it is a riscv64, for which there is no seccomp filter: so no program can be caged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from siked_core import Completion, Generator, Options, Request, Sampling, SandboxError, Status, Verifier
from siked_core.models import SIDE_FILE
from siked_core.permission import permitted
from siked_core.registry import Registry
from siked_core.sandbox import client
from siked_core.solver import Solver
from siked_core.testing.toys import SameText, toy_registry
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.verifiers.program import ProgramVerifier

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere programs cannot be caged to begin with")
FLAG = "--allow-unsafe-exec"
RECIPE = ["--preset", "pocket-smoke", "--strategies", "cot,pot"]
BOOTSTRAP = client.BOOTSTRAP
UNCAGED = BOOTSTRAP.replace("main(int", "import platform; platform.machine = lambda: 'riscv64'\nmain(int")


@pytest.fixture
def siked(siked: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command in an empty directory, on a machine that cannot cage programs."""
    monkeypatch.setattr(client, "BOOTSTRAP", UNCAGED)
    return siked


@pytest.fixture
def caged_run(siked: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose teacher's pool was judged where programs can be caged."""
    monkeypatch.setattr(client, "BOOTSTRAP", BOOTSTRAP)
    siked("teach", *RECIPE, "--run", "safe")
    monkeypatch.setattr(client, "BOOTSTRAP", UNCAGED)
    return Path("runs/safe")


def recipe_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    return content


def stage(run: Path, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["stages"][name]
    return entry


def test_it_is_refused_in_one_line_that_names_the_flag_and_the_risk(siked: Any) -> None:
    said = siked("teach", *RECIPE, "--run", "here", "-q", code=2)
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert FLAG in said.err
    assert "read, change, delete and send anything that you can" in said.err
    # What was taught is kept: allowed, in a fork, it is judged and not sampled again.
    again = json.loads(siked("teach", *RECIPE, "--run", "here", "--fork", FLAG, "--json", "-q").out)
    assert again["samples"] == 48 * 2
    assert again["correct"] > 0


def test_a_run_made_with_it_says_so_in_its_recipe_and_every_time(siked: Any, caged_run: Path) -> None:
    said = siked("teach", *RECIPE, FLAG, "--run", "unsafe", "--json")
    assert "Warning" in said.err
    assert "send anything that you can" in said.err
    unsafe = Path("runs/unsafe")
    assert recipe_of(unsafe)["allow_unsafe_exec"] is True
    assert recipe_of(caged_run)["allow_unsafe_exec"] is False
    assert stage(unsafe, "verify teacher")["allow_unsafe_exec"] is True
    assert "allow_unsafe_exec" not in stage(caged_run, "verify teacher")
    # The stages after it need no flag, and say it again; the verdicts are those of the cage.
    verified = siked("verify", "unsafe", "--json")
    assert "allow_unsafe_exec is on" in verified.err
    assert json.loads(verified.out)["pools"]["teacher"]["correct"] == json.loads(said.out)["correct"]
    siked("mix", "unsafe", "--round", "0", "-q")
    # It is another recipe: the run that was made without it does not become unsafe by being continued.
    refused = siked("teach", *RECIPE, FLAG, "--run", "safe", code=2)
    assert "allow_unsafe_exec: false -> true" in refused.err


def test_a_recipe_file_can_say_it_and_the_warning_follows(siked: Any) -> None:
    Path("mine.yaml").write_text("preset: pocket-smoke\nstrategies: [pot]\nallow_unsafe_exec: true\n", encoding="utf-8")
    assert "allow_unsafe_exec is on" in siked("teach", "mine.yaml").err


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "safe", "--verifier", "cot=agreement", "--verifier", "pot=agreement"],
        ["audit", "safe", "--verifier", "agreement"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_for_this_once_the_recipe_stays_as_it_is(siked: Any, caged_run: Path, arguments: list[str]) -> None:
    """Also where the programs are run on behalf of another verifier."""
    before = (caged_run / "recipe.yaml").read_bytes()
    assert FLAG in siked(*arguments, code=2).err
    assert "send anything that you can" in siked(*arguments, FLAG).err
    assert (caged_run / "recipe.yaml").read_bytes() == before
    assert stage(caged_run, "verify teacher")["allow_unsafe_exec"] is True
    # What was judged in the cage is still there: nothing has to be run.
    siked("verify", "safe", "-q")


def test_verdicts_of_uncaged_programs_are_kept_apart(siked: Any, caged_run: Path) -> None:
    verdicts = [len(list((caged_run / "verdicts" / "teacher").glob("*.parquet")))]
    for _ in range(2):
        siked("verify", "safe", FLAG, "-q")
        verdicts.append(len(list((caged_run / "verdicts" / "teacher").glob("*.parquet"))))
    assert verdicts[0] < verdicts[1] == verdicts[2]


class Writer(Generator):
    """Writes one program."""

    name = "writer"

    class _Options(Options):
        model: str

    options_type = _Options

    @property
    def fingerprint(self) -> str:
        return "writer"

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        for place, _ in enumerate(requests):
            yield place, Completion("import fractions\nanswer = 6 * 7", "stop", 1, 1)


def test_a_students_folder_cannot_allow_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(client, "BOOTSTRAP", UNCAGED)
    side = {
        "strategies": [{"name": "pot", "options": {}}],
        "verifiers": {"pot": ["program", {"allow_unsafe_exec": True}]},
        "generator": {"name": "writer", "options": {}},
        "tag": "<{strategy}>\n",
        "max_tokens": 9,
    }
    (tmp_path / SIDE_FILE).write_text(json.dumps(side), encoding="utf-8")
    registry = toy_registry(Writer, ProgramOfThoughts, ProgramVerifier)
    with pytest.raises(SandboxError, match=FLAG):
        Solver(tmp_path, registry=registry).solve(["6 * 7?"], strategy="pot")
    (found,) = Solver(tmp_path, registry=registry, allow_unsafe_exec=True).solve(["6 * 7?"], strategy="pot")
    assert (found.verdict.status, found.verdict.answer) == (Status.ANSWERED, "42")


@pytest.mark.slow
def test_students_are_asked_and_scored_with_it_alone(siked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BOOTSTRAP", BOOTSTRAP)
    arguments = ["--preset", "pocket-smoke", "--strategies", "pot", "--run", "safe", "--rounds", "0", "-q", "--json"]
    caged = json.loads(siked("distill", *arguments).out)["rounds"][0]["validation"]["score"]
    monkeypatch.setattr(client, "BOOTSTRAP", UNCAGED)
    asked = ["solve", "safe", "Ann has 12 pens and buys 7 more. How many pens has Ann?", "--strategy", "pot", "--json"]
    assert FLAG in siked(*asked, code=2).err
    said = siked(*asked, FLAG)
    assert json.loads(said.out)["verdict"]["status"] != "refused"
    assert "send anything that you can" in said.err
    assert json.loads(siked("evaluate", "safe", FLAG, "--json", "-q").out)["score"] == caged
    assert recipe_of(Path("runs/safe"))["allow_unsafe_exec"] is False


def test_every_verifier_that_runs_programs_gets_the_users_word_and_no_other_does() -> None:
    registry = Registry.discover()
    found = {name for name in registry.names("verifier") if permitted(registry, name, {}, unsafe=True)}
    assert found == {"program", "equation", "ray"}
    for name in found - {"ray"}:  # which hands it on
        verifier: Verifier = registry.create("verifier", name, permitted(registry, name, {}, unsafe=True))
        assert verifier.options.allow_unsafe_exec
        verifier.close()
        options = {"allow_unsafe_exec": True, "timeout_s": 3}
        assert permitted(registry, name, options, unsafe=False) == {"allow_unsafe_exec": False, "timeout_s": 3}
    toys = toy_registry()
    assert permitted(toys, SameText.name, {}, unsafe=True) == {}
