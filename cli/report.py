"""`siked report`: the story of a run as one HTML file, and its figures as images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, HELD, Json, NoPlugin, Open, RunName, Runs, Samples
from siked_cli.output import Output
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from siked_core.report.written import Written


def command(
    run: RunName,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The HTML file. Without it: report.html in the run.", rich_help_panel="Output"
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            "--figures",
            metavar="DIR",
            help="Write each figure as an image into this folder; the page only where --output asks for it.",
            rich_help_panel="Output",
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option("--format", help="Of the images: svg, png, pdf, or several by comma.", rich_help_panel="Output"),
    ] = "svg",
    dark: Annotated[
        bool,
        typer.Option("--dark", help="Images in dark colours. The page has both.", rich_help_panel="Output"),
    ] = False,
    samples: Samples = HELD,
    open_: Open = False,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Tell the story of a run in one HTML file that needs no network.

    Accuracy per round with intervals and baselines, which strategies the student chooses, which problems are solved
    how, what it was trained on, what was drawn and judged, what it took and what had been predicted; and a browser of
    single samples. A run that is not finished, or that is being worked on, gets a report of what there is; nothing in
    it is changed.
    """
    from siked_core.report.written import write_report
    from siked_core.run import attach

    output_ = Output(json=json, quiet=True)
    with attach(run, open_registry(no_plugin), output_.reporter, runs=runs, lock=False) as opened:
        written = write_report(
            opened,
            output=output,
            folder=figures,
            formats=list(dict.fromkeys(part.strip().lower() for part in formats.split(","))),
            dark=dark,
            limit=samples,
        )
    output_.document(written.as_dict())
    tell(output_, written, open_)


def tell(output: Output, written: Written, open_page: bool) -> None:
    """Say what was written, and open it where that was asked for."""
    from rich.text import Text

    from siked_core import figures

    lines = [Text(note) for note in written.notes]
    if written.page:
        size = figures.size(written.page.stat().st_size)
        held = figures.count(written.samples)
        of = "" if written.samples == written.drawn else f" of {figures.count(written.drawn)}"
        lines.append(Text(f"{written.page}  {size}, with {held}{of} samples"))
    if written.images:
        lines.append(Text(f"{written.images[0].parent}  {len(written.images)} images"))
    output.show(*lines)
    if open_page and written.page:
        typer.launch(written.page.resolve().as_uri())
