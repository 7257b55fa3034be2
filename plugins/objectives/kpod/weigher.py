"""The token-weight module of KPOD (arXiv 2405.16064), and its training.

e = SelfAttention(Emb(r)) and w_j = sigmoid(MLP(e_j)) is the probability that token j is kept. m_j = GumbelSoftmax(w_j)
masks the rationale, m_j = 0 where a token is not kept; a small predictor reads it and says the answer from every prefix
of steps: L_p = -sum_k sum_j log P(y_j | y_<j, r[m]_<=k, x). With L_m = sum_j m_j, the loss is L_p + 0.5 L_m. Emb is the
student's own embedding table, which is not trained.

Departures, where the paper (as far as we know it) says nothing, or where what it says did not work on few rationales:
- Both read Emb through a linear map to `width`, and know positions by sinusoids; attention has one layer.
- Masks are straight through: 0 or 1 forwards, the relaxed sample's gradient backwards (Jang et al. 2017, 1611.01144).
- The predictor is one causal layer over question and masked rationale, so that every prefix of steps is read at once,
  and one layer that attends to such a prefix and writes the answer by copying (Vinyals et al. 2015, 1506.03134): a
  token's probability is the attention on its kept copies, and `FLOOR` at least. One that could also write what it has
  not read soon knew the answers of some hundred questions by heart, and all tokens were masked.
- The predictor learns first, under random masks; the weights are then trained against it as it is. Trained together,
  an unready predictor has no use for any token, and L_m masks them all before it does.
- The answer is the problem's gold answer, not the sentence that states it, which no token's weight is taken of.
- How long all this is trained, and by what optimiser (Adam), are options.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from siked_core import ObjectiveContext
from siked_plugins.objectives.kpod.rationale import Rationale

HEADS = 4
FLOOR = 1e-3
"""The probability of an answer's token that was nowhere read."""
KEPT_AT_FIRST = 2.0
"""log(w / (1 - w)) of a token before it is known what it matters: w = 0.88."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the module came to."""

    weights: list[list[float]]
    """(N, R of each): the probability that a token is kept."""
    losses: list[tuple[float, float]]
    """(updates, 2): mean L_p and L_m of the rationales of each update."""


@dataclass(frozen=True, slots=True)
class Settings:
    width: int
    updates: int
    batch: int
    learning_rate: float
    temperature: float
    warm_up: float
    """Share of the updates, the first ones, that train the predictor."""
    mask_loss: float
    """What L_m counts in the loss."""


def weigh(
    rationales: Sequence[Rationale], table: Any, settings: Settings, seed: int, context: ObjectiveContext
) -> Weighed:
    """Train the module on the rationales that state their answer, and weigh their tokens with it.

    A token of any other weighs 1: what a program or a system of equations comes to is not in its text, so nobody who
    only reads can tell which tokens it hangs on. All weigh 1 where there is none to train on.

    Args:
        table: the student's embeddings, a float32 tensor (V, D), on the device to work on.
        seed: of weights, batches and masks; on one machine the result follows from it.
    """
    import torch

    devices = [table.device] if table.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), context.stage("kpod: weigh", settings.updates, "updates") as progress:
        torch.manual_seed(seed)
        modules = _modules(table.shape[1], settings.width).to(table.device)
        optimisers = [
            torch.optim.Adam(
                [weight for name, weight in modules.named_parameters() if name.startswith("weigher") == weighing],
                lr=settings.learning_rate,
            )
            for weighing in (False, True)
        ]
        draw = random.Random(seed)
        told = [one for one in rationales if one.states]
        usable = [one for one in told if one.answer and {*one.question, *one.tokens}.issuperset(one.answer)]
        losses = []
        for update in range(settings.updates if usable else 0):
            batch = _Batch.of(draw.sample(usable, min(settings.batch, len(usable))), table)
            masked = update >= settings.updates * settings.warm_up
            predicted, kept = _losses(modules, batch, settings.temperature, masked)
            modules.zero_grad(set_to_none=True)
            (predicted + settings.mask_loss * kept if masked else predicted).backward()
            optimisers[masked].step()
            losses.append((predicted.item(), kept.item()))
            progress.advance()
            progress.describe(f"L_p {losses[-1][0]:.2f}, L_m {losses[-1][1]:.1f}")
        found = iter(_weights(modules, told, table, settings.batch) if losses else [])
        return Weighed([next(found, [1.0] * len(one.step)) if one.states else [1.0] * len(one.step)
                        for one in rationales], losses)  # fmt: skip


@dataclass
class _Batch:
    """Rationales side by side. B rationales, at most Q tokens of questions, R of rationales, A of answers, K steps."""

    question: Any
    """(B, Q, D)"""
    question_there: Any
    """(B, Q) bool"""
    tokens: Any
    """(B, R, D)"""
    there: Any
    """(B, R) bool"""
    ends: Any
    """(B, K): tokens of each prefix of steps; 0 where there is no such step."""
    before: Any
    """(B, A, D): the answer's tokens, moved on by one."""
    ids: Any
    """(B, Q + R): tokens of question and rationale."""
    answer: Any
    """(B, A): tokens of the answer; -1 where there is none."""

    @classmethod
    def of(cls, rationales: Sequence[Rationale], table: Any) -> _Batch:
        import torch

        ends = [torch.tensor(one.ends()) for one in rationales]
        question, question_there = _embedded([one.question for one in rationales], table)
        tokens, there = _embedded([one.tokens for one in rationales], table)
        before, _ = _embedded([one.answer for one in rationales], table)
        answers = [torch.tensor(one.answer) for one in rationales]
        pad = torch.nn.utils.rnn.pad_sequence
        asked = pad([torch.tensor(one.question or (0,)) for one in rationales], batch_first=True)
        told = pad([torch.tensor(one.tokens) for one in rationales], batch_first=True)
        return cls(
            question,
            question_there,
            tokens,
            there,
            pad(ends, batch_first=True).to(table.device),
            torch.nn.functional.pad(before, (0, 0, 1, 0))[:, :-1],
            torch.cat([asked, told], 1).to(table.device),
            pad(answers, batch_first=True, padding_value=-1).to(table.device),
        )


