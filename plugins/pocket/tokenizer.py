"""The base student's tokenizer: byte-level BPE in which every number from 0 to 999 is one token.

Longer numbers fall into groups of up to three digits from the left, as in Llama 3, and every Unicode text
round-trips. It departs from Llama 3 in two ways that shorten arithmetic: a space before a digit belongs to the word
or sign in front of it ("12 + 7" is "12", " + ", "7"), so a number has one token wherever it stands; and signs are
single, so a text can be cut between a prompt and its continuation without a change of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|end|>"
PAD = "<|pad|>"
MERGES = 1000
CONTEXT = 512

PIECES = (
    r"[ _]?[\p{L}\p{M}]+(?: (?=\p{N}))?"  # a word, or a part of an identifier
    r"|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{M}\p{N}](?: (?=\p{N}))?"  # one sign
    r"|\n"
    r"|\s+"
)

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' -%}{{ message.content + '\\n' }}"
    "{%- elif message.role == 'assistant' -%}"
    "{{ 'A:' }}{%- generation -%}{{ message.content + eos_token }}{%- endgeneration -%}{{ '\\n' if not loop.last }}"
    "{%- else -%}{{ 'Q: ' + message.content + '\\n' }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ 'A:' }}{%- endif -%}"
)


def train_tokenizer(texts: Iterable[str], merges: int = MERGES) -> PreTrainedTokenizerFast:
    """Learn the merges of words from texts; digits are given, not learnt."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    def split() -> pre_tokenizers.PreTokenizer:
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = split()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + merges, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    learner.train_from_iterator((re.sub(r"\d+", "0", text) for text in texts), trainer)
    learnt = json.loads(learner.to_str())["model"]
    vocabulary = {END: 0, PAD: 1}
    for token in sorted(learnt["vocab"], key=learnt["vocab"].__getitem__):
        vocabulary[token] = len(vocabulary)
    for number in range(10, 1000):
        vocabulary[str(number)] = len(vocabulary)
    merged = [tuple(pair) for pair in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merged, ignore_merges=True))
    tokenizer.pre_tokenizer = split()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True), AddedToken(PAD, special=True)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast
