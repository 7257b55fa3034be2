"""Transforms of a mixture's texts: what a transform may return, where its result goes, and `dcot`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siked_cli.main import main
from siked_core import MixtureRow, PluginError, Problem, Rationale, RecipeError, RunError, Transform, TransformContext
from siked_core.export import export
from siked_core.lineage import lineage
from siked_core.loop import distill
from siked_core.pool import read_parquet
from siked_core.recipe import validate
from siked_core.recipe_check import check as check_recipe
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, start
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.transforms import check
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.transforms.dcot import DivergentChains, has_chains
from siked_plugins.transforms.planning import PlanningTokens, kind_of

STRATEGIES = {"cot": ChainOfThought(), "pot": ProgramOfThoughts()}
CONTEXT = TransformContext(0, STRATEGIES, 7)


def row(key: str, text: str, problem: str = "a", strategy: str = "cot", **changes: Any) -> MixtureRow:
    return replace(MixtureRow(key, Problem(problem, "How many?", "9"), strategy, "teacher", 0, text), **changes)


FIVE = row("1", "Jo has 5 + 4 = 9.\nThe answer is 9.")
SUM = row("2", "5 and 4\nmake 9.\nThe answer is 9.", weight=3.0)


# What may be returned


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (replace(FIVE, key="9"), "the key '9', which is none of a row"),
        (replace(FIVE, problem=Problem("z", "?", "1")), "the problem 'z' for a sample of 'a'"),
        (replace(FIVE, strategy="pot"), "the strategy 'pot' for a sample of 'cot'"),
        (replace(FIVE, merged=("9",)), "'9' as merged"),
        (replace(FIVE, rationale=" \n"), "no text for 'a'"),
        (replace(FIVE, weight=-1.0), "the weight -1.0"),
        (replace(FIVE, weight=float("nan")), "the weight nan"),
        ("text", "str, not a siked_core.MixtureRow"),
    ],
)
def test_a_row_that_may_not_be_returned(made: Any, message: str) -> None:
    with pytest.raises(PluginError, match=f"The transform 'odd' returned, as row 1, {message}"):
        check("odd", [FIVE, SUM], [SUM, made])


def test_rows_may_be_merged_repeated_and_left_out() -> None:
    check("fine", [FIVE, SUM], [replace(FIVE, merged=("2",)), FIVE, replace(FIVE, rationale="Other.")])


# In a run


class Shout(Transform):
    """Upper case, and no problem whose sum is even."""

    name = "shout"

    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        assert set(context.strategies) == {"loud", "quiet"}
        odd = [one for one in rows if int(one.problem.answer) % 2]
        return [replace(one, rationale=one.rationale.replace("sum", "SUM")) for one in odd]


class Twins(Transform):
    """Both strategies' first rows in one text of the first: what nobody can read."""

    name = "twins"

    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        first, second, *rest = rows
        return [replace(first, rationale=f"{first.rationale} {second.rationale}?", merged=(second.key,)), *rest]


class Nothing(Transform):
    """Leaves every row out."""

    name = "nothing"

    def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
        return []


class Listening(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("student") / "tiny")


def opened(student: Path, folder: Path, *transforms: str, name: str = "run", reporter: Listening | None = None) -> Run:
    recipe = validate(toy_recipe(student, mixing={"policy": "both", "transforms": list(transforms)}))
    return start(recipe, toy_registry(Shout, Twins, Nothing), reporter or Listening(), runs=folder, name=name)


def test_a_mixture_has_the_transformed_texts(student: Path, tmp_path: Path) -> None:
    with opened(student, tmp_path, name="plain") as run:
        teach(run)
        mix(run, 0)
        plain = read_parquet(run.mixture("round-0"))
    with opened(student, tmp_path, "shout", name="loud") as run:
        teach(run)
        summary = mix(run, 0)
        loud = read_parquet(run.mixture("round-0"))
        exported = export(run, tmp_path / "out", what="mixture", round=None, licence=None, evaluations=False)
        assert exported is not None
        texts = [text for path in (tmp_path / "out" / "data").iterdir() for text in read_parquet_of(path)]
    kept = plain.filter(pl_odd(plain))
    assert loud.get_column("key").to_list() == kept.get_column("key").to_list()
    assert loud.get_column("rationale").to_list() == [
        text.replace("sum", "SUM") for text in kept.get_column("rationale")
    ]
    assert plain.columns == [column for column in loud.columns if column != "merged"]
    assert summary.rows == loud.height < plain.height
    assert sorted(texts) == sorted(loud.get_column("rationale"))


def pl_odd(table: Any) -> Any:
    import polars as pl

    odd = [int(text[4:-1]) % 2 == 1 for text in table.get_column("rationale")]
    return pl.Series(odd)


