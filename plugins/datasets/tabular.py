"""What all data sets that come as rows share: where the rows are, which split is which, which column is what.

A data set says which files it is published as and what its rows look like; the rest is here. A recipe can change all
of it: `path`, `hub`, `splits` (ours -> theirs, with slices: `train: "train[:90%]"`), `columns` and `answer_pattern`.

A problem's id is the data set's name, its published split and the number of its row there (`gsm8k-train-00017`), so
it stays the same under any mapping, slice or limit.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator

from siked_core import DataError, Dataset, Excluded, Loaded, Options, Problem, WorkedSolution
from siked_core.errors import unknown
from siked_core.numbers import read_number
from siked_core.rows import Row, read_rows
from siked_plugins.datasets.hub import hub_rows

SPLITS = ("train", "validation", "test")
_SLICE = re.compile(r"(?P<name>[\w.-]+)(?:\[(?P<from>\d+%?)?:(?P<to>\d+%?)?\])?")
_PLAIN = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|-?\d+\.0+")

Column = Literal["question", "answer", "id", "family", "solution"]


class TabularOptions(Options):
    """Options of every data set that comes as rows."""

    path: Path | None = Field(None, description="a local file, or a folder with the published files")
    hub: str = Field("", description="name on the Hugging Face hub, used where no path is given")
    hub_config: str | None = Field(None, description="configuration of the hub data set")
    revision: str | None = Field(None, description="branch, tag or commit of the hub data set")
    splits: dict[Literal["train", "validation", "test"], str] = Field(
        default_factory=dict, description='our splits from theirs: {train: "train[:90%]", validation: "train[90%:]"}'
    )
    columns: dict[Column, str] = Field(
        default_factory=dict, description="their name of the columns question, answer, id, family, solution"
    )
    answer_pattern: str | None = Field(None, description="regular expression: its group 1 is the gold answer")
    other_answers: Literal["error", "exclude", "keep"] = Field(
        "error", description="what to do with gold answers that are not one number; kept ones are judged as text"
    )

    @field_validator("answer_pattern")
    @classmethod
    def _has_group(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from None
            if groups < 1:
                raise ValueError("the pattern needs a group in parentheses, which is the gold answer")
        return value

    @field_validator("splits")
    @classmethod
    def _can_be_read(cls, value: dict[str, str]) -> dict[str, str]:
        for theirs in value.values():
            for part in theirs.split("+"):
                if not _SLICE.fullmatch(part.strip()):
                    raise ValueError(f"'{theirs}' should look like train, train[:90%], train[500:] or train+test")
        return value


@dataclass(frozen=True, slots=True)
class Record:
    """What a data set's own row says, before the gold answer is read."""

    question: str
    answer: str
    id: str = ""
    family: str = ""
    solution: str = ""
    """A human solution with calculator marks, where there is one."""


