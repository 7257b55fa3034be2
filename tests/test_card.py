"""The model card: what it says is so, the hub can read it, and its code runs as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from siked_core.card import Facts, card_text, facts_of
from siked_core.card_accuracy import cell
from siked_core.chooser import choices
from siked_core.loop import distill
from siked_core.origin import Source, sources
from siked_core.recipe import resolve, validate
from siked_core.registry import Registry
from siked_core.release import release
from siked_core.reporting import SilentReporter
from siked_core.results import results_of
from siked_core.run import Run, start
from siked_core.scorecard import Score, Scorecard, StrategyScore
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry

CARD = Scorecard(
    "round-1",
    "sums",
    "test",
    Score(30, 40),
    (StrategyScore("loud", Score(20, 30), 0.75, Score(25, 40)), StrategyScore("quiet", Score(0, 0), 0.0)),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    tiny = make_tiny_student(tmp_path_factory.mktemp("tiny"))
    (tiny / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    folder = tmp_path_factory.mktemp("runs")
    with start(validate(toy_recipe(tiny)), toy_registry(), SilentReporter(), runs=folder, name="run") as opened:
        distill(opened)
        yield opened


def chosen_card(run: Run) -> str:
    (path,) = [path for path in run.student("round-0").parent.glob("*/README.md") if "## Accuracy" in path.read_text()]
    return path.read_text(encoding="utf-8")


def table(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose head begins so."""
    (found,) = re.findall(rf"^\| {re.escape(first)}.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[part.strip(" `*") for part in line.strip("|").split("|")] for line in found.splitlines()]


def test_the_card_tells_accuracy_by_strategy_and_the_recipe() -> None:
    recipe = resolve(preset="paper-gemma-2b")
    text = card_text(Facts(recipe, "round-1", "gemma", sources(recipe, Registry.discover()), [CARD]))
    assert "base_model: google/gemma-2b" in text
    assert table(text, "data") == [
        ["sums test", "all", "", "75.0 % (59.8 to 85.8, n = 40)", ""],
        ["sums test", "loud", "75 %", "66.7 % (48.8 to 80.8, n = 30)", "62.5 % (47.0 to 75.8, n = 40)"],
        ["sums test", "quiet", "0 %", "-", "-"],
    ], "what was not measured is a dash"
    assert recipe.to_yaml().strip() in text
    assert "what else would have been right is not known" in text


def test_the_hub_reads_the_front_matter(run: Run) -> None:
    """As its own client does; the client also refuses a model index that does not fit."""
    from huggingface_hub import ModelCard

    data = ModelCard(chosen_card(run)).data
    assert (data.library_name, data.pipeline_tag, data.license) == ("transformers", "text-generation", None)
    (result,) = data.eval_results
    assert (result.dataset_name, result.dataset_split, result.metric_type) == ("sums", "test", "accuracy")
    hub = Facts(
        run.recipe, "round-1", "ann/student", [Source("training data", "gsm8k", "openai/gsm8k", "mit")], [CARD],
        datasets={"sums": "openai/gsm8k"}, licence="apache-2.0",
    )  # fmt: skip
    data = ModelCard(card_text(hub)).data
    assert (data.license, data.datasets, data.model_name) == ("apache-2.0", ["openai/gsm8k"], "ann/student")
    assert data.eval_results[0].metric_value == 0.75
    assert data.eval_results[0].dataset_type == "openai/gsm8k"


def test_the_confusion_counts_every_question(run: Run) -> None:
    text = chosen_card(run)
    (student,) = {path.name.split(".")[0] for path in (run.path / "scorecards").glob("*sums-test.json")} & {
        path.parent.name for path in run.student("round-0").parent.glob("*/README.md") if path.read_text() == text
    }
    results = results_of(run, student, "sums", "test")
    rows = {row[0]: [int(part) for part in row[1:]] for row in table(text, "chosen | questions")}
    for strategy, (asked, right, loud, quiet, none) in rows.items():
        mine = [one for one in results if one.strategy == strategy]
        assert (asked, right) == (len(mine), sum(one.right for one in mine))
        assert (loud, quiet) == tuple(sum(one.forced[name] for one in mine) for name in ("loud", "quiet"))
        assert none == sum(not any(one.forced.values()) for one in mine)
    assert sum(row[0] for row in rows.values()) == len(results) == 6
    cheapest = {row[0]: [int(part) for part in row[1:]] for row in table(text, "chosen ↓")}
    assert {name: sum(counts) for name, counts in cheapest.items()} == {name: row[0] for name, row in rows.items()}
    (family,) = table(text, "family")
    assert family[:2] == ["sum", "6"]


def test_the_cheapest_is_the_one_of_fewest_tokens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    from siked_core.stages.generate import samples_of

    dear = pl.when(pl.col("requested") == "loud").then(9).otherwise(pl.col("completion_tokens"))
    monkeypatch.setattr(
        "siked_core.chooser.samples_of", lambda *of: samples_of(*of).with_columns(completion_tokens=dear)
    )
    found = choices(run, "round-0", "sums", "validation")
    assert found
    for one in found:
        right = [name for name, correct in one.forced.items() if correct]
        assert one.cheapest == ("quiet" if "quiet" in right else "loud" if right else None)


def test_licences_are_told_where_they_are_stated_and_nowhere_else(run: Run) -> None:
    rows = table(chosen_card(run), "|")
    assert [row[0] for row in rows] == ["training data", "base model", "teacher"]
    assert [row[2] for row in rows] == ["not known", "mit", "not known"], "the base model's card states its own"
    gsm8k = sources(resolve(changes={"dataset": "gsm8k", "student.model": "no/such", "teacher.generator": "vllm:a/b"}),
                    Registry.discover())  # fmt: skip
    assert gsm8k == [
        Source("training data", "gsm8k", "openai/gsm8k", "mit"),
        Source("base model", "no/such", "no/such", ""),
        Source("teacher, through `vllm`", "a/b", "a/b", ""),
    ]


def test_texts_of_others_stay_text(run: Run) -> None:
    assert cell("a|b\n`c` <script>") == "a\\|b \\`c\\` \\<script\\>"
    fenced = run.recipe.model_copy(
        update={"student": run.recipe.student.model_copy(update={"instruction": "```\n# Gone\n````"})}
    )
    text = card_text(Facts(fenced, "round-1", "x"))
    assert "\n`````yaml\n" in text
    assert text.rstrip().endswith("\n`````")


@pytest.mark.slow
def test_the_code_on_the_card_runs_as_printed(run: Run, tmp_path: Path) -> None:
    """In a fresh process, beside the folder that was released, as somebody does who has copied it."""
    release(run, tmp_path / "my student", licence="mit")
    text = (tmp_path / "my student" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert code.count("\n") == 6, "five lines, and an empty one"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n")
    assert "This student's own licence is `mit`." in text
    assert "license: mit" in text


def test_a_card_without_scores_says_so_by_silence(run: Run) -> None:
    assert "## Accuracy" not in card_text(facts_of(run, "round-0", scored=False))
    told: dict[str, Any] = {"perplexity": {}}
    alone = facts_of(run, "round-0", **told)
    validation = replace(alone, cards=[card for card in alone.cards if card.split == "validation"])
    if validation.cards:
        assert "so its figures flatter" in card_text(validation)
