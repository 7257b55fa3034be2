"""vLLM in one process, for `sampling_vllm.py`; vLLM's Python runs it.

A job is a line of JSON on the standard input; then every empty line is a turn, answered by "wrote [tokens, seconds]".
The way "inside" is siked's generator with `engine: inside`, and takes a Python that can import siked (`beside`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = "siked", "pluggy", "polars", "_polars_runtime_32", "polars_runtime_32", "pydantic_monty", "xxhash"
"""What siked needs and vLLM's environment lacks."""


def beside(folder: Path, python: str) -> bool:
    """Fill a folder for PYTHONPATH by which vLLM's Python imports this one's siked: what is installed for one version
    of Python and one machine can be imported by both. False where the versions differ.

    Args:
        folder: made here; links.
        python: vLLM's.
    """
    ask = "import sys, sysconfig; print(sys.version_info[:2], sysconfig.get_path('purelib'))"
    told = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    version, _, site = told.rpartition(" ")
    if version != str(sys.version_info[:2]):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).parents[1]
    found = {"siked_core": root / "siked_core", "siked_plugins": root / "plugins", "siked_cli": root / "cli"}
    for entry in map(Path, sys.path):
        for package in PACKAGES:
            for path in {*entry.glob(package), *entry.glob(f"{package}-*.dist-info")}:
                if not Path(site, path.name).exists():
                    found.setdefault(path.name, path)
    for name, path in found.items():
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(path)
    return True


def alone(job: dict[str, Any]) -> Callable[[int], int]:
    """`vllm.LLM.generate` on all prompts at once; a turn returns how many tokens were written."""
    from vllm import LLM, SamplingParams

    seeded = job["way"] == "seeded"
    # Seeded requests end a CPU's vLLM 0.32 where it splits a prompt over steps.
    flags = {"enable_chunked_prefill": False} if seeded else {}
    llm = LLM(job["model"], dtype="float32", max_model_len=job["length"], disable_log_stats=True, **flags)
    prompts = [{"prompt_token_ids": tokens} for tokens in job["prompts"]]

    def turn(number: int) -> int:
        # A log-probability for every token, as siked's samples have one.
        more = [{"seed": 1_000_000 * number + place, "logprobs": 0} if seeded else {} for place in range(len(prompts))]
        sampling = [SamplingParams(**job["sampling"], **one) for one in more]
        return sum(len(one.outputs[0].token_ids) for one in llm.generate(prompts, sampling, use_tqdm=False))

    return turn


def inside(job: dict[str, Any]) -> Callable[[int], int]:
    """siked's generator in this process."""
    from siked_core import Message, Problem, Prompt, Request, Sampling
    from siked_plugins.generators.vllm import VllmGenerator

    generator = VllmGenerator({"engine": "inside", **job["options"]})
    generator.open()
    prompts = [Prompt(tuple(Message(*one) for one in messages), prefix) for messages, prefix in job["messages"]]

    def turn(number: int) -> int:
        asked = [
            Request(Problem(f"p{place}", "", "0"), None, prompt, 0, 1_000_000 * number + place)
            for place, prompt in enumerate(prompts)
        ]
        return sum(one.completion_tokens for _, one in generator.generate(asked, Sampling(**job["sampling"])))

    return turn


def main() -> None:
    job = json.loads(sys.stdin.readline())
    turn = inside(job) if job["way"] == "inside" else alone(job)
    print("ready", flush=True)
    for number, _ in enumerate(sys.stdin, 1):
        began = time.perf_counter()
        tokens = turn(number)
        print(f"wrote {json.dumps([tokens, time.perf_counter() - began])}", flush=True)


if __name__ == "__main__":
    main()
