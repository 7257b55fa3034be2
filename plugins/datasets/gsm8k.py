"""GSM8K: grade-school word problems with human solutions (Cobbe et al. 2021, arXiv 2110.14168; MIT licence).

Local: `gsm8k_train.jsonl`, `gsm8k_test.jsonl` (also `train.jsonl`, `test.jsonl`), as published by
openai/grade-school-math; where `gsm8k_train_socratic.jsonl` (or `train_socratic.jsonl`) lies beside one, its
sub-questions are used. Hub: openai/gsm8k; with `hub_config: socratic` the form with sub-questions.
The human solution becomes `Problem.solution` as far as its arithmetic can be followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from siked_core import DataError, Dataset, Options, hookimpl
from siked_core.rows import Row, read_rows
from siked_plugins.datasets.tabular import Record, TabularDataset, TabularOptions, cell


class Gsm8kOptions(TabularOptions):
    hub: str = Field("openai/gsm8k", description="name on the Hugging Face hub, used where no path is given")
    hub_config: str | None = Field("main", description="main, or socratic for the form with sub-questions")


class Gsm8k(TabularDataset):
    """Grade-school word problems with human solutions: 7,473 to train on, 1,319 to test (Cobbe et al. 2021)."""

    name = "gsm8k"
    licence = "mit"
    options_type: ClassVar[type[Options]] = Gsm8kOptions
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "train": ("gsm8k_train.jsonl", "train.jsonl"),
        "test": ("gsm8k_test.jsonl", "test.jsonl"),
    }
    published_splits: ClassVar[Mapping[str, str]] = {"train": "train", "test": "test"}
    hub_splits: ClassVar[Mapping[str, str]] = {"train": "train", "test": "test"}

    def record(self, row: Row) -> Record:
        solution = cell(row, "answer")
        steps, marker, gold = solution.rpartition("####")
        if not marker and self.options.answer_pattern is None:
            raise DataError(
                f"{row.where}: the answer has no line '#### gold'. Map answer_pattern where it ends otherwise."
            )
        answer = solution if self.options.answer_pattern else gold.strip()
        return Record(cell(row, "question"), answer, solution=str(row.values.get("socratic") or steps or solution))

    def read(self, file: Path) -> list[Row]:
        """Read the published file, and take the sub-questions from the socratic file beside it."""
        rows = read_rows(file)
        beside = file.with_name(f"{file.stem}_socratic{file.suffix}")
        if not beside.is_file():
            return rows
        socratic = {cell(row, "question"): _without_gold(cell(row, "answer")) for row in read_rows(beside)}
        return [
            replace(row, values={**row.values, "socratic": socratic.get(str(row.values.get("question", "")).strip())})
            for row in rows
        ]


def _without_gold(solution: str) -> str:
    return re.sub(r"\n?####.*$", "", solution, flags=re.DOTALL)


@hookimpl
def siked_datasets() -> list[type[Dataset]]:
    return [Gsm8k]
