"""`siked recipe show`, `list` and `schema`: what a run can be configured by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siked_cli import completions
from siked_cli.options import Json
from siked_cli.output import Output
from siked_cli.recipe_command import Set, resolve_file

app = typer.Typer(no_args_is_help=True, help="Show recipes: presets, a file as resolved, the schema of every key.")


@app.command("show")
def show(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[PRESET|FILE]", help="A preset's name or a recipe's file.", autocompletion=completions.presets
        ),
    ] = None,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Print a recipe with every key, as a run would use it: YAML that `siked distill` takes."""
    from siked_core.recipe import preset_names

    is_file = source is not None and source not in preset_names() and _looks_like_file(source)
    resolved = resolve_file(
        Path(source) if source is not None and is_file else None, {}, set_ or (), None if is_file else source
    )
    output = Output(json=json)
    output.document(resolved.model_dump(mode="json"))
    if not output.json:
        typer.echo(resolved.to_yaml(), nl=False)


@app.command("list")
def list_presets(json: Json = False) -> None:
    """List the presets, with the first line of what each says about itself."""
    from rich.table import Table
    from rich.text import Text

    from siked_core.recipe import preset_names, preset_text

    about = {name: _about(preset_text(name)) for name in preset_names()}
    output = Output(json=json)
    output.document([{"name": name, "about": text} for name, text in about.items()])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("preset", no_wrap=True)
    table.add_column("what it is")
    for name, text in about.items():
        table.add_row(Text(name, style="bold"), text)
    output.show(table)


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of a recipe: every key with its type, default and meaning."""
    import json

    from siked_core.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=2, ensure_ascii=False))


def _looks_like_file(source: str) -> bool:
    return Path(source).exists() or source.endswith((".yaml", ".yml")) or "/" in source


def _about(text: str) -> str:
    first = text.lstrip().split("\n", 1)[0]
    return first.lstrip("# ") if first.startswith("#") else ""
