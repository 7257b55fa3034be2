"""Turns pydantic's errors into one line that a person can act on."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from siked_core.errors import unknown

_MEMBER = re.compile(r"(function-|tagged-|constrained-|(list|dict|tuple)\[).*|str|int|float|bool")
"""What pydantic adds to a place to say which member of a union was tried: no key of the user's."""

_UNPARSED = re.compile(r", unable to (parse|interpret).*| or instance of \w+")
"""What pydantic says of its own doing."""


def explain(error: ValidationError, model: type[BaseModel], what: str) -> str:
    """The most telling error of a validation, as one line.

    Args:
        model: what was validated: an unknown key is compared with the keys that exist at its place.
        what: how to call the thing, e.g. "recipe key" or "option of the strategy 'cot':".
    """
    errors = error.errors()  # a misspelt key is often a missing one as well: the misspelling says more
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    *above, key = first["loc"] or ("",)
    # What pydantic names between the keys (members of unions, kinds of validators) is no key; the last part is one.
    parents = [part for part in above if isinstance(part, str) and not part.startswith(("function-", "tagged-"))]
    where = ".".join(str(part) for part in first["loc"] if not _MEMBER.fullmatch(str(part)))
    if first["type"] == "extra_forbidden":
        owner = _owner(model, parents)
        prefix = f" in '{'.'.join(parents)}':" if parents else ""
        elsewhere = [] if owner and str(key).lower() in owner.model_fields else _elsewhere(model, str(key))
        hint = f" Did you mean '{elsewhere[0]}'?" if elsewhere else ""
        return unknown(f"{what}{prefix}", str(key), owner.model_fields if owner else (), hint)
    if first["type"] == "missing":
        return f"Missing {what} '{where}'."
    got = first.get("input")
    message = first["msg"].removeprefix("Value error, ")
    message = _UNPARSED.sub("", message)
    if first["type"] in ("model_type", "dict_type"):
        message = "should be a mapping of keys"
    shown = "" if isinstance(got, dict | list | BaseModel) else f", not {got!r}"
    named = f"{what} '{where}'" if where else what.removesuffix(":")
    return f"Bad {named}: {message[0].lower()}{message[1:]}{shown}."


def _owner(model: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The model that holds the key at the end of `path`, walking through nested models."""
    owner: type[BaseModel] | None = model
    for part in path:
        field = owner.model_fields.get(part) if owner else None
        if field is None:
            continue  # names of union members stand in the path too
        owner = nested_model(field.annotation)
    return owner


def _elsewhere(model: type[BaseModel], key: str, above: str = "") -> list[str]:
    """Where in a model there is a key of that name, by its dotted place."""
    found = []
    for name, field in model.model_fields.items():
        inner = nested_model(field.annotation)
        if above and name == key.lower():
            found.append(f"{above}{name}")
        if inner is not None and inner is not model:
            found += _elsewhere(inner, key, f"{above}{name}.")
    return found


def nested_model(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, be it optional or in a list; None where it holds none."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        for inner in get_args(candidate):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                return inner
    return None
