"""The model card: what it says is so, and its code runs as printed."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

from siked_core.card import write_card
from siked_core.format import StudentFormat
from siked_core.models import load_tokenizer
from siked_core.recipe import resolve, validate
from siked_core.recipe_student import StudentRecipe
from siked_core.scorecard import Score, Scorecard, StrategyScore
from siked_core.student import prepare_tokenizer
from siked_core.testing import make_tiny_student, toy_recipe

CARD = Scorecard(
    "round-1",
    "sums",
    "test",
    Score(30, 40),
    (StrategyScore("loud", Score(20, 30), 0.75, Score(25, 40)), StrategyScore("quiet", Score(0, 0), 0.0)),
)


def test_the_code_on_the_card_runs_as_printed(tmp_path: Path) -> None:
    folder = make_tiny_student(tmp_path / "student")
    tokenizer = load_tokenizer(str(folder))
    prepare_tokenizer(tokenizer, StudentRecipe(), StudentFormat.build(("loud",), "<{strategy}>\n", "Choose. "))
    tokenizer.save_pretrained(folder)
    write_card(folder, validate(toy_recipe(folder)), [CARD])
    text = (folder / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert code.count("PATH") == 2
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code.replace("PATH", str(folder)), "card", "exec"), {})
    assert said.getvalue().endswith("\n")


def test_the_card_tells_accuracy_shares_and_the_recipe(tmp_path: Path) -> None:
    recipe = resolve(preset="paper-gemma-2b")
    write_card(tmp_path, recipe, [CARD])
    text = (tmp_path / "README.md").read_text()
    assert "base_model: google/gemma-2b" in text
    assert "75.0 % (59.8 to 85.8, n = 40)" in text
    assert "75 %, 66.7 %, 62.5 %" in text
    assert "0 %, -, -" in text, "what was not measured is a dash"
    assert recipe.to_yaml().strip() in text
