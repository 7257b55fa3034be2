"""Problems of your own: files, or a hub data set, with a question and an answer per row.

`path` is one file (its name says which split it is; `train` where it does not), or a folder with `train.jsonl`,
`validation.jsonl` and `test.jsonl`; `files` names one file per split; `hub` names a hub data set, taken to have `train`
and `test` unless `splits` says otherwise. Files are JSON Lines, JSON (a list of objects) or Parquet.

The columns are `question` and `answer`, and, where they are mapped, `id`, `family`, and `solution` (worked steps in
GSM8K's form, for the teacher `annotations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from siked_core import DataError, Dataset, Options, hookimpl
from siked_core.rows import FORMATS, Row
from siked_plugins.datasets.tabular import SPLITS, Record, TabularDataset, TabularOptions, cell


class JsonlOptions(TabularOptions):
    files: dict[Literal["train", "validation", "test"], Path] = Field(
        default_factory=dict, description="one file per split, instead of path"
    )
    unlabelled: bool = Field(
        False, description="rows may lack an answer: train on them with a verifier that needs none, e.g. agreement"
    )


class Jsonl(TabularDataset):
    """Problems of your own: JSON Lines, JSON, Parquet or any hub data set with a question and an answer per row."""

    name = "jsonl"
    options_type: ClassVar[type[Options]] = JsonlOptions
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        split: tuple(f"{split}{suffix}" for suffix in FORMATS) for split in SPLITS
    }
    published_splits: ClassVar[Mapping[str, str]] = {split: split for split in SPLITS}
    hub_splits: ClassVar[Mapping[str, str]] = {"train": "train", "test": "test"}

    @property
    def may_lack_answers(self) -> bool:
        return bool(self.options.unlabelled)

    def record(self, row: Row) -> Record:
        columns = self.options.columns
        question, answer = columns.get("question", "question"), columns.get("answer", "answer")
        if self.may_lack_answers and row.values.get(answer) is None:
            return Record(cell(row, question), "")
        return Record(cell(row, question), cell(row, answer))

    def _mapping(self) -> Mapping[str, str]:
        if self.options.files and not self.options.splits:
            return {split: split for split in self.options.files}
        return super()._mapping()

    def _their_rows(self, theirs: str) -> list[Row]:
        if not self.options.files:
            return super()._their_rows(theirs)
        if theirs not in self._rows:
            if theirs not in self.options.files:
                known = ", ".join(sorted(self.options.files))
                raise DataError(f"The data set '{self.name}' has no file for the split '{theirs}'. Files: {known}.")
            self._rows[theirs] = self.read(self.options.files[theirs].expanduser())
        return self._rows[theirs]


@hookimpl
def siked_datasets() -> list[type[Dataset]]:
    return [Jsonl]
