"""ASDiv: word problems of many kinds and grades (Miao et al. 2020, arXiv 2106.15772; CC BY-NC 4.0).

Local: `ASDiv.xml` (or `asdiv.xml`), as published by chaochun/nlu-asdiv-dataset. The file has 2,305 problems and no
splits; all of them are `test` unless the recipe maps slices. Hub: EleutherAI/asdiv, the same problems as its
`validation` split.

Answers carry units, `9 (apples)`, which are left out. Those that are not one number (names, times, ratios, several
values) are excluded and counted; with `other_answers: keep` they are judged as text (a time as a time).
The XML is read without document type declarations: nothing in it can be expanded or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal
from xml.etree import ElementTree

from pydantic import Field

from siked_core import DataError, Dataset, Options, hookimpl
from siked_core.rows import Row, read_bytes
from siked_plugins.datasets.svamp import join_sentences
from siked_plugins.datasets.tabular import Record, TabularDataset, TabularOptions, cell

_LARGEST_BYTES = 64 * 2**20  # the published file has one million
_UNIT = re.compile(r"\s*\((?=[^()]*[^\W\d])[^()]*\)")


class AsdivOptions(TabularOptions):
    hub: str = Field("EleutherAI/asdiv", description="name on the Hugging Face hub, used where no path is given")
    other_answers: Literal["error", "exclude", "keep"] = Field(
        "exclude", description="what to do with gold answers that are not one number; kept ones are judged as text"
    )


class Asdiv(TabularDataset):
    """Word problems of many kinds and grades: 2,305 to test, most with a number as answer (Miao et al. 2020)."""

    name = "asdiv"
    licence = "cc-by-nc-4.0"
    options_type: ClassVar[type[Options]] = AsdivOptions
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {"test": ("ASDiv.xml", "asdiv.xml")}
    published_splits: ClassVar[Mapping[str, str]] = {"test": "test"}
    hub_splits: ClassVar[Mapping[str, str]] = {"test": "validation"}

    def record(self, row: Row) -> Record:
        names = {name.lower().replace("-", "_"): name for name in row.values}  # the hub's are lower-case
        question = join_sentences(cell(row, names.get("body", "Body")), cell(row, names.get("question", "Question")))
        family = cell(row, names["solution_type"]) if "solution_type" in names else ""
        return Record(question, without_unit(cell(row, names.get("answer", "Answer"))), family=family)

    def read(self, file: Path) -> list[Row]:
        return read_xml(file)


def without_unit(answer: str) -> str:
    """`9 (apples)` is 9, `17 (years old); 12` is 17; 12; `-(1/3)` keeps its parentheses."""
    return _UNIT.sub("", answer).strip() or answer


def read_xml(file: Path) -> list[Row]:
    """The problems of ASDiv's XML file.

    Raises:
        DataError: the file is missing, too large, declares a document type, or is malformed; names the line.
    """
    content = read_bytes(file)
    if len(content) > _LARGEST_BYTES:
        raise DataError(f"{file}: more than 64 MiB, which is no ASDiv file.")
    target = _Problems(file)
    parser = ElementTree.XMLParser(target=target)
    try:
        parser.feed(content)
        rows = target.rows
        parser.close()
    except ElementTree.ParseError as error:
        line, column = error.position
        raise DataError(
            f"{file}, line {line}: not well-formed XML ({str(error).split(':')[0]}, column {column})."
        ) from None
    if not rows:
        raise DataError(f"{file}: the file holds no <Problem>.")
    return rows


class _Problems:
    """Collects the text of each problem's fields while the parser reads: no tree is built."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: list[Row] = []
        self.fields: dict[str, str] | None = None
        self.field = ""

    def doctype(self, *_: object) -> None:
        raise DataError(f"{self.file}: the file declares a document type (DOCTYPE), which ASDiv's does not. Refused.")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "Problem":
            self.fields = {"ID": attributes.get("ID", "")}
        elif self.fields is not None:
            self.field = tag
            self.fields[tag] = ""

    def data(self, text: str) -> None:
        if self.fields is not None and self.field:
            self.fields[self.field] += text

    def end(self, tag: str) -> None:
        if tag == "Problem" and self.fields is not None:
            name = self.fields["ID"] or str(len(self.rows) + 1)
            self.rows.append(Row(f"{self.file}, problem {name}", self.fields))
            self.fields = None
        self.field = ""

    def close(self) -> None:
        """Required of a parser's target."""


@hookimpl
def siked_datasets() -> list[type[Dataset]]:
    return [Asdiv]
