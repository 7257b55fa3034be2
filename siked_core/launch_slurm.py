"""The batch script with which Slurm runs a whole `siked distill` on several nodes.

siked itself runs on the first node. A training is started on all of them by `srun` (`launch_command`); everything else
happens on the first one, unless a generator uses the Ray cluster that the script can start over the nodes. Slurm sends
SIGTERM before the time is up: siked then ends in good order, the job is queued again, and the same command goes on.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

REQUEUED_S = 120
"""Seconds before the end of its time at which a job is told to end."""


@dataclass(frozen=True)
class SlurmJob:
    """What is asked of Slurm."""

    name: str
    nodes: int
    command: Sequence[str]
    """The `siked distill` that is run: a Python that all nodes see, and its arguments."""
    folder: str
    """Where it is run: a folder that all nodes see."""
    gpus: int = 0
    """GPUs of each node."""
    cpus: int | None = None
    """Cores of each node; the default is the partition's."""
    memory: str | None = None
    """Of each node, as sbatch takes it: "64G"."""
    partition: str | None = None
    account: str | None = None
    time: str | None = None
    """As sbatch takes it: "24:00:00"."""
    lines: Sequence[str] = ()
    """Put before siked is started: `module load cuda`, or a further `#SBATCH` line."""
    ray: bool = False
    """Start a Ray cluster over the nodes, and have RAY_ADDRESS name it."""


def script(job: SlurmJob) -> str:
    """The script's text, for `sbatch`."""
    asked = {
        "job-name": job.name,
        "nodes": job.nodes,
        "ntasks-per-node": 1,
        "gpus-per-node": job.gpus or None,
        "cpus-per-task": job.cpus,
        "mem": job.memory,
        "partition": job.partition,
        "account": job.account,
        "time": job.time,
        "output": f"{job.name}-%j.log",
        "open-mode": "append",
        "signal": f"B:TERM@{REQUEUED_S}",
    }
    further = [line for line in job.lines if line.startswith("#SBATCH")]
    lines = [
        "#!/bin/bash",
        "# A whole run of siked; written by `siked launch slurm`. Submit it with sbatch.",
        *(f"#SBATCH --{name}={value}" for name, value in asked.items() if value is not None),
        "#SBATCH --requeue",
        *further,
        "",
        f"cd {shlex.quote(job.folder)} || exit 2",
        "# srun does not take these over from sbatch by itself.",
        '[ -z "${SLURM_CPUS_PER_TASK:-}" ] || export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
        *(line for line in job.lines if not line.startswith("#SBATCH")),
        "",
        *(_ray(job) if job.ray else ()),
        "# The time is nearly up, or the node is wanted: siked ends in good order.",
        "told_to_end=",
        'trap \'told_to_end=yes; [ -z "${siked:-}" ] || kill -TERM "$siked" 2> /dev/null\' TERM',
        "trap 'kill $(jobs -p) 2> /dev/null' EXIT",
        f"{shlex.join(job.command)} &",
        "siked=$!",
        'wait "$siked"; code=$?',
        'while kill -0 "$siked" 2> /dev/null; do wait "$siked"; code=$?; done',
        "# It was not done: the same job goes on where it stopped, when Slurm starts it again.",
        'if [ -n "$told_to_end" ] && [ "$code" -ne 0 ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
        'exit "$code"',
    ]
    return "\n".join(lines) + "\n"


def _ray(job: SlurmJob) -> list[str]:
    """The lines that start Ray: its head on the first node, a worker on each other one."""
    ray = f"{shlex.quote(job.command[0])} -m ray.scripts.scripts"
    devices = f" --num-gpus={job.gpus}"
    node = "--ntasks-per-node=1 --overlap"
    return [
        "# A Ray cluster over all nodes, for generators that use one. Each job has a port of its own.",
        "first=${SLURMD_NODENAME:-$(hostname)}",
        "port=$((20000 + SLURM_JOB_ID % 20000))",
        'export RAY_ADDRESS="$first:$port"',
        "# Whoever reaches a Ray cluster can run anything on it: this one's token is known to this job alone.",
        "export RAY_AUTH_MODE=token",
        f"RAY_AUTH_TOKEN=$({shlex.quote(job.command[0])} -c 'import secrets; print(secrets.token_hex(32))')",
        "export RAY_AUTH_TOKEN",
        f'srun --nodes=1 --ntasks=1 --nodelist="$first" {node} {ray} start --head --node-ip-address="$first" '
        f'--port="$port" --disable-usage-stats --block{devices} &',
        f'until {ray} status --address="$RAY_ADDRESS" > /dev/null 2>&1; do',
        '    [ "$((SECONDS > 300))" -eq 0 ] || { echo "Ray does not answer at $RAY_ADDRESS" >&2; exit 2; }',
        "    sleep 2",
        "done",
        "others=$((SLURM_JOB_NUM_NODES - 1))",
        'if [ "$others" -gt 0 ]; then',
        f'    srun --nodes="$others" --ntasks="$others" --exclude="$first" {node} {ray} start '
        f'--address="$RAY_ADDRESS" --disable-usage-stats --block{devices} &',
        "fi",
        "",
    ]
