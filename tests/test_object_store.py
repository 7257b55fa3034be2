"""Runs whose samples are at a URL: in an S3-compatible store on this machine that is really spoken to, dropped, and
damaged."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
import yaml
from moto.server import ThreadedMotoServer

from siked_core import Completion, Request, Sampling
from siked_core.errors import RunError, StoreError
from siked_core.examine import examine
from siked_core.loop import distill
from siked_core.pool import SAMPLES, VERDICTS, Pool
from siked_core.recipe import validate
from siked_core.repair import repair
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.spending import by_stage, keep_changes
from siked_core.stages.teach import teach
from siked_core.stages.verify import verify
from siked_core.store import place_of
from siked_core.testing import ToyTeacher, make_tiny_student, toy_recipe, toy_registry

pytestmark = [pytest.mark.slow, pytest.mark.recovery]
SMOKE = ["--preset", "pocket-smoke", "--strategies", "cot,pot"]
KEY = "SESAME-OPEN-THYSELF"


class Store:
    """A server that can be dropped and comes back with what it held."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "2",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def drop(self) -> None:
        self._server.stop()

    def restart(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    store = Store()
    with pytest.MonkeyPatch.context() as patched:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patched.delenv(name)
        for name, value in store.environment.items():
            patched.setenv(name, value)
        fsspec.filesystem("s3").mkdir("samples")
        yield store
    store.drop()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


class Listening(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


class Dropping(ToyTeacher):
    """Loses the store in the midst of its second chunk."""

    store: Store
    asked = 0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        Dropping.asked += len(requests)
        if len(requests) < Dropping.asked <= 2 * len(requests):
            self.store.drop()
        yield from super().generate(requests, sampling)


def opened(folder: Path, tiny: Path, url: str | None = None, **options: Any) -> Run:
    changes = options.pop("changes", {})
    recipe = validate(toy_recipe(tiny, **changes, **({"storage": {"pools": url}} if url else {})))
    registry = toy_registry(*options.pop("plugins", ()))
    return start(
        recipe, registry, options.pop("reporter", SilentReporter()), runs=folder.parent, name=folder.name, **options
    )


def pools(run: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every shard, also of a key that was written twice."""
    place, found = place_of(run), {}
    for part, schema, order in (("pools", SAMPLES, ["key"]), ("verdicts", VERDICTS, ["key", "judge", "evidence"])):
        for name in sorted({name.rpartition("/")[0] for name in (place / part).names()}):
            rows = pl.concat(
                [pool.shard(shard) for pool in [Pool(place / part / name, schema)] for shard in pool.shards()]
            )
            found[f"{part}/{name}"] = rows.select(*schema).sort(order).rows()
    return found


def paid_for(run: Run) -> None:
    """What a run pays for first: the teacher's samples and their verdicts."""
    teach(run)
    verify(run, "teacher")


def rows_of(run: Path, pool: str) -> pl.DataFrame:
    return Pool(place_of(run) / "pools" / pool, SAMPLES).read()


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """Such a run on disk."""
    folder = tmp_path_factory.mktemp("local") / "run"
    with opened(folder, tiny) as run:
        paid_for(run)
    return folder


def test_a_run_at_a_url_equals_one_on_disk(tmp_path: Path, tiny: Path, store: Store) -> None:
    local = tmp_path / "local"
    with opened(local, tiny) as run:
        distill(run)
    with opened(tmp_path / "equals", tiny, "s3://samples/some/where/") as run:
        distill(run)
    assert pools(tmp_path / "equals") == pools(local)
    assert (
        json.loads((tmp_path / "equals" / "manifest.json").read_text())["pools_at"] == "s3://samples/some/where/equals"
    )
    assert not {"pools", "verdicts", "unsent"} & {
        path.name for path in (tmp_path / "equals").iterdir() if any(one.is_file() for one in path.rglob("*"))
    }
    assert not [name for name in place_of(tmp_path / "equals").names() if not name.startswith(("pools/", "verdicts/"))]
    assert examine(tmp_path / "equals") == []
    # A moved and renamed directory finds them all the same, and nothing secret is in it.
    moved = shutil.move(tmp_path / "equals", tmp_path / "moved")
    calls = ToyTeacher.calls
    with attach(moved, toy_registry(), SilentReporter()) as run:
        distill(run)
    assert (ToyTeacher.calls, pools(moved)) == (calls, pools(local))
    texts = [path.read_bytes() for path in Path(moved).rglob("*") if path.is_file()]
    assert texts
    assert not [text for text in texts if KEY.encode() in text]


def test_a_store_that_drops_out_in_a_chunk_costs_nothing_twice(
    tmp_path: Path, tiny: Path, store: Store, local: Path
) -> None:
    Dropping.store, Dropping.asked, Dropping.name = store, 0, ToyTeacher.name
    folder = tmp_path / "drops"
    wanted = len(rows_of(local, "teacher"))
    with pytest.raises(StoreError, match=r"^Cannot \w+ s3://samples/drops") as told:  # noqa: SIM117
        with opened(folder, tiny, "s3://samples", plugins=[Dropping]) as run:
            paid_for(run)
    assert "Nothing that was finished is lost: the same command continues when the store answers." in str(told.value)
    assert "\n" not in str(told.value)
    assert 0 < Dropping.asked < wanted
    assert [path.suffix for path in (folder / "unsent").rglob("*") if path.is_file()] == [".parquet"]
    with pytest.raises(StoreError):
        examine(folder)
    store.restart()
    listening = Listening()
    with opened(folder, tiny, "s3://samples", plugins=[Dropping], reporter=listening) as run:
        assert listening.said == [f"1 files that had waited in {folder}/unsent were sent to s3://samples/drops."]
        paid_for(run)
    assert Dropping.asked == wanted, "no sample is asked for twice"
    assert pools(folder) == pools(local)


def test_a_lost_machine_costs_no_samples(tmp_path: Path, tiny: Path, store: Store, local: Path) -> None:
    with opened(tmp_path / "lost", tiny, "s3://samples") as run:
        paid_for(run)
    before = pools(tmp_path / "lost")
    shutil.rmtree(tmp_path / "lost")
    calls, listening = ToyTeacher.calls, Listening()
    with opened(tmp_path / "lost", tiny, "s3://samples", reporter=listening) as run:
        keep_changes(run)
        paid_for(run)
        spent = by_stage(run.path, run.recipe)
    assert (ToyTeacher.calls, pools(tmp_path / "lost")) == (calls, before)
    assert listening.said[0] == (
        "s3://samples/lost has samples of an earlier run of this name: what fits is not paid for again."
    )
    assert sum(one.tokens for one in spent.values()) == 0, "they were paid for by the run that is lost"


def test_forks_go_from_one_place_to_another_and_draw_nothing(
    tmp_path: Path, tiny: Path, store: Store, local: Path
) -> None:
    there = Path(shutil.copytree(local, tmp_path / "forked"))
    calls = ToyTeacher.calls
    places: list[str] = []
    for url in ("s3://samples/forks", "s3://samples/others", f"file://{tmp_path}/shared", "memory://forks", None):
        with opened(there, tiny, url, fork=True) as run:
            paid_for(run)
            places.append(str(run.place))
            there = run.path
        assert pools(there) == pools(local)
    assert ToyTeacher.calls == calls
    assert places[:3] == [
        "s3://samples/forks/forked-001",
        "s3://samples/others/forked-001-001",
        f"{tmp_path}/shared/forked-001-001-001",
    ]


def test_runs_under_one_url_keep_apart(tmp_path: Path, tiny: Path, store: Store) -> None:
    recipe = validate(toy_recipe(tiny, storage={"pools": "s3://samples/apart"}))
    found = []
    for machine in ("one", "two"):
        with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path / machine) as run:
            run.pool("teacher").append([{**dict.fromkeys(SAMPLES), "key": machine, "text": ""}])
            found.append((run.name, str(run.place), run.pool("teacher").keys()))
    assert found == [
        ("sums-001", "s3://samples/apart/sums-001", {"one"}),
        ("sums-002", "s3://samples/apart/sums-002", {"two"}),
    ]
    with (
        opened(tmp_path / "three" / "named", tiny, "s3://samples/apart"),
        pytest.raises(RunError, match=r"Another run uses s3://samples/apart/named \(process"),
    ):
        opened(tmp_path / "four" / "named", tiny, "s3://samples/apart")
    assert not (tmp_path / "four" / "named").exists()


@pytest.mark.parametrize("damage", [lambda content: content[:-60], lambda content: content[:99] + b"?" + content[100:]])
def test_a_damaged_object_is_set_aside_where_it_is_and_drawn_again(
    damage: Callable[[bytes], bytes], tmp_path: Path, tiny: Path, store: Store, local: Path
) -> None:
    folder = tmp_path / f"damaged-{len(damage(bytes(200)))}"
    with opened(folder, tiny, "s3://samples") as run:
        paid_for(run)
        shard = run.pool("teacher").shards()[0]
        held = run.pool("teacher").shard(shard).height
    system, path = fsspec.filesystem("s3"), f"samples/{folder.name}/pools/teacher/{shard}"
    system.pipe_file(path, damage(system.cat_file(path)))
    (finding,) = [one for one in examine(folder) if one.wrong]
    assert (finding.path, finding.what) == (f"pools/teacher/{shard}", "its content is not what was written")
    done = repair(folder)
    assert done.folder == f"s3://samples/{folder.name}/set-aside/1"
    assert done.again == (f"pools/teacher: {held} of 20 samples are drawn again, by `teach`.",)
    assert system.exists(f"samples/{folder.name}/set-aside/1/pools/teacher/{shard}")
    calls = ToyTeacher.calls
    with opened(folder, tiny, "s3://samples") as run:
        paid_for(run)
    assert ToyTeacher.calls - calls == held
    assert [one for one in examine(folder) if one.wrong] == []
    assert {name: set(rows) for name, rows in pools(folder).items()} == {
        name: set(rows) for name, rows in pools(local).items()
    }


def test_a_lost_manifest_is_made_anew_with_the_place_in_it(tmp_path: Path, tiny: Path, store: Store) -> None:
    folder = tmp_path / "lost-manifest"
    with opened(folder, tiny, "s3://samples") as run:
        paid_for(run)
    (folder / "manifest.json").unlink()
    repair(folder)
    assert json.loads((folder / "manifest.json").read_text())["pools_at"] == "s3://samples/lost-manifest"
    calls = ToyTeacher.calls
    with opened(folder, tiny, "s3://samples") as run:
        paid_for(run)
    assert ToyTeacher.calls == calls


# Through the command line


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=1200)
    return process.returncode, said


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory, begun: Callable[..., Any], store: Store) -> Path:
    """Where a run was killed, then lost its store, and was finished; what it said is in `said.json`."""
    folder = tmp_path_factory.mktemp("commanded")
    arguments = ["distill", *SMOKE, "--pools", "s3://samples/commanded"]
    with begun(folder, *arguments) as process:
        process.until("verify teacher: ")
        process.send_signal(signal.SIGKILL)
    with begun(folder, *arguments) as process:
        process.until("train round-0: ")
        store.drop()
        dropped = ended(process)
    silent = ended(begun(folder, *arguments))
    store.restart()
    finished = ended(begun(folder, *arguments))
    (folder / "said.json").write_text(json.dumps([dropped, silent, finished]))
    return folder


