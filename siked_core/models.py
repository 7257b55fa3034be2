"""Loading Hugging Face models, and telling one from another. For generator plugins and the stages that train.

torch and transformers are imported inside the functions: reading this module costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from siked_core.errors import ModelError
from siked_core.keys import digest
from siked_core.records import Message, Prompt

SIDE_FILE = "siked.json"
"""Beside a trained student's own files: its strategies, its tags, and what its weights came from."""
_SENTINEL = "siked-system"


def load_config(model: str) -> Any:
    """The model's configuration.

    Raises:
        ModelError: it cannot be found or read.
    """
    from transformers import AutoConfig

    return _loading(model, lambda: AutoConfig.from_pretrained(model))


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """The model's tokenizer; of a hub model, at a branch, tag or commit.

    Raises:
        ModelError: it cannot be found or read.
    """
    from transformers import AutoTokenizer

    return _loading(model, lambda: AutoTokenizer.from_pretrained(model, revision=revision))


def load_weights(model: str, dtype: Any, device_map: str | dict[str, int] | None = None, **settings: Any) -> Any:
    """The model with its weights, in evaluation mode.

    Args:
        dtype: a torch dtype.
        device_map: spreads them over devices, as transformers does.
        settings: what transformers is told besides, such as a `quantization_config`.

    Raises:
        ModelError: it cannot be found or read.
    """
    from transformers import AutoModelForCausalLM

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(model, dtype=dtype, device_map=device_map, **settings).eval()

    return _loading(model, load)


def _loading(model: str, load: Any) -> Any:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # where it is there, it tells of kernels and every cast
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)  # PEFT asks for it
    try:
        return load()
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:240]
        raise ModelError(
            f"Cannot load the model '{model}': {reason} Give a model folder or a hub name that can be reached."
        ) from None


def fingerprint(folder: str) -> str:
    """What the weights and the tokenizer of a model are: a hash of its files, or the commit of a hub model.

    Raises:
        ModelError: it cannot be found.
    """
    path = Path(folder)
    if not path.is_dir():
        commit = getattr(load_config(folder), "_commit_hash", None)
        return f"{folder}@{commit or 'unknown'}"
    side = path / SIDE_FILE
    if side.exists():
        return str(read_side_file(path)["fingerprint"])
    return hash_files(path)


def hub_commit(model: str, revision: str | None = None) -> str:
    """The commit of a hub model that a branch, a tag or (by default) its newest state means. None of its code is run.

    Raises:
        ModelError: it cannot be found.
    """
    from huggingface_hub import hf_hub_download

    config = _loading(model, lambda: hf_hub_download(model, "config.json", revision=revision))
    return Path(config).parent.name


def hash_files(folder: Path) -> str:
    """A hash of the files of a model folder that decide what it writes."""
    deciding = [
        file
        for file in sorted(folder.iterdir())
        if file.suffix in (".safetensors", ".bin", ".json", ".jinja", ".model") and file.name != SIDE_FILE
    ]
    states = tuple((found.st_ino, found.st_mtime_ns, found.st_size) for found in map(Path.stat, deciding))
    return _hash_of(tuple(file.absolute() for file in deciding), states)


@lru_cache(maxsize=64)  # a command asks for it at several stages, and the files may be large
def _hash_of(files: tuple[Path, ...], states: tuple[tuple[int, int, int], ...]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for file in files:
        hasher.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 22):
                hasher.update(block)
    return hasher.hexdigest()


def read_side_file(folder: Path) -> dict[str, Any]:
    """The contents of `siked.json`.

    Raises:
        ModelError: the folder has none, or it cannot be read.
    """
    try:
        content: dict[str, Any] = json.loads((folder / SIDE_FILE).read_text(encoding="utf-8"))
        stored = content.pop("digest", None)
    except FileNotFoundError:
        raise ModelError(f"{folder} is not a student trained by siked: it has no {SIDE_FILE}.") from None
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / SIDE_FILE} cannot be read: {error}.") from None
    if stored is not None and stored != digest(content):
        raise ModelError(f"{folder / SIDE_FILE} is damaged: its content is not what was written.")
    return content


def choose_dtype(name: str, device: str, model: str) -> Any:
    """The torch dtype that an option means on a device: "auto" is float32 on a CPU, the model's own elsewhere."""
    import torch

    if name != "auto":
        return getattr(torch, name)
    if device == "cpu":
        return torch.float32
    own = getattr(load_config(model), "dtype", None)
    return own if isinstance(own, torch.dtype) else torch.float32


def choose_device(name: str = "auto") -> str:
    """The device that an option means: "auto" is a CUDA device where there is one."""
    import torch

    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def render(tokenizer: Any, prompt: Prompt, **settings: Any) -> str:
    """The prompt as the model reads it, up to where its answer begins; without the start that is forced on it.

    Where the chat template has no place for a system message, that message opens the first turn.

    Args:
        settings: what the chat template is told besides, such as `enable_thinking`.
    """
    fitted = fit_to_template(tokenizer, prompt)
    messages = [{"role": message.role, "content": message.content} for message in fitted.messages]
    if tokenizer.chat_template:
        return str(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **settings))
    # A base model as a teacher: the turns, one after another.
    return "\n\n".join(message["content"] for message in messages) + "\n\n"


def fit_to_template(tokenizer: Any, prompt: Prompt) -> Prompt:
    """The prompt as the chat template can render it: a system message that it has no place for opens the first turn."""
    own = tokenizer.chat_template
    template = own if isinstance(own, str) else None  # None: the default one of several
    turns = prompt.messages
    if not own or len(turns) < 2 or turns[0].role != "system" or _takes_system(tokenizer, template):
        return prompt
    opened = replace(turns[1], content=f"{turns[0].content}\n\n{turns[1].content}")
    return replace(prompt, messages=(opened, *turns[2:]))


@lru_cache(maxsize=16)
def _takes_system(tokenizer: Any, template: str | None) -> bool:
    """Whether a chat template has a place for a system message: some refuse one (Gemma's first), others drop it."""
    from jinja2.exceptions import TemplateError

    turns = [{"role": "system", "content": _SENTINEL}, {"role": "user", "content": "?"}]
    try:
        return _SENTINEL in str(tokenizer.apply_chat_template(turns, tokenize=False, chat_template=template))
    except TemplateError:
        return False


def encode(tokenizer: Any, prompt: Prompt, **settings: Any) -> list[int]:
    """The prompt's token ids, with the start of the answer that it forces. `settings` are those of `render`."""
    return Encoder(tokenizer, **settings)(prompt)


class Encoder:
    """`encode` for many prompts: those of late are remembered, since a problem is asked under several strategies, and
    their tags are few."""

    def __init__(self, tokenizer: Any, **settings: Any) -> None:
        self._tokenizer, self._settings = tokenizer, settings
        remember = lru_cache(maxsize=4096)
        self._beginning, self._part = remember(self._begin), remember(self._go_on)

    def __call__(self, prompt: Prompt) -> list[int]:
        return [*self._beginning(prompt.messages), *self.part(prompt.prefix)]

    def part(self, text: str) -> tuple[int, ...]:
        """The token ids of a text that goes on."""
        return self._part(text) if text else ()

    def _begin(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        text = render(self._tokenizer, Prompt(messages), **self._settings)
        special = not self._tokenizer.chat_template  # a template writes the special tokens itself
        return tuple(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _go_on(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])
