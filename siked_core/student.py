"""Finding the student that a recipe names, and getting its tokenizer ready."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from siked_core.errors import ModelError, PluginError, UnusablePluginError
from siked_core.format import PLAIN_TEMPLATE, StudentFormat, with_instruction, without_thinking
from siked_core.recipe import read_text_option
from siked_core.recipe_student import StudentRecipe
from siked_core.registry import Registry


def resolve_model(name: str, registry: Registry) -> str:
    """A folder or hub name from what a recipe calls the student: a plugin's model, a folder, or a hub name.

    Raises:
        ModelError: a path that does not exist, or a folder without a config.
    """
    if name in registry.names("model"):
        return str(registry.create("model", name).folder())
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ModelError(f"The folder {path} is not a model: it has no config.json.")
        return str(path)
    on_hub = re.match(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)", name)
    if on_hub:
        raise ModelError(f"Give the student by its name on the hub, not by an address: {on_hub[1]}")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"There is no model folder {name}. Give an existing folder, a hub name, or 'pocket'.")
    try:
        registry.get("model", name)
    except UnusablePluginError:
        raise  # it was meant, and says why it cannot be had
    except PluginError:
        return name  # no plugin of this name: the hub's
    return name


def prepare_tokenizer(tokenizer: Any, recipe: StudentRecipe, format: StudentFormat) -> None:
    """Set the chat template (with the instruction in it) and the pad token. The tokenizer is changed in place.

    Raises:
        ModelError: the student has no chat template or no pad token, and the recipe names none.
    """
    template = tokenizer.chat_template
    if recipe.chat_template is not None:
        named = recipe.chat_template
        template = PLAIN_TEMPLATE if named == "plain" else read_text_option(named, "chat template")
    if not template:
        raise ModelError(
            f"The student '{recipe.model}' has no chat template. Set student.chat_template to 'plain' or to a Jinja "
            "file (@FILE)."
        )
    if isinstance(template, dict):
        template = template["default"]
    if recipe.pad_token is not None:
        if tokenizer.convert_tokens_to_ids(recipe.pad_token) in (None, tokenizer.unk_token_id):
            raise ModelError(f"The student's vocabulary has no token '{recipe.pad_token}' (student.pad_token).")
        tokenizer.pad_token = recipe.pad_token
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"The student '{recipe.model}' has no pad token. Set student.pad_token to a token of its vocabulary, "
            f"for example {tokenizer.eos_token or tokenizer.unk_token!r}."
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(f"The student '{recipe.model}' has no end-of-sequence token, so it could never stop.")
    fixed = template if format.thinks else without_thinking(template)
    tokenizer.chat_template = with_instruction(fixed, format.instruction)
