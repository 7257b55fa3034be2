"""What every test runs under: one thread, no network, every plugin switched on, no stopwatch."""

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

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline for single examples fails on a machine that is busy with something else.
settings.register_profile("siked", deadline=None, print_blob=True)
settings.load_profile("siked")


@pytest.fixture
def siked_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., str]:
    """Run a siked command in an empty directory: what it says on stdout, or on stderr where it is to fail."""
    from siked_cli.main import main

    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, code: int = 0) -> str:
        ended = main(arguments)
        captured = capsys.readouterr()
        assert ended == code, f"{arguments}\n{captured.out}\n{captured.err}"
        return captured.out if code == 0 else captured.err

    return command
