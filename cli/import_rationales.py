"""`siked import`: rationales that exist already, as a teacher's samples."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siked_cli import recipe_command as options
from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, Plain, Quiet, Runs
from siked_cli.output import Output

if TYPE_CHECKING:
    from rich.text import Text

    from siked_core.registry import Registry
    from siked_core.run import Run
    from siked_core.stages.import_rationales import Imported


def command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSON Lines, JSON or Parquet: chats, or questions with their rationales."),
    ],
    run: Annotated[
        str,
        typer.Option(
            "--run",
            metavar="NAME",
            help="The run: a name under --runs, or a directory. One that is there keeps its recipe; a new one is made "
            "of the recipe options.",
            rich_help_panel=options.RUN,
        ),
    ],
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="NAME", help="The strategy of rows that name none.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="OURS=THEIRS", help="A column's name in the file, e.g. text=response."),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", metavar="FILE", help="A new run's recipe, as a YAML file.", rich_help_panel=options.METHOD
        ),
    ] = None,
    preset: options.Preset = None,
    strategies: options.Strategies = None,
    set_: options.Set = None,
    dataset: options.DatasetName = None,
    data: options.Data = None,
    limit: options.Limit = None,
    teacher: options.Teacher = None,
    student: options.Student = None,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> None:
    """Bring rationales from a file into a run's teacher pool: each is read under its strategy and verified.

    A new run asks no teacher of its own, unless --teacher or a recipe names one. Rows whose question is not
    among the run's training problems are left out, counted and listed. Importing a file twice adds nothing.
    """
    from siked_cli.switches import open_registry
    from siked_core.recorded import read_recorded
    from siked_core.stages.import_rationales import import_rationales

    chosen = {
        "strategies": options.names(strategies),
        "dataset": dataset,
        "data.path": None if data is None else str(data),
        "data.limit": limit,
        "teacher.generator": teacher,
        "student.model": student,
    }
    changes = {key: value for key, value in chosen.items() if value is not None}
    output = Output(json=json, quiet=quiet, plain=plain)
    registry = open_registry(no_plugin)
    columns = _columns(column or ())
    _check_file(file)
    for _ in read_recorded(file, columns):  # a bad row is told before a run is made for it
        pass
    given = recipe is not None or preset is not None or bool(set_) or bool(changes)
    with _open(run, runs, registry, output, given, (recipe, changes, set_ or (), preset)) as opened:
        output.reporter.note(f"{'Continuing' if opened.resumed else 'Run'} {opened.path}")
        found = import_rationales(opened, file, strategy, columns)
        output.document({"run": str(opened.path), "file": str(file), **asdict(found)})
        output.show(*_lines(opened.path, found))


def _open(name: str, runs: Path, registry: Registry, output: Output, given: bool, recipe: Any) -> Run:
    """The run with its own recipe where it exists and no other was given; else the one that the options describe."""
    from siked_core.recipe_check import check
    from siked_core.run import attach, locate, start

    if not given and (locate(name, runs) / "manifest.json").exists():
        return attach(name, registry, output.reporter, runs=runs)
    path, changes, assignments, preset = recipe
    if path is None and "teacher.generator" not in changes:
        changes = {"teacher.samples": 0, **changes}
    resolved = options.resolve_file(path, changes, assignments, preset)
    check(resolved, registry)
    return start(resolved, registry, output.reporter, runs=runs, name=name)


def _columns(texts: list[str] | tuple[()]) -> Any:
    from typing import get_args

    from siked_core.errors import DataError, unknown
    from siked_core.recorded import Column

    found = {}
    for text in texts:
        ours, equals, theirs = (part.strip() for part in text.partition("="))
        if not (ours and equals and theirs):
            raise DataError(f"--column takes ours=theirs, e.g. text=response; got '{text}'.")
        if ours not in get_args(Column):
            raise DataError(f"--column: {unknown('column', ours, get_args(Column))}")
        found[ours] = theirs
    return found


def _check_file(file: Path) -> None:
    """Say now that there is no file: nothing is to be made for it."""
    from siked_core.errors import DataError
    from siked_core.rows import FORMATS

    if not file.is_file():
        raise DataError(f"There is no file {file}.")
    if file.suffix.lower() not in FORMATS:
        raise DataError(f"Cannot read a '{file.suffix or file.name}' file. Readable: {', '.join(FORMATS)}.")


def _lines(run: Path, found: Imported) -> list[Text]:
    from rich.text import Text

    from siked_cli.summaries import pool_lines
    from siked_core import figures

    present = f", {figures.count(found.present)} were there" if found.present else ""
    lines = [
        Text.assemble((f"{figures.count(found.added)} of {figures.count(found.rows)} rows added", "bold"), present)
    ]
    lines += [Text(f"  left out {figures.count(number)}: {why}") for why, number in found.left_out.items()]
    if found.left_out_file:
        lines.append(Text(f"  The rows that were left out: {found.left_out_file}"))
    named = [f"{name or '(not named)'} {figures.count(number)}" for name, number in found.teachers.items()]
    if named and list(found.teachers) != [""]:
        lines.append(Text(f"  by teacher: {', '.join(named)}"))
    return [*lines, *pool_lines("teacher", found.pool), Text(f"Next: siked distill {run}/recipe.yaml --run {run}")]
