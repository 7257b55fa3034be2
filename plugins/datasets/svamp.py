"""SVAMP: one-step word problems with varied wording (Patel et al. 2021, arXiv 2103.07191; MIT licence).

Local: `SVAMP.json` (or `svamp.json`), as published by arkilpatel/SVAMP: `Body`, `Question`, `Answer`, `Type`. The file
has 1,000 problems and no splits; all of them are `test` unless the recipe maps slices. Hub: ChilleD/SVAMP, whose train
and test splits hold the same 1,000.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from siked_core import Dataset, Options, hookimpl
from siked_core.rows import Row
from siked_plugins.datasets.tabular import Record, TabularDataset, TabularOptions, cell


class SvampOptions(TabularOptions):
    hub: str = Field("ChilleD/SVAMP", description="name on the Hugging Face hub, used where no path is given")


class Svamp(TabularDataset):
    """One-step word problems with varied wording: 1,000 to test (Patel et al. 2021)."""

    name = "svamp"
    licence = "mit"
    options_type: ClassVar[type[Options]] = SvampOptions
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {"test": ("SVAMP.json", "svamp.json")}
    published_splits: ClassVar[Mapping[str, str]] = {"test": "test"}
    hub_splits: ClassVar[Mapping[str, str]] = {"test": "train+test"}

    def record(self, row: Row) -> Record:
        family = cell(row, "Type") if "Type" in row.values else ""
        return Record(join_sentences(cell(row, "Body"), cell(row, "Question")), cell(row, "Answer"), family=family)


def join_sentences(body: str, question: str) -> str:
    """A problem's text and its question as one text: SVAMP's bodies often lack their full stop."""
    body = body.strip()
    closed = body if not body or body.endswith((".", "!", "?", ",", ";", ":")) else f"{body}."
    return f"{closed} {question.strip()}".strip()


@hookimpl
def siked_datasets() -> list[type[Dataset]]:
    return [Svamp]
