"""How the command ends: what the user can put right, an interruption, a full disk, a closed pipe, a bug of ours."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from siked_cli import main as application
from siked_cli.failures import disk_failure
from siked_core.errors import RunError


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make the run of every recipe fail, where a run would be opened."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("siked_core.recipe_check.check", fail)


def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException) -> tuple[int, str]:
    failing(monkeypatch, error)
    code = application.main(["distill", "--rounds", "1", "--json"])
    captured = capsys.readouterr()
    assert captured.out == ""
    return code, captured.err


def test_an_error_of_several_lines_stays_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(monkeypatch, capsys, RunError("The recipe [differs]:\n" + "x" * 200))
    assert (code, said) == (2, "Error: The recipe [differs]:\n" + "x" * 200 + "\n")


def test_an_interruption_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(monkeypatch, capsys, KeyboardInterrupt())
    assert code == 130
    assert said == "Interrupted. To continue where it stopped: siked distill --rounds 1 --json\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EDQUOT, "quota"),
    ],
)
def test_a_disk_that_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, words: str
) -> None:
    code, said = ended(monkeypatch, capsys, OSError(number, os.strerror(number), "runs/x/manifest.json"))
    assert code == 2
    assert said.startswith("Error: Cannot use runs/x/manifest.json: ")
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1152128 vs 1152016"),
    ],
)
def test_a_full_disk_is_known_by_its_words_too(error: Exception) -> None:
    assert "no space is left" in (disk_failure(error) or "")


def test_a_full_disk_is_found_behind_another_error() -> None:
    outer = RuntimeError("saving failed")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert disk_failure(outer)


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.ENOENT, "No such file or directory", "x")])
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    failing(monkeypatch, error)
    with pytest.raises(type(error)):
        application.main(["distill"])


def test_a_bug_ends_with_code_1_and_a_plain_traceback(tmp_path: Path) -> None:
    code = (
        "import sys, siked_core.recipe_check as r\nfrom siked_cli.main import main\n"
        "def check(*_): raise ValueError('a bug')\n"
        "r.check = check\nsys.exit(main(['distill']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("ValueError: a bug\n")
    assert "╭" not in done.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m siked_cli recipe schema | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False
    )
    assert done.stdout == "{"
    assert done.stderr == ""


def test_control_c_ends_a_real_process_with_code_130(tmp_path: Path) -> None:
    code = (
        "import sys, time, siked_core.recipe_check as r\nfrom siked_cli.main import main\n"
        "def check(*_):\n print('ready', flush=True)\n time.sleep(60)\n"
        "r.check = check\nsys.exit(main(['distill']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == "Interrupted. To continue where it stopped: siked distill\n"