def test_a_command_that_is_killed_and_loses_its_store_comes_to_the_same_end(
    commanded: Path, tmp_path: Path, begun: Callable[..., Any], store: Store
) -> None:
    dropped, silent, finished = json.loads((commanded / "said.json").read_text())
    for code, said in (dropped, silent):
        assert code == 2
        last = said.splitlines()[-1]
        assert last.startswith("Error: Cannot ")
        assert last.count("the same command continues when the store answers") == 1
        assert "Traceback" not in said
        assert KEY not in said
    assert finished[0] == 0, finished[1]
    assert not [path for path in (commanded / "runs").iterdir() if path.name != "pocket-001"]
    code, said = ended(begun(tmp_path, "distill", *SMOKE))
    assert code == 0, said
    assert pools(commanded / "runs" / "pocket-001") == pools(tmp_path / "runs" / "pocket-001"), "and each row once"


def test_every_command_that_takes_a_run_finds_its_samples(
    commanded: Path, tmp_path: Path, store: Store, siked_says: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(commanded)
    run = commanded / "runs" / "pocket-001"
    before = pools(run)
    assert siked_says("run", "check", "pocket-001").splitlines()[-1] == "runs/pocket-001 is sound."
    (listed,) = json.loads(siked_says("runs", "--json"))
    assert listed["spending"]["samples"] == sum(len(rows) for name, rows in before.items() if name.startswith("pools/"))
    assert listed["pools_at"] == "s3://samples/commanded/pocket-001"
    summaries = json.loads(siked_says("verify", "pocket-001", "--json"))["pools"]
    assert summaries["teacher"]["samples"] == len(before["pools/teacher"])
    siked_says("mix", "pocket-001", "--round", "0")
    siked_says("evaluate", "pocket-001", "--json")
    key = rows_of(run, "teacher")["key"][0]
    assert key in siked_says("why", "pocket-001", key, "--json")
    siked_says("export", "pocket-001", "--to", str(tmp_path / "export"))
    assert list((tmp_path / "export" / "data").glob("*.parquet"))
    siked_says("compare", "pocket-001", "pocket-001", "--json")
    siked_says("run", "repair", "pocket-001")
    assert pools(run) == before
    card = (run / "students" / "round-0" / "README.md").read_text()
    assert "s3://" not in card
    assert yaml.safe_load((run / "recipe.yaml").read_text())["storage"]["pools"] == "s3://samples/commanded"


@pytest.mark.parametrize(
    ("url", "environment", "line"),
    [
        (
            "s3://missing/a",
            {},
            "Cannot list s3://missing/a/.siked: it is not there (The specified bucket does not exist)",
        ),
        ("s3://samples/a", {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "it wants credentials"),
        ("s3://samples/a", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "EndpointConnectionError: Could not connect"),
        ("nowhere", {}, "Bad recipe key 'storage': pools must be a URL such as s3://bucket/prefix"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_before_anything_is_made(
    url: str,
    environment: dict[str, str | None],
    line: str,
    tmp_path: Path,
    begun: Callable[..., Any],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    code, said = ended(begun(tmp_path, "distill", *SMOKE, "--pools", url))
    assert code == 2
    assert said.startswith("Error: ")
    assert line in said
    assert said.count("\n") == 1
    assert KEY not in said
    assert not (tmp_path / "runs").exists()
