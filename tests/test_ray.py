"""Ray without a cluster: options, keys, what a worker refuses, and errors that need none."""

from __future__ import annotations

import builtins
import pickle
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import siked_core
from siked_core import (
    Completion,
    Generator,
    Message,
    ModelError,
    PluginError,
    Problem,
    Prompt,
    Rationale,
    RecipeError,
    Request,
    Sampling,
    SandboxError,
    Status,
    VerifierFault,
)
from siked_core.keys import sample_key
from siked_core.recipe import resolve, validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import start
from siked_core.spending import priced_as
from siked_core.stages.evidence import present_judges
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_plugins.generators.ray import RayGenerator, cluster
from siked_plugins.generators.ray.worker import Worker, failed, opened, order
from siked_plugins.generators.transformers import TransformersGenerator
from siked_plugins.verifiers.program import ProgramVerifier
from siked_plugins.verifiers.ray import RayVerifier

PROMPT = Prompt((Message("user", "2+2?"),))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("models") / "student")


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"model": "m"},
        {"generator": "transformers", "model": "m"},
        {"generator": "transformers:m"},
        {"generator": {"name": "transformers", "options": {"model": "m"}}},
        {"generator": {"name": "transformers", "options": {"model": "m"}}, "model": "m"},
    ],
)
def test_the_model_may_be_named_in_any_place(registry: Registry, options: dict[str, Any]) -> None:
    made = registry.create("generator", "ray", options)
    assert type(made.original) is TransformersGenerator
    assert (made.options.model, made.original.options.model) == ("m", "m")
    recipe = resolve(changes={"teacher.generator": {"name": "ray", "options": options}})
    assert priced_as(recipe, "teacher") == "m"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"generator": "transformers:m", "model": "n"}, "two models, 'n' and, as the generator's, 'm'"),
        ({"model": "m", "address": "ray://host:10001"}, "Ray's client"),
        ({"model": "m", "workers": 0}, "not .least, most."),
        ({"model": "m", "workers": [4, 2]}, "not .least, most."),
        ({"model": "m", "cpus": 0}, "cpus"),
        ({"generator": "ray:m"}, "cannot spread its own work"),
        ({"generator": "transformer:m"}, "Did you mean 'transformers'"),
        ({"generator": {"name": "transformers", "options": {"model": "m", "batchsize": 3}}}, "batchsize"),
        ({"generator": "transformers"}, "model"),
    ],
)
def test_what_does_not_fit_is_refused(registry: Registry, options: dict[str, Any], why: str) -> None:
    with pytest.raises((RecipeError, PluginError), match=why) as raised:
        registry.create("generator", "ray", options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("asked", "range"), [(3, (3, 3)), ([2, 5], (2, 5)), (None, (1, 8))])
def test_workers_are_a_number_or_a_range(registry: Registry, asked: Any, range: tuple[int, int]) -> None:
    options = {"model": "m"} | ({} if asked is None else {"workers": asked})
    made = registry.create("generator", "ray", options)
    assert made.options.workers == range
    assert made.chunk_size == 2 * range[1] * made.original.chunk_size, "known before there is a cluster"


def test_what_the_core_gives_a_student_is_handed_on(registry: Registry) -> None:
    made = registry.create("generator", "ray", {"model": "m", "dtype": "bfloat16"})
    assert made.original.options.dtype == "bfloat16"
    assert registry.create("generator", "ray", {"model": "m"}).original.options.dtype == "auto"


