"""What is hard for the student before it is trained: the difficulty of every step.

d_k = -sum_{j in step k} v_j log P(r_j | r_<j, x), where v is the softmax of the token weights inside the step
(KPOD, arXiv 2405.16064). P is the model that this training starts from: in a later round of siked, which trains on from
the round before, that is the student as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def step_difficulties(logprobs: Sequence[float], weights: Sequence[float], step: Sequence[int]) -> list[float]:
    """d_k of one rationale's steps.

    Args:
        logprobs: log P of each token (nats); (R,).
        weights: the raw token weights; (R,).
        step: of each token; (R,).
    """
    shares = [math.exp(weight) for weight in weights]  # weights are within 0 and 1
    totals = [0.0] * (step[-1] + 1)
    sums = [0.0] * (step[-1] + 1)
    for logprob, share, one in zip(logprobs, shares, step, strict=True):
        totals[one] += share
        sums[one] -= share * logprob
    return [max(0.0, cost / total) for cost, total in zip(sums, totals, strict=True)]
