"""A LoRA adapter as PEFT writes it: a folder with a configuration and weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from siked_core import ModelError
from siked_core.models import hash_files

CONFIG = "adapter_config.json"
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The highest ranks that a server of vLLM's can be made for."""


def rank_of(folder: Path) -> int:
    """The rank that a server must be made for to take it.

    Raises:
        ModelError: it is no adapter, or none that vLLM takes.
    """
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["peft_type"] != "LORA":
            raise ModelError(f"The adapter {folder} is of PEFT's kind {config['peft_type']}; vLLM takes LORA only.")
        rank = max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
    except FileNotFoundError:
        raise ModelError(f"{folder} is no LoRA adapter: it has no {CONFIG}, as PEFT writes it.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / CONFIG} cannot be read: {error!r}.") from None
    if rank > RANKS[-1]:
        raise ModelError(f"The adapter {folder} has the rank {rank}; vLLM takes {RANKS[-1]} at most.")
    return next(known for known in RANKS if known >= rank)


def name_of(folder: Path) -> str:
    """What it is called at a server: another content has another name."""
    return f"adapter-{hash_files(folder)}"