def test_ray_is_named_when_it_is_not_there(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for made in (registry.create("generator", "ray", {"model": "m"}), registry.create("verifier", "ray")):
        with pytest.raises(PluginError, match=r"pip install 'siked\[ray\]'"):
            made.check_machine()


# What results are kept under


def test_samples_through_ray_and_without_have_one_key(registry: Registry, model: Path) -> None:
    def key(generator: Generator) -> str:
        return sample_key(Problem("p", "2+2?", "4"), None, PROMPT, 0, Sampling(1.0), generator, 1)

    through = registry.create("generator", "ray", {"model": str(model), "workers": 4, "batch": 7})
    directly = registry.create("generator", "transformers", {"model": str(model)})
    narrower = registry.create("generator", "transformers", {"model": str(model), "dtype": "bfloat16"})
    assert key(through) == key(directly) != key(narrower)
    assert through.batch_sensitive is directly.batch_sensitive is True
    assert through.rendered(PROMPT) == directly.rendered(PROMPT)
    pocket = registry.create("generator", "ray", {"generator": "pocket"})
    assert pocket.reads_solution
    assert key(pocket) == key(registry.create("generator", "pocket"))


def test_verdicts_through_ray_and_without_are_one(tmp_path: Path, model: Path) -> None:
    """By the strategy's own verifier where none is named; what a released student is used with needs no cluster."""
    from siked_core.stages.train import _speaks
    from siked_core.testing import ToyTeacher

    chosen = {"quiet": {"name": "ray"}, "loud": {"name": "ray", "options": {"verifier": "same_text"}}}
    student = {**toy_recipe(model)["student"], "generator": {"name": "ray", "options": {"generator": "toy-student"}}}
    recipe = validate(toy_recipe(model, verifiers=chosen, student=student))
    toys = toy_registry(RayVerifier, RayGenerator, ToyTeacher)
    with start(recipe, toys, SilentReporter(), runs=tmp_path) as run:
        with run.verifiers() as verifiers, run.verifiers(scoring=True) as scoring:
            assert {verifier.name for verifier in (*verifiers.values(), *scoring.values())} == {"ray"}
            through = present_judges(run, verifiers)
        spoken = _speaks(run)
    assert spoken["verifiers"] == {"loud": ["same_text", {}], "quiet": ["same_text", {}]}
    assert spoken["generator"] == {"name": "toy-student", "options": {}}
    plain = validate(toy_recipe(model))
    with start(plain, toys, SilentReporter(), runs=tmp_path) as run, run.verifiers() as verifiers:
        assert present_judges(run, verifiers) == through


@pytest.mark.parametrize("verifier", ["judge", "agreement", "ray"])
def test_verifiers_that_work_through_others_are_not_spread(registry: Registry, verifier: str) -> None:
    with pytest.raises(RecipeError, match="cannot spread"):
        registry.create("verifier", "ray", {"verifier": verifier})


def test_gold_answers_are_compared_here(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the wrapped verifier looks at the question for it, as for multiple choice."""
    from siked_core import Claim, Verdict

    made = registry.create("verifier", "ray", {"verifier": "program"})
    sent: list[Any] = []

    def answers(rationales: Any) -> list[Verdict]:
        sent.extend(rationales)
        return [Verdict(Status.ANSWERED, "4"), Verdict(Status.ANSWERED, "5"), Verdict(Status.TIMEOUT)]

    monkeypatch.setattr(made, "answers", answers)
    rationale = Rationale("pot", "answer = 4", "answer = 4")
    choice = Problem("c", "Which? (A) 5 (B) 7", "A")
    claims = [Claim(problem, rationale) for problem in (Problem("p", "2+2?", "4"), choice, choice)]
    direct = ProgramVerifier()
    monkeypatch.setattr(direct, "answers", answers)
    found = made.verify(claims)
    assert [verdict.status for verdict in found][::2] == [Status.CORRECT, Status.TIMEOUT]
    assert found == direct.verify(claims)
    assert sent == [rationale] * 6, "rationales, and nothing else"


def test_unsafe_execution_is_allowed_only_by_the_user(registry: Registry) -> None:
    for allowed in (True, False):
        made = registry.create("verifier", "ray", {"verifier": "program", "allow_unsafe_exec": allowed})
        assert made.original.options.allow_unsafe_exec is allowed
    registry.create("verifier", "ray", {"verifier": "number", "allow_unsafe_exec": True})


# Reaching a cluster


def test_a_cluster_that_is_not_there_is_told_soon(registry: Registry, model: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    made = registry.create("generator", "ray", {"model": str(model), "address": f"127.0.0.1:{port}"})
    before, began = signal.getsignal(signal.SIGTERM), time.monotonic()
    with pytest.raises(PluginError, match=rf"'127.0.0.1:{port}' cannot be reached: Connection refused. Is it up"):
        made.open()
    made.close()
    assert time.monotonic() - began < 10
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_ray_says_of_an_unreachable_cluster_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it may have put its own handler of SIGTERM in by then."""
    import ray

    def init(**given: Any) -> None:
        assert (given["address"], given["log_to_driver"]) == ("auto", False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise ConnectionError("Could not find any running Ray instance.\nSpecify one.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(PluginError) as raised:
        cluster.connect(None)
    assert signal.getsignal(signal.SIGTERM) is before
    assert str(raised.value).startswith(
        "The Ray cluster 'auto' cannot be reached: Could not find any running Ray instance. Is it up (`ray status`)"
    )


# A worker


@pytest.fixture
def worker(registry: Registry, model: Path) -> Iterator[Worker]:
    one = Worker(order(registry.create("generator", "transformers", {"model": str(model)})), 1)
    yield one
    one.close()


def test_a_worker_answers_as_the_generator_does(registry: Registry, model: Path, worker: Worker) -> None:
    wanted = [Request(Problem(f"p{n}", "?", "4"), None, PROMPT, n, n) for n in range(5)]
    opened(worker.prepare())
    opened(worker.open())
    parcel = pickle.dumps((wanted, Sampling(1.0, 0.9, 8)))
    found: dict[int, Completion] = {}
    for packed in worker.work(parcel):
        found.update(opened(packed))
    directly = registry.create("generator", "transformers", {"model": str(model)})
    assert found == dict(directly.generate(wanted, Sampling(1.0, 0.9, 8)))


def test_a_worker_judges_in_a_sandbox_of_its_own_size() -> None:
    one = Worker(order(ProgramVerifier({"timeout_s": 5})), 3)
    opened(one.prepare())
    assert (one._plugin.options.workers, one._plugin.options.timeout_s) == (3, 5)
    programs = ["answer = 2 + 2", "import os\nos.kill(1, 9)", "1/0"]
    parcel = pickle.dumps(([Rationale("pot", text, text) for text in programs], None))
    found = {place: verdict.status for packed in one.work(parcel) for place, verdict in opened(packed)}
    one.close()
    assert [found[place] for place in range(3)] == [Status.ANSWERED, Status.REFUSED, Status.CRASHED]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"siked": "0.0.9"}, f"has siked {siked_core.__version__}, and the run has 0.0.9"),
        ({"version": "7"}, "has version 1 of the generator 'transformers', and the run has 7"),
        ({"paths": ["/nowhere/student"]}, "does not see /nowhere/student.*shared file system"),
        ({"fingerprint": "other"}, "would do other work as the generator 'transformers'"),
        ({"plugin": b"cnowhere\nThing\n."}, "cannot make the generator 'transformers': No module named 'nowhere'"),
    ],
)
def test_a_worker_that_is_not_the_same_is_refused(worker: Worker, changed: dict[str, Any], why: str) -> None:
    worker._order = {**worker._order, **changed}
    with pytest.raises(PluginError, match=rf"^The Ray worker on .*{why}") as raised:
        opened(worker.prepare())
    assert "\n" not in str(raised.value)


