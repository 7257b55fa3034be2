"""What runs on the cluster: a process that makes a plugin once and does the work that it is given.

A generator answers requests, a verifier finds the answers of rationales; gold answers are not among what is sent.
What goes over the wire is pickled here and there, between processes of one cluster that run one version of siked. An
error of the plugin is part of a reply: Ray would wrap it in a traceback of its own.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from siked_core import Generator, Plugin, PluginError, Sampling, SikedError, Verifier

TELL_S = 0.5
"""Results are sent when there are any and the last were sent so long ago."""


def order(plugin: Plugin) -> dict[str, Any]:
    """What a worker is told to be: plain values, so that another version of siked can read it and say no."""
    assert isinstance(plugin, Generator | Verifier)
    given = {name: getattr(plugin.options, name) for name in sorted(plugin.options.model_fields_set)}
    paths = {name: Path(value).absolute() for name, value in given.items() if _is_path(name, value)}
    placed = {name: path if isinstance(given[name], Path) else str(path) for name, path in paths.items()}
    return {
        "what": f"{plugin.kind} '{plugin.name}'",
        "plugin": pickle.dumps((type(plugin), {**given, **placed})),
        "siked": version("siked"),
        "version": plugin.version,
        "fingerprint": plugin.fingerprint,
        "paths": [str(path) for path in paths.values()],
    }


def _is_path(name: str, value: Any) -> bool:
    """Whether an option names a file or folder: a worker has another working directory."""
    return isinstance(value, Path) or (name == "model" and isinstance(value, str) and Path(value).is_dir())


class Worker:
    """One of them. Its methods are called through Ray, one at a time."""

    def __init__(self, order: Mapping[str, Any], cpus: float) -> None:
        self._order = order
        self._cpus = cpus
        self._plugin: Any = None

    def prepare(self) -> bytes:
        """Make the plugin, and see that it is the same as where the work comes from."""
        return reply(self._prepare)

    def open(self) -> bytes:
        """Load what is slow to load."""
        return reply(self._plugin.open if isinstance(self._plugin, Generator) else lambda: None)

    def work(self, parcel: bytes) -> Iterator[bytes]:
        """Do it; results are (place, result), sent together for half a second.

        Args:
            parcel: pickled: requests or rationales, and how to sample.
        """
        held: list[tuple[int, Any]] = []
        failure: bytes | None = None
        sent = time.monotonic()
        try:
            for result in self._results(parcel):
                held.append(result)
                if time.monotonic() - sent > TELL_S:
                    yield pickle.dumps(("done", held))
                    held, sent = [], time.monotonic()
        except Exception as error:
            failure = failed(error)
        yield pickle.dumps(("done", held))
        if failure is not None:
            yield failure

    def close(self) -> None:
        """End what the plugin has started."""
        if self._plugin is not None:
            self._plugin.close()

    def _prepare(self) -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch reads it: threads that wait must not spin
        here, wanted, what = self._here(), self._order, self._order["what"]
        installed = version("siked")
        if wanted["siked"] != installed:
            raise PluginError(
                f"{here} has siked {installed}, and the run has {wanted['siked']}: install one version on all nodes."
            )
        try:
            plugin, options = pickle.loads(wanted["plugin"])
        except Exception as error:
            raise PluginError(
                f"{here} cannot make the {what}: {error}. Install there what is installed here."
            ) from None
        if plugin.version != wanted["version"]:
            raise PluginError(
                f"{here} has version {plugin.version} of the {what}, and the run has {wanted['version']}: install "
                "one version on all nodes."
            )
        for path in wanted["paths"]:
            if not Path(path).exists():
                raise PluginError(
                    f"{here} does not see {path}. It must lie where every node finds it under the same path: on a "
                    "shared file system."
                )
        made = plugin(options)
        if made.fingerprint != wanted["fingerprint"]:
            raise PluginError(
                f"{here} would do other work as the {what} than the machine that the run is on: its fingerprint is "
                f"'{made.fingerprint}', the run's '{wanted['fingerprint']}'. Models, devices' default precision and "
                "versions must be the same (name a dtype where auto means two things)."
            )
        # So that it does not take the whole node. Last, because a fingerprint may have it in it.
        if isinstance(made, Verifier) and getattr(made.options, "workers", 0) is None:
            made = plugin({**options, "workers": min(max(1, int(self._cpus)), 16)})
        self._plugin = made

    def _results(self, parcel: bytes) -> Iterable[tuple[int, Any]]:
        items: Sequence[Any]
        sampling: Sampling | None
        try:
            items, sampling = pickle.loads(parcel)
        except Exception as error:
            raise PluginError(
                f"{self._here()} cannot read what it is given: {error}. Install there what is installed here."
            ) from None
        if isinstance(self._plugin, Generator):
            assert sampling is not None
            return self._plugin.generate(items, sampling)
        return enumerate(self._plugin.answers(items))

    def _here(self) -> str:
        import ray

        return f"The Ray worker on {ray.util.get_node_ip_address()} ({sys.executable})"


def reply(action: Callable[[], Any]) -> bytes:
    """What became of an action, pickled: ("done", its value), or what `failed` gives."""
    try:
        return pickle.dumps(("done", action()))
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> bytes:
    """("failed", the error, its traceback as text), pickled."""
    text = "".join(traceback.format_exception(error))
    try:
        packed = pickle.dumps(("failed", error, text))
        pickle.loads(packed)
    except Exception:
        packed = pickle.dumps(("failed", RuntimeError(f"{type(error).__name__}: {error}"), text))
    return packed


def opened(packed: bytes) -> Any:
    """The value in a reply.

    Raises:
        the error that is in it: as it was, where a user can put it right; with the worker's traceback, where not.
    """
    kind, *content = pickle.loads(packed)
    if kind == "done":
        return content[0]
    error, text = content
    if not isinstance(error, SikedError):
        error.add_note(f"On a Ray worker:\n{text}")
    raise error
