"""The data sets that come as rows: formats, mapping, splits, ids, and one clear line for everything that is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from siked_core import DataError
from siked_core.numbers import read_number
from siked_core.rows import Row, read_rows
from siked_plugins.datasets import hub, tabular
from siked_plugins.datasets import worked as worked_solutions
from siked_plugins.datasets.asdiv import Asdiv, without_unit
from siked_plugins.datasets.gsm8k import Gsm8k
from siked_plugins.datasets.jsonl import Jsonl
from siked_plugins.datasets.multiarith import MultiArith
from siked_plugins.datasets.svamp import Svamp
from siked_plugins.datasets.tabular import TabularDataset

REPOSITORY = Path(__file__).resolve().parent.parent
PUBLISHED = Path(os.environ.get("SIKED_DATA_DIR") or REPOSITORY.parent / "shared" / "data")

PENS = {"question": "Ann has 2 pens and buys 3 more. How many pens has she?", "answer": "2+3=<<2+3=5>>5 pens\n#### 5"}
CUPS = {"question": "Bo has 4 cups and breaks 1. How many are left?", "answer": "4-1=<<4-1=3>>3 cups\n#### 3"}


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), "utf-8")
    return path


def published(name: str) -> Path:
    path = PUBLISHED / name
    if not path.exists():
        pytest.skip(f"no published data at {path}; set SIKED_DATA_DIR")
    return PUBLISHED


# -- the published files


@pytest.mark.parametrize(
    ("kind", "file", "split", "count"),
    [
        (Gsm8k, "gsm8k_test.jsonl", "test", 1319),
        (Svamp, "svamp.json", "test", 1000),
        (MultiArith, "multiarith.json", "test", 600),
    ],
)
def test_every_gold_answer_of_the_published_files_is_a_number(
    kind: type[TabularDataset], file: str, split: str, count: int
) -> None:
    loaded = kind({"path": published(file)}).load(split)
    assert len(loaded.problems) == count
    assert not loaded.excluded
    assert all(read_number(problem.answer) is not None for problem in loaded.problems)
    assert len({problem.id for problem in loaded.problems}) == count


@pytest.mark.slow
def test_all_training_problems_of_gsm8k_load() -> None:
    data = Gsm8k({"path": published("gsm8k_train.jsonl")})
    assert data.splits() == ("train", "test")
    problems = data.complete(data.load("train").problems)
    assert len(problems) == 7473
    assert all(problem.answer.lstrip("-").isdigit() for problem in problems)
    assert problems[16].id == "gsm8k-train-00017"
    assert all((problem.solution is None) == bool(data.explain(problem.id)) for problem in problems)


def test_asdiv_excludes_answers_that_are_not_one_number_and_says_why() -> None:
    folder = published("asdiv.xml")
    loaded = Asdiv({"path": folder}).load("test")
    assert len(loaded.problems) + len(loaded.excluded) == 2305
    assert all(read_number(problem.answer) is not None for problem in loaded.problems)
    reasons = {excluded.why.split("' is ")[-1] for excluded in loaded.excluded}
    assert reasons == {"several values", "a ratio or a time", "not a number"}
    assert len(loaded.excluded) < 220
    kept = Asdiv({"path": folder, "other_answers": "keep"}).load("test")
    assert len(kept.problems) == 2305
    assert {"Purple", "3:30 p.m.", "17; 12"} <= {problem.answer for problem in kept.problems}


def test_the_socratic_file_beside_gives_the_sub_questions() -> None:
    published("gsm8k_test_socratic.jsonl")
    data = Gsm8k({"path": published("gsm8k_test.jsonl")})
    (problem,) = data.complete(data.load("test", limit=1).problems)
    assert problem.solution is not None
    assert problem.solution.steps[0].question == "How many eggs does Janet sell?"
    assert "**" not in problem.solution.steps[0].text


def test_svamp_closes_the_body_and_keeps_the_family() -> None:
    problem = Svamp({"path": published("svamp.json")}).load("test", limit=1).problems[0]
    assert "on each pack. How much" in problem.question
    assert (problem.answer, problem.family) == ("51", "Subtraction")


# -- mapping


def test_ids_stay_the_same_under_slices_and_limits(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} + 1?", "answer": n + 1} for n in range(20)]
    path = write_lines(tmp_path / "sums.jsonl", *rows)
    whole = Jsonl({"path": path}).load("train").problems
    splits = {"train": "train[:90%]", "validation": "train[90%:]"}
    sliced = Jsonl({"path": path, "splits": splits})
    assert sliced.splits() == ("train", "validation")
    assert sliced.load("train").problems + sliced.load("validation").problems == whole
    assert sliced.load("validation", limit=1).problems[0].id == "jsonl-train-00019"


def test_only_solutions_of_problems_that_are_used_are_worked_out(
    siked_says: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And which problems those are does not depend on it."""
    rows = [
        {"question": f"Ann has {n} pens and buys 3 more?", "answer": f"{n}+3=<<{n}+3={n + 3}>>{n + 3}\n#### {n + 3}"}
        for n in range(40)
    ]
    write_lines(tmp_path / "train.jsonl", *rows)
    write_lines(tmp_path / "test.jsonl", PENS, CUPS)
    worked: list[str] = []
    work_out = worked_solutions.work_out
    monkeypatch.setattr(worked_solutions, "work_out", lambda *texts: worked.append(texts[0]) or work_out(*texts))

    def taught(run: str, *limit: str) -> pl.DataFrame:
        worked.clear()
        recipe = ["--dataset", "gsm8k", "--data", str(tmp_path), "--teacher", "annotations", "--strategies", "cot,pot"]
        found = json.loads(
            siked_says("teach", *recipe, *limit, "--set", "data.validation=4", "--run", run, "--json", "-q")
        )
        assert found["correct"] == found["samples"]
        return pl.concat(pl.read_parquet(path) for path in (tmp_path / "runs" / run / "pools" / "teacher").iterdir())

    whole = taught("whole")
    assert len(worked) == 40
    limited = taught("limited", "--limit", "5")
    assert len(worked) == 5 + 4, "the training problems and those that validate"
    assert limited.height == 10
    assert set(limited["key"]) < set(whole["key"]), "chosen and written as with all"


