"""MultiArith: word problems of two steps (Roy and Roth 2015, arXiv 1608.01413).

Local: `MultiArith.json` (or `multiarith.json`): `sQuestion`, `lSolutions`. The file has 600 problems and no splits;
all of them are `test` unless the recipe maps slices. Hub: ChilleD/MultiArith (`question`, `final_ans`), whose train and
test splits hold the same 600.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from siked_core import DataError, Dataset, Options, hookimpl
from siked_core.rows import Row
from siked_plugins.datasets.tabular import Record, TabularDataset, TabularOptions, cell


class MultiArithOptions(TabularOptions):
    hub: str = Field("ChilleD/MultiArith", description="name on the Hugging Face hub, used where no path is given")


class MultiArith(TabularDataset):
    """Word problems of two steps: 600 to test (Roy and Roth 2015)."""

    name = "multiarith"
    options_type: ClassVar[type[Options]] = MultiArithOptions
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {"test": ("MultiArith.json", "multiarith.json")}
    published_splits: ClassVar[Mapping[str, str]] = {"test": "test"}
    hub_splits: ClassVar[Mapping[str, str]] = {"test": "train+test"}

    def record(self, row: Row) -> Record:
        if "sQuestion" not in row.values:
            return Record(cell(row, "question"), cell(row, "final_ans"))
        solutions = row.values.get("lSolutions")
        if not isinstance(solutions, list) or len(solutions) != 1:
            raise DataError(f"{row.where}: expected lSolutions with one value, found {solutions!r}.")
        return Record(cell(row, "sQuestion"), cell(Row(row.where, {"lSolutions": solutions[0]}), "lSolutions"))


@hookimpl
def siked_datasets() -> list[type[Dataset]]:
    return [MultiArith]
