"""A student to test with: the smallest thing that loads, samples and trains as a real one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core.contracts_training import ObjectiveContext

if TYPE_CHECKING:
    from siked_core.format import StudentFormat

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tiny_student(
    folder: Path,
    *,
    chat_template: str | None = CHAT_TEMPLATE,
    pad_token: bool = True,
    hidden_size: int = 32,
    layers: int = 2,
    seed: int = 0,
    tied: bool = True,
) -> Path:
    """Write a random Llama with a byte-level tokenizer into a folder, and return the folder.

    Its chat template ends a turn with `<|end|>`, which is not the EOS token `</s>`, as with several real models.

    Args:
        tied: the output layer has the input embedding's weights.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    special = ["</s>", "<pad>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: place for place, token in enumerate([*special, *alphabet])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="</s>",
        pad_token="<pad>" if pad_token else None,
        additional_special_tokens=special[2:],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = chat_template
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=tied,
        eos_token_id=vocabulary["</s>"],
        bos_token_id=None,
        pad_token_id=vocabulary["<pad>"],
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def toy_context(
    student: Path, format: StudentFormat, max_length: int = 1024, epochs: int = 1, **more: Any
) -> ObjectiveContext:
    """What an objective is given for this student, with the seed 3.

    Args:
        more: further fields of `ObjectiveContext`, such as `folder`, `samples` and `load_student`.
    """
    from siked_core.models import load_tokenizer
    from siked_core.recipe_student import StudentRecipe
    from siked_core.student import prepare_tokenizer
    from siked_core.training import row_encoder

    tokenizer = load_tokenizer(str(student))
    prepare_tokenizer(tokenizer, StudentRecipe(model=str(student)), format)
    return replace(ObjectiveContext(tokenizer, max_length, epochs, 3, row_encoder(tokenizer, format)), **more)
