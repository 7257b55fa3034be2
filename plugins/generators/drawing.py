"""Drawing tokens: greedily, or by inverting the distribution function of the most probable ones at a uniform number."""

from __future__ import annotations

from typing import Any

from siked_core import Sampling

LIKELY = 32
"""Tokens that are looked at first. Sorting a whole vocabulary takes longer than a small model takes to compute it."""


def draw(logits: Any, sampling: Sampling, uniform: Any) -> tuple[Any, Any]:
    """The next token of each row and its log-probability at temperature 1, (B,) each.

    Args:
        logits: (B, V). uniform: (B,) in [0, 1), or None for greedy.
    """
    import torch

    logprobs = torch.log_softmax(logits, dim=-1)
    if uniform is None:
        chosen = logits.argmax(dim=-1)
    else:
        precise = torch.float32 if logits.device.type == "mps" else torch.float64  # mps knows no float64
        probabilities = torch.softmax(logits.to(precise) / sampling.temperature, dim=-1)
        chosen = invert(probabilities, sampling.top_p, uniform)
    return chosen, logprobs.gather(1, chosen[:, None])[:, 0]


def invert(probabilities: Any, top_p: float, uniform: Any, likely: int = LIKELY) -> Any:
    """The token of each row, (B,), at which the distribution function of the smallest set of tokens of mass `top_p`,
    the most probable first, passes `uniform`.

    Args:
        probabilities: (B, V). uniform: (B,) in [0, 1).
        likely: tokens that are looked at first; all of them only of rows whose outcome these do not settle.
    """
    ordered, tokens = probabilities.topk(min(likely, probabilities.shape[1]), dim=-1)  # (B, K)
    chosen = _passed(ordered, tokens, top_p, uniform)
    open_ = ordered.sum(dim=-1) <= (top_p if top_p < 1 else uniform)  # (B,)
    if tokens.shape[1] < probabilities.shape[1] and bool(open_.any()):
        ordered, tokens = probabilities[open_].sort(dim=-1, descending=True)
        chosen[open_] = _passed(ordered, tokens, top_p, uniform[open_])
    return chosen


def _passed(ordered: Any, tokens: Any, top_p: float, uniform: Any) -> Any:
    """The same where these are the tokens, (B, K), in descending order of their probabilities."""
    import torch

    total = ordered.cumsum(dim=-1)
    ordered = ordered.masked_fill(total - ordered >= top_p, 0.0)
    total = ordered.cumsum(dim=-1)
    mass = total[:, -1] if top_p < 1 else 1.0
    place = torch.searchsorted(total, (uniform * mass)[:, None], right=True)
    return tokens.gather(1, place.clamp(max=tokens.shape[1] - 1))[:, 0]
