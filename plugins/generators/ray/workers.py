"""Workers on a Ray cluster, and who of them does what: work is cut into batches, and a dead worker's is given again.

These are plain actors rather than a Ray Data pipeline, because an actor pool of Ray Data lives as long as one
execution of a data set: siked's chunks, and its batches of 512 verdicts, would each start all processes and load the
model anew, and one execution for a whole stage would lose what it holds to a kill. A worker here is kept from chunk to
chunk, and its results come one by one.
"""

from __future__ import annotations

import pickle
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from siked_core import Plugin, PluginError, Sampling
from siked_plugins.generators.ray import cluster
from siked_plugins.generators.ray.options import ClusterOptions
from siked_plugins.generators.ray.worker import Worker, opened, order

CLOSE_S = 3.0
"""For idle workers, to end what they have started. A warden ends vLLM's servers also after that."""
LOOK_S, HEAD_S = 1.0, 10.0
"""Seconds between two looks at the workers, and at the cluster's head."""


@dataclass
class _Batch:
    places: list[int]
    """In the whole of what is to be done."""
    losses: int = 0
    """Workers that died over it."""
    given: list[int] = field(default_factory=list)
    """What of it was sent the last time: `places`, or those that had no result yet."""


@dataclass
class _Slot:
    """Where one worker after another stands."""

    handle: Any = None
    state: Literal["gone", "preparing", "opening", "idle", "working"] = "gone"
    awaits: Any = None
    """The reply that is under way, or the stream of replies."""
    batch: _Batch | None = None
    losses: int = 0
    """Workers that died here since one last did something."""


