"""Texts that no strategy or verifier expects and that every one of them must take: fixed, so that a failure repeats."""

from __future__ import annotations

import random
from collections.abc import Iterable

LONG = 5_000
"""Characters of what is long."""

NASTY: tuple[str, ...] = (
    "", " ", "\n\n\n", "\t", "\r\n\r", "\x00", "\x1b[31mred\x07", "\u2028\u2029", "\u202eanswer", "\ufeff5",
    "e\u0301" * 50, "\U0001f469\u200d\U0001f52c", "５", "٣", "½", "∞", "nan", "-inf", "NaN", "None", "null", "-", ".",
    "1e999999999", "1/0", "0/0", "1,2,3", "--5", "0x1f", "1_000", "9" * LONG, "1/" * 500, "(" * LONG, "[" * LONG,
    "{question}", "{0} {} %s %d", "${HOME}", "$" * 99, "\\" * 99, "\\boxed{" * 500, "\\frac{1}{", "`" * 99,
    "```", "```python", "```python\n```", "<|end|>", "</s>", "<cot>", "<b>5</b>", "&lt;", "'; DROP TABLE problems; --",
    "The answer is", "The answer is .", "The answer is nan.", "The answer is 5", "the ANSWER is: $5.00!", "#### ",
    "The answer is 5. " * 300, "A step.\n" * 600, "1. " * 1500, "|1|2|3|4|\n" * 400, "Q: a\nA: b\n" * 400,
    "Question: What?\nAnswer:", "I cannot solve this problem.", "Sure! Here is the solution:",
    "answer = 1/0", "answer = answer", "answer =", "= 5", "x = x", "ans = ans + 1", "x + y = 3", "import", "def f(",
    "print(5", "answer = 'five'", "answer = [5]", "answer = 5  # \x00", "raise SystemExit(3)", "a" * LONG,
    "word " * 1000, "\n" * LONG,
)  # fmt: skip


def spoilt(texts: Iterable[str], seed: int = 0) -> list[str]:
    """Good texts, each spoilt in the ways in which models spoil them."""
    drawn = random.Random(seed)
    found: list[str] = []
    for text in texts:
        if not text:
            continue
        lines = text.split("\n")
        some = drawn.randrange(len(lines))
        found += [text[: drawn.randrange(len(text))] for _ in range(3)]
        found += [
            text[drawn.randrange(len(text)) :],
            "\n".join([*lines[:some], *lines[some + 1 :]]),
            "\n".join([*lines[: some + 1], *lines[some:]]),
            "\n".join(reversed(lines)),
            text.upper(),
            text.replace(" ", ""),
            text.replace("\n", " "),
            text.replace("\n", "\r\n"),
            "".join(drawn.choice("xyz(") if letter.isdigit() else letter for letter in text),
            f"Sure! Here it is:\n\n{text}\n\nI hope this helps!",
            f"{text}\n\n{text}",
            f"```\n{text}\n```",
            f"  {text}  \n",
        ]
        place = drawn.randrange(len(text))
        found.append(text[:place] + drawn.choice("\x00\u2028|`%{}\\") + text[place:])
    return found
