"""The layers that a recipe is made from: read, brought to one shape, laid on top of one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from siked_core.errors import RecipeError
from siked_core.yaml_text import NotYaml, read_yaml

_QUOTE = " Put the whole of KEY=VALUE in quotes, or the shell takes it apart."


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Dotted keys from `key=value` texts, the values read as YAML.

    Raises:
        RecipeError: a text is not `key=value`, or its value is not YAML.
    """
    values = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"--set takes key=value, e.g. training.epochs=2; got '{assignment}'.")
        try:
            # `@` is reserved in YAML, and `@FILE` is ours
            values[key.strip()] = value if value.startswith("@") else read_yaml(value)
        except NotYaml as error:
            raise RecipeError(
                f"--set {key}: the value {value!r} is not YAML: {error}.{_QUOTE * value.startswith(('{', '['))}"
            ) from None
    return values


def read_layer(path: Path) -> dict[str, Any]:
    """A YAML file as a layer.

    Raises:
        RecipeError: it cannot be read, is not YAML, or is no mapping.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError(f"Cannot read the recipe {path}: {reason}.") from None
    except NotYaml as error:
        raise RecipeError(f"The recipe {path} is not YAML: {error}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RecipeError(f"The recipe {path} must be a mapping of keys, not a {type(content).__name__}.")
    return content


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """One layer from its dotted keys: their order does not matter."""
    layer: dict[str, Any] = {}
    for key, value in sorted(dotted.items()):  # a parent before what is inside it
        *parents, last = key.split(".")
        place = layer
        for part in parents:
            inner = place.get(part)
            if isinstance(inner, str):  # a plugin's short form, about to be given options
                inner = choice(inner)
            place[part] = dict(inner) if isinstance(inner, Mapping) else {}
            place = place[part]
        place[last] = value
    return layer


def choice(text: str) -> dict[str, Any]:
    """A plugin's short form in full: `cot`, or `vllm:Qwen/Qwen3-8B`, a name and its option `model`."""
    name, colon, model = text.partition(":")
    return {"name": name, "options": {"model": model}} if colon else {"name": name}


def merge(base: Any, change: Any) -> Any:
    """Mappings are merged key by key; a plugin that is named anew drops the old one's options."""
    if isinstance(base, Mapping) and isinstance(change, str) and "name" in base:
        change = choice(change)
    if isinstance(base, str) and isinstance(change, Mapping) and set(change) == {"options"}:
        base = choice(base)
    if not (isinstance(base, Mapping) and isinstance(change, Mapping)):
        return change
    if "name" in base and change.get("name", base["name"]) != base["name"]:
        return dict(change)
    return {
        key: merge(base.get(key), change[key]) if key in change else base[key]
        for key in [*base, *(k for k in change if k not in base)]
    }
