"""transformers' own continuous batching, for the generator `transformers`: a place that falls free in the batch is
taken by the next prompt at once, over a cache in pages.

It has one stream of random numbers for all its rows, seeded by the first request: a sample depends on the chunk that it
is drawn in. It knows log-probabilities after temperature and top-p only, so they are kept where it is greedy, where
those change nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from siked_core import ModelError, Sampling

CPU_MEMORY = 0.05
"""Share of the main memory for keys and values. By default most of it is taken, which takes a minute."""
WAIT_S = 1.0
"""Between two looks at whether it still works."""


def write_continuously(
    model: Any,
    prompts: Sequence[Sequence[int]],
    limits: Sequence[int],
    ends: Collection[int],
    sampling: Sampling,
    seed: int,
) -> Iterator[tuple[int, list[int], float | None]]:
    """Yield (row, new tokens with the one that ends it, log-probability of them all or None) as rows end.

    Args:
        prompts: token ids of each row.
        limits: new tokens of each row, at most.
        ends: the tokens that end a row.

    Raises:
        ModelError: it failed on a row, or ended before all were done.
    """
    from transformers import GenerationConfig
    from transformers.generation.configuration_utils import ContinuousBatchingConfig

    greedy = sampling.temperature == 0
    drawn = {} if greedy else {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    chosen = GenerationConfig(do_sample=not greedy, eos_token_id=sorted(ends), max_new_tokens=max(limits), **drawn)
    memory = CPU_MEMORY if model.device.type == "cpu" else None
    batching = ContinuousBatchingConfig(return_logprobs=greedy, seed=seed % 2**32, max_memory_percent=memory)
    with model.continuous_batching_context_manager(
        generation_config=chosen, continuous_batching_config=batching, block=True
    ) as manager:
        for row, prompt in enumerate(prompts):
            manager.add_request(list(prompt), request_id=str(row), max_new_tokens=limits[row])
        waiting = len(prompts)
        while waiting:
            found = manager.get_result(timeout=WAIT_S)
            if found is None:
                if not manager.is_running():
                    raise ModelError(
                        f"transformers' continuous batching ended with {waiting} of {len(prompts)} texts not written. "
                        "Set the generator's option continuous to false."
                    )
            elif found.is_finished():
                if found.error:
                    raise ModelError(f"transformers' continuous batching failed: {' '.join(found.error.split())[:240]}")
                waiting -= 1
                yield int(found.request_id), list(found.generated_tokens), sum(found.logprobs) if greedy else None