class Workers:
    """The workers that do a plugin's work. Nothing is started before `open`."""

    def __init__(self, plugin: Plugin, options: ClusterOptions, gpus: float | None) -> None:
        """
        Args:
            plugin: whose work is done: a generator or a verifier.
            gpus: of each worker; None: where the cluster has any, what the plugin's options say of how many it uses.
        """
        self._plugin = plugin
        self._options = options
        self._gpus = gpus
        self._connected = False
        self._slots: list[_Slot] = []
        self._waits_since = 0.0
        self._looked = 0.0

    def open(self) -> None:
        """Connect to the cluster, start the workers, and wait until one is ready to work. The others may follow.

        Raises:
            PluginError: the cluster cannot be reached, has no room for the workers, or lacks what they need.
            SikedError: whatever the plugin raises.
        """
        if not self._slots:
            if not self._connected:
                cluster.connect(self._options.address)
                self._connected = True
            self._slots = [_Slot() for _ in range(self._number())]
            self._waits_since = time.monotonic()
        while not any(slot.state in ("idle", "working") for slot in self._slots):
            self._keep_up()
            for slot in self._ready():
                self._advance(slot)

    def run(
        self, items: Sequence[Any], size: int, sampling: Sampling | None = None, *, whole: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Have it all done, and yield (index of the item, result) as they come.

        Args:
            items: requests or rationales.
            size: of a batch.
            whole: a batch that is given again has all its items, not only those without a result.

        Raises:
            PluginError: workers keep dying.
            SikedError: whatever the plugin raises.
        """
        waiting = deque(
            _Batch(list(range(start, min(start + size, len(items))))) for start in range(0, len(items), size)
        )
        found: set[int] = set()
        self.open()
        try:
            while waiting or any(slot.batch for slot in self._slots):
                self._keep_up()
                for slot in self._slots:
                    if slot.state == "idle" and waiting:
                        batch = waiting.popleft()
                        batch.given = [place for place in batch.places if whole or place not in found]
                        parcel = pickle.dumps(([items[place] for place in batch.given], sampling))
                        stream = slot.handle.work.options(num_returns="streaming").remote(parcel)
                        slot.state, slot.batch, slot.awaits = "working", batch, stream
                for slot in self._ready():
                    for place, result in self._advance(slot, waiting):
                        if place not in found:
                            found.add(place)
                            yield place, result
        finally:
            for slot in self._slots:
                if slot.batch is not None:  # nobody waits for it any more
                    self._end(slot)

    def close(self) -> None:
        """End the workers, what they have started, and the cluster if it was started for them."""
        if not self._connected:
            return
        ray = cluster.library()
        slots, self._slots = self._slots, []
        self._connected = False
        try:
            closing = [slot.handle.close.remote() for slot in slots if slot.state == "idle"]
            if closing:
                ray.wait(closing, num_returns=len(closing), timeout=CLOSE_S)
            for slot in slots:
                self._end(slot)
        finally:
            cluster.release()

    def _number(self) -> int:
        """How many workers.

        Raises:
            PluginError: the cluster is too small, whatever else runs on it.
        """
        options = self._options
        if self._gpus is None:
            uses = [getattr(self._plugin.options, name, 0) for name in ("tensor_parallel", "data_parallel")]
            self._gpus = float(uses[0] * uses[1]) if cluster.has_gpus() else 0.0
        least, most = options.workers
        room = cluster.room(options.cpus, self._gpus)
        if room < least:
            size = f"{options.cpus:g} CPU{'s' * (options.cpus != 1)} and {self._gpus:g} GPU{'s' * (self._gpus != 1)}"
            raise PluginError(
                f"The {self._plugin.kind} 'ray' is to have {least} worker{'s' * (least != 1)} of {size}, and the Ray "
                f"cluster has room for {room}: {cluster.told()}. Ask for less with the options workers, cpus and gpus, "
                "or add nodes."
            )
        return min(room, most)

    def _keep_up(self) -> None:
        """Start workers where there are none.

        Raises:
            PluginError: none has begun for too long.
        """
        ray = cluster.library()
        for slot in self._slots:
            if slot.state == "gone":
                made = ray.remote(Worker).options(
                    num_cpus=self._options.cpus,
                    num_gpus=self._gpus,
                    scheduling_strategy="SPREAD",
                    max_restarts=0,
                    max_task_retries=0,
                )
                slot.handle = made.remote(self._order, self._options.cpus)
                slot.state, slot.awaits = "preparing", slot.handle.prepare.remote()
        if any(slot.state != "preparing" for slot in self._slots):
            self._waits_since = time.monotonic()
        elif time.monotonic() - self._waits_since > self._options.startup_timeout:
            raise PluginError(
                f"No Ray worker has begun within {self._options.startup_timeout} seconds (startup_timeout). The "
                f"cluster: {cluster.told()}."
            )

    @cached_property
    def _order(self) -> dict[str, Any]:
        return order(self._plugin)

    def _ready(self) -> list[_Slot]:
        """The slots for which there is something new; waits a second for it."""
        ray = cluster.library()
        awaited = {slot.awaits: slot for slot in self._slots if slot.awaits is not None}
        if not awaited:
            return []
        if not ray.wait(list(awaited), num_returns=1, timeout=LOOK_S)[0] and time.monotonic() > self._looked + HEAD_S:
            cluster.check_head()
            self._looked = time.monotonic()
        ready, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        return [awaited[one] for one in ready]

    def _advance(self, slot: _Slot, waiting: deque[_Batch] | None = None) -> list[tuple[int, Any]]:
        """Take the reply that is ready for a slot, and go one step on; the results that were in it."""
        ray = cluster.library()
        results: list[tuple[int, Any]] = []
        try:
            if slot.state == "working":
                assert slot.batch is not None
                try:
                    packed = ray.get(next(slot.awaits))
                except StopIteration:
                    slot.state, slot.batch, slot.awaits = "idle", None, None
                    return results
                results = [(slot.batch.given[place], result) for place, result in opened(packed)]
                slot.losses = 0
            else:
                opened(ray.get(slot.awaits))
                if slot.state == "preparing":
                    slot.state, slot.awaits = "opening", slot.handle.open.remote()
                else:
                    slot.state, slot.awaits = "idle", None
        except ray.exceptions.RayError as error:
            self._lose(slot, error, waiting)
        return results

    def _lose(self, slot: _Slot, error: Any, waiting: deque[_Batch] | None) -> None:
        """A worker died: another takes its place, and its batch.

        Raises:
            PluginError: too many have died here, or over this batch.
        """
        cluster.check_head()
        reason = _reason(error)
        if "No module named 'siked" in str(error):
            raise PluginError(
                f"A node of the Ray cluster has no siked ({reason}). Install the same version of siked, and of Ray, on "
                "every node."
            ) from None
        batch = slot.batch
        self._end(slot)
        slot.losses += 1
        if batch is not None:
            batch.losses += 1
            if waiting is not None:
                waiting.appendleft(batch)
        most = self._options.retries
        stubborn = batch is not None and batch.losses > most
        if slot.losses > most and not stubborn and any(one.state == "working" for one in self._slots):
            self._slots.remove(slot)  # something is amiss where it stands, and others work
            warnings.warn(f"{slot.losses} Ray workers died in a row ({reason}); going on with fewer.", stacklevel=2)
            return
        if slot.losses > most or stubborn:
            over = "over the same work" if stubborn else "one after another before they did anything"
            raise PluginError(
                f"{most + 1} Ray workers have died {over}; the last: {reason}. What was finished is kept, and the same "
                "command goes on from there. Do they lack memory?"
            ) from None
        warnings.warn(f"A Ray worker died ({reason}); another one does its work.", stacklevel=2)

    @staticmethod
    def _end(slot: _Slot) -> None:
        if slot.handle is not None:
            cluster.library().kill(slot.handle)
        slot.handle, slot.state, slot.batch, slot.awaits = None, "gone", None, None


def _reason(error: Any) -> str:
    """The line of Ray's account that says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if "Error:" in line or "cause" in line or "killed" in line.lower()]
    chosen = (causes or lines or [type(error).__name__])[-1 if causes else 0]
    return chosen.rstrip(".")[:300]
