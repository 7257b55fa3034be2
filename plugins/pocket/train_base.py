"""Trains the base student: a small Llama, from random weights, on the corpus of the pocket world.

    python -m siked_plugins.pocket.train_base --out base --tokens 20000000

A plain PyTorch loop: packed documents, AdamW for embeddings and norms and Muon for the matrices (a small model needs
every step), a short linear warm-up and a long linear decay. It is seeded; a checkpoint holds everything, so a killed
run continues where it was, and the corpus is never repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_plugins.pocket.corpus import documents
from siked_plugins.pocket.tokenizer import CONTEXT, train_tokenizer

if TYPE_CHECKING:
    import torch

CORPUS_SEED = 20261
TOKENIZER_DOCUMENTS = 60_000


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m siked_plugins.pocket.train_base", description=__doc__.split("\n")[0])
    made.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    made.add_argument("--work", type=Path, help="folder of checkpoint and log (default: OUT.work)")
    made.add_argument("--tokens", type=int, default=14_000_000, help="tokens to train on, in all")
    made.add_argument("--stop", type=int, help="stop after so many tokens, with a checkpoint and without a model")
    made.add_argument("--seed", type=int, default=1, help="seed of the weights")
    made.add_argument("--corpus-seed", type=int, default=CORPUS_SEED)
    made.add_argument("--hidden", type=int, default=128)
    made.add_argument("--layers", type=int, default=4)
    made.add_argument("--heads", type=int, default=4)
    made.add_argument("--intermediate", type=int, default=384)
    made.add_argument("--embedding-std", type=float, default=0.2, help="of the random embeddings")
    made.add_argument("--sequence", type=int, default=256, help="tokens in a packed sequence")
    made.add_argument("--batch", type=int, default=12, help="sequences in a step")
    made.add_argument("--lr", type=float, default=0.02, help="peak learning rate of Muon")
    made.add_argument("--adam-lr", type=float, default=0.004, help="peak learning rate of AdamW")
    made.add_argument("--decay", type=float, default=0.9, help="share of the tokens over which the rate falls to zero")
    made.add_argument("--threads", type=int, default=2)
    made.add_argument("--compile", action="store_true", help="compile the model first: minutes, then 1.3 times as fast")
    made.add_argument("--every", type=float, default=120.0, help="seconds between checkpoints")
    return made


def packed(
    tokenizer: Any, corpus_seed: int, length: int, start: int = 0, rest: list[int] | None = None
) -> Iterator[tuple[list[int], int, list[int]]]:
    """Sequences of `length` + 1 tokens, documents end to end.

    With each come the index of the next document and the tokens left over: from these two it continues.
    """
    rest = rest or []
    index = start
    source = documents(corpus_seed, start)
    while True:
        for ids in tokenizer(list(islice(source, 64))).input_ids:
            index += 1
            rest = [*rest, *ids, tokenizer.eos_token_id]
            while len(rest) > length:
                row, rest = rest[: length + 1], rest[length:]
                yield row, index, rest


def build(options: argparse.Namespace, tokenizer: Any) -> Any:
    """A `LlamaForCausalLM` with tied embeddings and random weights.

    The embeddings start larger than is usual. Names stand in like places, so that training moves their embeddings
    alike; from small ones they became nearly one (cosine 0.92 after 8 million tokens), and no name could be copied.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(options.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=options.hidden,
            intermediate_size=options.intermediate,
            num_hidden_layers=options.layers,
            num_attention_heads=options.heads,
            num_key_value_heads=options.heads,
            max_position_embeddings=CONTEXT,
            rope_theta=10_000.0,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            initializer_range=0.02,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    torch.nn.init.normal_(model.get_input_embeddings().weight, std=options.embedding_std)
    # Tied as they are, they would make the first logits as much too large.
    torch.nn.init.constant_(model.model.norm.weight, min(1.0, 0.04 / options.embedding_std))
    return model


def optimizers(model: Any, options: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms."""
    import torch

    from siked_plugins.pocket.muon import Muon

    inside = [p for name, p in model.named_parameters() if p.ndim == 2 and "layers." in name]
    chosen = {id(p) for p in inside}
    others = [p for p in model.parameters() if id(p) not in chosen]
    return [
        Muon(inside, lr=options.lr),
        torch.optim.AdamW(others, lr=options.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(done: int, options: argparse.Namespace) -> float:
    """The learning rate as a share of its peak: up over 2 %, flat, down over the last `decay`."""
    progress = done / int(options.tokens)
    return min(1.0, progress / 0.02 + 0.01, max(0.0, (1 - progress) / float(options.decay)))


def train(options: argparse.Namespace) -> None:
    """Train until the tokens are used up, from the last checkpoint if there is one."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(options.threads)
    work = options.work or options.out.with_suffix(".work")
    work.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = train_tokenizer(islice(documents(options.corpus_seed), TOKENIZER_DOCUMENTS))
    model = build(options, tokenizer).to(device)
    tuned = optimizers(model, options)
    peaks = [group["lr"] for optimizer in tuned for group in optimizer.param_groups]
    state: dict[str, Any] = {"tokens": 0, "step": 0, "seconds": 0.0, "document": 0, "rest": [], "plans": []}
    log: list[dict[str, float]] = []
    checkpoint = work / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, values in zip(tuned, saved["optimizers"], strict=True):
            optimizer.load_state_dict(values)
        state, log = saved["state"], saved["log"]
        print(f"continuing at {state['tokens']} tokens", flush=True)
    # The learning rate follows from the tokens that are planned; who changes them on the way leaves a trace.
    if not state["plans"] or state["plans"][-1][1] != options.tokens:
        state["plans"].append([state["tokens"], options.tokens])

    def save() -> None:
        torch.save(
            {"model": model.state_dict(), "optimizers": [o.state_dict() for o in tuned], "state": state, "log": log},
            checkpoint.with_suffix(".tmp"),
        )
        checkpoint.with_suffix(".tmp").replace(checkpoint)

    def loss_of(batch: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy (nats) of the next token. The batch is (B, T + 1)."""
        logits = model(batch[:, :-1], use_cache=False).logits  # (B, T, V)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())

    measure = torch.compile(loss_of, dynamic=False) if options.compile else loss_of
    model.train()
    started, last_save, recent = time.monotonic() - state["seconds"], time.monotonic(), []
    source = packed(tokenizer, options.corpus_seed, options.sequence, state["document"], state["rest"])
    goal = min(options.tokens, options.stop or options.tokens)
    while state["tokens"] < goal:
        rows = list(islice(source, options.batch))
        _, state["document"], state["rest"] = rows[-1]
        batch = torch.tensor([ids for ids, _, _ in rows], device=device)  # (B, T + 1)
        share = rate(state["tokens"], options)
        for group, peak in zip((g for o in tuned for g in o.param_groups), peaks, strict=True):
            group["lr"] = peak * share
        loss = measure(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in tuned:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        recent.append(loss.item())
        state["tokens"] += batch[:, 1:].numel()
        state["step"] += 1
        state["seconds"] = time.monotonic() - started
        if state["step"] % 100 == 0:
            log.append({"step": state["step"], "tokens": state["tokens"], "loss": round(sum(recent) / len(recent), 4),
                        "seconds": round(state["seconds"], 1)})  # fmt: skip
            recent = []
            print(json.dumps(log[-1]), flush=True)
        if time.monotonic() - last_save > options.every:
            save()
            last_save = time.monotonic()
    save()
    if goal < options.tokens:
        return
    model.eval()
    model.generation_config.do_sample = False
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    settings = {
        name: value for name, value in vars(options).items() if name not in ("out", "work", "threads", "every", "stop")
    }
    parameters = sum(p.numel() for p in model.parameters())
    record = {
        "settings": settings,
        "plans": state["plans"],
        "parameters": parameters,
        "device": device,
        "tokens": state["tokens"],
        "documents": state["document"],
        "seconds": round(state["seconds"]),
        "log": log,
    }
    (options.out / "training_log.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    train(parser().parse_args())
