"""What a model that is not trained yet makes of texts: log-probabilities of tokens, in batches. For objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from siked_core import ObjectiveContext

TOKENS_AT_ONCE = 2048
"""Of a batch, padding included: the logits of a large vocabulary must fit into memory."""
Span = tuple[Sequence[int], int, int]
"""The tokens of a whole example, where the tokens begin that are asked for, and how many these are."""


def logprobs(spans: Sequence[Span], model: Any, context: ObjectiveContext, stage: str) -> list[list[float]]:
    """log P (nats) of each span's tokens, given all tokens before them.

    Args:
        model: in evaluation mode, as `context.load_student` gives it.
        stage: what progress is told under.
    """
    import torch

    found: list[list[float]] = [[] for _ in spans]
    # A batch is of rows of nearly one length, longest first: what does not fit into memory shows at once.
    order = sorted(range(len(spans)), key=lambda place: (-len(spans[place][0]), place))
    with torch.no_grad(), context.stage(stage, len(spans), "rows") as progress:
        while order:
            count = max(1, TOKENS_AT_ONCE // len(spans[order[0]][0]))
            batch, order = order[:count], order[count:]
            rows = [torch.tensor(spans[place][0]) for place in batch]
            ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(model.device)
            lengths = torch.tensor([len(row) for row in rows], device=ids.device)
            there = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]).long()
            logits = model(input_ids=ids, attention_mask=there, use_cache=False).logits  # (B, T, V)
            for row, place in enumerate(batch):
                _, start, tokens = spans[place]
                wanted = ids[row, start : start + tokens, None]
                picked = logits[row, start - 1 : start - 1 + tokens].float().log_softmax(-1).gather(1, wanted)
                found[place] = picked.squeeze(1).tolist()
            progress.advance(len(batch))
    return found


def let_go() -> None:
    """Give the device's memory back, once the model is dropped: the training may be another process."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
