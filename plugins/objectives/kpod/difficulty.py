"""What is hard for the student before it is trained: the difficulty of every step.

d_k = -sum_{j in step k} v_j log P(r_j | r_<j, x), where v is the softmax of the token weights inside the step
(KPOD, arXiv 2405.16064). P is the model that this training starts from: in a later round of siked, which trains on from
the round before, that is the student as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from siked_core import ObjectiveContext
from siked_plugins.objectives.kpod.rationale import Rationale

TOKENS_AT_ONCE = 2048
"""Of a batch, padding included: the logits of a large vocabulary must fit into memory."""


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


def token_logprobs(rationales: Sequence[Rationale], model: Any, context: ObjectiveContext) -> list[list[float]]:
    """log P (nats) of the tokens that are in steps, by the model; (N, R of each)."""
    import torch

    found: list[list[float]] = [[] for _ in rationales]
    # A batch is of rows of nearly one length, longest first: what does not fit into memory shows at once.
    order = sorted(range(len(rationales)), key=lambda place: (-len(rationales[place].ids), place))
    with torch.no_grad(), context.stage("kpod: difficulty", len(rationales), "rows") as progress:
        while order:
            count = max(1, TOKENS_AT_ONCE // len(rationales[order[0]].ids))
            batch, order = order[:count], order[count:]
            rows = [torch.tensor(rationales[place].ids) for place in batch]
            ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
            lengths = torch.tensor([len(row) for row in rows], device=ids.device)
            there = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]).long()
            logits = model(input_ids=ids, attention_mask=there, use_cache=False).logits  # (B, T, V)
            for row, place in enumerate(batch):
                one = rationales[place]
                at = slice(one.start - 1, one.start - 1 + len(one.step))
                picked = logits[row, at].float().log_softmax(-1).gather(1, ids[row, one.start :][: len(one.step), None])
                found[place] = picked.squeeze(1).tolist()
            progress.advance(len(batch))
    return found
