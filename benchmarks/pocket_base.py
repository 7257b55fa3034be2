"""What the pocket world's base student can do before any distillation: copying, arithmetic by size, syntax.

    python benchmarks/pocket_base.py [MODEL] [--cases 200] [--json FILE]

Every ability is a set of prompts that a seed draws, apart from the corpus's own seed, with exact expected answers;
the student continues each greedily, and the share of continuations that begin with the expected text is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import siked_plugins.pocket
from siked_plugins.pocket.corpus_dictation import dictation, equation
from siked_plugins.pocket.corpus_reading import noted, reading, recall
from siked_plugins.pocket.sketch import Difficulty, Draw, evaluate, plain
from siked_plugins.pocket.words import spoken

Case = tuple[str, str]
"""A prompt, and what its continuation must begin with."""


def calculation(sign: str, low: int, high: int) -> Callable[[random.Random], Case]:
    def case(chance: random.Random) -> Case:
        x, y = chance.randint(low, high), chance.randint(low, high)
        if sign == "-":
            x, y = max(x, y), min(x, y)
        if sign == "/":
            x *= max(y, 1)
            y = max(y, 1)
        return f"{x} {sign} {y} = ", f"{plain(evaluate(f'{x} {sign} {y}'))}"

    return case


def running_sum(count: int, high: int) -> Callable[[random.Random], Case]:
    def case(chance: random.Random) -> Case:
        numbers = [chance.randint(2, high) for _ in range(count)]
        return f"{' + '.join(map(str, numbers))} = ", f"{sum(numbers)}"

    return case


def carried(chance: random.Random) -> Case:
    """The next line starts from the last result: the step after "3 + 4 = 7" begins with 7."""
    x, y = chance.randint(2, 40), chance.randint(2, 40)
    return f"{x} + {y} = {x + y}\n{x + y} + 5 = {x + y + 5}.\nThe answer is ", f"{x + y + 5}."


def larger(chance: random.Random) -> Case:
    x, y = chance.sample(range(2, 100), 2)
    return f"Of {x} and {y} the larger is ", f"{max(x, y)} "


def worded(chance: random.Random) -> Case:
    n = chance.randint(2, 99)
    return f"{spoken(n)} is ", f"{n}"


def from_corpus(kind: Callable[[Draw], str], pattern: str) -> Callable[[random.Random], Case]:
    """A document of the corpus's kind, drawn apart from the corpus, cut before what the pattern's group finds."""

    def case(chance: random.Random) -> Case:
        while True:
            document = kind(Draw(f"benchmark/{chance.random()}", Difficulty.MEDIUM))
            if found := re.search(pattern, document, re.DOTALL):
                return document[: found.start(1)], found[1]

    return case


ABILITIES: dict[str, Callable[[random.Random], Case]] = {
    "copy: what belongs to what, 2-6 pairs": from_corpus(recall, r"\n[A-Z][a-z]+ has (\d+)\."),
    "copy: read back one of 2-5 facts": from_corpus(reading, r"^Q: [^\n]*\nA:It is (\d+)\."),
    "copy: facts as Python names": from_corpus(noted, r"^Q: [^\n]*\nA:\w+ = \d+\n(\w+ = \d+\n.*)$"),
    "copy: the last result as the answer": carried,
    "words: number words to digits": worded,
    "compare: the larger of two below 100": larger,
    "add: to 20": calculation("+", 2, 10),
    "add: to 100": calculation("+", 2, 50),
    "add: three digits": calculation("+", 100, 499),
    "subtract: below 20": calculation("-", 2, 20),
    "subtract: below 100": calculation("-", 2, 99),
    "subtract: three digits": calculation("-", 100, 999),
    "multiply: to 5 x 5": calculation("*", 2, 5),
    "multiply: to 12 x 12": calculation("*", 2, 12),
    "multiply: two digits": calculation("*", 13, 99),
    "divide: times tables": calculation("/", 2, 10),
    "sum of 4: below 20": running_sum(4, 20),
    "sum of 4: below 1000": running_sum(4, 999),
    "syntax: dictated expressions": from_corpus(dictation, r"^Q: [^\n]*\nA:([^=\n]*)$"),
    "syntax: dictated assignments": from_corpus(dictation, r"^Q: [^\n]*\nA:(\w+ = [^\n]*)$"),
    "syntax: dictated equations": from_corpus(equation, r"^Q: [^\n]*\nA:(.*)$"),
}


def continuations(model: Any, tokenizer: Any, cases: list[Case], tokens: int = 40) -> list[str]:
    """Greedy continuations, in order; batches of like length."""
    import torch

    written = [""] * len(cases)
    # A space before a digit belongs to the token before it: a prompt that a number follows is cut out of the whole.
    encoded = [
        tokenizer(f"{prompt}0").input_ids[:-1] if expected[0].isdigit() else tokenizer(prompt).input_ids
        for prompt, expected in cases
    ]
    order = sorted(range(len(cases)), key=lambda index: len(encoded[index]))
    for start in range(0, len(order), 50):
        chosen = order[start : start + 50]
        batch = tokenizer.pad({"input_ids": [encoded[i] for i in chosen]}, return_tensors="pt", padding_side="left")
        with torch.no_grad():
            made = model.generate(**batch, max_new_tokens=tokens, do_sample=False)
        texts = tokenizer.batch_decode(made[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
        for index, text in zip(chosen, texts, strict=True):
            written[index] = text
    return written


def begins(text: str, expected: str) -> bool:
    """Whether the text begins with what is expected, and not with a longer number."""
    return text.startswith(expected) and not (expected[-1:].isdigit() and text[len(expected) :][:1].isdigit())


def measure(folder: str, cases: int, seed: int) -> dict[str, float]:
    """The share of right continuations, by ability."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    shares = {}
    for name, ability in ABILITIES.items():
        chance = random.Random(f"{seed}/{name}")
        drawn = [ability(chance) for _ in range(cases)]
        texts = continuations(model, tokenizer, drawn)
        right = sum(begins(text, expected) for text, (_, expected) in zip(texts, drawn, strict=True))
        shares[name] = right / cases
        print(f"{name:40} {100 * shares[name]:5.1f} %", flush=True)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shipped = Path(siked_plugins.pocket.__file__).parent / "base"
    parser.add_argument("model", nargs="?", default=str(shipped))
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the shares to this file, too")
    options = parser.parse_args()
    shares = measure(options.model, options.cases, options.seed)
    if options.json:
        options.json.write_text(json.dumps({"cases": options.cases, "shares": shares}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
