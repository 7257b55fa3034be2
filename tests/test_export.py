"""An exported data set: it opens, it holds what the run found and nothing that it must not, and it says how it came."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from siked_core import DataError, RunError
from siked_core.dataset_card import public_name
from siked_core.export import COLUMNS, export
from siked_core.loop import distill
from siked_core.pool import read_parquet
from siked_core.publish import publish
from siked_core.recipe import validate
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.stages.prepare import problems
from siked_core.stages.verify import verdicts_of
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry

DOCS = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A finished run with one round."""
    folder = tmp_path_factory.mktemp("runs")
    student = make_tiny_student(tmp_path_factory.mktemp("tiny"))
    recipe = validate(toy_recipe(student, teacher={"generator": "toy-teacher", "samples": 2}))
    with start(recipe, toy_registry(), SilentReporter(), runs=folder, name="run") as opened:
        distill(opened)
    with attach("run", toy_registry(), SilentReporter(), runs=folder, lock=False) as opened:
        yield opened


def opened(folder: Path, name: str | None = None) -> Any:
    """As a user opens it, without a network."""
    import datasets

    assert os.environ["HF_DATASETS_OFFLINE"] == "1"
    return datasets.load_dataset(str(folder), name, cache_dir=str(folder.with_name("cache")))


def card(folder: Path) -> tuple[dict[str, Any], str]:
    """The front matter and the text of the card."""
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def test_datasets_opens_it_and_finds_the_correct_rationales(run: Run, tmp_path: Path) -> None:
    found = export(run, tmp_path / "out")
    rows = opened(tmp_path / "out")
    assert list(rows) == ["train"]
    table = rows["train"].to_polars()
    assert table.columns == list(COLUMNS)
    assert table.height == found.rows
    judged = pl.concat([verdicts_of(run, pool) for pool in ("teacher", "round-1")])
    correct = judged.filter(pl.col("status") == "correct")
    same = ["problem_id", "strategy", "source", "rationale"]
    assert set(table.select(same).iter_rows()) == set(correct.select(same).iter_rows())
    assert table.height == correct.select(same).n_unique(), "each once"
    assert table.get_column("copies").sum() == correct.height, "and standing for all"
    assert set(table.get_column("status")) == {"correct"}
    known = {problem.id: problem for problem in problems(run, "train")}
    for row in table.iter_rows(named=True):
        assert (row["question"], row["gold"]) == (known[row["problem_id"]].question, known[row["problem_id"]].answer)
        assert row["rationale"].startswith("sum=")
        assert 0 < row["pass_rate"] <= 1
        assert row["generator"] == ("toy-teacher" if row["source"] == "teacher" else "student round-0")
        assert (row["completion"], row["weight"], row["verifier"]) == (None, None, "same_text")


def test_a_strategy_is_a_configuration(run: Run, tmp_path: Path) -> None:
    found = export(run, tmp_path / "out")
    loud = opened(tmp_path / "out", "loud")["train"].to_polars()
    assert set(loud.get_column("strategy")) == {"loud"}
    assert loud.height == found.by_strategy["loud"]


def test_no_answer_to_a_held_out_question_unless_asked_for(run: Run, tmp_path: Path) -> None:
    held_out = {one.question for split in ("validation", "test") for one in problems(run, split)}
    for what in ("correct", "all", "mixture"):
        export(run, tmp_path / what, what=what)
        files = list((tmp_path / what).rglob("*.parquet"))
        assert files
        assert not held_out & {q for file in files for q in pl.read_parquet(file).get_column("question")}
    export(run, tmp_path / "asked", evaluations=True)
    assert not held_out & set(opened(tmp_path / "asked")["train"].to_polars().get_column("question"))
    answers = opened(tmp_path / "asked", "evaluations")
    assert set(answers) == {"validation", "test"}
    for split in answers:
        questions = {one.question for one in problems(run, split)}
        assert set(answers[split].to_polars().get_column("question")) <= questions
    assert "never train on them" in card(tmp_path / "asked")[1]


