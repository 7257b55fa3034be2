"""The connection to a Ray cluster, or a cluster on this machine that is started and ended; and the room that there is.

Ray is told to be quiet: no banner, no dashboard, no usage statistics, no logs of workers. A connection that somebody
else has made in this process (a notebook) is used, and left as it is.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from siked_core import PluginError

REACH_S = 10.0
"""For the first answer of a cluster's head."""
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_IGNORE_UNHANDLED_ERRORS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
_lock = threading.Lock()


@dataclass
class _Shared:
    """What this process holds of Ray."""

    holders: int = 0
    ours: bool = False
    address: str = ""
    spoke: Any = None
    """What Ray prints other nodes' troubles with; they are told by whoever waits for the work of these."""


_shared = _Shared()


def library() -> Any:
    """Ray's package.

    Raises:
        PluginError: it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise PluginError(f"Ray is not installed ({error}). Install it: pip install 'siked[ray]'") from None
    return ray


def connect(address: str | None) -> None:
    """Connect this process to a cluster, unless it is. Each call is undone by one of `release`.

    Args:
        address: as the option `address`.

    Raises:
        PluginError: Ray is not installed, the cluster cannot be reached, or this process is connected to another.
    """
    ray = library()
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    with _lock:
        if ray.is_initialized():
            if _shared.ours and wanted != _shared.address:
                raise PluginError(
                    f"This process works on the Ray cluster '{_shared.address}' and cannot join '{wanted}' as well: "
                    "give all that uses Ray one address."
                )
        else:
            _join(ray, wanted)
            _shared.ours, _shared.address = True, wanted
            _shared.spoke = _printing(ray, lambda *_, **__: None)
        _shared.holders += 1


def release() -> None:
    """Let the cluster go; the last one ends what `connect` has begun."""
    ray = library()
    with _lock:
        _shared.holders -= 1
        if _shared.holders == 0 and _shared.ours:
            _shared.ours = False
            with _handlers_kept():
                ray.shutdown()
            _printing(ray, _shared.spoke)


def _join(ray: Any, address: str) -> None:
    _check_reachable(address)
    try:
        with _handlers_kept(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(
                address=address,
                namespace=f"siked-{secrets.token_hex(8)}",
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
            )
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError, and others
        where = "The Ray cluster on this machine" if address == "local" else f"The Ray cluster '{address}'"
        raise PluginError(f"{where} cannot be reached: {_first(error)}. {_remedy(address)}") from None


def _printing(ray: Any, instead: Any) -> Any:
    """Put another function in the place of the one that prints what nodes report, on stdout and whatever is asked of
    it; the one that was there. A version of Ray that has none of that name prints as it likes."""
    module = ray._private.worker
    before = getattr(module, "print_to_stdstream", None)
    if before is not None and instead is not None:
        module.print_to_stdstream = instead
    return before


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except OSError as error:
        said = error.strerror or error
        raise PluginError(f"The Ray cluster '{address}' cannot be reached: {said}. {_remedy(address)}") from None


def _remedy(address: str) -> str:
    if address == "local":
        return "Ray's own words are in /tmp/ray/session_latest/logs."
    return (
        "Is it up (`ray status`), and is this machine one of its nodes? "
        "Without an address, and without RAY_ADDRESS, a cluster is started on this machine."
    )


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray puts its own handler for SIGTERM in the place of ours."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    finally:
        if main and before is not None:
            signal.signal(signal.SIGTERM, before)


def check_head() -> None:
    """See that the cluster's head is there: without it Ray ends this whole process, after a minute.

    Raises:
        PluginError: it is not.
    """
    address = library().get_runtime_context().gcs_address
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_S).close()
    except OSError as error:
        raise PluginError(
            f"The head of the Ray cluster, {address}, is gone ({error.strerror or error}). What was finished is kept, "
            "and the same command goes on from there when there is a cluster again."
        ) from None


def room(cpus: float, gpus: float) -> int:
    """How many workers of that size the cluster's nodes hold when nothing else runs there."""
    return sum(
        min(int(has.get(name, 0) / asked + 1e-9) for name, asked in (("CPU", cpus), ("GPU", gpus)) if asked)
        for has in _nodes()
    )


def has_gpus() -> bool:
    return any(has.get("GPU") for has in _nodes())


def told() -> str:
    """The cluster's size in words: "2 nodes with 4 CPUs and 0 GPUs, of which 1 and 0 are free"."""
    nodes = _nodes()
    free = library().available_resources()
    cpus, gpus = (sum(has.get(name, 0) for has in nodes) for name in ("CPU", "GPU"))
    what = f"{len(nodes)} node{'s' * (len(nodes) != 1)} with {cpus:g} CPUs and {gpus:g} GPUs"
    return f"{what}, of which {free.get('CPU', 0):g} and {free.get('GPU', 0):g} are free"


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in library().nodes() if node["Alive"]]


def _first(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
