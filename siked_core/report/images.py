"""Figures as files, for papers and slides. No browser: vl-convert draws them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from siked_core.errors import RunError, unknown
from siked_core.files import replacing
from siked_core.report.engine import VEGA_LITE, converter
from siked_core.report.figure import Figure
from siked_core.report.palette import theme

FORMATS = ("svg", "png", "pdf")
PPI = 200


def check_formats(formats: Sequence[str]) -> None:
    """Each is one that figures can be written in.

    Raises:
        RunError: one is not.
    """
    for name in formats:
        if name not in FORMATS:
            raise RunError(unknown("format", name, FORMATS))


def write_images(
    figures: Sequence[Figure], folder: Path, formats: Sequence[str], *, dark: bool = False
) -> Iterator[Path]:
    """Write each figure in each format: FOLDER/NAME.FORMAT. Yields a file when it is there.

    Raises:
        RunError: the folder cannot be written.
    """
    convert = converter()
    config = theme(dark, "#15181c" if dark else "#ffffff")
    for one in figures:
        for name in formats:
            path = folder / f"{one.name}.{name}"
            if name == "svg":
                content = convert.vegalite_to_svg(dict(one.spec), vl_version=VEGA_LITE, config=config).encode()
            elif name == "png":
                content = convert.vegalite_to_png(dict(one.spec), vl_version=VEGA_LITE, config=config, ppi=PPI)
            else:
                content = convert.vegalite_to_pdf(dict(one.spec), vl_version=VEGA_LITE, config=config)
            with replacing(path) as temporary:
                temporary.write_bytes(content)
            yield path