def test_a_worker_that_cannot_cage_programs_refuses_as_this_machine_would(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Worker(order(ProgramVerifier()), 1)
    opened(one.prepare())

    def uncaged(programs: Any) -> Any:
        raise SandboxError("Model-written programs cannot be caged on this machine.")

    monkeypatch.setattr(one._plugin._runner._pool, "run", uncaged)
    nothing, failure = one.work(pickle.dumps(([Rationale("pot", "answer = 1", "answer = 1")], None)))
    assert opened(nothing) == []
    with pytest.raises(SandboxError, match=r"^Model-written programs cannot be caged on this machine\.$"):
        opened(failure)


def test_paths_are_sent_in_full(registry: Registry, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    sent = order(registry.create("generator", "transformers", {"model": "student"}))
    assert sent["paths"] == [str(model)]
    assert pickle.loads(sent["plugin"])[1] == {"model": str(model)}


class Unsendable(Exception):  # noqa: N818
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize("error", [ModelError("no memory"), VerifierFault("no judge"), ValueError("a bug")])
def test_an_error_arrives_as_it_was(error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        opened(failed(error))
    assert str(raised.value) == str(error)
    noted = "".join(getattr(raised.value, "__notes__", []))
    assert ("On a Ray worker" in noted) is (not isinstance(error, ModelError)), "a user's mistake has no traceback"


def test_an_error_that_cannot_be_sent_arrives_as_words() -> None:
    with pytest.raises(RuntimeError, match="Unsendable: 1 and 2"):
        opened(failed(Unsendable(1, 2)))


def test_a_head_that_is_gone_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{head.getsockname()[1]}"
        context = SimpleNamespace(gcs_address=address)
        monkeypatch.setattr(cluster, "library", lambda: SimpleNamespace(get_runtime_context=lambda: context))
        head.listen()
        cluster.check_head()
    with pytest.raises(
        PluginError, match=f"^The head of the Ray cluster, {address}, is gone .*goes on from there"
    ) as gone:
        cluster.check_head()
    assert "\n" not in str(gone.value)
