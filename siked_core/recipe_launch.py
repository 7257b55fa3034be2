"""The recipe's section about the processes that train, and how the rows of an optimiser step are shared among them."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from siked_core.section import Section


class LaunchRecipe(Section):
    processes: int = Field(1, ge=1)
    """Processes of a training on each machine: one for each GPU. An optimiser step takes `training.batch_size` x
    `training.accumulation` rows however many there are: accumulation is divided among them first, then batch_size."""
    machines: int = Field(1, ge=1)
    """Machines of a training. More than one need a Slurm allocation of so many nodes (`siked launch slurm`), and a
    run's directory that all of them see."""
    strategy: Literal["ddp", "fsdp", "deepspeed"] = "ddp"
    """How several processes hold the student. "ddp": each holds all of it. "fsdp": weights, gradients and optimizer are
    in shards, one for each process (PyTorch's FSDP2). "deepspeed": the same with DeepSpeed's ZeRO."""
    zero_stage: Literal[1, 2, 3] = 2
    """What "deepspeed" has in shards: the optimizer (1), also gradients (2), also weights (3)."""
    apart: bool | Literal["auto"] = "auto"
    """Whether a training has a process of its own, so that all of the memory that it took is free afterwards. "auto":
    on a GPU. Several processes are always siked's children."""
    restarts: int = Field(1, ge=0)
    """So many times a training whose process was killed begins again from its newest whole checkpoint."""

    @property
    def world(self) -> int:
        """The processes of all machines."""
        return self.processes * self.machines

    @property
    def shards(self) -> str:
        """What tells checkpoints apart whose weights are in shards; empty where each process holds the whole."""
        if self.world == 1 or self.strategy == "ddp":
            return ""
        return self.strategy if self.strategy == "fsdp" else f"{self.strategy}-{self.zero_stage}"

    @model_validator(mode="after")
    def _several_are_apart(self) -> LaunchRecipe:
        if self.world > 1 and self.apart is False:
            raise ValueError("several processes are always apart: leave launch.apart at 'auto'")
        return self


def shared(batch_size: int, accumulation: int, world: int) -> tuple[int, int]:
    """Batch size and accumulation of each of so many processes, which together take the same rows in a step.

    Raises:
        ValueError: the rows of a step cannot be divided among them.
    """
    of_accumulation = math.gcd(accumulation, world)
    of_batch = world // of_accumulation
    if batch_size % of_batch:
        step = world // math.gcd(batch_size, world)
        raise ValueError(
            f"the {batch_size * accumulation} rows of an optimiser step (training.batch_size x training.accumulation) "
            f"cannot be divided among {world} processes (launch.processes x launch.machines); with "
            f"training.accumulation={max(1, round(accumulation / step)) * step} they can"
        )
    return batch_size // of_batch, accumulation // of_accumulation
