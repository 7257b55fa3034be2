"""What a sample is known by: everything that can change it, and nothing that cannot.

A key is a hash of the problem, the strategy asked for, the rendered prompt, the draw, the generator's fingerprint
and the sampling settings except the token limit (a row stores its limit and its finish reason).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from siked_core.contracts import Generator
from siked_core.records import Problem, Prompt, Sampling


def digest(content: Any) -> str:
    """A short stable hash of plain values (JSON with sorted keys, BLAKE2b, 128 bits)."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def sample_key(
    problem: Problem,
    requested: str | None,
    prompt: Prompt,
    draw: int,
    sampling: Sampling,
    generator: Generator,
    seed: int,
) -> str:
    return digest(
        {
            "problem": problem.id,
            "solution": asdict(problem) if generator.reads_solution else None,
            "requested": requested,
            "prompt": asdict(prompt),
            "draw": draw,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": sampling.stop,
            "generator": generator.fingerprint,
            "seed": seed,
        }
    )


def seed_of(key: str) -> int:
    """A 63-bit seed that belongs to this key alone."""
    return int(key[:16], 16) >> 1
