"""What `siked doctor` looks at beside the cage: packages, extras, memory, disk, the hub. Each with its remedy.

A check that itself fails, or does not answer in time, is reported as such: the others are made all the same, and
nothing here hangs on a network file system or behind a firewall.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

Level = Literal["fine", "warning", "error", "broken"]
PATIENCE_S = 8.0
"""So long a check may take."""
HUB_S = 4.0
WRITTEN_MIB = 8
SLOW_MIB_PER_S = 20
SLOW_SYNC_S = 0.25
"""A run syncs each shard, and its manifest at every stage."""
LITTLE_DISK_GIB = 5
LITTLE_MEMORY_GIB = 4
NOT_FOR_USERS = ("test", "dev", "docs")
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    level: Level
    says: str
    remedy: str = ""

    @property
    def failed(self) -> bool:
        """Whether siked cannot be used like this."""
        return self.level == "error"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def checks(runs: Path) -> list[Check]:
    """Every check, in the order in which it is shown.

    Args:
        runs: where runs are kept; it need not exist.
    """
    folder = nearest(runs)
    asked: dict[str, Callable[[], Check]] = {
        "packages": packages,
        "extras": extras,
        "memory": memory,
        "cores": cores,
        "runs folder": lambda: disk("runs folder", folder, "--runs DIR (or SIKED_RUNS)"),
        "hub cache": lambda: disk("hub cache", nearest(hub_cache()), "HF_HOME", write=False),
        "hub": hub,
    }
    return [guarded(name, check) for name, check in asked.items()]


def guarded(name: str, check: Callable[[], Check], patience_s: float = PATIENCE_S) -> Check:
    """A check's finding, or that it broke or did not answer. Its thread is left behind then, and ends with siked."""
    found: list[Check] = []

    def work() -> None:
        try:
            found.append(check())
        except Exception as error:  # whatever it is: the other checks must go on
            told = " ".join(str(error).split())
            found.append(Check(name, "broken", f"this check failed itself: {type(error).__name__}: {told}"))

    thread = threading.Thread(target=work, name=f"doctor: {name}", daemon=True)
    thread.start()
    thread.join(patience_s)
    return found[0] if found else Check(name, "broken", f"this check did not answer within {patience_s:g} s")


def packages() -> Check:
    """What siked requires is installed, in versions that it is made for."""
    from packaging.requirements import Requirement

    wrong, wanted = [], []
    for text in importlib.metadata.requires("siked") or ():
        one = Requirement(text)
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is not installed")
        else:
            if one.specifier.contains(version, prereleases=True):
                continue
            wrong.append(f"{one.name} is {version}, and siked needs {one.specifier}")
        wanted.append(f"'{one.name}{one.specifier}'")
    if not wrong:
        return Check("packages", "fine", "all that siked requires, in versions that it is made for")
    return Check("packages", "error", "; ".join(wrong), f"pip install {' '.join(wanted)}")


def extras() -> Check:
    """Which of siked's extras are installed."""
    from packaging.requirements import Requirement

    required = [Requirement(text) for text in importlib.metadata.requires("siked") or ()]
    there: list[str] = []
    absent: list[str] = []
    for extra in sorted(importlib.metadata.metadata("siked").get_all("Provides-Extra") or ()):
        own = [one for one in required if one.marker and one.marker.evaluate({"extra": extra})]
        own = [one for one in own if not (one.marker and one.marker.evaluate({"extra": ""})) and one.name != "siked"]
        if extra in NOT_FOR_USERS or not own:
            continue
        (there if all(_installed(one.name) for one in own) else absent).append(extra)
    says = f"installed: {', '.join(there) or 'none'}; not installed: {', '.join(absent) or 'none'}"
    return Check("extras", "fine", says, f"pip install 'siked[{absent[0]}]', and so on, as needed" if absent else "")


def memory() -> Check:
    """The machine's memory."""
    import psutil

    found = psutil.virtual_memory()
    says = f"{found.available / GIB:.1f} of {found.total / GIB:.1f} GiB available"
    if found.available >= LITTLE_MEMORY_GIB * GIB:
        return Check("memory", "fine", says)
    return Check("memory", "warning", says, "close other programs, or take a small student (--preset pocket)")


def cores() -> Check:
    """The cores that this process may use, and whether waiting threads take them from the sandbox."""
    number = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    says = f"{number} to be used"
    if os.environ.get("OMP_WAIT_POLICY", "PASSIVE").upper() == "ACTIVE":
        return Check(
            "cores", "warning", f"{says}; OMP_WAIT_POLICY=ACTIVE burns those that wait", "unset OMP_WAIT_POLICY"
        )
    return Check("cores", "fine", says)


def disk(name: str, folder: Path, chosen_by: str, write: bool = True) -> Check:
    """Free space and, where it is to be written to, how fast it takes data and syncs it.

    Args:
        chosen_by: how the user has it elsewhere.
    """
    free = shutil.disk_usage(folder).free / GIB
    says, advice = f"{free:.1f} GiB free at {folder}", f"choose another place with {chosen_by}"
    if not write:
        return Check(name, "fine", says) if free >= LITTLE_DISK_GIB else Check(name, "warning", says, advice)
    if not os.access(folder, os.W_OK):
        return Check(name, "error", f"{folder} cannot be written to", f"change its permissions, or {advice}")
    began = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        block = os.urandom(2**20)  # what compresses would tell nothing of a file system that compresses
        for _ in range(WRITTEN_MIB):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        wrote = time.monotonic()
        file.write(b"7")
        file.flush()
        os.fsync(file.fileno())
        synced = time.monotonic() - wrote
    speed = WRITTEN_MIB / max(wrote - began, 1e-6)
    says += f"; writes {speed:,.0f} MiB/s, syncs in {1000 * synced:.0f} ms"
    slow = speed < SLOW_MIB_PER_S or synced > SLOW_SYNC_S
    if free < LITTLE_DISK_GIB:
        return Check(name, "warning", says, f"free some space, or {advice}")
    return Check(name, "warning", f"{says}, which is slow", advice) if slow else Check(name, "fine", says)


def hub() -> Check:
    """Whether the model hub answers; it need not, where models and data are in folders or in the cache."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Check("hub", "fine", "switched off (HF_HUB_OFFLINE): models and data come from folders and the cache")
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen  # it minds the proxies that the environment names

    endpoint = os.environ.get("HF_ENDPOINT", "").strip() or "https://huggingface.co"
    if urlsplit(endpoint).scheme not in ("http", "https"):
        return Check("hub", "error", f"HF_ENDPOINT is no URL: {endpoint}", "set it to https://..., or unset it")
    shown = urlsplit(endpoint)._replace(netloc=urlsplit(endpoint).netloc.rpartition("@")[2]).geturl()
    began = time.monotonic()
    try:
        urlopen(Request(endpoint, method="HEAD"), timeout=HUB_S).close()
    except HTTPError:
        pass  # it answers, and this page is all that it refuses
    except (OSError, ValueError) as error:
        why = " ".join(str(getattr(error, "reason", error)).split())
        return Check(
            "hub",
            "warning",
            f"{shown} does not answer ({why})",
            "give models and data as folders; behind a proxy set HTTPS_PROXY, for a mirror HF_ENDPOINT; "
            "HF_HUB_OFFLINE=1 stops asking",
        )
    return Check("hub", "fine", f"{shown} answers in {1000 * (time.monotonic() - began):.0f} ms")


def hub_cache() -> Path:
    """Where the hub's client keeps what it downloads."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place if place.is_dir() else place.parent


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
