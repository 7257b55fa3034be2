"""What `siked doctor` says of packages, disk, memory and hub: each finding has its remedy, and no check can hang it."""

from __future__ import annotations

import http.server
import importlib.metadata
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from siked_cli import doctor_checks
from siked_cli.doctor import LACKING
from siked_cli.doctor_checks import Check, checks, cores, disk, extras, guarded, hub, memory, nearest, packages
from siked_cli.main import main


@pytest.fixture
def server() -> Iterator[str]:
    """A hub that refuses its front page, as mirrors do."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(401)

        def log_message(self, *_: Any) -> None: ...

    found = http.server.HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()
    found.server_close()


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Packages in other versions than those that are installed; None is not installed."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name not in versions:
            return real(name)
        found = versions[name]
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_this_machine_is_looked_over(tmp_path: Path) -> None:
    found = checks(tmp_path / "not" / "yet")
    assert [one.name for one in found] == ["packages", "extras", "memory", "cores", "runs folder", "hub cache", "hub"]
    assert all(one.says for one in found)
    assert all(one.remedy for one in found if one.level in ("warning", "error"))
    assert list(tmp_path.iterdir()) == [], "nothing is left of what was written"


def test_a_check_that_breaks_is_reported_as_broken() -> None:
    def breaks() -> Check:
        raise RuntimeError("no\nsuch thing")

    assert guarded("x", breaks) == Check("x", "broken", "this check failed itself: RuntimeError: no such thing")


def test_a_check_that_hangs_is_left() -> None:
    began = time.monotonic()
    found = guarded("x", lambda: threading.Event().wait(60) and Check("x", "fine", ""), patience_s=0.1)  # type: ignore[arg-type,return-value]
    assert (found.level, found.says) == ("broken", "this check did not answer within 0.1 s")
    assert time.monotonic() - began < 30


def test_packages_are_held_against_what_siked_requires(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packages().level == "fine"
    pretend(monkeypatch, torch="1.0", trl=None)
    found = packages()
    assert (found.level, found.failed) == ("error", True)
    assert "torch is 1.0, and siked needs >=2.6" in found.says
    assert "trl is not installed" in found.says
    assert found.remedy == "pip install 'torch>=2.6' 'trl<2,>=1.16'"


def test_a_build_of_a_vendor_is_no_other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, torch="2.9.0.dev20260101+cu128")
    assert packages().level == "fine"


def test_extras_are_told_with_how_to_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not installed: none" in extras().says
    pretend(monkeypatch, openai=None, ray=None)
    found = extras()
    assert "not installed: openai, ray" in found.says
    assert "pip install 'siked[openai]'" in found.remedy
    assert found.level == "fine", "nobody needs all of them"


def test_little_memory_and_threads_that_spin_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "LITTLE_MEMORY_GIB", 10**6)
    assert memory().level == "warning"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    found = cores()
    assert (found.level, found.remedy) == ("warning", "unset OMP_WAIT_POLICY")
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert cores().level == "fine"


def test_a_disk_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "LITTLE_DISK_GIB", 0)
    monkeypatch.setattr(doctor_checks, "SLOW_MIB_PER_S", 0)
    monkeypatch.setattr(doctor_checks, "SLOW_SYNC_S", 1e9)
    found = disk("runs folder", tmp_path, "--runs DIR")
    assert found.level == "fine"
    assert f"GiB free at {tmp_path}; writes " in found.says
    monkeypatch.setattr(doctor_checks, "SLOW_MIB_PER_S", 1e9)
    slow = disk("runs folder", tmp_path, "--runs DIR")
    assert slow.level == "warning"
    assert slow.says.endswith(", which is slow")
    monkeypatch.setattr(doctor_checks, "LITTLE_DISK_GIB", 10**9)
    assert disk("runs folder", tmp_path, "--runs DIR").remedy.startswith("free some space")
    monkeypatch.setattr("os.access", lambda *_: False)
    refused = disk("runs folder", tmp_path, "--runs DIR")
    assert refused.failed
    assert refused.remedy == "change its permissions, or choose another place with --runs DIR"


def test_a_folder_that_is_not_there_is_measured_above(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert nearest(tmp_path / "a" / "b") == tmp_path
    assert nearest(tmp_path / "file") == tmp_path


def test_the_hub_that_is_switched_off_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub().says.startswith("switched off (HF_HUB_OFFLINE)")


def test_a_hub_that_answers_anything_is_there(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", server)
    found = hub()
    assert (found.level, found.says.partition(" ")[0]) == ("fine", server)


@pytest.mark.parametrize(
    ("endpoint", "level", "said"),
    [
        ("http://ann:secret@127.0.0.1:9", "warning", "http://127.0.0.1:9 does not answer"),
        ("mirror.example.com", "error", "HF_ENDPOINT is no URL: mirror.example.com"),
    ],
)
def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, endpoint: str, level: str, said: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    found = hub()
    assert (found.level, said in found.says, "secret" in found.says) == (level, True, False)
    assert found.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="the cage is Linux's")
def test_what_is_lacking_is_shown_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pretend(monkeypatch, torch="1.0")
    assert main(["doctor", "--no-device", "--json", "--runs", str(tmp_path)]) == LACKING
    content = json.loads(capsys.readouterr().out)
    assert (content["safe"], content["usable"]) == (True, False)
    assert [one["name"] for one in content["checks"] if one["level"] == "error"] == ["packages"]
    assert main(["doctor", "--no-device", "--runs", str(tmp_path)]) == LACKING
    shown = capsys.readouterr().out
    assert "error    packages: torch is 1.0, and siked needs >=2.6\n         To do: pip install 'torch>=2.6'" in shown
    assert "Something that siked needs is missing" in shown
