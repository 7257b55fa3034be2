"""`siked export`: a run's rationales as a data set that others can load."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, RunName, Runs
from siked_cli.output import Output
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from rich.text import Text

    from siked_core.export import Exported


def command(
    run: RunName,
    to: Annotated[
        str,
        typer.Option("--to", metavar="DIR|hub:OWNER/NAME", help="A new folder, or a data set on the Hugging Face hub."),
    ],
    what: Annotated[
        str,
        typer.Option(
            "--what",
            metavar="WHAT",
            help="correct: the distinct correct rationales. all: every judged sample. mixture: what a round's student "
            "was trained on.",
        ),
    ] = "correct",
    round_: Annotated[
        int | None,
        typer.Option(
            "--round",
            min=0,
            help="Only what was drawn in this round (0: by the teacher); of mixtures, which. The default is all, and "
            "the latest mixture.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", metavar="NAME", help="Of the whole, e.g. mit. The default is the data set's own."),
    ] = None,
    evaluations: Annotated[
        bool,
        typer.Option("--evaluations", help="Also the answers to validation and test questions, in files of their own."),
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="A data set that is made on the hub is for everyone; else it is private.")
    ] = False,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Write the verified rationales as a clean data set: Parquet, and a card that `datasets.load_dataset` reads.

    Only samples of training problems are exported, unless the answers to validation and test questions are
    asked for.
    """
    from typing import get_args

    from siked_core.errors import RunError, unknown
    from siked_core.export import What, export
    from siked_core.publish import check_token, hub_name, publish
    from siked_core.run import attach

    choices = get_args(What)
    if what not in choices:
        raise RunError(f"--what: {unknown('choice', what, choices)}")
    if evaluations and what == "mixture":
        raise RunError("No evaluation is part of a mixture: use --evaluations with --what correct or all.")
    name = hub_name(to)
    if name is not None:
        check_token()
    output = Output(json=json, quiet=True)
    with (
        attach(run, open_registry(no_plugin), output.reporter, runs=runs, lock=False) as opened,
        TemporaryDirectory() as scratch,
    ):
        folder = Path(to).expanduser() if name is None else Path(scratch) / "data set"
        found = export(opened, folder, choices[choices.index(what)], round_, licence, evaluations)
        place = str(folder)
        if name is not None:
            place = publish(folder, name, public, f"Export of the run {opened.name}: {found.rows:,} rows")
    output.document({"to": place, **found.as_dict()})
    output.show(*_lines(place, found))


def _lines(place: str, found: Exported) -> list[Text]:
    from rich.text import Text

    from siked_core import figures

    parts = ", ".join(f"{name} {figures.count(number)}" for name, number in found.by_strategy.items())
    verdicts = ", ".join(
        f"{name.replace('_', ' ')} {figures.count(number)}" for name, number in found.by_status.items()
    )
    lines = [
        Text.assemble(
            (f"{figures.count(found.rows)} rows", "bold"), f" of {figures.count(found.problems)} problems: {parts}"
        ),
        Text(f"verdicts: {verdicts}"),
    ]
    if found.evaluations:
        answers = figures.count(found.evaluations)
        lines.append(Text(f"{answers} answers to validation and test questions, in evaluations/: never train on them"))
    if not found.licence:
        lines.append(Text("Its licence is not known; --licence NAME writes one into it."))
    return [*lines, Text(f"Exported to {place}")]
