"""What a sample is known by: everything that can change it, and nothing that cannot.

A key is a hash of the problem, the strategy asked for, the rendered prompt, the draw, the seed, the generator (name,
version and fingerprint; of one that only has another's work done elsewhere, that one's) and the sampling settings
except the token limit (a row stores its limit and its finish reason). Where a teacher writes in several turns, what its
later prompts are made from is part too.
Of a generator that writes from the solution that it is given, the solution and the strategy's version, which
then decide what it writes, are part too. The gold answer is not: it changes verdicts, never samples.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from siked_core.contracts import Generator, Strategy, StrategyOptions
from siked_core.records import Problem, Prompt, Sampling


def digest(content: Any) -> str:
    """A short stable hash of plain values (JSON with sorted keys, BLAKE2b, 128 bits)."""
    return hashlib.blake2b(_plain(content).encode(), digest_size=16).hexdigest()


def sample_key(
    problem: Problem,
    strategy: Strategy | None,
    prompt: Prompt,
    draw: int,
    sampling: Sampling,
    generator: Generator,
    seed: int,
    turns: str = "",
) -> str:
    """The key of one sample.

    Args:
        strategy: the one that is asked for; None where the student chooses.
        seed: the recipe's.
        turns: what decides the prompts after the first (`Strategy.turns`); empty where there is one.
    """
    written_from = None
    if generator.reads_solution:
        solution = asdict(problem.solution) if problem.solution else None
        written_from = _plain([solution, reading(strategy) if strategy else None])
    rest = _without_draw(
        problem.id,
        strategy.name if strategy else None,
        prompt,
        sampling.temperature,
        sampling.top_p if sampling.temperature > 0 else 1.0,
        sampling.stop,
        (generator.original.name, generator.original.version, generator.fingerprint),
        written_from,
        seed,
        turns,
    )
    return hashlib.blake2b(b'{"draw":%d,' % draw + rest, digest_size=16).hexdigest()


@lru_cache(maxsize=8, typed=True)
def _without_draw(
    problem: str,
    requested: str | None,
    prompt: Prompt,
    temperature: float,
    top_p: float,
    stop: tuple[str, ...],
    generator: tuple[str, str, str],
    written_from: str | None,
    seed: int,
    turns: str,
) -> bytes:
    """What a key is the hash of, behind the draw, which comes first: the draws of one prompt differ in nothing else.

    A run asks for the keys of all its samples whenever it is resumed.
    """
    messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
    content = {
        "problem": problem,
        "written_from": None if written_from is None else json.loads(written_from),
        "requested": requested,
        "prompt": {"messages": messages, "prefix": prompt.prefix},
        "temperature": temperature,
        "top_p": top_p,
        "stop": stop,
        "generator": generator,
        "seed": seed,
        **({"turns": turns} if turns else {}),
    }
    return _plain(content)[1:].encode()


def _plain(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)


def reading(strategy: Strategy) -> list[Any]:
    """What decides how a strategy reads and writes rationales: not the bank and the shots, which the prompt holds."""
    options = strategy.options.model_dump(mode="json", exclude=set(StrategyOptions.model_fields))
    return [strategy.name, strategy.version, options]


def seed_of(key: str) -> int:
    """A 63-bit seed that belongs to this key alone."""
    return int(key[:16], 16) >> 1
