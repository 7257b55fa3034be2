"""A tiny teacher that knows a few problems: the pocket base, trained on their solutions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from siked_core import Problem, Request, Sampling
from siked_core.models import encode, load_tokenizer
from siked_core.registry import Registry

NO_SHOTS = {"shots": 0, "instruction": ""}
"""Options of its strategies: it is asked the bare question."""


def train_scholar(folder: Path, problems: Sequence[Problem], strategies: Sequence[str], epochs: int = 14) -> Path:
    """Train it, write it into a folder, and return the folder. Its problems have worked solutions."""
    import torch
    from transformers import AutoModelForCausalLM

    registry = Registry.discover()
    base = str(registry.create("model", "pocket").folder())
    tokenizer, model = load_tokenizer(base), AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    asked = [registry.create("strategy", name, NO_SHOTS) for name in strategies]
    wanted = [Request(p, s, s.teacher_prompt(p), 0, 0) for s in asked for p in problems]
    written = dict(registry.create("generator", "pocket", {"error_rate": 0.0}).generate(wanted, Sampling()))
    rows = []
    for place, request in enumerate(wanted):
        prompt = encode(tokenizer, request.prompt)
        answer = [*tokenizer(written[place].text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        rows.append((prompt + answer, [-100] * len(prompt) + answer))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    torch.manual_seed(0)
    for _ in range(epochs):
        for some in torch.randperm(len(rows)).split(8):
            chosen = [rows[int(place)] for place in some]
            width = max(len(ids) for ids, _ in chosen)
            ids = torch.tensor([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in chosen])
            labels = torch.tensor([found + [-100] * (width - len(found)) for _, found in chosen])
            model(input_ids=ids, labels=labels).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
