"""The command that starts a training's processes: Python alone, torch's launcher, or that on every machine of a Slurm
allocation; and what must be there for it.

`accelerate launch` starts the same launcher of torch's, but not on a CPU, where it has MPI or one process only. What
else it can be told (FSDP, DeepSpeed) are arguments of the trainer here (`launch_strategy`).
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path

from siked_core.errors import RecipeError
from siked_core.recipe_launch import LaunchRecipe

MODULE = "siked_core.training_job"


def check_launch(launch: LaunchRecipe) -> None:
    """What a training is launched with is there.

    Raises:
        RecipeError: it is not.
    """
    if launch.strategy == "deepspeed" and launch.world > 1 and importlib.util.find_spec("deepspeed") is None:
        raise RecipeError(
            "launch.strategy = deepspeed needs the package 'deepspeed', which is not installed here. Install it, or "
            "use ddp or fsdp, which need nothing more."
        )
    if launch.machines == 1:
        return
    nodes = os.environ.get("SLURM_JOB_NUM_NODES") or os.environ.get("SLURM_NNODES")
    if "SLURM_JOB_ID" not in os.environ or shutil.which("srun") is None:
        raise RecipeError(
            f"launch.machines = {launch.machines} works inside a Slurm allocation only, and this is none. "
            "`siked launch slurm RECIPE` writes the script that asks for one."
        )
    if nodes is not None and int(nodes) < launch.machines:
        raise RecipeError(
            f"launch.machines = {launch.machines}, but the Slurm allocation {os.environ['SLURM_JOB_ID']} has {nodes} "
            "nodes. Ask for more (sbatch --nodes), or set launch.machines."
        )


def check_devices(launch: LaunchRecipe) -> None:
    """There is a GPU for each process of this machine, or the strategy does without.

    Raises:
        RecipeError: there are too few.
    """
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if launch.shards and not found:
        # accelerate would train as with ddp, and not say so.
        raise RecipeError(f"launch.strategy = {launch.strategy} needs GPUs, and there are none here. Use ddp.")
    if found and launch.processes > found:
        raise RecipeError(
            f"launch.processes = {launch.processes}, but this machine has {found} GPU{'s' if found > 1 else ''}. Each "
            "process takes one."
        )


def command(launch: LaunchRecipe, folder: Path, host: str) -> list[str]:
    """The command that trains what is in a job's folder.

    Args:
        host: this machine, as others reach it.
    """
    train = ["-m", MODULE, str(folder.absolute())]
    if launch.world == 1:
        return [sys.executable, *train]
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={launch.processes}"]
    launcher += [f"--nnodes={launch.machines}", "--max-restarts=0"]
    if launch.machines == 1:
        return [*launcher, "--standalone", *train]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={host}:{_free_port()}", f"--rdzv-id={secrets.token_hex(8)}"]
    steps = [f"--nodes={launch.machines}", f"--ntasks={launch.machines}", "--ntasks-per-node=1"]
    return ["srun", *steps, "--overlap", "--kill-on-bad-exit=1", *launcher, *meeting, *train]


def environment(launch: LaunchRecipe) -> dict[str, str]:
    """The environment of the processes: siked's own, no module from the folder that it was started in, and this
    machine's cores shared among them unless the user has said how many threads there are to be."""
    found = dict(os.environ) | {"PYTHONSAFEPATH": "1"}
    if launch.world > 1:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        found.setdefault("OMP_NUM_THREADS", str(max(1, cores // launch.processes)))
    return found


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