def test_splits_can_be_joined(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", PENS)
    write_lines(tmp_path / "test.jsonl", CUPS)
    data = Gsm8k({"path": tmp_path, "splits": {"test": "train+test"}})
    assert [problem.id for problem in data.load("test").problems] == ["gsm8k-train-00001", "gsm8k-test-00001"]


def test_columns_and_answer_pattern_are_mapped(tmp_path: Path) -> None:
    row = {"prompt": "What is 6 * 7?", "target": "It is 6 * 7.\n#### 42", "uid": "q1", "kind": "product"}
    columns = {"question": "prompt", "answer": "target", "id": "uid", "family": "kind", "solution": "target"}
    options = {"path": write_lines(tmp_path / "a.jsonl", row), "columns": columns, "answer_pattern": r"####\s*(\S+)"}
    problem = Jsonl(options).load("train").problems[0]
    assert (problem.id, problem.question, problem.answer) == ("jsonl-q1", "What is 6 * 7?", "42")
    assert problem.family == "product"


def test_a_mapped_solution_becomes_worked_steps(tmp_path: Path) -> None:
    row = {**PENS, "answer": "5", "why": PENS["answer"]}
    options = {"path": write_lines(tmp_path / "a.jsonl", row), "columns": {"solution": "why"}}
    data = Jsonl(options)
    solution = data.complete(data.load("train").problems)[0].solution
    assert solution is not None
    assert solution.steps[0].expression == "2 + 3"


@pytest.mark.parametrize("suffix", [".json", ".parquet", ".ndjson"])
def test_other_formats_read_the_same(tmp_path: Path, suffix: str) -> None:
    rows = [{"question": "What is 1/2 of 3?", "answer": 1.5}, {"question": "What is 2 * 2?", "answer": 4.0}]
    path = tmp_path / f"train{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(rows), "utf-8")
    elif suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(path)
    else:
        write_lines(path, *rows)
    loaded = Jsonl({"path": path}).load("train")
    assert [problem.answer for problem in loaded.problems] == ["1.5", "4"]


def test_files_per_split(tmp_path: Path) -> None:
    train, test = write_lines(tmp_path / "a.jsonl", {**PENS, "answer": 5}), tmp_path / "b.jsonl"
    write_lines(test, {**CUPS, "answer": "3"})
    data = Jsonl({"files": {"train": train, "test": test}})
    assert data.splits() == ("train", "test")
    assert data.load("test").problems[0].answer == "3"


def test_a_single_file_is_the_split_that_its_name_says(tmp_path: Path) -> None:
    assert Gsm8k({"path": write_lines(tmp_path / "gsm8k_test.jsonl", CUPS)}).splits() == ("test",)
    assert Gsm8k({"path": write_lines(tmp_path / "mine.jsonl", CUPS)}).splits() == ("train",)
    assert Jsonl({"path": write_lines(tmp_path / "my_validation.jsonl", CUPS)}).splits() == ("validation",)


def test_a_single_published_file_can_become_training_data(tmp_path: Path) -> None:
    entry = {"iIndex": 0, "lSolutions": [39.0], "sQuestion": " Debby had 32 pieces and got 7. How many now? "}
    (tmp_path / "multiarith.json").write_text(json.dumps([entry, entry]), "utf-8")
    data = MultiArith({"path": tmp_path, "splits": {"train": "test[:1]", "test": "test[1:]"}})
    assert data.load("train").problems[0].question == "Debby had 32 pieces and got 7. How many now?"
    assert data.load("test").problems[0].id == "multiarith-test-00002"


# -- what is wrong says so in one line


@pytest.mark.parametrize(
    ("second_line", "said"),
    [
        ('{"question": "x", "answer": ', "line 2: not JSON"),
        ('["x"]', "line 2: expected an object with named fields, found a list"),
        ('{"question": "How many?"}', "line 2: Unknown column 'answer'. Available: question."),
        ('{"question": "How many?", "answer": null}', "line 2: the column 'answer' holds nothing"),
        ('{"question": "How many?", "answer": [1]}', "line 2: the column 'answer' holds [1]"),
        ('{"question": "  ", "answer": "1"}', "line 2: the question is empty"),
        ('{"question": "How many?", "answer": ""}', "line 2: the answer is empty"),
        ('{"question": "Which?", "answer": "Purple"}', "line 2: the gold answer 'Purple' is not a number"),
        ('{"question": "How long?", "answer": "3:30"}', "line 2: the gold answer '3:30' is a ratio or a time"),
        ('{"question": "Which?", "answer": "8; 40"}', "line 2: the gold answer '8; 40' is several values"),
        ('{"question": "Deep?", "answer": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 2: not JSON that can be read"),
    ],
)
def test_malformed_rows_name_file_and_line(tmp_path: Path, second_line: str, said: str) -> None:
    path = write_lines(tmp_path / "bad.jsonl", {"question": "What is 1 + 1?", "answer": 2}, second_line)
    with pytest.raises(DataError) as error:
        Jsonl({"path": path}).load("train")
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_text_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"question": "a", "answer": "1"}\n{"question": "\xff"}\n')
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        Jsonl({"path": path}).load("train")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("train.json", "[{}\n,,]", "line 2: not JSON"),
        ("train.json", '{"a": 1}', "expected a list of objects, found an object"),
        ("train.json", "", "holds no rows"),
        ("train.jsonl", "\n \n", "holds no rows"),
        ("train.parquet", "PAR1", "not a Parquet file"),
        ("train.csv", "question,answer", "cannot read a '.csv' file. Readable: .jsonl"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=said):
        read_rows(path)


def test_missing_files_folders_and_splits(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        Svamp({"path": tmp_path / "nowhere"}).splits()
    with pytest.raises(DataError, match=r"holds no file of the data set 'svamp'\. Looked for: SVAMP\.json"):
        Svamp({"path": tmp_path}).load("test")
    with pytest.raises(DataError, match="needs the option path"):
        Jsonl().load("train")
    write_lines(tmp_path / "train.jsonl", PENS)
    with pytest.raises(DataError, match=r"Unknown split of the data set 'gsm8k': 'test'\. Available: train"):
        Gsm8k({"path": tmp_path}).load("test")
    with pytest.raises(DataError, match="holds no file for the split 'test'"):
        Gsm8k({"path": tmp_path, "splits": {"test": "test"}}).load("test")
    with pytest.raises(DataError, match="holds the split 'train' of 'gsm8k'"):
        Gsm8k({"path": tmp_path / "train.jsonl", "splits": {"test": "test"}}).load("test")


def test_an_empty_split_and_one_where_all_is_excluded(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", {"question": "Which?", "answer": "Purple"})
    with pytest.raises(DataError, match=r"the data set 'jsonl' is empty: all 1 problems were excluded"):
        Jsonl({"path": path, "other_answers": "exclude"}).load("train")
    with pytest.raises(DataError, match=r"\(train\[5:\]\) of the data set 'jsonl' is empty\."):
        Jsonl({"path": path, "splits": {"train": "train[5:]"}}).load("train")


def test_a_gold_answer_that_the_pattern_does_not_find(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", PENS)
    with pytest.raises(DataError, match="line 1: the answer_pattern 'Answer: "):
        Jsonl({"path": path, "answer_pattern": r"Answer: (\d+)"}).load("train")
    with pytest.raises(DataError, match="line 1: the answer has no line '#### gold'"):
        Gsm8k({"path": write_lines(tmp_path / "b.jsonl", {**PENS, "answer": "5"})}).load("train")


def test_an_id_that_occurs_twice(tmp_path: Path) -> None:
    row = {"question": "What is 1 + 1?", "answer": 2, "uid": "same"}
    path = write_lines(tmp_path / "a.jsonl", row, row)
    with pytest.raises(DataError, match="has the id 'jsonl-same' twice"):
        Jsonl({"path": path, "columns": {"id": "uid"}}).load("train")


@pytest.mark.parametrize(
    "options",
    [
        {"answer_pattern": "#### .*"},
        {"answer_pattern": "(("},
        {"splits": {"train": "train[a:b]"}},
        {"splits": {"development": "train"}},
        {"columns": {"solutoin": "x"}},
        {"paht": "x"},
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Jsonl(options)


# -- ASDiv's XML


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("9 (apples)", "9"),
        ("-(1/3)", "-(1/3)"),
        ("17 (years old); 12", "17; 12"),
        ("5:6", "5:6"),
        ("(apples)", "(apples)"),
    ],
)
def test_units_are_left_out(answer: str, value: str) -> None:
    assert without_unit(answer) == value


def test_xml_that_expands_entities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "asdiv.xml"
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    path.write_text(
        f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><x><Problem ID="1"><Body>&e11;</Body></Problem></x>', "utf-8"
    )
    with pytest.raises(DataError, match="DOCTYPE"):
        Asdiv({"path": path}).load("test")


def test_xml_that_fetches_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "asdiv.xml"
    path.write_text('<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "utf-8")
    with pytest.raises(DataError, match="DOCTYPE"):
        Asdiv({"path": path}).load("test")


@pytest.mark.parametrize(
    ("content", "said"),
    [("<x>\n<Problem>\n</x>", "line 3: not well-formed XML"), ("<x/>", "holds no <Problem>"), ("", "not well-formed")],
)
def test_malformed_xml_says_so(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "asdiv.xml"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=said):
        Asdiv({"path": path}).load("test")


def test_a_problem_without_an_answer_names_the_problem(tmp_path: Path) -> None:
    path = tmp_path / "asdiv.xml"
    path.write_text('<x><Problem ID="nluds-7"><Body>b</Body><Question>q?</Question></Problem></x>', "utf-8")
    with pytest.raises(DataError, match="problem nluds-7: Unknown column 'Answer'"):
        Asdiv({"path": path}).load("test")


# -- the hub


HUB_ROWS: dict[str, list[dict[str, Any]]] = {
    "openai/gsm8k": [PENS],
    "ChilleD/SVAMP": [{"Body": "Bo has 4 cups", "Question": "How many?", "Answer": "4.0", "Type": "Addition"}],
    "ChilleD/MultiArith": [{"question": " Bo has 4 cups. How many? ", "final_ans": "4"}],
    "EleutherAI/asdiv": [
        {"body": "Bo has 4 cups.", "question": "How many?", "answer": "4 (cups)", "solution_type": "Sum"}
    ],
}


@pytest.mark.parametrize("kind", [Gsm8k, Svamp, MultiArith, Asdiv])
def test_the_hubs_form_of_each_data_set_is_read(kind: type[TabularDataset], monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(name: str, config: str | None, split: str, revision: str | None) -> list[Row]:
        return [Row(f"hub:{name} {split}, row 1", values) for values in HUB_ROWS[name]]

    monkeypatch.setattr(tabular, "hub_rows", rows)
    problem = kind().load("test").problems[0]
    assert problem.answer == ("5" if kind is Gsm8k else "4")
    assert "How many" in problem.question


def test_hub_rows_come_as_they_are_and_failures_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[Any, ...]] = []

    def load(name: str, config: str | None, *, split: str, revision: str | None) -> Any:
        asked.append((name, config, split, revision, datasets.config.HF_HUB_OFFLINE))
        if config == "mian":
            raise ValueError("BuilderConfig 'mian' not found.\nAvailable: ['main', 'socratic']")
        return datasets.Dataset.from_list([PENS, CUPS])

    offline = datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr(hub, "_reachable", lambda name, revision: False)
    monkeypatch.setattr(datasets, "load_dataset", load)
    rows = hub.hub_rows("openai/gsm8k", "main", "train", "v1")
    assert [row.values["question"] for row in rows] == [PENS["question"], CUPS["question"]]
    assert rows[1].where == "hub:openai/gsm8k train, row 2"
    assert asked == [("openai/gsm8k", "main", "train", "v1", True)]
    assert offline == datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr(hub, "_reachable", lambda name, revision: True)
    with pytest.raises(DataError, match=r"Cannot load split 'train' .* ValueError: BuilderConfig 'mian'") as error:
        hub.hub_rows("openai/gsm8k", "mian", "train", None)
    assert "\n" not in str(error.value)


def test_an_unreachable_hub_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "_reachable", lambda name, revision: False)
    with pytest.raises(DataError, match="hub cannot be reached and there is no local copy") as error:
        hub.hub_rows("nobody/no-such-data-set-anywhere", None, "train", None)
    assert "\n" not in str(error.value)
