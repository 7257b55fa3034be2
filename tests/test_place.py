"""Folders here and at a URL: what is written is there whole, and what a store refuses is told in one line and kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest

from siked_core.errors import RecipeError, RunError, StoreError
from siked_core.lock import Owner
from siked_core.place import LocalPlace, Place
from siked_core.pool import SAMPLES, Pool
from siked_core.recipe import Recipe, resolve, validate
from siked_core.remote import RemotePlace, open_place, probe
from siked_core.reporting import SilentReporter
from siked_core.store import Claim, claimed, take_over
from siked_core.testing import toy_sample as row

MEMORY = fsspec.filesystem("memory")


@pytest.fixture
def url() -> Iterator[str]:
    name = f"test-{uuid4().hex}"
    yield f"memory://{name}"
    if MEMORY.exists(f"/{name}"):
        MEMORY.rm(f"/{name}", recursive=True)


@pytest.fixture(params=["local", "memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, url: str) -> Place:
    if request.param == "local":
        return LocalPlace(tmp_path / "here")
    at = url if request.param == "memory" else f"file://{tmp_path}/shared"
    return open_place(at, {}, tmp_path / "unsent")


def remote(url: str, tmp_path: Path) -> RemotePlace:
    place = open_place(url, {}, tmp_path / "unsent")
    assert isinstance(place, RemotePlace)
    return place


def test_every_place_keeps_files_by_their_names(place: Place) -> None:
    assert (place.names(), place.entries(), place.size()) == ([], [], 0)
    place.write("a", b"1")
    (place / "b").write("c/d", b"22")
    assert place.names() == ["a", "b/c/d"]
    assert (sorted(place.entries()), (place / "b").names(), place.size()) == (["a", "b"], ["c/d"], 3)
    assert list(place.read(["b/c/d", "a"])) == [b"22", b"1"]
    assert (place.create("e", b"first"), place.create("e", b"second")) == (True, False)
    place.move("b/c/d", "f")
    place.move("missing", "g")
    place.remove("a")
    place.remove("a")
    assert (place.names(), list(place.read(["e"]))) == (["e", "f"], [b"first"])
    with pytest.raises(RunError, match=re.escape(f"Cannot read {place}")):
        list(place.read(["missing"]))


def test_many_files_come_in_the_order_that_was_asked_for(url: str, tmp_path: Path) -> None:
    place = remote(url, tmp_path)
    for number in range(150):
        place.write(f"{number:03d}", str(number).encode())
    asked = [f"{number:03d}" for number in reversed(range(150))]
    assert list(place.read(asked)) == [str(number).encode() for number in reversed(range(150))]


def test_a_pool_at_a_url_is_a_pool(url: str, tmp_path: Path) -> None:
    pool = Pool(remote(url, tmp_path), SAMPLES)
    assert pool.read().is_empty()
    pool.append([row("a", text="short"), row("b", finish_reason="length")])
    pool.append([row("a", text="long")])
    pool.append([])
    here = Pool(tmp_path / "here", SAMPLES)
    here.append([row("a", text="short"), row("b", finish_reason="length")])
    here.append([row("a", text="long")])
    assert pool.shards() == here.shards(), "the same rows make the same files, under the same names"
    assert pool.read().equals(here.read())
    assert (pool.keys(), pool.settled(8), pool.settled(9)) == ({"a", "b"}, {"a", "b"}, {"a"})
    assert pool.scan(["key", "text"]).collect().rows() == [("a", "short"), ("b", "t"), ("a", "long")]
    assert pool.size() == here.size()


@pytest.mark.parametrize("damage", [lambda content: content[:-50], lambda content: content[:-9] + b"?" + content[-8:]])
def test_a_damaged_object_is_named(damage: Callable[[bytes], bytes], url: str, tmp_path: Path) -> None:
    pool = Pool(remote(url, tmp_path), SAMPLES)
    pool.append([row("a")])
    (shard,) = pool.shards()
    path = f"/{url.removeprefix('memory://')}/{shard}"
    MEMORY.pipe_file(path, damage(MEMORY.cat_file(path)))
    for read in (pool.read, pool.keys, lambda: pool.shard(shard)):
        with pytest.raises(RunError, match=rf"{url}/{shard} is damaged: its content is not what was written") as told:
            read()
        assert not isinstance(told.value, StoreError)


def test_what_a_store_does_not_take_is_kept_and_sent_later(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = remote(url, tmp_path)
    pool = Pool(place / "pools/teacher", SAMPLES)
    pool.append([row("a")])

    def lost(*args: object, **options: object) -> None:
        raise ConnectionResetError("the connection was reset")

    with monkeypatch.context() as without:
        without.setattr(MEMORY, "pipe_file", lost)
        with pytest.raises(StoreError) as told:
            pool.append([row("b")])
    assert re.fullmatch(
        rf"Cannot write {url}/pools/teacher/00000001-\w+\.parquet: ConnectionResetError: the connection was reset\. "
        r"Nothing that was finished is lost: the same command continues when the store answers\. What was to be "
        rf"written is kept in {tmp_path}/unsent/pools/teacher\.",
        str(told.value),
    )
    assert pool.keys() == {"a", "b"}, "it is read from here"
    assert (place.send_waiting(), place.send_waiting()) == (1, 0)
    assert not place.unsent()
    assert pool.keys() == {"a", "b"}
    assert len(MEMORY.find(f"/{url.removeprefix('memory://')}")) == 2


def test_what_was_killed_in_the_sending_is_sent_later(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*args: object, **options: object) -> None:
        raise Killed

    place = remote(url, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(MEMORY, "pipe_file", killed)
        with pytest.raises(Killed):
            Pool(place, SAMPLES).append([row("a")])
    assert claimed(tmp_path, place, SilentReporter()) is not None
    assert Pool(place, SAMPLES).keys() == {"a"}
    assert not place.unsent()


def test_an_object_that_arrives_short_is_not_taken_for_sent(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = remote(url, tmp_path)
    put = MEMORY.pipe_file
    with monkeypatch.context() as patched:
        patched.setattr(MEMORY, "pipe_file", lambda path, content, **options: put(path, content[:5], **options))
        with pytest.raises(StoreError, match=r"of 9 bytes that were sent, the store holds 5"):
            place.write("a", b"123456789")
    assert list(place.read(["a"])) == [b"123456789"]
    assert place.send_waiting() == 1
    assert list(remote(url, tmp_path / "elsewhere").read(["a"])) == [b"123456789"]


def test_a_damaged_shard_is_no_fault_of_the_store_and_a_silent_store_no_damage(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(remote(url, tmp_path), SAMPLES)
    pool.append([row("a")])

    def silent(*args: object, **options: object) -> None:
        raise TimeoutError

    for name in ("cat", "ls"):
        with monkeypatch.context() as patched:
            patched.setattr(MEMORY, name, silent)
            with pytest.raises(StoreError, match=r"^Cannot (read|list) memory://.*: TimeoutError\. Nothing that was"):
                pool.read()


def test_no_secret_of_the_environment_is_repeated(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")

    def refused(*args: object, **options: object) -> None:
        raise PermissionError("wJalrXUtnFEMI may not; see https://host/x?X-Amz-Signature=abc&token=def&part=1")

    monkeypatch.setattr(MEMORY, "ls", refused)
    with pytest.raises(StoreError) as told:
        remote(url, tmp_path).entries()
    assert "the store refuses it (... may not; see https://host/x?X-Amz-Signature=...&token=...&part=1)" in str(
        told.value
    )


@pytest.mark.parametrize("source", ["local", "memory"])
@pytest.mark.parametrize("target", ["local", "memory"])
def test_samples_are_taken_over_between_places(source: str, target: str, url: str, tmp_path: Path) -> None:
    def made(kind: str, name: str) -> Place:
        return LocalPlace(tmp_path / name) if kind == "local" else open_place(f"{url}/{name}", {}, tmp_path / name)

    old, new = made(source, "old"), made(target, "new")
    names = [f"pools/teacher/{number}" for number in range(70)] + ["verdicts/round-1/x"]
    for name in names:
        old.write(name, name.encode())
    old.write("students/a", b"not samples")
    if isinstance(old, RemotePlace):
        (tmp_path / "old" / "pools").mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / "pools" / "waiting").write_bytes(b"pools/waiting")
        names.append("pools/waiting")
    take_over(old, new)
    assert new.names() == sorted(names)
    assert list(new.read(names)) == [name.encode() for name in names]


def test_who_works_at_a_place_says_so(url: str, tmp_path: Path) -> None:
    place = remote(url, tmp_path)
    warned: list[str] = []
    first = Claim(place)
    first.take(warned.append)
    with pytest.raises(
        RunError, match=rf"^Another run uses {url} \(process {os.getpid()} on .*\)\. Wait for it to end"
    ):
        Claim(place).take(warned.append)
    first.release()
    assert (place.names(), warned) == ([], [])
    silent = Claim(place)
    silent.take(warned.append)
    silent.release(unasked=True)
    assert place.names() == ["in-use.json"]
    Claim(place).take(warned.append)
    assert warned == [], "this process itself has gone on"


def test_a_dead_process_leaves_no_claim_and_one_elsewhere_is_told_of(url: str, tmp_path: Path) -> None:
    place = remote(url, tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    warned: list[str] = []
    place.create("in-use.json", json.dumps(asdict(replace(Owner.me(), pid=process.pid))).encode())
    dead = Claim(place)
    dead.take(warned.append)
    assert not warned
    dead.release()
    place.create("in-use.json", json.dumps(asdict(replace(Owner.me(), host="elsewhere", pid=7))).encode())
    Claim(place).take(warned.append)
    assert warned == [
        f"{url} was left in use by process 7 on elsewhere. If that one still works there, end it: both would pay for "
        "the same samples."
    ]


def test_a_claim_that_nobody_can_read_is_taken(url: str, tmp_path: Path) -> None:
    place = remote(url, tmp_path)
    place.create("in-use.json", b"{")
    Claim(place).take(lambda text: None)
    assert json.loads(next(place.read(["in-use.json"])))["pid"] == os.getpid()


def storage(**values: Any) -> Recipe:
    return resolve(changes={f"storage.{name}": value for name, value in values.items()})


@pytest.mark.parametrize(
    "at",
    ["s3://bucket", "s3://bucket/a/b/", "gs://b/p", "abfs://c@account.dfs.core.windows.net/p", "file:///mnt/shared"],
)
def test_urls_of_stores_are_taken(at: str) -> None:
    assert storage(pools=at).storage.pools == at


@pytest.mark.parametrize(
    "at",
    ["bucket/prefix", "/mnt/shared", "s3:/bucket", "s3://", "s3://b/p?versionId=1", "s3://b/*", "simplecache::s3://b"],
)
def test_what_is_no_url_is_refused(at: str) -> None:
    with pytest.raises(RecipeError, match=r"^Bad recipe key 'storage': pools must be a URL such as s3://bucket/prefix"):
        storage(pools=at)


def test_a_file_url_is_a_whole_path() -> None:
    with pytest.raises(RecipeError, match=r"pools must name a folder from its root, as file:///mnt/shared does"):
        storage(pools="file://shared/pools")


SECRETS = [
    ("key", {"key": "SESAME"}),
    ("secret", {"secret": "SESAME"}),
    ("token", {"token": "SESAME"}),
    ("password", {"password": "SESAME"}),
    ("AWS_SECRET_ACCESS_KEY", {"AWS_SECRET_ACCESS_KEY": "SESAME"}),
    ("client_kwargs.aws_session_token", {"client_kwargs": {"aws_session_token": "SESAME"}}),
    ("sas_token", {"sas_token": "SESAME"}),
    ("connection_string", {"connection_string": "AccountKey=SESAME"}),
    ("endpoint_url", {"endpoint_url": "https://user:SESAME@host"}),
]


@pytest.mark.parametrize(("name", "options"), SECRETS)
def test_a_secret_is_no_option_and_is_not_repeated(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(
        RecipeError, match=rf"^Bad recipe key 'storage': the option '{name}' looks like a secret"
    ) as told:
        storage(options=options)
    assert "SESAME" not in str(told.value)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(RecipeError, match=r"pools has a password in its URL") as told:
        storage(pools="sftp://user:SESAME@host/pools")
    assert "SESAME" not in str(told.value)


def test_options_that_are_no_secrets_are_taken() -> None:
    options = {"endpoint_url": "http://host:9000", "config_kwargs": {"signature_version": "s3v4"}, "profile": "mine"}
    assert storage(pools="s3://b", options=options).storage.options == options
    assert validate(storage(pools="s3://b", options=options).model_dump(mode="json")).storage.options == options


def test_an_unknown_protocol_is_one_line() -> None:
    with pytest.raises(StoreError, match=r"^Cannot use s4://b/p: fsspec knows no protocol 's4'\. Among those that it"):
        probe("s4://b/p", {})


def test_a_missing_package_is_named() -> None:
    code = (
        "import sys\nsys.modules['s3fs'] = None\nfrom siked_cli.main import main\n"
        "sys.exit(main(['distill', '--pools', 's3://bucket/prefix']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Error: s3:// needs a package that is not installed: pip install s3fs\n"
