"""The figures of a model card: accuracy by strategy, and what the student chose beside what would have been right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from siked_core.chooser import Choice, by, right
from siked_core.recipe import Recipe
from siked_core.scorecard import Score, Scorecard

FEW = 40
"""Families that are told apart at most."""


def accuracy(recipe: Recipe, cards: Sequence[Scorecard]) -> Iterator[str]:
    """A table for each data set: in all, and by strategy when it is chosen and when it is forced."""
    if not cards:
        return
    how = "greedy, one sample a question" if cards[0].selector == "self" else f"by the selector `{cards[0].selector}`"
    yield from ("## Accuracy", "")
    yield (
        f"Answers {how}; 95 % intervals (Wilson). *Chosen*: the questions that were answered with this strategy. "
        "*Forced*: all questions, when it is told to use it. Under *any*, a question counts if any strategy, forced, "
        "is right: no choice among them can do better."
    )
    yield from ("", "| data | strategy | share | chosen | forced |", "|---|---|---|---|---|")
    for card in cards:
        data = cell(f"{card.dataset} {card.split}")
        yield f"| **{data}** | **all** | | **{_interval(card.score)}** | |"
        for one in card.strategies:
            figures = f"{100 * one.share:.0f} % | {_interval(one.chosen)} | {_interval(one.forced)}"
            yield f"| {data} | `{one.strategy}` | {figures} |"
        if card.oracle:
            yield f"| {data} | any | | | {_interval(card.oracle)} |"
    yield ""
    if any(card.split == "validation" for card in cards):
        yield "Rounds are chosen on the validation split, so its figures flatter; no test split has been scored."
        yield ""


def chosen(
    recipe: Recipe, cards: Sequence[Scorecard], choices: Mapping[tuple[str, str], Sequence[Choice]]
) -> Iterator[str]:
    """What it chose against what would have been right, in all and by family."""
    if not cards:
        return
    yield from ("## The chooser", "")
    if not any(choices.values()):
        yield from (
            "Strategies were not forced (`evaluation.forced`), so what else would have been right is not known.",
            "",
        )
        return
    for card in cards:
        some = choices.get((card.dataset, card.split), ())
        if some:
            yield from (f"### {cell(card.dataset)} {card.split}", "")
            yield from _confusion(recipe.strategy_names, some)
            yield from _families(some)


def cell(text: str) -> str:
    """Text of a data set as it may stand in a table: no markup, no end of the cell."""
    return "".join(f"\\{one}" if one in "\\`*_|<>[]" else " " if one in "\r\n" else one for one in text)


def _confusion(names: Sequence[str], choices: Sequence[Choice]) -> Iterator[str]:
    yield "Of the questions answered with a strategy, how many each strategy would have answered rightly, when forced:"
    yield ""
    yield f"| chosen | questions | right | {' | '.join(f'`{name}` right' for name in names)} | none right |"
    yield "|---" * (len(names) + 4) + "|"
    groups = by(choices, lambda one: one.chosen)
    for name, mine in groups.items():
        would = [str(sum(one.forced.get(other, False) for one in mine)) for other in names]
        none = sum(one.cheapest is None for one in mine)
        yield f"| {_strategy(name)} | {len(mine)} | {right(mine).correct} | {' | '.join(would)} | {none} |"
    yield from (
        "",
        "The strategy chosen against the cheapest right one, which took the fewest tokens on that question:",
        "",
    )
    yield f"| chosen ↓, cheapest right → | {' | '.join(f'`{name}`' for name in names)} | none |"
    yield "|---" * (len(names) + 2) + "|"
    for name, mine in groups.items():
        counts = [sum(one.cheapest == other for one in mine) for other in (*names, None)]
        yield f"| {_strategy(name)} | {' | '.join(map(str, counts))} |"
    yield ""


def _families(choices: Sequence[Choice]) -> Iterator[str]:
    families = by([one for one in choices if one.family], lambda one: one.family)
    if not families:
        return
    yield "| family | questions | accuracy | chosen | cheapest right |"
    yield "|---|---|---|---|---|"
    for family, mine in list(families.items())[:FEW]:
        shares = " | ".join(
            ", ".join(f"{_strategy(name)} {len(some)}" for name, some in by(mine, what).items())
            for what in (lambda one: one.chosen, lambda one: one.cheapest)
        )
        yield f"| {cell(str(family))} | {len(mine)} | {_interval(right(mine))} | {shares} |"
    if len(families) > FEW:
        yield f"| and {len(families) - FEW} smaller ones | | | | |"
    yield ""


def _strategy(name: str | None) -> str:
    return f"`{name}`" if name else "none"


def _interval(score: Score | None) -> str:
    if not score or not score.total:
        return "-"
    low, high = score.interval
    return f"{100 * score.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f}, n = {score.total})"
