"""Reports as files: the page about one run or about two, and figures as images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siked_core.comparison import compare
from siked_core.files import replacing
from siked_core.report.engine import check_engine
from siked_core.report.figures import Section, sections
from siked_core.report.figures_compared import compared
from siked_core.report.gathered import SAMPLES, Gathered, gather
from siked_core.report.images import check_formats, write_images
from siked_core.report.page import page
from siked_core.run import Run

NAME = "report.html"
"""Of the page, in a run's directory: nothing that a run does depends on it."""


@dataclass(frozen=True)
class Written:
    """What was written."""

    page: Path | None
    images: tuple[Path, ...]
    sections: tuple[Section, ...]
    """With the figures and their numbers."""
    samples: int
    """In the page."""
    drawn: int
    """That the run has."""
    notes: tuple[str, ...]
    """What could not be read, in a line each."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "page": str(self.page) if self.page else None,
            "images": [str(path) for path in self.images],
            "samples": self.samples,
            "drawn": self.drawn,
            "figures": {
                one.name: {"title": one.title, "alt": one.alt, "rows": one.table.to_dicts()}
                for section in self.sections
                for one in section.figures
            },
            "notes": list(self.notes),
        }


def write_report(
    run: Run,
    *,
    output: Path | None = None,
    folder: Path | None = None,
    formats: Sequence[str] = ("svg",),
    dark: bool = False,
    limit: int = SAMPLES,
) -> Written:
    """Write what a run, finished or not, has found out.

    Args:
        output: the page; without it and without `folder`, RUN/report.html.
        folder: where each figure goes as an image.
        formats: of the images: svg, png, pdf.
        dark: the images' colours. The page has both.
        limit: single samples that the page holds.

    Raises:
        RunError: Altair or vl-convert is not installed, the run is damaged, or a file cannot be written.
    """
    check_engine()
    check_formats(formats)
    if output is None and folder is None:
        output = run.path / NAME
    found = gather(run, limit if output else 0)
    made = sections(found) if output is None else _one_page(output, found)
    images = _images(made, folder, formats, dark)
    return Written(output, images, tuple(made), found.samples.height, found.drawn, found.notes)


def write_comparison(a: Run, b: Run, output: Path, *, limit: int = SAMPLES) -> Written:
    """Write a page about two runs side by side, with what differs between them first.

    Args:
        limit: single samples that the page holds, of both runs together.

    Raises:
        RunError: Altair or vl-convert is not installed, a run is damaged, or the file cannot be written.
    """
    check_engine()
    both = [gather(one, limit // 2) for one in (a, b)]
    found = compare(a, b)
    first = compared(both[0], both[1], found)
    content, made = page(both, first, found.recipe, [f"Not compared: {note}" for note in found.notes])
    _write(output, content)
    held, drawn = (sum(numbers) for numbers in zip(*((one.samples.height, one.drawn) for one in both), strict=True))
    notes = tuple(note for one in both for note in one.notes)
    return Written(output, (), (*first, *(section for one in made for section in one)), held, drawn, notes)


def _one_page(output: Path, found: Gathered) -> list[Section]:
    content, (made,) = page([found])
    _write(output, content)
    return made


def _write(output: Path, content: bytes) -> None:
    with replacing(output) as temporary:
        temporary.write_bytes(content)


def _images(made: Sequence[Section], folder: Path | None, formats: Sequence[str], dark: bool) -> tuple[Path, ...]:
    figures = [one for section in made for one in section.figures]
    return tuple(write_images(figures, folder, formats, dark=dark)) if folder else ()
