"""Every built-in plugin keeps its kind's contract, and a plugin that breaks a rule of one is told which and how."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import (
    Excluded,
    Figures,
    Loaded,
    Message,
    Model,
    Options,
    PluginError,
    Problem,
    Prompt,
    Rationale,
    Status,
    Strategy,
    TrainingExample,
    Unreadable,
    Verdict,
    Wish,
    WorkedSolution,
)
from siked_core.contracts import Plugin
from siked_core.registry import KINDS, Entry, Registry
from siked_core.testing import CONTRACTS, TOYS, Finding, check_plugin, make_tiny_student, pocket_sample, toy_registry
from siked_core.testing.contracts.running import names_of_tests, rule_of
from siked_core.testing.toys import Backwards, Both, Listed, Loud, OwnChoice, Plain, SameText, Sums

BUILT_IN = [entry for entry in Registry.discover().entries if entry.distribution == "siked"]
FAKES: dict[str, Callable[[Path, Any], dict[str, Any]]] = {}
"""kind:name -> the options with which a plugin works here, from a folder and a server that speaks the OpenAI API."""
NEEDS_A_CLUSTER = {"generator:ray", "verifier:ray"}
NEEDS_A_SERVER = {"generator:vllm"}


def options_for(name: str) -> Callable[[Any], Any]:
    def keep(function: Any) -> Any:
        FAKES[name] = function
        return function

    return keep


@options_for("verifier:judge")
def _judge(folder: Path, api: Any) -> dict[str, Any]:
    return {"generator": "replay", "generator_options": {**_replay(folder, api), "missing": "empty"}}


@options_for("verifier:number")
def _number(folder: Path, api: Any) -> dict[str, Any]:
    return {"latex_timeout_s": 0.5}


@options_for("generator:openai")
def _openai(folder: Path, api: Any) -> dict[str, Any]:
    return {"model": "fake", "base_url": api.url}


@options_for("generator:transformers")
def _transformers(folder: Path, api: Any) -> dict[str, Any]:
    return {"model": str(make_tiny_student(folder / "teacher"))}


@options_for("generator:replay")
def _replay(folder: Path, api: Any) -> dict[str, Any]:
    rows = [
        {"problem_id": problem.id, "strategy": "cot", "draw": draw, "text": f"So it is.\nThe answer is {draw}."}
        for problem in pocket_sample(3)
        for draw in range(2)
    ]
    file = folder / "recorded.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"path": str(file)}


@options_for("dataset:gsm8k")
def _gsm8k(folder: Path, api: Any) -> dict[str, Any]:
    for split in ("train", "test"):
        row = {"question": f"Jo has 2 pens and buys 3. How many ({split})?", "answer": "2 + 3 = <<2+3=5>>5\n#### 5"}
        (folder / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    return {"path": str(folder)}


@options_for("dataset:svamp")
def _svamp(folder: Path, api: Any) -> dict[str, Any]:
    row = {"ID": "c-1", "Body": "Jo has 2 pens", "Question": "and buys 3. How many?", "Equation": "( 2.0 + 3.0 )",
           "Answer": "5.0", "Type": "Addition"}  # fmt: skip
    (folder / "SVAMP.json").write_text(json.dumps([row]))
    return {"path": str(folder)}


@options_for("dataset:asdiv")
def _asdiv(folder: Path, api: Any) -> dict[str, Any]:
    file = folder / "ASDiv.xml"
    file.write_text(
        '<Machine-Reading-Corpus-File><ProblemSet><Problem ID="nluds-0001" Grade="1"><Body>Jo has 2 pens.</Body>'
        "<Question>How many with 3 more?</Question><Solution-Type>Addition</Solution-Type>"
        "<Answer>5 (pens)</Answer><Formula>2+3=5</Formula></Problem></ProblemSet></Machine-Reading-Corpus-File>"
    )
    return {"path": str(file)}


@options_for("dataset:multiarith")
def _multiarith(folder: Path, api: Any) -> dict[str, Any]:
    (folder / "MultiArith.json").write_text(json.dumps([{"question": "2 pens and 3. How many?", "final_ans": "5"}]))
    return {"path": str(folder)}


@options_for("dataset:jsonl")
def _jsonl(folder: Path, api: Any) -> dict[str, Any]:
    file = folder / "mine.jsonl"
    file.write_text("".join(json.dumps({"question": f"{n} and 1?", "answer": str(n + 1)}) + "\n" for n in range(7)))
    return {"path": str(file)}


@options_for("dataset:pocket")
def _pocket(folder: Path, api: Any) -> dict[str, Any]:
    return {"train": 12}


@options_for("tracker:mlflow")
def _mlflow(folder: Path, api: Any) -> dict[str, Any]:
    return {"uri": f"sqlite:///{folder}/mlflow.db"}


@options_for("objective:kpod")
def _kpod(folder: Path, api: Any) -> dict[str, Any]:
    return {"updates": 4, "width": 8, "batch": 4, "clusters": 2}


@options_for("objective:upft")
def _upft(folder: Path, api: Any) -> dict[str, Any]:
    return {"tokens": 8}


@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: f"{entry.kind}:{entry.name}")
def test_every_built_in_plugin_keeps_its_contract(
    entry: Entry, tmp_path: Path, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{entry.kind}:{entry.name}"
    assert entry.plugin is not None
    if entry.kind == "tracker":
        _track_offline(tmp_path, monkeypatch)
    options = FAKES[name](tmp_path, api) if name in FAKES else {}
    findings = check_plugin(entry.plugin, options)
    assert [one for one in findings if one.outcome == "failed"] == []
    left_out = [one for one in findings if one.outcome == "skipped"]
    if name not in NEEDS_A_CLUSTER | NEEDS_A_SERVER and not _lacks_its_client(entry.plugin):
        assert all("batch sways" in one.seen or "something else than gold" in one.seen for one in left_out), left_out


def _track_offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What trackers' clients keep goes into a folder, and nothing to a server."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "TRACKIO_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))


def _lacks_its_client(plugin: type[Plugin]) -> bool:
    """Whether it is a tracker whose client, an extra, is not installed here."""
    if plugin.kind != "tracker":
        return False
    try:
        plugin().check_machine()
    except PluginError:
        return True
    return plugin.name == "mlflow" and importlib.util.find_spec("sqlalchemy") is None


def test_every_kind_has_a_contract() -> None:
    assert set(CONTRACTS) == set(KINDS)
    for kind, contract in CONTRACTS.items():
        for test in names_of_tests(contract):
            assert getattr(contract, test).__doc__, f"{kind}: {test} does not say its rule"


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: toy.name)
def test_no_toy_breaks_its_contract(toy: type[Plugin], tmp_path: Path) -> None:
    if toy.kind == "generator":  # they answer the toy sums alone
        pytest.skip("it knows no other problems than the toy data set's")
    assert [one for one in check_plugin(toy, registry=toys_and_a_sample()) if one.outcome == "failed"] == []


def toys_and_a_sample() -> Registry:
    """The toys, and what a sample of the pocket world comes from."""
    pocket = [entry for entry in BUILT_IN if entry.kind in ("dataset", "strategy", "verifier")]
    return Registry([*toy_registry().entries, *pocket])


# What breaks a rule is noticed


@dataclass(frozen=True)
class Breach:
    plugin: type[Plugin]
    test: str
    """The test that must fail."""
    seen: str
    """In what it says."""


def of(base: type[Plugin], test: str, seen: str, **members: Any) -> Breach:
    return Breach(type("Bad", (base,), {"__doc__": "A bad one.", **members}), test, seen)


class Texts(Options):
    words: Any = ()


def _raises(*_: Any, **__: Any) -> Any:
    raise KeyError("gone")


def _good(self: Any, text: str) -> Rationale | Unreadable:
    return Rationale(self.name, text.strip(), "5") if text.strip() else Unreadable("Nothing.")


def _slow(self: Any, text: str) -> Rationale | Unreadable:
    end = time.thread_time() + 2.1 * (len(text) > 4_000)
    while time.thread_time() < end:
        pass
    return Unreadable("Too hard.")


def _again(self: Any, problem: Problem, written: Sequence[str]) -> Prompt | None:
    """Asks twice more."""
    return Prompt((Message("user", f"{problem.question} Go on."),)) if len(written) < 3 else None


def _finite(self: Any, figures: Sequence[Figures]) -> None:
    assert all(math.isfinite(value) for one in figures for value in one.values.values())


def _in_its_folder(text: Callable[[], str]) -> Callable[..., str]:
    """`open` that writes a text into the tracker's folder."""

    def opened(self: Any, run: Any) -> str:
        (run.folder / "log.txt").write_text(text())
        return Listed.open(self, run)

    return opened


