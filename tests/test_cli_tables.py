"""The tables at the end of a run: every figure is there, they fit, and nothing is shown that was not measured."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import pytest
from rich.console import Console, RenderableType
from rich.table import Table

from siked_cli.summaries import mixture_lines, pool_lines
from siked_cli.tables import report_tables, scorecard_tables
from siked_core import figures
from siked_core.diversity import Distinct, Diversity
from siked_core.paired import Gain, Paired
from siked_core.scorecard import (
    MixtureSummary,
    PoolSummary,
    RoundReport,
    RunReport,
    Score,
    Scorecard,
    StrategyScore,
)

FOUR = ("cot", "eot", "l2m", "pot")
WIDTH = 100


def text_of(parts: Sequence[RenderableType], width: int = WIDTH) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, markup=False)
    for part in parts:
        console.print(part)
    return stream.getvalue()


def card_of(
    student: str,
    dataset: str = "gsm8k",
    split: str = "validation",
    right: int = 250,
    total: int = 500,
    strategies: Sequence[str] = FOUR,
    forced: bool = True,
) -> Scorecard:
    each = total // max(len(strategies), 1)
    return Scorecard(
        student,
        dataset,
        split,
        Score(right, total),
        tuple(
            StrategyScore(
                name,
                Score(each // 2, each),
                each / total if total else 0.0,
                Score(total // 3, total) if forced else None,
                {"short": Score(each // 4, each // 2), "unknown": Score(0, each - each // 2)},
                {"short": Score(total // 6, total // 2), "unknown": Score(0, total - total // 2)} if forced else {},
            )
            for name in strategies
        ),
        {"short": Score(right // 2, total // 2), "unknown": Score(0, total - total // 2)},
        untagged=total // 50,
        statuses={"correct": right, "wrong": total - right, "timeout": 0},
        choices=dict.fromkeys(strategies, each),
        policies={name: Paired(right // 2, right // 2, total // 4, total - right - total // 4)
                  for name in ("own choice", *(strategies if forced else ()), *(("oracle",) if forced else ()))},
    )  # fmt: skip


def round_of(number: int, samples: int = 29892, rows: int = 24000, strategies: Sequence[str] = FOUR) -> RoundReport:
    teacher = rows if number == 0 else rows // 3
    return RoundReport(
        number,
        f"round-{number}",
        PoolSummary(
            samples,
            samples * 3 // 5,
            {"correct": samples * 3 // 5, "wrong": samples // 5, "crashed": samples // 10, "no_answer": 0},
            {name: {"samples": samples // 4, "correct": samples // 8} for name in strategies},
            1_000_000,
            2_000_000,
            6000 if samples else 0,
            7473,
        ),
        MixtureSummary(
            rows,
            dict.fromkeys(strategies, rows // 4),
            {"teacher": teacher, "student": rows - teacher},
            teacher / rows if rows else 0.0,
        ),
        123_456_789,
        card_of(f"round-{number}", right=200 + 10 * number, strategies=strategies),
        {"teach": 100.0, "train": 3600.0},
        number - 1 if number else None,
        Gain(0, Paired(180, 20, 20 + 10 * number, 280 - 10 * number)) if number else None,
        Diversity(1.85, 0.8, 2.34, {name: Distinct(0.41, 5000) for name in strategies} if number else {}),
        ("the share of problems that it solves fell from 0.9 to 0.5, by more than 30 %",) if number == 2 else (),
    )


def report_of(rounds: int = 4, outside: Sequence[str] = ("svamp", "asdiv", "multiarith")) -> RunReport:
    chosen = rounds - 1
    students = [f"round-{chosen}", "round-0", "only-cot", "only-pot"]
    test = [card_of(name, name_of_set, "test", 600, 1319) for name in students for name_of_set in ("gsm8k", *outside)]
    return RunReport(
        "runs/gsm8k-001",
        tuple(round_of(number) for number in range(rounds)),
        chosen,
        "the limit of 3 rounds was reached",
        tuple(test),
        f"runs/gsm8k-001/students/round-{chosen}",
        {"asdiv-test": 146},
        {f"round-{number}": 123_456_789 * (number + 1) for number in range(rounds)}
        | {"only-cot": 6_400, "only-pot": 6_500},
    )


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_large_report_fits_and_no_figure_is_cut_off(width: int) -> None:
    tables = [part for part in report_tables(report_of(rounds=6), width) if isinstance(part, Table)]
    shown = text_of(tables, width)
    assert len(tables) >= 5
    assert "…" not in shown, "a figure was cut off"
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width


def test_the_report_shows_every_figure_that_was_asked_for() -> None:
    shown = text_of(report_tables(report_of()))
    lines = shown.splitlines()
    row = next(line for line in lines if line.lstrip().startswith("round-3 *"))
    assert "46.0 (41.7-50.4)" in row  # 230 of 500 on validation
    assert "45.5 (42.8-48.2)" in row  # 600 of 1,319 on test
    assert "0.33" in row  # the teacher's share of the mixture
    assert "493,827,156" in row
    unscored = next(line for line in lines if line.lstrip().startswith("round-1"))
    assert unscored.split()[1:4] == ["42.0", "(37.8-46.4)", "-"], "only two rounds were scored on test"
    baseline = next(line for line in lines if line.lstrip().startswith("only-cot"))
    assert baseline.split()[1:4] == ["-", "45.5", "(42.8-48.2)"]
    assert "(500 questions)" in shown
    assert "(1,319 questions)" in shown
    assert "Left out of asdiv-test: 146 problems" in shown
    assert "the limit of 3 rounds was reached" in shown
    assert "runs/gsm8k-001/students/round-3" in shown
    assert "siked solve runs/gsm8k-001 " in shown
    assert "svamp" in shown
    assert "multiarith" in shown
    assert "wrong 5,978, crashed 2,989" in shown, "samples that were not correct are reported"
    assert "no answer" not in shown, "a status that did not occur is not"


def test_a_strategys_share_and_accuracies_stand_in_its_columns() -> None:
    card = Scorecard(
        "round-1",
        "pocket",
        "validation",
        Score(3, 10),
        (
            StrategyScore("cot", Score(3, 8), 0.8, Score(4, 10)),
            StrategyScore("pot", Score(0, 0), 0.0, Score(1, 10)),
        ),
        untagged=2,
    )
    row = text_of(scorecard_tables(card)).splitlines()[-1]
    assert row.split() == ["round-1", "80", "37.5", "40.0", "0", "-", "10.0", "20"]


def test_more_strategies_than_fit_go_into_a_second_table() -> None:
    names = [f"strategy{number}" for number in range(9)]
    shown = text_of(scorecard_tables(card_of("round-1", strategies=names)))
    assert all(name in shown for name in names)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= WIDTH
    assert shown.count("tag") == 1, "the share without a tag belongs to the student, not to each table"


def test_strategies_that_were_not_forced_have_no_such_column() -> None:
    assert "forced" not in text_of(scorecard_tables(card_of("round-1", forced=False)))


def test_families_show_what_was_chosen_and_what_would_have_been_better() -> None:
    card = Scorecard(
        "round-0", "pocket", "validation", Score(3, 10),
        (
            StrategyScore("cot", Score(2, 6), 0.6, Score(5, 10), {"gap": Score(2, 5), "bill": Score(0, 1)},
                          {"gap": Score(4, 5), "bill": Score(1, 5)}),
            StrategyScore("pot", Score(1, 4), 0.4, Score(6, 10), {"bill": Score(1, 4)},
                          {"gap": Score(2, 5), "bill": Score(4, 5)}),
        ),
        {"bill": Score(1, 5), "gap": Score(2, 5)},
    )  # fmt: skip
    report = report_of(rounds=1)
    first = dataclasses.replace(report.rounds[0], validation=card)
    shown = text_of(report_tables(dataclasses.replace(report, rounds=(first,)))).splitlines()
    start = next(place for place, line in enumerate(shown) if line.startswith("Families of problems, round-0"))
    rows = [line.split() for line in shown[start:]]
    assert ["bill", "5", "20.0", "pot", "20.0", "80.0"] in rows
    assert ["gap", "5", "40.0", "cot", "80.0", "40.0"] in rows


def test_nothing_judged_is_a_dash_and_never_a_zero() -> None:
    empty = card_of("round-0", right=0, total=0)
    report = RunReport(
        "runs/pocket-001",
        (
            RoundReport(
                0,
                "round-0",
                PoolSummary(0, 0, {}, {}, 0, 0, 0, 48),
                MixtureSummary(0, {}, {}, 0.0),
                0,
                empty,
            ),
        ),
        0,
        "the limit of 0 rounds was reached",
        (),
        "runs/pocket-001/students/round-0",
        training_tokens={"round-0": 0},
    )
    shown = text_of(report_tables(report))
    row = next(line for line in shown.splitlines() if line.lstrip().startswith("round-0 *"))
    assert row.split()[2:] == ["-", "-", "-", "0"]
    assert "0.0" not in shown.split("Stopped")[0]


def test_a_pool_says_what_became_of_every_sample() -> None:
    summary = PoolSummary(
        100,
        60,
        {"correct": 60, "wrong": 25, "no_answer": 15},
        {"cot": {"samples": 60, "correct": 40}, "(no tag)": {"samples": 40, "correct": 20}},
        1,
        1,
        20,
        25,
    )
    shown = text_of(pool_lines("teacher", summary))
    assert "100 samples, 60 correct (60.0 %); 20 of 25 problems have one" in shown
    assert "wrong 25, no answer 15" in shown
    assert "(no tag)" in shown


def test_a_mixture_says_the_teachers_share() -> None:
    shown = text_of(mixture_lines(2, MixtureSummary(40, {"cot": 40}, {"teacher": 10, "student": 30}, 0.25)))
    assert "40 rows; the teacher's share α is 25.0 %" in shown
    assert "α is -" in text_of(mixture_lines(2, MixtureSummary(0, {}, {}, 0.0)))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (187, "3:07"),
        (3723, "1:02:03"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert figures.duration(seconds) == shown


@pytest.mark.parametrize(
    ("per_second", "shown"), [(None, ""), (1234.5, "1,234/s"), (3.44, "3.4/s"), (0.2, "12.0/min"), (0.0, "")]
)
def test_rates(per_second: float | None, shown: str) -> None:
    assert figures.rate(per_second) == shown


def test_policies_rounds_and_variety_are_set_beside_each_other() -> None:
    report = report_of(rounds=3)
    shown = text_of(report_tables(report, 160), 160)
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert "Choice of strategy, round-2 on gsm8k test in %, 95 % interval" in lines
    oracle = next(line for line in lines if line.startswith("oracle "))
    assert oracle.startswith("oracle 47.7 (45.0-50.4) +2.2 ("), "300 + 329 of 1,319 are 629, the answers 600"
    assert not any(line.startswith("own choice") for line in lines), "with `self` these are the answers"
    chosen = dataclasses.replace(report.test[0], selector="vote")
    voted = text_of(scorecard_tables(chosen), 160)
    assert "answers (vote)" in voted
    assert "own choice" in voted
    # Of 500 validation questions, 20 are lost and 40 won.
    gain = next(line for line in lines if line.startswith("round-2 * round-0 "))
    assert gain.startswith("round-2 * round-0 20 40 +4.0 (")
    assert gain.endswith(" 0.013")
    varied = next(line for line in lines if line.startswith("round-1 1.85 "))
    assert varied == "round-1 1.85 80.0 % 2.34 0.41 0.41 0.41 0.41"
    assert "round-2 may be collapsing: the share of problems that it solves fell from 0.9 to 0.5" in shown
    back = dataclasses.replace(report.rounds[2], base=0)
    rolled = dataclasses.replace(report, rounds=(*report.rounds[:2], back))
    assert "round-2 goes on from round-0: the round before it was rolled back." in text_of(
        report_tables(rolled, 160), 160
    )
