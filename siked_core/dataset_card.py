"""The card of an exported data set: what it holds, how it was made, and how to open it.

The front matter is the Hugging Face hub's (huggingface.co/docs/hub/datasets-manual-configuration): `configs` tell
`datasets.load_dataset` which files are what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from siked_core.recipe import Recipe
from siked_core.recipe_sampling import SamplingRecipe

SAID = {
    "correct": "the distinct correct rationales",
    "all": "every judged sample, right and wrong",
    "mixture": "the rows that a student was trained on",
}


@dataclass(frozen=True, slots=True)
class Yield:
    """What one strategy gave in one round."""

    strategy: str
    source: str
    round: int
    samples: int
    correct: int
    distinct: int
    """Distinct correct rationales."""
    solved: int
    """Problems with a correct one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card tells."""

    recipe: Recipe
    what: str
    licence: str
    verifiers: Mapping[str, str]
    """Strategy -> verifier."""
    yields: tuple[Yield, ...]
    statuses: Mapping[str, int]
    """Verdicts of all samples that the rows were chosen from."""
    generators: Mapping[str, int]
    """Who wrote the rows -> rows."""
    rows: Mapping[str, int]
    """File -> rows."""


def dataset_card(facts: Facts, columns: Mapping[str, str]) -> str:
    """The text of `README.md`: YAML front matter and Markdown."""
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_front(facts), sort_keys=False).strip(),
            "---",
            "",
            f"# Rationales for {facts.recipe.dataset.name}",
            "",
            f"Solutions of the training problems of `{facts.recipe.dataset.name}` under the strategies "
            f"{', '.join(f'`{name}`' for name in facts.recipe.strategy_names)}, each judged by a verifier: "
            f"{SAID[facts.what]}. Exported by siked from a run of SIKeD (arXiv 2410.18574).",
            "",
            *_use(facts),
            *_yields(facts),
            *_made(facts),
            *_licence(facts),
            "## Columns",
            "",
            "| column | meaning |",
            "|---|---|",
            *(f"| `{name}` | {meaning} |" for name, meaning in columns.items()),
            "",
        ]
    )


def public_name(model: str) -> str:
    """A model's name as it means something elsewhere: of a folder of this machine, its last part."""
    local = model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).exists()
    return Path(model).name if local else model


def _front(facts: Facts) -> dict[str, Any]:
    files = sorted(facts.rows)
    data = [place for place in files if place.startswith("data/")]
    configs: list[dict[str, Any]] = [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}], "default": True}
    ]
    configs += [{"config_name": _stem(place), "data_files": [{"split": "train", "path": place}]} for place in data]
    held_out = [place for place in files if place not in data]
    if held_out:
        splits = [{"split": _stem(place), "path": place} for place in held_out]
        configs.append({"config_name": "evaluations", "data_files": splits})
    return {
        "license": facts.licence or "unknown",
        "task_categories": ["text-generation"],
        "tags": ["siked", "reasoning", "distillation"],
        "configs": configs,
    }


def _stem(place: str) -> str:
    return place.rpartition("/")[2].removesuffix(".parquet")


def _use(facts: Facts) -> Iterator[str]:
    yield from ("```python", "from datasets import load_dataset", "")
    yield 'rows = load_dataset("PATH", split="train")'
    name = facts.recipe.strategy_names[0]
    if f"data/{name}.parquet" in facts.rows:
        yield f'only = load_dataset("PATH", "{name}", split="train")  # one strategy'
    yield from ("```", "", "| file | rows |", "|---|---|")
    yield from (f"| `{place}` | {count:,} |" for place, count in facts.rows.items())
    yield ""
    if any(place.startswith("evaluations/") for place in facts.rows):
        yield "`evaluations` holds answers to validation and test questions: never train on them."
    else:
        yield "No answer to a validation or test question is in it."
    yield ""


def _yields(facts: Facts) -> Iterator[str]:
    yield from ("## Yields", "", "What the rows were chosen from:", "")
    yield "| round | strategy | source | samples | correct | distinct correct | problems solved |"
    yield "|---|---|---|---|---|---|---|"
    for one in facts.yields:
        share = f"{one.correct:,} ({100 * one.correct / one.samples:.1f} %)"
        counts = f"{one.samples:,} | {share} | {one.distinct:,} | {one.solved:,}"
        yield f"| {one.round} | {one.strategy} | {one.source} | {counts} |"
    verdicts = ", ".join(f"{status.replace('_', ' ')} {count:,}" for status, count in facts.statuses.items())
    yield from ("", f"Verdicts: {verdicts}.", "")


def _made(facts: Facts) -> Iterator[str]:
    recipe = facts.recipe
    written = ", ".join(f"{name} ({count:,} rows)" for name, count in facts.generators.items())
    judges = ", ".join(f"`{strategy}` by `{verifier}`" for strategy, verifier in facts.verifiers.items())
    most = "all" if recipe.mixing.keep is None else f"at most {recipe.mixing.keep}"
    keeps = f"`{recipe.mixing.policy.name}`, {most} per problem, strategy and source"
    yield from ("## How it was made", "", "| | |", "|---|---|")
    yield f"| written by | {written} |"
    yield f"| student | {public_name(recipe.student.model)} |"
    yield f"| teacher's samples | {_sampling(recipe.teacher) if recipe.teacher.samples else 'none: imported'} |"
    yield f"| student's samples | {_sampling(recipe.rollout)}, strategy {recipe.rollout.mode} |"
    yield f"| judged | {judges} |"
    yield f"| mixing policy | {keeps} |"
    yield f"| seed | {recipe.seed} |"
    data = recipe.data
    rule = f"{data.decontaminate}, {data.ngram} words, {data.ngram_overlap:g}" if data.decontaminate == "ngram" else ""
    yield f"| training problems too near a test problem | left out by the rule {rule or data.decontaminate} |"
    yield ""


def _sampling(asked: SamplingRecipe) -> str:
    return (
        f"{asked.samples} per question, temperature {asked.temperature:g}, top-p {asked.top_p:g}, at most "
        f"{asked.max_tokens:,} tokens"
    )


def _licence(facts: Facts) -> Iterator[str]:
    yield from ("## Licence", "")
    if facts.licence:
        yield f"`{facts.licence}`. Rationales that a model wrote may fall under the terms of that model as well."
    else:
        yield (
            "Not known: ask those who published the questions, and look up the terms of the models that wrote the "
            "rationales, before you pass it on."
        )
    yield ""
