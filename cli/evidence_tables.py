"""Tables of what the figures are worth: policies and rounds on the same questions, and how varied the students are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from siked_core import figures
from siked_core.diversity import NGRAM
from siked_core.paired import Paired
from siked_core.scorecard import ORACLE, OWN_CHOICE, RoundReport, Score, Scorecard

Heading = Callable[..., Text]
Columns = Callable[..., Table]
"""`tables.title` and `tables.table`."""
GAP = 3


def policy_tables(cards: Iterable[Scorecard], title: Heading, table: Columns) -> list[RenderableType]:
    """The answers of students beside other ways to choose a strategy, on the same questions."""
    parts: list[RenderableType] = []
    for card in cards:
        others = {name: one for name, one in card.policies.items() if (name, card.selector) != (OWN_CHOICE, "self")}
        if not others:
            continue
        parts.append(title(f"Choice of strategy, {card.student} on {card.dataset} {card.split}", "in %, 95 % interval"))
        found = table("policy", "accuracy", "beside the answers, points", "p")
        found.add_row(f"answers ({card.selector})", figures.with_interval(card.score), figures.NOTHING, figures.NOTHING)
        for name, one in others.items():
            score = Score(one.both + one.only_b, one.total)
            told = name if name in (ORACLE, OWN_CHOICE) else f"always {name}"
            found.add_row(told, figures.with_interval(score), figures.points(one), _p(one))
        parts.append(found)
        if ORACLE in others:
            parts.append(Text("oracle: whichever strategy is right, if any is when forced", style="dim"))
    return parts


def gain_table(
    rounds: Sequence[RoundReport], name: Callable[[str], Text], title: Heading, table: Columns
) -> list[RenderableType]:
    """Each round beside the best one before it."""
    if not any(one.gain for one in rounds):
        return []
    found = table("student", "beside", "only before", "only now", "difference, points", "p")
    for one in rounds:
        if one.gain:
            paired = one.gain.paired
            found.add_row(
                name(one.student),
                f"round-{one.gain.against}",
                figures.count(paired.only_a),
                figures.count(paired.only_b),
                figures.points(paired),
                _p(paired),
            )
    back = [
        Text(f"{one.student} goes on from round-{one.base}: the round before it was rolled back.")
        for one in rounds
        if one.base is not None and one.base != one.round - 1
    ]
    small = "questions that only one answers rightly, 95 % interval"
    return [title("Rounds on validation, beside the best before", small), found, *back]


def diversity_tables(
    rounds: Sequence[RoundReport], name: Callable[[str], Text], title: Heading, table: Columns, width: int
) -> list[RenderableType]:
    """How varied choices and rationales are, and what gave rise to a warning."""
    measured = [one for one in rounds if one.diversity.entropy is not None or one.diversity.paths is not None]
    strategies = list(dict.fromkeys(strategy for one in rounds for strategy in one.diversity.distinct))
    if not measured:
        return []
    first = ("\nstudent", "choices,\nbits", "problems\nsolved", "paths per\nproblem")
    each = max([len(f"{NGRAM}-grams"), *map(len, strategies)]) + GAP
    own = (
        max(len(one.student) for one in rounds) + len(" *") + sum(max(map(len, head.split("\n"))) for head in first[1:])
    )
    fit = max(1, (width - own - len(first) * GAP) // each)
    small = f"paths: distinct right rationales; {NGRAM}-grams: share of distinct ones in a strategy's rationales"
    parts: list[RenderableType] = [title("Diversity", small)]
    for start in range(0, max(1, len(strategies)), fit):
        some = strategies[start : start + fit]
        found = table(*first, *(f"{strategy}\n{NGRAM}-grams" for strategy in some))
        for one in measured:
            varied = one.diversity
            shares = [varied.distinct.get(strategy) for strategy in some]
            found.add_row(
                name(one.student),
                _number(varied.entropy),
                figures.NOTHING if varied.coverage is None else f"{100 * varied.coverage:.1f} %",
                _number(varied.paths),
                *(_number(share.share if share else None) for share in shares),
            )
        parts += [Text(), found] if start else [found]
    warned = [
        Text(f"{one.student} may be collapsing: {alarm}.", style="yellow") for one in rounds for alarm in one.alarms
    ]
    return [*parts, *warned]


def _number(value: float | None) -> str:
    return figures.NOTHING if value is None else f"{value:.2f}"


def _p(paired: Paired) -> str:
    return figures.p_value(paired.p_value)
