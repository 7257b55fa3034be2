"""Writes the tables of presets and keys in docs/recipes.md from the recipe's own docstrings, types and defaults.

python docs/make_recipe_table.py          rewrite them
python docs/make_recipe_table.py --check  say whether they are current
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from siked_core.recipe import Recipe, preset_names, preset_text
from siked_core.recipe_choice import PluginChoice
from siked_core.recipe_spending import Price

PAGE = Path(__file__).with_name("recipes.md")
BEGIN, END = "<!-- made by docs/make_recipe_table.py -->", "<!-- until here -->"
TYPES = {
    int: "integer",
    float: "number",
    bool: "true or false",
    str: "text",
    Any: "any value",
    Path: "path",
    PluginChoice: "plugin",
    Price: "`{input, output}`",
}
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def tables() -> str:
    """Everything between the two markers."""
    return "\n".join([*_presets(), *_sections()])


def written(page: str) -> str:
    """The page with fresh tables in it."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has lost its markers {BEGIN} and {END}.")
    return pattern.sub(lambda _: f"{BEGIN}\n{tables()}\n{END}", page)


def _presets() -> Iterator[str]:
    yield from ("## Presets", "", "| preset | what it is |", "|---|---|")
    for name in preset_names():
        about = preset_text(name).splitlines()[0].removeprefix("# ")
        yield f"| `{name}` | {about} |"
    yield ""


def _sections() -> Iterator[str]:
    yield from ("## Keys", "", "### The whole run", "")
    plain = {name: field for name, field in Recipe.model_fields.items() if not _section(field)}
    yield from _table(plain, "")
    for name, field in Recipe.model_fields.items():
        if section := _section(field):
            yield from (f"### `{name}`", "", f"{field.description}", "")
            yield from _table(section.model_fields, f"{name}.")


def _table(fields: dict[str, FieldInfo], prefix: str) -> Iterator[str]:
    yield from ("| key | type | default | meaning |", "|---|---|---|---|")
    yield from _rows(fields, prefix)
    yield ""


def _rows(fields: dict[str, FieldInfo], prefix: str) -> Iterator[str]:
    for name, field in fields.items():
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        if section := _section(field):
            default = "null" if field.get_default(call_default_factory=True) is None else "as below"
            yield f"| `{prefix}{name}` | section{_or_null(field)} | {default} | {meaning} |"
            yield from _rows(section.model_fields, f"{prefix}{name}.")
        else:
            yield f"| `{prefix}{name}` | {_type(field)} | {_default(field)} | {meaning} |"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The model behind a key that holds keys of its own."""
    if get_origin(field.annotation) is dict:
        return None
    for candidate in (field.annotation, *get_args(field.annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel) and candidate is not PluginChoice:
            return candidate
    return None


def _or_null(field: FieldInfo) -> str:
    return ", or null" if NoneType in get_args(field.annotation) else ""


def _type(field: FieldInfo) -> str:
    limits = [
        f"{sign} {getattr(part, name)}"
        for part in field.metadata
        for name, sign in LIMITS.items()
        if hasattr(part, name)
    ]
    return " ".join([_named(field.annotation), *([" and ".join(limits)] if limits else [])]) + _or_null(field)


def _named(annotation: Any) -> str:
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if get_origin(annotation) is list:
        return f"list of {_named(arguments[0])}s"
    if get_origin(annotation) is dict:
        return f"{_named(arguments[1])} for each name"
    if arguments:
        return " or ".join(_named(argument) for argument in arguments if argument is not NoneType)
    return TYPES[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "to be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, list) and value and isinstance(value[0], PluginChoice):
        value = [choice.name for choice in value]
    if isinstance(value, PluginChoice):
        value = value.name
    if isinstance(value, str) and ("\n" in value or len(value) > 40):
        shown = repr(value) if len(value) <= 40 else repr(value[:37]).removesuffix("'") + "...'"
    else:
        shown = yaml.safe_dump(value, default_flow_style=True).strip().removesuffix("\n...")
    return f"`{shown}`"


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    fresh = written(page)
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, encoding="utf-8")
    elif fresh != page:
        raise SystemExit(f"{PAGE} is out of date: run python docs/make_recipe_table.py")


if __name__ == "__main__":
    main()