def test_all_samples_with_what_was_written(run: Run, tmp_path: Path) -> None:
    found = export(run, tmp_path / "out", what="all", round=1)
    table = opened(tmp_path / "out")["train"].to_polars()
    judged = verdicts_of(run, "round-1")
    assert found.rows == table.height == judged.height
    assert dict(table.select("key", "completion").iter_rows()) == dict(judged.select("key", "text").iter_rows())
    assert set(table.get_column("status")) == {"correct", "wrong"}
    assert set(table.get_column("round")) == {1}


def test_a_mixture_with_its_weights(run: Run, tmp_path: Path) -> None:
    for number, where in ((0, "first"), (None, "latest")):
        export(run, tmp_path / where, what="mixture", round=number)
        table = opened(tmp_path / where)["train"].to_polars()
        mixture = read_parquet(run.mixture(f"round-{number or 0}" if number is not None else "round-1"))
        columns = ["key", "weight", "rationale"]
        assert set(table.select(columns).iter_rows()) == set(mixture.select(columns).iter_rows())


def test_the_card_tells_how_it_was_made(run: Run, tmp_path: Path) -> None:
    found = export(run, tmp_path / "out", licence="mit")
    front, text = card(tmp_path / "out")
    assert front["license"] == "mit" == found.licence
    assert front["configs"][0]["config_name"] == "default"
    assert {one["config_name"] for one in front["configs"]} == {"default", "loud", "quiet"}
    judged = verdicts_of(run, "teacher").filter(pl.col("strategy") == "loud")
    right = judged.filter(pl.col("status") == "correct")
    assert (
        f"| 0 | loud | teacher | {judged.height} | {right.height} ({100 * right.height / judged.height:.1f} %) |"
        in text
    )
    statuses = pl.concat([verdicts_of(run, pool) for pool in ("teacher", "round-1")]).get_column("status")
    assert f"correct {(statuses == 'correct').sum()}, wrong {(statuses == 'wrong').sum()}" in text
    assert "toy-teacher (" in text
    assert "`loud` by `same_text`" in text
    for name in COLUMNS:
        assert f"| `{name}` |" in text
    assert str(run.path.parent) not in text, "no path of this machine"
    assert str(run.recipe.student.model) not in text
    export(run, tmp_path / "unknown")
    front, text = card(tmp_path / "unknown")
    assert front["license"] == "unknown"
    assert "Not known: ask those who published the questions" in text


def test_a_folder_that_holds_something_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(run, tmp_path / "out")
    before = (tmp_path / "out" / "README.md").read_bytes()
    with pytest.raises(RunError, match="exists and is not empty"):
        export(run, tmp_path / "out", what="all")
    assert (tmp_path / "out" / "README.md").read_bytes() == before
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="exists and is not empty"):
        export(run, tmp_path / "file")


