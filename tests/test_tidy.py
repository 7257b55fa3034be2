"""The tables that reports and notebooks are made of agree with what the run itself reported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import tidy
from siked_core.errors import RunError
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach
from siked_core.stages.attempts import attempts_of
from siked_core.testing import toy_registry
from siked_core.tidy import drawn


@pytest.fixture(scope="module")
def run(toy_runs: Path) -> Iterator[Run]:
    with attach("whole", toy_registry(), SilentReporter(), runs=toy_runs, lock=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def begun(toy_runs: Path) -> Iterator[Run]:
    with attach("begun", toy_registry(), SilentReporter(), runs=toy_runs, lock=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def report(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def attempts(run: Run) -> pl.DataFrame:
    return tidy.attempts(run)


@pytest.mark.parametrize("name", tidy.COLUMNS)
def test_every_table_has_the_columns_that_are_documented(run: Run, begun: Run, name: str) -> None:
    for one in (run, begun):
        assert tidy.table(one, name).columns == list(tidy.COLUMNS[name])


def test_every_table_has_its_function_and_the_same_types_while_it_is_empty(run: Run, begun: Run) -> None:
    assert set(tidy.__all__) - {"COLUMNS", "table"} == set(tidy.COLUMNS)
    for name in ("scores", "shares", "mixtures", "composition", "questions"):
        empty = tidy.table(begun, name)
        assert empty.is_empty()
        assert empty.schema == tidy.table(run, name).schema, name
    with pytest.raises(RunError, match=r"There is no table 'other'\. There are: rounds, scores"):
        tidy.table(run, "other")


def test_scores_and_shares_are_those_of_the_report(run: Run, report: dict[str, Any]) -> None:
    table = tidy.scores(run).filter(pl.col("family").is_null())
    cards = [one["validation"] for one in report["rounds"]] + report["test"]
    for card in cards:
        mine = table.filter(*(pl.col(name) == card[name] for name in ("student", "dataset", "split")))
        for way, score in (("answer", card["score"]), ("oracle", card["oracle"])):
            (row,) = mine.filter(pl.col("way") == way).to_dicts()
            assert {name: row[name] for name in score} == score
    assert table.filter("chosen").get_column("student").unique().to_list() == [f"round-{report['chosen_round']}"]
    assert {"only-loud", "only-quiet"} < set(table.get_column("student"))
    own = tidy.shares(run).filter(pl.col("family").is_null() & (pl.col("split") == "validation"))
    first = report["rounds"][0]["validation"]
    mine = own.filter(pl.col("student") == "round-0")
    assert dict(mine.select("strategy", "questions").iter_rows()) == first["choices"]
    assert own.group_by("student").agg(pl.col("share").sum()).get_column("share").to_list() == pytest.approx(
        [1.0] * own.get_column("student").n_unique()
    )


def test_yields_verdicts_and_mixtures_are_those_of_the_report(
    run: Run, report: dict[str, Any], attempts: pl.DataFrame
) -> None:
    yields, verdicts, mixtures = tidy.yields(attempts), tidy.verdicts(attempts), tidy.composition(run)
    rounds = tidy.rounds(run, mixtures, attempts)
    for one, pool in zip(report["rounds"], ("teacher", "round-1"), strict=True):
        mine = yields.filter(pl.col("pool") == pool)
        counted = {row["strategy"]: {"samples": row["samples"], "correct": row["correct"]} for row in mine.to_dicts()}
        assert counted == one["pool"]["by_strategy"]
        statuses = verdicts.filter(pl.col("pool") == pool).group_by("status").agg(pl.col("samples").sum())
        assert dict(statuses.iter_rows()) == one["pool"]["statuses"]
        mixture = mixtures.filter(pl.col("round") == one["round"])
        assert mixture.get_column("rows").sum() == one["mixture"]["rows"]
        assert rounds.filter(pl.col("round") == one["round"])["alpha"][0] == pytest.approx(one["mixture"]["alpha"])
    for name in ("round", "student", "training_tokens"):
        assert rounds[name].to_list() == [one[name] for one in report["rounds"]]
    for name in ("samples", "problems", "problems_solved"):
        assert rounds[name].to_list() == [one["pool"][name] for one in report["rounds"]]
    assert rounds["untagged"].to_list() == [one["validation"]["untagged"] for one in report["rounds"]]
    assert rounds["rows"].sum() == tidy.mixtures(run).filter(pl.col("student").str.starts_with("round-")).height
    assert rounds["kl"][0] is None
    assert rounds["kl"][1] >= 0


def test_stages_add_up_to_what_was_spent(run: Run, report: dict[str, Any]) -> None:
    table = tidy.stages(run)
    total = report["spending"]["total"]
    for name in ("samples", "tokens_in", "tokens_out", "cost", "seconds"):
        assert table.get_column(name).sum() == pytest.approx(total[name])
    assert total["cost"] > 0
    assert table.filter(pl.col("stage") == "rollout round-1").row(0, named=True)["round"] == 1


def test_the_map_knows_each_problem_under_each_strategy(run: Run, attempts: pl.DataFrame) -> None:
    table = tidy.solvability(run, attempts)
    teacher = table.filter((pl.col("who") == "teacher") & (pl.col("questions") == "training"))
    assert teacher.height == 10 * 2
    assert (
        teacher.get_column("correct").sum()
        == tidy.yields(attempts).filter(pl.col("pool") == "teacher")["correct"].sum()
    )
    forced = table.filter((pl.col("who") == "round-1") & (pl.col("questions") == "validation"))
    assert forced.height == 2 * 2
    lines = (run.path / "scorecards" / "round-1.sums-validation.jsonl").read_text(encoding="utf-8").splitlines()
    for line in map(json.loads, lines):
        mine = forced.filter(pl.col("problem_id") == line["problem_id"])
        assert dict(mine.select("strategy", pl.col("correct") == 1).iter_rows()) == line["forced"]
    solved = tidy.solved(table)
    assert solved.filter(pl.col("who") == "teacher")["problems"].to_list() == [10, 10]
    assert set(solved.get_column("family")) == {"sum"}


def test_samples_have_their_texts_and_what_they_were_used_for(run: Run, attempts: pl.DataFrame) -> None:
    table = tidy.samples(run, attempts)
    assert table.get_column("key").to_list() == attempts.get_column("key").to_list()
    assert table.height == sum(run.pool(name).scan(["key"]).collect().height for name in drawn.drawn_pools(run))
    row = table.filter((pl.col("pool") == "teacher") & (pl.col("status") == "correct")).row(0, named=True)
    assert row["question"].endswith("?")
    assert row["answer"] == row["gold"] == str(sum(map(int, row["question"][:-1].split("+"))))
    assert row["rationale"] == row["text"]
    assert "round-0" in row["mixtures"]
    used = table.filter(pl.col("mixtures").list.len() > 0)
    assert set(used.get_column("status")) == {"correct"}
    assert used.filter(pl.col("pool").str.starts_with("evaluations/")).is_empty()


def test_fewer_samples_are_the_same_random_draw_each_time(run: Run, attempts: pl.DataFrame) -> None:
    some = tidy.samples(run, attempts, 7)
    assert some.height == 7
    assert some.equals(tidy.samples(run, attempts, 7))
    assert set(some["key"]) == set(sorted(attempts["key"])[:7])
    assert tidy.samples(run, attempts, 0).schema == some.schema


def test_a_run_that_has_begun_has_what_there_is(begun: Run) -> None:
    heard: list[str] = []
    tried = tidy.attempts(begun, heard.append)
    assert not heard
    assert tidy.yields(tried).get_column("pool").unique().to_list() == ["teacher"]
    (row,) = tidy.table(begun, "rounds").to_dicts()
    assert (row["student"], row["chosen"], row["samples"]) == ("round-0", False, tried.height)
    assert row["accuracy"] is row["rows"] is row["training_tokens"] is None


def test_a_pool_that_is_being_filled_is_told_and_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(opened: Run, pool: str, *rest: Any) -> pl.DataFrame:
        if pool == "round-1":
            raise RunError("it is being filled")
        return attempts_of(opened, pool, *rest)

    monkeypatch.setattr(drawn, "attempts_of", broken)
    heard: list[str] = []
    table = tidy.attempts(run, heard.append)
    assert heard == ["The samples of round-1 are left out: it is being filled"]
    assert "round-1" not in set(table.get_column("pool").cast(pl.String))
