"""What every test runs under: one thread, no network, and an environment to install packages into."""

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

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@dataclass(frozen=True)
class Environment:
    """A virtual environment of its own that also sees the packages of the one that runs the tests."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str, cwd: Path | None = None, timeout_s: int = 300) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs, away from the source tree."""
        program, *arguments = command
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=cwd or self.folder,
            env=environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def pip_install(self, source: Path) -> None:
        """Install a package from a folder or wheel, with nothing taken from anywhere else."""
        options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
        done = self.run("python", "-m", "pip", "install", *options, str(source))
        assert done.returncode == 0, done.stderr


@pytest.fixture
def layered_environment(tmp_path: Path) -> Environment:
    """A fresh environment layered over the tests' own, so that torch is not installed twice.

    A `.pth` file adds our packages behind its own; `addsitedir` also reads the `.pth` files that lie there, so
    that an editable siked is seen as well.
    """
    environment = Environment(tmp_path / "environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment.folder)], check=True)
    ours = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    where = environment.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    lines = [f"import site; site.addsitedir({path!r})\n" for path in ours]
    (Path(where) / "layered.pth").write_text("".join(lines), encoding="utf-8")
    return environment