def test_what_is_not_there_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no mixture of round 7 \(it has those of rounds 0, 1\)"):
        export(run, tmp_path / "out", what="mixture", round=7)
    with pytest.raises(RunError, match="holds no such samples"):
        export(run, tmp_path / "out", round=7)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="Cannot write"):
        export(run, tmp_path / "file" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_paths_of_this_machine_are_not_published(tmp_path: Path) -> None:
    assert public_name("Qwen/Qwen2.5-32B-Instruct") == "Qwen/Qwen2.5-32B-Instruct"
    assert public_name("pocket") == "pocket"
    assert public_name("/home/ann/models/secret") == "secret"
    assert public_name("~/models/secret") == "secret"
    assert public_name(str(tmp_path)) == tmp_path.name


def test_the_documentation_has_the_columns() -> None:
    for name, meaning in COLUMNS.items():
        assert f"| `{name}` | {meaning} |" in DOCS


# The hub


class Hub:
    """Stands in for the hub: what was uploaded, read before the folder is gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        import huggingface_hub
        from huggingface_hub import constants

        self.made: list[dict[str, Any]] = []
        self.uploaded: list[dict[str, Any]] = []
        hub = self

        def create_repo(api: object, repo_id: str, **options: Any) -> str:
            if error is not None:
                raise error
            hub.made.append({"repo_id": repo_id, **options})
            return f"https://example.org/datasets/{repo_id}"

        def upload_folder(api: object, *, folder_path: Path, **options: Any) -> None:
            files = sorted(
                path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*") if path.is_file()
            )
            hub.uploaded.append({"files": files, **options})

        monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
        monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_nothing")


Siked = Callable[..., str]


@pytest.fixture
def siked(siked_says: Siked) -> Siked:
    """A folder in which the run "mine" has been taught and mixed; the commands that run in it."""
    siked_says("teach", "--preset", "pocket-smoke", "--strategies", "cot,eot", "--run", "mine", "-q")
    return siked_says


def test_the_command_exports_and_what_it_exports_can_be_imported(siked: Siked, tmp_path: Path) -> None:
    shown = siked("export", "mine", "--to", "out")
    found = json.loads(siked("export", "mine", "--to", "again", "--json"))
    assert f"{found['rows']} rows of" in shown
    assert "Exported to out" in shown
    assert (found["to"], found["licence"], found["evaluations"]) == ("again", "apache-2.0", 0)
    assert opened(tmp_path / "out")["train"].num_rows == found["rows"]
    recipe = ["--preset", "pocket-smoke", "--strategies", "cot,eot", "--run", "other"]
    brought = json.loads(
        siked("import", "out/data/cot.parquet", *recipe, "--column", "teacher=generator", "--json", "-q")
    )
    assert brought["added"] == brought["pool"]["correct"] == found["by_strategy"]["cot"]
    assert brought["teachers"] == {"pocket": brought["added"]}


def test_the_command_publishes(siked: Siked, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(monkeypatch)
    told = json.loads(siked("export", "mine", "--to", "hub:ann/rationales", "--json"))
    assert told["to"] == "https://example.org/datasets/ann/rationales"
    assert hub.made == [{"repo_id": "ann/rationales", "repo_type": "dataset", "private": True, "exist_ok": True}]
    (uploaded,) = hub.uploaded
    assert uploaded["files"] == ["README.md", "data/cot.parquet", "data/eot.parquet"]
    assert (uploaded["repo_id"], uploaded["repo_type"]) == ("ann/rationales", "dataset")
    assert uploaded["commit_message"] == f"Export of the run mine: {told['rows']} rows"
    siked("export", "mine", "--to", "hub:ann/rationales", "--public")
    assert hub.made[-1]["private"] is False


def test_without_a_token_or_a_network_it_is_one_line(
    siked: Siked, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    arguments = ("export", "mine", "--to", "hub:ann/rationales")
    said = siked(*arguments, code=2)
    assert said == "Error: The hub is switched off (HF_HUB_OFFLINE). Unset it, or write into a folder.\n"
    Hub(monkeypatch)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    said = siked(*arguments, code=2)
    assert said.startswith("Error: There is no token of the Hugging Face hub here: run `hf auth login`")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    Hub(monkeypatch, ConnectionError("no route to host"))
    said = siked(*arguments, code=2)
    assert said.startswith("Error: The hub cannot be reached (ConnectionError: no route to host). Try again")
    refusal = HfHubHTTPError.__new__(HfHubHTTPError)
    refusal.args = ("403 Forbidden:\nyou may not write to ann",)
    monkeypatch.setattr(HfHubHTTPError, "__str__", lambda error: error.args[0])
    Hub(monkeypatch, refusal)
    with pytest.raises(DataError, match="did not take the data set 'ann/rationales': 403 Forbidden: you may not write"):
        publish(tmp_path, "ann/rationales", False, "test")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "out", "--what", "corect"], "Unknown choice 'corect'. Did you mean 'correct'?"),
        (["--to", "hub:ann"], "A place on the hub is hub:OWNER/NAME, not 'hub:ann'."),
        (["--to", "out", "--what", "mixture", "--evaluations"], "No evaluation is part of a mixture"),
        (["--to", "out", "--what", "mixture"], "has no mixture (it has none). Run `siked mix` first."),
        (["--to", "runs"], "runs exists and is not empty. Export into a new folder."),
        ([], "--to"),
    ],
)
def test_a_mistake_is_one_line(siked: Siked, tmp_path: Path, arguments: list[str], said: str) -> None:
    error = siked("export", "mine", *arguments, code=2)
    assert said in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
