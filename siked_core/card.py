"""The model card of a student: what it is, how it scored and chose, what it came from, how to use it.

The front matter is the Hugging Face hub's (huggingface.co/docs/hub/model-cards), made by its own client.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from siked_core.card_accuracy import accuracy, chosen
from siked_core.chooser import Choice, choices
from siked_core.dataset_card import public_name
from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.origin import Source, hub_of, sources
from siked_core.recipe import Recipe
from siked_core.recipe_storage import StorageRecipe
from siked_core.run import Run
from siked_core.scorecard import ORIGINAL, Perplexity, Scorecard

QUESTION = "Ann has 3 pens and buys 4 more. How many pens does she have?"
PORT = 8000
CARD = "README.md"
"""A card, in its student's folder."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card tells."""

    recipe: Recipe
    student: str
    """"round-2", "combined", ..."""
    name: str
    """What the model is called where it goes: its folder's name, or OWNER/NAME on the hub."""
    sources: Sequence[Source] = ()
    cards: Sequence[Scorecard] = ()
    """Its scorecards: those on test splits, or where there is none those on validation."""
    choices: Mapping[tuple[str, str], Sequence[Choice]] = field(default_factory=dict)
    """(data set, split) -> what it chose there."""
    datasets: Mapping[str, str] = field(default_factory=dict)
    """Data set -> its name on the hub; empty where it was read from elsewhere."""
    perplexity: Mapping[str, Perplexity] = field(default_factory=dict)
    """Of the original student and of each round's, where it was measured."""
    licence: str = ""
    """Of the student itself, where its owner has stated one."""


def facts_of(
    run: Run,
    student: str,
    *,
    name: str | None = None,
    licence: str = "",
    scored: bool = True,
    perplexity: Mapping[str, Perplexity] | None = None,
) -> Facts:
    """What there is to tell of a run's student.

    Args:
        name: where it goes; None: it stays in its run.
        scored: whether to look for its scorecards.
    """
    cards = _cards(run, student) if scored else []
    names = dict.fromkeys((run.recipe.dataset.name, *(card.dataset for card in cards)))
    found = {}
    for card in cards:
        with suppress(RunError):  # scored before siked kept what became of each question
            found[card.dataset, card.split] = choices(run, student, card.dataset, card.split)
    return Facts(
        recipe=run.recipe,
        student=student,
        name=name or student,
        sources=sources(run.recipe, run.registry),
        cards=cards,
        choices=found,
        datasets={dataset: hub_of(run.recipe, run.registry, dataset) for dataset in names},
        perplexity=perplexity or {},
        licence=licence,
    )


def write_card(folder: Path, facts: Facts) -> None:
    """Write it into a student's folder."""
    write_text(folder / CARD, card_text(facts))


def card_text(facts: Facts) -> str:
    """The text of a card: YAML front matter and Markdown."""
    recipe = facts.recipe
    strategies = ", ".join(f"`{name}`" for name in recipe.strategy_names)
    tag = recipe.student.tag.replace("{strategy}", recipe.strategy_names[0]).strip()
    return "\n".join(
        [
            "---",
            _front(facts),
            "---",
            "",
            f"# A reasoning student of {public_name(recipe.student.model)}",
            "",
            f"Distilled with siked on `{recipe.dataset.name}` by SIKeD (arXiv 2410.18574).",
            f"It names one of its strategies ({strategies}), as in `{tag}`, and solves the problem with it.",
            "",
            *accuracy(recipe, facts.cards),
            *chosen(recipe, facts.cards, facts.choices),
            *_general(facts),
            *_use(facts),
            *_origin(facts),
            *_recipe(facts),
        ]
    )


def _cards(run: Run, student: str) -> list[Scorecard]:
    files = sorted((run.path / "scorecards").glob(f"{student}.*.json"))
    found = [Scorecard.from_dict(json.loads(path.read_text(encoding="utf-8"))) for path in files]
    found.sort(key=lambda card: (card.dataset != run.recipe.dataset.name, card.dataset))
    return [card for card in found if card.split == "test"] or found


def _front(facts: Facts) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    hub = {source.role.partition(",")[0]: source.hub for source in facts.sources if source.hub}
    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=facts.datasets.get(card.dataset) or card.dataset,
            dataset_name=card.dataset,
            dataset_split=card.split,
            metric_type="accuracy",
            metric_value=round(card.score.accuracy, 4),
        )
        for card in facts.cards
        if card.score.total
    ]
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["siked", "distillation", "reasoning"],
        base_model=hub.get("base model"),
        datasets=[hub["training data"]] if "training data" in hub else None,
        license=facts.licence or None,
        model_name=facts.name if results else None,
        eval_results=results or None,
    )
    return str(data.to_yaml()).strip()


def _general(facts: Facts) -> Iterator[str]:
    if facts.student not in facts.perplexity:
        return
    yield from ("## General text", "", "A text of no task, before distillation and after:", "")
    yield from ("| | bits per byte | perplexity per token |", "|---|---|---|")
    for name, of in (("before distillation", ORIGINAL), ("this model", facts.student)):
        found = facts.perplexity[of]
        yield f"| {name} | {found.bits_per_byte:.4f} | {found.perplexity:,.2f} |"
    yield ""


def _use(facts: Facts) -> Iterator[str]:
    name, limit = facts.name, facts.recipe.evaluation.max_tokens
    body = {"model": name, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": limit}
    yield from ("## Use", "")
    yield "The chat template already carries the instruction: give it the question alone. With transformers:"
    yield from ("", "```python", "from transformers import pipeline", "")
    yield f'student = pipeline("text-generation", model={json.dumps(name)})'
    yield f'chat = [{{"role": "user", "content": {json.dumps(QUESTION)}}}]'
    yield f"answer = student(chat, max_new_tokens={limit}, do_sample=False, return_full_text=False)"
    yield from ('print(answer[0]["generated_text"])', "```", "")
    yield from ("Served by vLLM, for any client of the OpenAI API:", "")
    yield from ("```bash", f"vllm serve {shlex.quote(name)} --port {PORT}", "```", "", "```bash")
    yield f"curl http://localhost:{PORT}/v1/chat/completions -H 'Content-Type: application/json' \\"
    yield f"  -d {shlex.quote(json.dumps(body))}"
    yield from ("```", "")
    where = "" if "/" in name else f" (`{name}` is this folder: give its path where it lies elsewhere)"
    yield f"Both write the rationale. siked also executes programs and solves equations, in a sandbox{where}:"
    yield from ("", "```bash", f"siked solve {shlex.quote(name)} {shlex.quote(QUESTION)}", "```", "")


def _origin(facts: Facts) -> Iterator[str]:
    yield from ("## Origin and licences", "", "| | | licence |", "|---|---|---|")
    for source in facts.sources:
        name = f"[{source.name}](https://huggingface.co/{_place(source)})" if source.hub else source.name
        yield f"| {source.role} | {name} | {f'`{source.licence}`' if source.licence else 'not known'} |"
    own = (
        f"This student's own licence is `{facts.licence}`."
        if facts.licence
        else "No licence was stated for this student."
    )
    yield from (
        "",
        f"{own} What its data, its base model and its teacher are published under may bind it as well: look up what is "
        "not known here before you pass it on.",
        "",
    )


def _place(source: Source) -> str:
    return f"datasets/{source.hub}" if source.role == "training data" else source.hub


def _recipe(facts: Facts) -> Iterator[str]:
    text = facts.recipe.model_copy(update={"storage": StorageRecipe()}).to_yaml().strip()
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text) or [""]))
    yield from ("## Recipe", "", f"{fence}yaml", text, fence, "")
