"""The model card of a student: what it is, what it was trained on, how it scored, how to use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from siked_core.files import write_text
from siked_core.recipe import Recipe
from siked_core.recipe_storage import StorageRecipe
from siked_core.scorecard import ORIGINAL, Perplexity, Score, Scorecard


def write_card(
    folder: Path,
    recipe: Recipe,
    cards: Sequence[Scorecard] | None,
    perplexity: Mapping[str, Perplexity] | None = None,
) -> None:
    """Write `README.md` into a student's folder.

    Args:
        cards: the student's scorecards, where it has been scored.
        perplexity: of the original student and of each round's, where it was measured; the folder is named for one.
    """
    strategies = ", ".join(f"`{name}`" for name in recipe.strategy_names)
    # A base model is named only where it is a hub name: a path of this machine means nothing elsewhere.
    hub_name = recipe.student.model if recipe.student.model.count("/") == 1 else None
    head = {"library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["siked", "distillation"]}
    if hub_name and not Path(hub_name).exists():
        head["base_model"] = hub_name
    tag = recipe.student.tag.replace("{strategy}", recipe.strategy_names[0]).strip()
    lines = [
        "---",
        yaml.safe_dump(head, sort_keys=False).strip(),
        "---",
        "",
        f"# A reasoning student of {Path(recipe.student.model).name}",
        "",
        f"Distilled with siked on `{recipe.dataset.name}` by SIKeD (arXiv 2410.18574).",
        f"It names one of its strategies ({strategies}), as in `{tag}`, and solves the problem with it.",
        "",
    ]
    if cards:
        how = (
            "greedy, one sample a question" if cards[0].selector == "self" else f"by the selector `{cards[0].selector}`"
        )
        lines += [
            "## Accuracy",
            "",
            f"Answers {how}; 95 % intervals (Wilson). Under `any`, a question counts if any strategy, forced, is "
            "right: no choice among them can do better.",
            "",
        ]
        lines += [
            "| data | accuracy | "
            + " | ".join(f"{n}: share, when chosen, forced" for n in recipe.strategy_names)
            + " | any |"
        ]
        lines += ["|---|---|" + "---|" * (len(recipe.strategy_names) + 1)]
        for card in cards:
            cells = [
                f"{100 * one.share:.0f} %, {_percent(one.chosen)}, {_percent(one.forced)}" for one in card.strategies
            ]
            cells += [_interval(card.oracle) if card.oracle else "-"]
            lines.append(f"| {card.dataset} {card.split} | {_interval(card.score)} | " + " | ".join(cells) + " |")
        lines.append("")
    if perplexity and folder.name in perplexity:
        lines += ["## General text", "", "A text of no task, before distillation and after:", ""]
        lines += ["| | bits per byte | perplexity per token |", "|---|---|---|"]
        for name, of in (("before distillation", ORIGINAL), ("this model", folder.name)):
            found = perplexity[of]
            lines.append(f"| {name} | {found.bits_per_byte:.4f} | {found.perplexity:,.2f} |")
        lines.append("")
    lines += [
        "## Use",
        "",
        "The chat template already carries the instruction: give it the question alone.",
        "",
        "```python",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        'tokenizer = AutoTokenizer.from_pretrained("PATH")',
        'model = AutoModelForCausalLM.from_pretrained("PATH")',
        'chat = [{"role": "user", "content": "Ann has 3 pens and buys 4 more. How many pens does she have?"}]',
        "inputs = tokenizer.apply_chat_template(",
        '    chat, add_generation_prompt=True, return_tensors="pt", return_dict=True',
        ")",
        f"output = model.generate(**inputs, max_new_tokens={recipe.evaluation.max_tokens})",
        'print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
        "```",
        "",
        '`siked solve PATH "..."` also executes programs and solves equations, in a sandbox.',
        "",
        "## Recipe",
        "",
        "```yaml",
        recipe.model_copy(update={"storage": StorageRecipe()}).to_yaml().strip(),
        "```",
        "",
    ]
    write_text(folder / "README.md", "\n".join(lines))


def _percent(score: Score | None) -> str:
    return f"{100 * score.accuracy:.1f} %" if score and score.total else "-"


def _interval(score: Score) -> str:
    low, high = score.interval
    return f"{100 * score.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f}, n = {score.total})"
