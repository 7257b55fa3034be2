"""Where a training happens: in this process, in one of its own, in several, on several machines.

A training of its own is a folder (`training_job`), a command (`launch_command`), and a channel on which it reports
(`training_channel`). Its processes are under a warden, so that none of them outlives siked, however siked ends. Where
one dies, by `kill -9` or for lack of memory, the training begins again from its newest checkpoint; one that fails says
why, and that is raised as if it had happened here.
"""

from __future__ import annotations

import queue
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from siked_core import warden
from siked_core.contracts import TrainingExample
from siked_core.errors import RunError, SikedError
from siked_core.launch_command import check_devices, check_launch, command, environment
from siked_core.recipe_launch import LaunchRecipe
from siked_core.reporting import Progress
from siked_core.training import Trained, fit
from siked_core.training_channel import Channel, Message
from siked_core.training_job import TrainingJob, failed, write_job

LOG = "log.txt"
LOOK_S = 0.2
GRACE_S = 3.0
"""So long processes may take to end by themselves when they are told to."""
SETTLE_S = 1.0
"""So long after a process has failed it is seen whether another one had died, which is then why."""
LAST_S = 60.0
"""So long processes may take to end when all is said."""


class TrainingFault(Exception):  # noqa: N818 - a bug's traceback, from another process
    """A training in a process of its own failed in a way that is no user's mistake: its traceback."""


def is_apart(launch: LaunchRecipe) -> bool:
    """Whether a training has processes of its own."""
    if launch.apart != "auto":
        return launch.apart
    if launch.world > 1:
        return True
    from siked_core.models import choose_device

    return choose_device() != "cpu"


def train_as_launched(
    job: TrainingJob,
    tokenizer: Any,
    examples: Sequence[TrainingExample],
    *,
    folder: Path,
    progress: Progress,
    at_checkpoint: Callable[[], None] | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Trained:
    """`training.fit`, here or in processes of its own, as `job.launch` says.

    Args:
        folder: for the job, where it has processes of its own; removed when it is done.
        warn: told when a process has died and the training begins again.

    Raises:
        RecipeError: what it is to be launched with is not there.
        RunError: processes died more often than `launch.restarts`, or could not be started.
        TrainingFault: a process failed, and it is no user's mistake.
        SikedError: what `fit` raises, and `at_checkpoint`.
        OSError: the disk is full, here or there.
    """
    if not is_apart(job.launch):
        return fit(**job.arguments, tokenizer=tokenizer, examples=examples, progress=progress,
                   at_checkpoint=at_checkpoint)  # fmt: skip
    check_launch(job.launch)
    check_devices(job.launch)
    write_job(folder, job, tokenizer, examples)
    watched = _Watched(job.launch, folder, progress, at_checkpoint)
    for again in range(job.launch.restarts + 1):
        trained = watched.run()
        if trained is not None:
            shutil.rmtree(folder, ignore_errors=True)
            return trained
        if again < job.launch.restarts:
            warn(f"A process of the training {watched.died}: it begins again from its newest checkpoint.")
    raise RunError(
        f"A process of the training {watched.died}, and launch.restarts = {job.launch.restarts} is used up. Its log "
        f"{watched.log} {_last_line(watched.log)}. Nothing that was finished is lost: the same command goes on from "
        "the newest checkpoint."
    )


class _Watched:
    """A training's processes while they work."""

    def __init__(
        self, launch: LaunchRecipe, folder: Path, progress: Progress, at_checkpoint: Callable[[], None] | None
    ) -> None:
        self.log = folder / LOG
        self.died = ""
        """How it ended, where it died."""
        self._launch, self._folder, self._progress, self._at_checkpoint = launch, folder, progress, at_checkpoint
        self._steps = 0
        self._begin()

    def _begin(self) -> None:
        self._alive: set[int] = set()
        self._failures: list[Message] = []
        self._trained: Trained | None = None
        self._pause: SikedError | None = None
        self._until: float | None = None
        self._lost = False

    def run(self) -> Trained | None:
        """Start them and listen until they have ended; None where one of them died."""
        self._begin()
        channel = Channel(everywhere=self._launch.machines > 1)
        process: subprocess.Popen[bytes] | None = None
        try:
            with self.log.open("wb") as log:
                process = subprocess.Popen(
                    warden.guarded(command(self._launch, self._folder, channel.host), GRACE_S),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=environment(self._launch) | channel.environment,
                    start_new_session=True,  # Ctrl-C is for siked, which ends them
                )
            while not self._is_over(process, channel):
                with suppress(queue.Empty):
                    self._hear(channel, *channel.events.get(timeout=LOOK_S))
        finally:
            if process is not None:
                warden.end(process, GRACE_S)
            channel.close()
        if self._pause is not None:
            raise self._pause
        if self._trained is None and self._failures and not self._lost:
            raise failed(self._failures[0]) or TrainingFault("\n" + self._failures[0]["text"])
        if self._trained is None:
            self.died = _how(process.returncode)
        return self._trained

    def _is_over(self, process: subprocess.Popen[bytes], channel: Channel) -> bool:
        if self._lost or (self._until is not None and time.monotonic() > self._until):
            return True
        return process.poll() is not None and channel.events.empty() and not self._alive

    def _hear(self, channel: Channel, process: int, message: Message | None) -> None:
        if message is None:
            self._lost = self._lost or process in self._alive
            return
        said = message["said"]
        if said == "started":
            self._alive.add(process)
        elif said == "steps":  # those that are taken again after a restart have been counted
            self._progress.advance(max(0, message["steps"] - self._steps))
            self._steps = max(self._steps, message["steps"])
        elif said == "described":
            self._progress.describe(message["text"])
        elif said == "measured":
            self._progress.measure(message["step"], message["values"])
        elif said == "checkpoint":
            channel.reply(process, {"go": self._goes_on()})
        elif said == "trained":
            self._trained = Trained(**message["trained"])
            self._until = time.monotonic() + LAST_S
        elif said == "failed":
            self._alive.discard(process)
            self._failures.append(message)
            self._until = self._until or time.monotonic() + SETTLE_S
        elif said == "over":
            self._alive.discard(process)

    def _goes_on(self) -> bool:
        try:
            if self._at_checkpoint is not None:
                self._at_checkpoint()
        except SikedError as pause:
            self._pause = pause
            self._until = time.monotonic() + LAST_S
            return False
        return True


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"ends with: {said[:200]}" if said else "is empty"


def _how(code: int) -> str:
    if code < 0 or code > 128:
        number = -code if code < 0 else code - 128
        with suppress(ValueError):
            killed = " (out of memory?)" if number == signal.SIGKILL else ""
            return f"was ended by signal {number}, {signal.Signals(number).name}{killed}"
    return f"ended without a word (exit code {code})"