def _in_the_run(self: Any, run: Any) -> str:
    (run.folder.parents[1] / "recipe.yaml").write_text("mine")
    return Listed.open(self, run)


def _adds(self: Any, run: Any) -> str:
    run.config["mine"] = 1
    return Listed.open(self, run)


COUNT = iter(range(10**9))
ENDS = "test_its_turns_end_whatever_is_written"
GOES_ON = "test_a_run_goes_on_by_what_it_is_known_as"
FIGURES = "test_it_takes_every_figure"
LEAVES = "test_it_changes_nothing_of_a_run"
NOTHING_ADDED = "test_it_adds_no_environment_and_no_command_line"
SEND = "test_a_finished_run_can_be_sent_again"
BANK = Path(__file__).parents[1] / "siked_core" / "templates" / "strategy" / "bank.yaml.tmpl"
READS = {"answers": "test_every_rationale_gets_a_verdict_in_order", "again": "test_what_is_alike_is_judged_alike"}
OFFERED = "test_it_returns_only_rows_that_it_was_offered_once_each"
PICKS = "test_it_picks_an_attempt_that_was_given"
PROBLEMS = "test_problems_have_questions_answers_and_ids_of_their_own"
PARTS = "test_every_row_has_an_example_whose_parts_fit"
BREACHES = [
    of(Loud, "test_it_can_be_found_and_is_described", "Big Name", name="Big Name"),
    of(Loud, "test_it_can_be_found_and_is_described", "docstring", __doc__=""),
    of(Loud, "test_its_options_survive_a_recipe", "became", options_type=Texts,
       __init__=lambda self, options=None: Plugin.__init__(self, options or {"words": (1, 2)})),
    of(Loud, "test_an_unknown_option_is_refused", "no_such_option",
       options_type=type("Lax", (Options,), {"model_config": {"extra": "allow"}})),
    of(Loud, "test_its_verifier_exists", "nobody", verifier="nobody"),
    of(Loud, "test_no_text_makes_it_raise", "KeyError", parse=_raises),
    of(Loud, "test_no_text_makes_it_raise", "returned None", parse=lambda self, text: None),
    of(Loud, "test_no_text_makes_it_raise", "it says ''", parse=lambda self, text: Unreadable("")),
    of(Loud, "test_no_text_makes_it_raise", "took", parse=_slow),
    of(Loud, "test_what_it_has_read_is_read_again_as_it_is", "was read as",
       parse=lambda self, text: Rationale(self.name, f"{text} more", "5")),
    of(Loud, "test_prompts_are_the_same_for_the_same_problem", "differ",
       teacher_prompt=lambda self, problem: Loud.teacher_prompt(self, replace(problem, question=f"{next(COUNT)}"))),
    of(Loud, "test_prompts_are_the_same_for_the_same_problem", "gold answer",
       teacher_prompt=lambda self, p: Loud.teacher_prompt(self, replace(p, question=f"{p.question} {p.answer}"))),
    of(Loud, "test_its_worked_examples_are_read_as_they_stand", "cannot be read", bank_path=BANK),
    of(Loud, "test_its_worked_examples_are_read_as_they_stand", "bank_path", teacher_prompt=Strategy.teacher_prompt),
    of(Loud, "test_its_worked_examples_have_their_gold_answers", "is wrong for the gold answer",
       bank_path=BANK, parse=_good),
    of(Loud, "test_what_it_demonstrates_is_read_back_and_right", "which parse reads as",
       demonstrate=lambda self, solution: "something else"),
    of(Loud, "test_what_it_demonstrates_is_read_back_and_right", "is wrong",
       demonstrate=lambda self, solution: "sum=-7!"),
    of(Loud, ENDS, "its turns are", turns=property(lambda self: str(next(COUNT)))),
    of(Loud, ENDS, "asks again", turns="go on",
       next_prompt=lambda self, problem, written: Prompt((Message("user", "Go on."),))),
    of(Loud, ENDS, "IndexError", turns="go on",
       next_prompt=lambda self, problem, written: [None][len(written[0].split()) - 1]),
    of(Loud, ENDS, "differ", turns="go on", next_prompt=lambda self, problem, written: _again(
        self, replace(problem, question=f"{next(COUNT)}"), written)),
    of(Loud, ENDS, "gold answer", turns="go on", next_prompt=lambda self, problem, written: _again(
        self, replace(problem, question=problem.answer), written)),
    of(Loud, ENDS, "ValueError", turns="go on", next_prompt=_again,
       joined=lambda self, written: str(sum(map(int, written)))),
    of(Loud, ENDS, "joined returned", turns="go on", next_prompt=_again, joined=lambda self, written: written),
    of(Loud, ENDS, "parse of", turns="go on", next_prompt=_again,
       joined=lambda self, written: "|".join(written), parse=lambda self, text: Loud.parse(
           self, text if text.count("|") < 2 else text[10**6])),
    of(SameText, "test_a_gold_answer_is_itself", "compared with itself",
       compare=lambda self, answer, gold: Verdict(Status.WRONG, answer)),
    of(SameText, "test_a_gold_answer_is_itself", "is not it, no",
       compare=lambda self, answer, gold: Verdict(Status.CORRECT, answer)),
    of(SameText, "test_no_answer_makes_comparing_raise", "ValueError",
       compare=lambda self, answer, gold: Verdict(Status.CORRECT if float(answer) == float(gold) else Status.WRONG)),
    of(SameText, READS["answers"], "verdicts for", answers=lambda self, some: [Verdict(Status.NO_ANSWER)]),
    of(SameText, READS["answers"], "ValueError",
       answers=lambda self, some: [Verdict(Status.ANSWERED, str(int(one.answer_source))) for one in some]),
    of(SameText, READS["answers"], "is answered by ''",
       answers=lambda self, some: [Verdict(Status.ANSWERED, "") for one in some]),
    of(SameText, READS["again"], "judged again",
       answers=lambda self, some: [Verdict(Status.ANSWERED, str(next(COUNT))) for one in some]),
    of(SameText, READS["again"], "alone",
       answers=lambda self, some: [Verdict(Status.ANSWERED, str(len(some))) for one in some]),
    of(SameText, "test_its_fingerprint_says_what_its_verdicts_depend_on", "and then",
       fingerprint=property(lambda self: str(next(COUNT)))),
    of(Both, OFFERED, "were not offered", mix=lambda self, rows, context: rows.with_columns(key=pl.lit("k"))),
    of(Both, OFFERED, "the columns are", mix=lambda self, rows, context: rows.drop("draw")),
    of(Both, OFFERED, "only", mix=lambda self, rows, context: pl.concat([rows, rows])),
    of(Both, "test_weights_are_finite_and_not_negative", "nan",
       mix=lambda self, rows, context: rows.with_columns(weight=pl.lit(float("nan")))),
    of(Both, "test_weights_are_finite_and_not_negative", "None",
       mix=lambda self, rows, context: rows.with_columns(weight=pl.lit(None, pl.Float64))),
    of(Both, "test_weights_are_finite_and_not_negative", "a warm-up, some with the answer told",
       mix=lambda self, rows, context: rows.with_columns(weight=pl.col("pass_rate"))),
    of(Both, "test_it_says_which_rows_it_asks_for", "its hinted is", hinted=lambda self: False),
    of(Both, OFFERED, "right with the answer told alone: mix", hinted=True,
       mix=lambda self, rows, context: rows if rows.is_empty() else rows.filter(
           pl.col("pass_rate") >= rows.get_column("pass_rate").min() + 0)),
    of(Both, "test_the_tables_that_it_is_given_stay_as_they_are", "in place",
       mix=lambda self, rows, context: rows.insert_column(0, pl.Series("extra", [1] * rows.height)).drop("extra")),
    of(Both, "test_the_same_rows_are_chosen_for_the_same_seed", "differ",
       mix=lambda self, rows, context: rows.sample(fraction=1.0, shuffle=True, seed=next(COUNT))),
    of(Both, "test_an_empty_table_is_left_empty", "returned",
       mix=lambda self, rows, context: context.attempts.with_columns(copies=pl.lit(1, pl.UInt32))),
    of(Sums, "test_it_names_its_splits", "dev", splits=lambda self: ("train", "dev")),
    of(Sums, PROBLEMS, "more than once",
       load=lambda self, split, limit=None: Loaded((Problem("1", "a?", "1"), Problem("1", "b?", "2")))),
    of(Sums, PROBLEMS, "the question of", load=lambda self, split, limit=None: Loaded((Problem("1", " ", "1"),))),
    of(Sums, PROBLEMS, "has no reason",
       load=lambda self, split, limit=None: Loaded((Problem("1", "a?", "1"),), (Excluded("2", ""),))),
    of(Sums, "test_a_limit_takes_the_first", "with a limit",
       load=lambda self, split, limit=None: Sums.load(self, split)),
    of(Sums, "test_the_same_problems_come_every_time", "differ",
       load=lambda self, split, limit=None: Loaded((Problem(str(next(COUNT)), "a?", "1"),))),
    of(Sums, "test_completing_adds_solutions_only", "is solved with", complete=lambda self, problems: tuple(
        replace(one, solution=WorkedSolution((), "0.123")) for one in problems)),
    of(Backwards, "test_its_rows_belong_to_rows_that_it_was_given", "none of a row",
       transform=lambda self, rows, context: [replace(row, key="z") for row in rows]),
    of(Backwards, "test_what_it_writes_can_be_read", "cannot read",
       transform=lambda self, rows, context: [replace(row, rationale="Well.") for row in rows]),
    of(Backwards, "test_no_rows_are_no_rows", "IndexError", transform=lambda self, rows, context: [rows[0], *rows[1:]]),
    of(Backwards, "test_the_same_rows_are_changed_alike", "differ",
       transform=lambda self, rows, context: [replace(row, weight=float(next(COUNT))) for row in rows]),
    of(Plain, PARTS, "made 0 examples", examples=lambda self, rows, context: []),
    of(Plain, PARTS, "other lengths", examples=lambda self, rows, context: [
        replace(context.tokenize(row), weights=(1.0,)) for row in rows]),
    of(Plain, PARTS, "(token, label)", examples=lambda self, rows, context: [
        TrainingExample((1, 2), (2, 1)) for row in rows]),
    of(Plain, PARTS, "carries loss", examples=lambda self, rows, context: [
        TrainingExample((1, 2), (-100, -100)) for row in rows]),
    of(Plain, PARTS, "does not begin", examples=lambda self, rows, context: [
        context.tokenize(row) for row in reversed(rows)]),
    of(Plain, "test_weights_are_finite", "inf", examples=lambda self, rows, context: [
        replace(one, weights=(float("inf"),) * len(one.labels)) for one in map(context.tokenize, rows)]),
    of(Plain, "test_the_same_rows_make_the_same_examples", "are others", examples=lambda self, rows, context: [
        replace(one, weights=(float(next(COUNT)),) * len(one.labels)) for one in map(context.tokenize, rows)]),
    of(OwnChoice, "test_it_plans_attempts_that_can_be_made", "plans ()", plan=lambda self, strategies: ()),
    of(OwnChoice, "test_it_plans_attempts_that_can_be_made", "twice", plan=lambda self, some: (Wish(), Wish())),
    of(OwnChoice, "test_it_plans_attempts_that_can_be_made", "tot", plan=lambda self, some: (Wish("tot"),)),
    of(OwnChoice, PICKS, "picked 9", select=lambda self, attempts, learnt: 9),
    of(OwnChoice, PICKS, "StopIteration", select=lambda self, attempts, learnt: next(
        place for place, one in enumerate(attempts) if one.answered)),
    of(OwnChoice, "test_what_it_learns_is_plain_numbers", "nan", fit=lambda self, outcomes: {"a": float("nan")}),
    of(Listed, "test_its_class_is_found_in_another_process", "holds None as Bad"),
    of(Listed, GOES_ON, "open returned None", open=lambda self, run: Listed.open(self, run) and None),
    of(Listed, GOES_ON, "it returned", open=lambda self, run: f"{Listed.open(self, run)}-{next(COUNT)}"),
    of(Listed, GOES_ON, "AttributeError", open=lambda self, run: Listed.open(self, run.gone)),
    of(Listed, GOES_ON, "close raised", close=_raises),
    of(Listed, FIGURES, "AssertionError", log=_finite),
    of(Listed, FIGURES, "IndexError", log=lambda self, figures: figures[0]),
    of(Listed, FIGURES, "ValueError", log=lambda self, figures: [min(one.values) for one in figures]),
    of(Listed, SEND, "KeyError", finish=_raises),
    of(Listed, SEND, "ValueError", finish=lambda self, summary: [float(value) for value in summary.values()]),
    of(Listed, LEAVES, "it changed 'recipe.yaml'", open=_in_the_run),
    of(Listed, LEAVES, "it changed the recipe", open=_adds),
    of(Listed, NOTHING_ADDED, "holds the environment", open=_in_its_folder(lambda: str(dict(os.environ)))),
    of(Listed, NOTHING_ADDED, "holds the command line", open=_in_its_folder(lambda: " ".join(sys.argv))),
]  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: f"{breach.test[5:45]}-{breach.seen}")
def test_a_breach_is_found_and_explained(breach: Breach, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = {one.test: one for one in only(breach.plugin, breach.test, monkeypatch)}
    found = findings[breach.test]
    assert found.outcome == "failed"
    assert breach.seen in found.seen
    assert found.mend.strip()
    assert found.rule == rule_of(CONTRACTS[breach.plugin.kind], breach.test)


def only(plugin: type[Plugin], test: str, monkeypatch: pytest.MonkeyPatch) -> Sequence[Finding]:
    """Run one test of the contract, among toys."""
    from siked_core.testing.contracts import running

    monkeypatch.setattr(running, "names_of_tests", lambda contract: [test])
    return check_plugin(plugin, registry=toys_and_a_sample())


class Cold(Model):
    """A model without weights."""

    name = "cold"

    def folder(self) -> Path:
        return Path(__file__).parent


def test_a_folder_that_is_no_model_is_noticed() -> None:
    (found,) = [one for one in check_plugin(Cold) if one.test == "test_its_folder_is_a_model"]
    assert found.outcome == "failed"
    assert "save_pretrained" in found.mend


def test_what_hangs_is_interrupted_and_what_it_prints_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    def endless(self: Any, strategies: Sequence[str]) -> tuple[Wish, ...]:
        print("hello")
        while True:
            pass

    hanging = type("Hanging", (OwnChoice,), {"__doc__": "It hangs.", "plan": endless})
    findings = {one.test: one for one in check_plugin(hanging, limit_s=0.2)}
    found = findings["test_it_plans_attempts_that_can_be_made"]
    assert (found.outcome, "TooLongError" in found.seen) == ("failed", True)
    assert capsys.readouterr().out == ""


def test_what_is_seen_cannot_steer_a_terminal() -> None:
    bad = type("Bad", (Loud,), {"__doc__": "A bad one.", "parse": lambda self, text: Unreadable("\x1b[2J\nx")})
    (found,) = [one for one in check_plugin(bad) if one.test == "test_no_text_makes_it_raise"]
    assert found.outcome == "failed"
    assert found.seen.isprintable()


def test_pytest_runs_a_contract_as_a_class_of_tests(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "test_toys.py").write_text(
        "from siked_core.testing import SelectorContract, StrategyContract\n"
        "from siked_core.testing.toys import Loud, OwnChoice\n"
        "class TestChoice(SelectorContract):\n    plugin = OwnChoice\n"
        "class TestBad(SelectorContract):\n"
        "    plugin = type('Bad', (OwnChoice,), {'__doc__': 'Bad.', 'select': lambda *_: 9})\n"
        "class TestLoud(StrategyContract):\n"
        "    plugin = type('Louder', (Loud,), {'__doc__': 'Loud.', 'verifier': 'number'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "Return a place in `attempts`." in done.stdout
    assert "2 failed" in done.stdout
    assert "skipped" in done.stdout