def read_parquet_of(path: Path) -> list[str]:
    import polars as pl

    return pl.read_parquet(path).get_column("rationale").to_list()


def test_transforms_follow_one_another(student: Path, tmp_path: Path) -> None:
    with opened(student, tmp_path, "shout", name="one") as run:
        teach(run)
        mix(run, 0)
        one = read_parquet(run.mixture("round-0"))
    with opened(student, tmp_path, "backwards", "shout", name="two") as run:
        teach(run)
        mix(run, 0)
        assert read_parquet(run.mixture("round-0")).equals(one.reverse())


def test_merged_samples_are_known_to_be_in_the_mixture(student: Path, tmp_path: Path) -> None:
    reporter = Listening()
    with opened(student, tmp_path, "twins", reporter=reporter) as run:
        distill(run)
        table = read_parquet(run.mixture("round-0"))
        (merged,) = table.filter(table.get_column("merged").list.len() > 0).get_column("merged").to_list()
        (place, *_) = lineage(run, merged[0]).mixtures
        assert (place.mixture, place.weight) == ("round-0", 1.0)
        side = json.loads((run.student("round-0") / "siked.json").read_text())
        assert side["rows"] == table.height
        assert any("cannot be read by their strategies" in text for text in reporter.warnings)


def test_a_transform_that_changes_nothing_is_told_of(student: Path, tmp_path: Path) -> None:
    class Idle(Transform):
        """Does nothing."""

        name = "idle"

        def transform(self, rows: Sequence[MixtureRow], context: TransformContext) -> list[MixtureRow]:
            return list(rows)

    recipe = validate(toy_recipe(student, mixing={"policy": "both", "transforms": ["idle"]}))
    reporter = Listening()
    with start(recipe, toy_registry(Idle), reporter, runs=tmp_path, name="run") as run:
        teach(run)
        mix(run, 0)
        assert reporter.warnings[-1] == "The transform 'idle' changed nothing in round-0."


def test_a_mixture_of_which_nothing_is_left_is_refused(student: Path, tmp_path: Path) -> None:
    with opened(student, tmp_path, "nothing") as run:
        teach(run)
        with pytest.raises(RunError, match="the transforms left no rationale"):
            mix(run, 0)


def test_transforms_are_checked_with_the_recipe(student: Path) -> None:
    registry = Registry.discover()
    content = {"mixing": {"transforms": ["dkot"]}}
    with pytest.raises(PluginError, match=r"Unknown transform 'dkot'\. Did you mean 'dcot'"):
        check_recipe(validate(content), registry)
    content = {"mixing": {"transforms": [{"name": "dcot", "options": {"chains": 1}}]}}
    with pytest.raises(RecipeError, match="chains"):
        check_recipe(validate(content), registry)


# dcot


def test_chains_are_one_text_that_is_read_back() -> None:
    pot = row("3", "answer = 5 + 4", strategy="pot")
    more = row("4", "answer = 4 + 5", strategy="pot")
    (made, *rest) = DivergentChains().transform([FIVE, pot, SUM, more], CONTEXT)
    assert rest == [pot, more], "programs are left alone"
    assert (made.key, made.merged, made.weight) == ("1", ("2",), 2.0)
    read = STRATEGIES["cot"].parse(made.rationale)
    assert isinstance(read, Rationale)
    assert (read.text, read.answer_source) == (made.rationale, "9")
    lines = made.rationale.split("\n")
    assert lines[-2:] == ["[Final answer]", "The answer is 9."]
    assert made.rationale.count("The answer is") == 1
    for text in ("Jo has 5 + 4 = 9.", "5 and 4\nmake 9.", "[Answer 1]\n", "[Answer 2]\n"):
        assert text in made.rationale
    assert DivergentChains().transform([FIVE, SUM], CONTEXT) == DivergentChains().transform([FIVE, SUM], CONTEXT)
    orders = {DivergentChains().transform([FIVE, SUM], replace(CONTEXT, seed=seed))[0].rationale for seed in range(9)}
    assert len(orders) == 2


def test_there_are_at_most_so_many_chains_all_different() -> None:
    again = row("3", "5 and 4  make 9.\nThe answer is 9.")
    others = [row(str(n), f"{n} + {9 - n} = 9.\nThe answer is 9.") for n in range(4, 8)]
    (all_of_them,) = DivergentChains().transform([FIVE, SUM, again, *others], CONTEXT)
    assert "[Answer 6]" in all_of_them.rationale
    assert "[Answer 7]" not in all_of_them.rationale
    (three,) = DivergentChains({"chains": 3}).transform([FIVE, SUM, *others], CONTEXT)
    assert "[Answer 3]" in three.rationale
    assert "[Answer 4]" not in three.rationale
    assert len(three.merged) == 2


