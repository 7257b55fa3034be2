"""How well a model predicts a general text: whether a student forgets what it could do before it was distilled.

Perplexity per token depends on the vocabulary; bits per byte do not, so that models of different tokenizers can be
compared (Gao et al. 2020, The Pile, arXiv 2101.00027, section 3.1). Each token is predicted once, in windows of the
model's context of which the next begins in the middle of the one before, so that none but a document's first tokens
are predicted from less than half a window. A document's first token is predicted from the token that the model begins
texts with, or else from the one that ends them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core.errors import DataError
from siked_core.models import choose_device, choose_dtype, load_config, load_tokenizer, load_weights
from siked_core.rows import FORMATS, read_rows, read_text
from siked_core.scorecard import Perplexity

LONGEST = 2048
"""Tokens of a window, where the model's context has more: the scores of one take vocabulary x tokens x 4 bytes."""
AT_ONCE = 2**28
"""Scores (tokens x vocabulary) that are held at a time."""


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a document."""

    tokens: tuple[int, ...]
    scored: int
    """How many of its last tokens are predicted here; those before were predicted in an earlier window."""


def read_documents(path: Path) -> list[str]:
    """The documents of a file: of rows the field `text`; any other file is one document.

    Raises:
        DataError: it cannot be read, is empty, or a row has no text; names file and line.
    """
    if path.suffix.lower() not in FORMATS:
        text = read_text(path)
        if not text.strip():
            raise DataError(f"{path}: the file holds no text.")
        return [text]
    documents = []
    for row in read_rows(path):
        document = row.values.get("text")
        if not isinstance(document, str) or not document:
            raise DataError(f"{row.where}: a row must have a field text that holds some (evaluation.perplexity).")
        documents.append(document)
    return documents


def windows(tokens: Sequence[int], first: int, length: int) -> Iterator[Window]:
    """A document in windows of at most `length` tokens, each of its tokens scored in one of them.

    Args:
        first: what the first token is predicted from.
    """
    everything = (first, *tokens)
    step = max(1, length // 2)
    done = 1  # the first token is given
    while done < len(everything):
        until = min(len(everything), length if done == 1 else done + step)
        yield Window(everything[max(0, until - length) : until], until - done)
        done = until


def measure(model: str, documents: Sequence[str], dtype: str) -> Perplexity:
    """How well a model predicts documents.

    Args:
        model: a folder or hub name.
        dtype: as the recipe's `student.dtype`.

    Raises:
        ModelError: the model cannot be loaded.
        DataError: its tokenizer makes no token of them.
    """
    device = choose_device()
    tokenizer = load_tokenizer(model)
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    config = load_config(model).get_text_config()
    length = min(LONGEST, getattr(config, "max_position_embeddings", None) or LONGEST)
    encoded = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in documents]
    pieces = [piece for tokens in encoded for piece in windows(tokens, first, length)]
    if not pieces:
        raise DataError("The student's tokenizer makes no token of the text of evaluation.perplexity.")
    loaded = load_weights(model, choose_dtype(dtype, device, model)).to(device)
    nats = math.fsum(_nats(loaded, batch) for batch in _batches(pieces, config.vocab_size))
    del loaded
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()  # what comes next may be another process
    size = sum(len(text.encode()) for text in documents)
    return Perplexity(sum(piece.scored for piece in pieces), size, nats)


def _batches(pieces: Sequence[Window], vocabulary: int) -> Iterator[list[Window]]:
    """Windows of one shape, so that nothing is padded."""
    shapes: dict[tuple[int, int], list[Window]] = {}
    for piece in pieces:
        shapes.setdefault((len(piece.tokens), piece.scored), []).append(piece)
    for (length, scored), alike in sorted(shapes.items(), reverse=True):
        # Scores are needed of the scored tokens alone; what a layer holds is of all tokens.
        rows = max(1, min(AT_ONCE // (scored * vocabulary), 8 * LONGEST // length))
        yield from (alike[start : start + rows] for start in range(0, len(alike), rows))


def _nats(model: Any, batch: Sequence[Window]) -> float:
    """The negative log-probability of the scored tokens of windows of one shape."""
    import torch

    scored = batch[0].scored
    tokens = torch.tensor([piece.tokens for piece in batch], device=model.device)  # (B, T)
    with torch.inference_mode():
        scores = model(tokens[:, :-1], use_cache=False, logits_to_keep=scored).logits.float()  # (B, scored, V)
        losses = torch.nn.functional.cross_entropy(scores.transpose(1, 2), tokens[:, -scored:], reduction="none")
        return float(losses.double().sum())