class TabularDataset(Dataset):
    """Base of the data sets that come as rows."""

    options_type: ClassVar[type[Options]] = TabularOptions
    files: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Published split -> the names that its file goes by in a folder."""
    published_splits: ClassVar[Mapping[str, str]] = {}
    """Our splits from the published files' splits, where the recipe maps none."""
    hub_splits: ClassVar[Mapping[str, str]] = {}
    """The same for the hub's splits."""

    def __init__(self, options: Options | Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._rows: dict[str, list[Row]] = {}
        self._solutions: dict[str, str] = {}
        self._uncovered: dict[str, str] = {}

    @abstractmethod
    def record(self, row: Row) -> Record:
        """Read one published row. Only called for columns that the recipe does not map."""

    def splits(self) -> tuple[str, ...]:
        mapping = self._mapping()
        return tuple(split for split in SPLITS if split in mapping)

    def load(self, split: str, limit: int | None = None) -> Loaded:
        """Read a split (the first `limit` usable problems of it).

        Raises:
            DataError: a file is missing or malformed, a column or split does not exist, a gold answer is not a
                number (unless `other_answers` says otherwise), or nothing is left. Names file and line.
        """
        mapping = self._mapping()
        if split not in mapping:
            raise DataError(
                f"{unknown(f'split of the data set {self.name!r}:', split, mapping)} Another can be mapped with the "
                f'option splits, e.g. {{{split}: "{next(iter(mapping.values()), "train")}"}}.'
            )
        problems: list[Problem] = []
        excluded: list[Excluded] = []
        for name, row in self._selected(mapping[split]):
            if limit is not None and len(problems) >= limit:
                break
            read = self._problem(name, row)
            if isinstance(read, Problem):
                problems.append(read)
            else:
                excluded.append(read)
        if not problems:
            left = f": all {len(excluded)} problems were excluded ({excluded[0].why})" if excluded else ""
            raise DataError(f"The {split} split ({mapping[split]}) of the data set '{self.name}' is empty{left}.")
        self._refuse_twins(problems)
        return Loaded(tuple(problems), tuple(excluded))

    @property
    def may_lack_answers(self) -> bool:
        """Whether a problem without a gold answer is a problem all the same."""
        return False

    def complete(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """The problems with their worked solutions: reading a human's takes a millisecond or two."""
        return tuple(replace(problem, solution=self._solution(problem)) for problem in problems)

    def explain(self, problem_id: str) -> str:
        """Why a problem that was completed has no worked solution; empty where it has one."""
        return self._uncovered.get(problem_id, "")

    # -- where rows come from

    def _mapping(self) -> Mapping[str, str]:
        """Our splits -> theirs."""
        if self.options.splits:
            return dict(self.options.splits)
        path = self._path()
        if path is None:
            return self.hub_splits
        if path.is_dir():
            found = {ours: theirs for ours, theirs in self.published_splits.items() if self._file(path, theirs)}
            if not found:
                wanted = ", ".join(names[0] for names in self.files.values())
                raise DataError(
                    f"{path}: the folder holds no file of the data set '{self.name}'. Looked for: {wanted}."
                )
            return found
        theirs = self._split_of_file(path)
        return {next((ours for ours, name in self.published_splits.items() if name == theirs), theirs): theirs}

    def _path(self) -> Path | None:
        if self.options.path is None:
            if not self.options.hub:
                raise DataError(
                    f"The data set '{self.name}' needs the option path (a local file or folder: --data PATH) or hub (a "
                    "name there)."
                )
            return None
        path: Path = self.options.path.expanduser()
        if not path.exists():
            raise DataError(f"The data set '{self.name}' is not at {path}: no such file or folder.")
        return path

    def _file(self, folder: Path, theirs: str) -> Path | None:
        return next((folder / name for name in self.files.get(theirs, ()) if (folder / name).is_file()), None)

    def _split_of_file(self, path: Path) -> str:
        """Which published split a single file is, by its name."""
        for theirs, names in self.files.items():
            if path.name in names:
                return theirs
        spoken = path.stem.lower()
        guess = "test" if "test" in spoken else "validation" if "valid" in spoken else "train"
        return guess if guess in self.files or not self.files else next(iter(self.files))

    def _their_rows(self, theirs: str) -> list[Row]:
        """All rows of one published split, read once."""
        if theirs not in self._rows:
            path = self._path()
            if path is None:
                self._rows[theirs] = hub_rows(self.options.hub, self.options.hub_config, theirs, self.options.revision)
            elif path.is_dir():
                file = self._file(path, theirs)
                if file is None:
                    known = ", ".join(self.files.get(theirs, ())) or f"{theirs}.jsonl"
                    raise DataError(f"{path}: the folder holds no file for the split '{theirs}'. Looked for: {known}.")
                self._rows[theirs] = self.read(file)
            elif theirs == self._split_of_file(path):
                self._rows[theirs] = self.read(path)
            else:
                raise DataError(
                    f"{path} holds the split '{self._split_of_file(path)}' of '{self.name}', and the recipe asks for "
                    f"'{theirs}'. Give the folder as path, or map splits onto '{self._split_of_file(path)}'."
                )
        return self._rows[theirs]

    def read(self, file: Path) -> list[Row]:
        """Read a published file. Data sets in another format than `rows` knows replace it."""
        return read_rows(file)

    def _selected(self, theirs: str) -> list[tuple[str, Row]]:
        """The rows of e.g. "train[:90%]+test", each with its id."""
        selected: list[tuple[str, Row]] = []
        for part in theirs.split("+"):
            match = _SLICE.fullmatch(part.strip())
            assert match is not None, theirs  # the options' validator has seen it
            rows = self._their_rows(match["name"])
            start, stop = _bound(match["from"], len(rows), 0), _bound(match["to"], len(rows), len(rows))
            for number in range(start, stop):
                selected.append((f"{self.name}-{match['name']}-{number + 1:05d}", rows[number]))
        return selected

    # -- what a row says

    def _problem(self, name: str, row: Row) -> Problem | Excluded:
        record = self._record(row)
        name = f"{self.name}-{record.id}" if record.id else name
        if not record.question:
            raise DataError(f"{row.where}: the question is empty.")
        gold = record.answer
        if not gold and self.may_lack_answers:
            return Problem(name, record.question, "", record.family)
        if self.options.answer_pattern is not None:
            found = re.search(self.options.answer_pattern, gold)
            if found is None or found.group(1) is None:
                raise DataError(
                    f"{row.where}: the answer_pattern '{self.options.answer_pattern}' does not match the answer "
                    f"'{_short(gold)}'."
                )
            gold = found.group(1).strip()
        if not gold:
            raise DataError(f"{row.where}: the answer is empty.")
        if read_number(gold) is None:
            if self.options.other_answers == "exclude":
                return Excluded(name, f"the answer '{_short(gold)}' is {describe_answer(gold)}")
            if self.options.other_answers == "error":
                raise DataError(
                    f"{row.where}: the gold answer '{_short(gold)}' is {describe_answer(gold)}. Map columns or "
                    "answer_pattern, or set other_answers to 'exclude' or to 'keep' (judged as text)."
                )
        elif _PLAIN.fullmatch(gold):
            gold = re.sub(r"\.0+$", "", gold.replace(",", ""))
        self._solutions[name] = record.solution
        return Problem(name, record.question, gold, record.family)

    def _solution(self, problem: Problem) -> WorkedSolution | None:
        written = self._solutions.get(problem.id, "")
        if not written:
            self._uncovered[problem.id] = "the data has no human solution of it"
            return None
        from siked_plugins.datasets.worked import Uncovered, work_out

        worked = work_out(problem.question, written, problem.answer)
        if isinstance(worked, Uncovered):
            self._uncovered[problem.id] = worked.why
            return None
        return worked

    def _record(self, row: Row) -> Record:
        """The row's record, with the columns that the recipe maps put in place."""
        columns = self.options.columns
        mapped = {ours: cell(row, theirs) for ours, theirs in columns.items()}
        if "question" in mapped and "answer" in mapped:
            return Record(**{"question": "", "answer": "", **mapped})
        published = self.record(row)
        return Record(
            mapped.get("question", published.question),
            mapped.get("answer", published.answer),
            mapped.get("id", published.id),
            mapped.get("family", published.family),
            mapped.get("solution", published.solution),
        )

    def _refuse_twins(self, problems: list[Problem]) -> None:
        seen: set[str] = set()
        for problem in problems:
            if problem.id in seen:
                raise DataError(
                    f"The data set '{self.name}' has the id '{problem.id}' twice. Map another column to id, or none."
                )
            seen.add(problem.id)


def cell(row: Row, column: str) -> str:
    """A row's value as text, without space around it; whole numbers without a point.

    Raises:
        DataError: the row has no such column, or the value is neither text nor a number.
    """
    if column not in row.values:
        ours = f" Say which it is: --set dataset.options.columns.{column}=NAME" if column in get_args(Column) else ""
        raise DataError(f"{row.where}: {unknown('column', column, map(str, row.values))}{ours}")
    value = row.values[column]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        shown = "nothing" if value is None else _short(repr(value))
        raise DataError(f"{row.where}: the column '{column}' holds {shown}, not a text or a number.")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def describe_answer(gold: str) -> str:
    """What kind of answer this is, where it is not one number."""
    if re.search(r"\d\s*;\s*-?\d", gold):
        return "several values"
    if re.match(r"\d+\s*:\s*\d+", gold):
        return "a ratio or a time"
    return "not a number"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."


def _bound(text: str | None, count: int, default: int) -> int:
    if text is None:
        return default
    number = count * int(text[:-1]) // 100 if text.endswith("%") else int(text)
    return min(number, count)