def _embedded(rows: Sequence[Sequence[int]], table: Any) -> tuple[Any, Any]:
    """Rows of tokens as embeddings (B, L, D), and which are there (B, L)."""
    import torch

    lengths = torch.tensor([max(1, len(row)) for row in rows])
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(list(row) or [0]) for row in rows], batch_first=True)
    there = torch.arange(ids.shape[1]) < lengths[:, None]
    return table[ids.to(table.device)], there.to(table.device)


def _modules(size: int, width: int) -> Any:
    from torch import nn

    layer = {"d_model": width, "nhead": HEADS, "dim_feedforward": 2 * width, "dropout": 0.0, "batch_first": True}
    modules = nn.ModuleDict(
        {
            "weigher_in": nn.Linear(size, width),
            "weigher_attention": nn.MultiheadAttention(width, HEADS, batch_first=True),
            "weigher_mlp": nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)),
            "reader_in": nn.Linear(size, width, bias=False),
            "reader": nn.TransformerEncoderLayer(**layer),
            "writer": nn.TransformerDecoderLayer(**layer),
            "answer": nn.Linear(width, width, bias=False),
        }
    )
    nn.init.constant_(modules["weigher_mlp"][-1].bias, KEPT_AT_FIRST)
    return modules


def _logits(modules: Any, tokens: Any, there: Any) -> Any:
    """log(w / (1 - w)) of each token; (B, R)."""
    x = modules["weigher_in"](tokens)
    x = x + _positions(x)
    attended, _ = modules["weigher_attention"](x, x, x, key_padding_mask=~there, need_weights=False)
    return modules["weigher_mlp"](attended).squeeze(-1)


def _losses(modules: Any, batch: _Batch, temperature: float, masked: bool) -> tuple[Any, Any]:
    """L_p and L_m, each the mean over the batch's rationales; with masks at random unless `masked` by the weights."""
    import torch

    logits = _logits(modules, batch.tokens, batch.there)
    # Gumbel-softmax over (kept, not kept): the difference of two Gumbel samples is a logistic one.
    uniform = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
    relaxed = torch.sigmoid((logits + uniform.log() - (-uniform).log1p()) / temperature)
    masks = ((relaxed > 0.5).float() + relaxed - relaxed.detach()) * batch.there  # (B, R)
    if not masked:
        share = torch.rand_like(logits[:, :1])
        masks = (torch.rand_like(logits) < share).float() * batch.there

    read = torch.cat([modules["reader_in"](batch.question), modules["reader_in"](batch.tokens) * masks[..., None]], 1)
    read = read + _positions(read)
    asked, length = batch.question.shape[1], read.shape[1]
    causal = torch.triu(torch.ones(length, length, dtype=torch.bool, device=read.device), 1)
    there = torch.cat([batch.question_there, batch.there], 1)
    kept = torch.cat([batch.question_there.float(), masks], 1)  # (B, Q + R)
    memory = modules["reader"](read, src_mask=causal, src_key_padding_mask=~there)

    rows, steps = batch.ends.nonzero(as_tuple=True)  # (P,): every prefix of steps of every rationale
    places = torch.arange(length, device=read.device)
    visible = there[rows] & (places < asked + batch.ends[rows, steps][:, None])  # (P, Q + R)
    before = modules["reader_in"](batch.before)
    before = (before + _positions(before))[rows]
    future = torch.triu(torch.ones(before.shape[1], before.shape[1], dtype=torch.bool, device=read.device), 1)
    written = modules["writer"](before, memory[rows], tgt_mask=future, memory_key_padding_mask=~visible)
    scores = modules["answer"](written) @ memory[rows].mT / written.shape[-1] ** 0.5  # (P, A, Q + R)
    attention = scores.masked_fill(~visible[:, None], -1e9).softmax(-1) * kept[rows][:, None]
    copies = batch.ids[rows][:, None] == batch.answer[rows][..., None]
    likely = FLOOR + (1 - FLOOR) * (attention * copies).sum(-1)  # (P, A)
    predicted = -likely.log()[batch.answer[rows] >= 0].sum()
    count = len(batch.tokens)
    return predicted / count, masks.sum() / count


def _weights(modules: Any, rationales: Sequence[Rationale], table: Any, batch: int) -> Any:
    import torch

    with torch.no_grad():
        for first in range(0, len(rationales), batch):
            some = rationales[first : first + batch]
            tokens, there = _embedded([one.tokens for one in some], table)
            kept = torch.sigmoid(_logits(modules, tokens, there))
            yield from (kept[place, : len(one.step)].tolist() for place, one in enumerate(some))


def _positions(x: Any) -> Any:
    """Sinusoids (Vaswani et al. 2017) of the shape of x, (B, L, D)."""
    import torch

    at = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)[:, None]
    rate = torch.exp(torch.arange(0, x.shape[2], 2, device=x.device, dtype=x.dtype) * (-9.21 / x.shape[2]))
    return torch.stack([torch.sin(at * rate), torch.cos(at * rate)], dim=-1).flatten(1)[:, : x.shape[2]]
