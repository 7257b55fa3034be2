"""vLLM by itself, for `sampling_vllm.py`; vLLM's environment runs it, which has no siked.

A job is a line of JSON on the standard input; then every empty line is a turn, answered by "wrote [tokens, seconds]".
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    from vllm import LLM, SamplingParams

    job = json.loads(sys.stdin.readline())
    # Seeded requests end a CPU's vLLM 0.32 where it splits a prompt over steps.
    flags = {"enable_chunked_prefill": False} if job["seeded"] else {}
    llm = LLM(job["model"], dtype="float32", max_model_len=job["length"], disable_log_stats=True, **flags)
    prompts = [{"prompt_token_ids": tokens} for tokens in job["prompts"]]
    drawn = {name: job[name] for name in ("temperature", "top_p", "max_tokens")}
    turn = 0
    print("ready", flush=True)
    while sys.stdin.readline():
        turn += 1
        seeds = [1_000_000 + 10_000 * turn + place if job["seeded"] else None for place in range(len(prompts))]
        sampling = [SamplingParams(**drawn, seed=seed) for seed in seeds]
        began = time.perf_counter()
        done = llm.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - began
        tokens = sum(len(one.outputs[0].token_ids) for one in done)
        print(f"wrote {json.dumps([tokens, seconds])}", flush=True)


if __name__ == "__main__":
    main()