def test_what_is_alone_or_has_chains_already_stays() -> None:
    alone = row("3", "Two.\nThe answer is 2.", problem="b")
    (made, other) = DivergentChains().transform([FIVE, SUM, alone], CONTEXT)
    assert other == alone
    assert has_chains(made.rationale)
    third = row("5", "9 it is.\nThe answer is 9.")
    assert DivergentChains().transform([made, third], CONTEXT) == [made, third]


@pytest.mark.slow
def test_a_run_with_dcot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a teacher whose three answers to a question differ: two are right, and one of every fourth is all there is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    asked = [(f"Ann has {n} pens and finds {n + 1} more. How many has she?", 2 * n + 1) for n in range(2, 18)]
    for split in ("train", "test"):
        rows = [{"question": f"{split}: {question}", "answer": str(answer)} for question, answer in asked]
        (tmp_path / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = []
    for number, (question, answer) in enumerate(asked):
        texts = [f"{n} + {n + 1} = {answer}." for n in [number + 2]] + [f"She has {answer} pens in all.", "It is 0."]
        answers = [answer, answer if number % 4 else 0, 0]
        said += [
            {"question": f"train: {question}", "strategy": "cot", "text": f"{text}\nThe answer is {given}."}
            for text, given in zip(texts, answers, strict=True)
        ]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    recipe = ["--preset", "pocket-smoke,dcot", "--rounds", "0", "--strategies", "cot", "--run", "tiny", "-q"]
    recipe += ["--dataset", "jsonl", "--data", "data", "--limit", "16"]
    for change in ("teacher={generator: {name: replay, options: {path: said.jsonl}}, samples: 3}", "seed=2"):
        recipe += ["--set", change]
    for change in ("evaluation.max_tokens=4", "training.warm_up_epochs=1", "data.decontaminate=none"):
        recipe += ["--set", change]
    assert main(["distill", *recipe]) == 0, capsys.readouterr().err
    capsys.readouterr()
    table = read_parquet(tmp_path / "runs" / "tiny" / "mixtures" / "round-0.parquet")
    chained = [one for one in table.iter_rows(named=True) if one["merged"]]
    alone = [one for one in table.iter_rows(named=True) if not one["merged"]]
    assert len(chained) > len(alone) > 0
    assert all(has_chains(one["rationale"]) and "in all" in one["rationale"] for one in chained)
    assert not any(has_chains(one["rationale"]) for one in alone)
    assert main(["prompts", "tiny", "--problems", "16"]) == 0
    assert "[Final answer]" in capsys.readouterr().out


# planning


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("5 + 4 = 9.", " +"),
        ("960 - 960 * 45 / 100 = 528.", " - * /"),
        ("(3+4) x 2 = 14", " + *"),
        ("20% \u00f7 4 \u00d7 $5", " / *"),
        ("The answer is -9.", ""),
        ("A well-known x-axis, 3 of them", ""),
    ],
)
def test_a_step_has_the_kind_of_its_signs(line: str, kind: str) -> None:
    assert kind_of(line) == kind


def test_every_step_of_words_gets_its_plan_and_is_read_back() -> None:
    program = row("3", "answer = 5 + 4", strategy="pot")
    made, other = PlanningTokens().transform([FIVE, program], CONTEXT)
    assert other == program
    assert made.rationale == "[plan +]\nJo has 5 + 4 = 9.\n[plan]\nThe answer is 9."
    read = STRATEGIES["cot"].parse(made.rationale)
    assert isinstance(read, Rationale)
    assert read.answer_source == "9"
    assert PlanningTokens().transform([made], CONTEXT) == [made], "a student that plans is not planned for twice"
    (marked,) = PlanningTokens({"plan": "<plan{signs}>"}).transform([FIVE], CONTEXT)
    assert marked.rationale.startswith("<plan +>\n")


def test_what_could_not_be_read_is_left_alone() -> None:
    silent = row("1", "Nobody knows.")
    programs = PlanningTokens({"strategies": ["pot"]})
    program = row("3", "answer = 5 + 4", strategy="pot")
    assert PlanningTokens().transform([silent], CONTEXT) == [silent]
    assert programs.transform([program], CONTEXT) == [program]


@pytest.mark.parametrize("plan", ["{signs}", "[plan]", "[{signs}]\n", "a\n{signs}"])
def test_a_plan_is_one_line_with_its_signs(plan: str) -> None:
    with pytest.raises(ValueError, match="must be one line with"):
        PlanningTokens({"plan": plan})
