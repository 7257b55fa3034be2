"""The attempts of a student at questions, as its evaluation has them, and the one that the selector picks of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from siked_core.contracts import Attempt, Outcome, Selector, Wish
from siked_core.equal_answers import groups
from siked_core.keys import digest
from siked_core.records import Problem, Sampling, Status, Verdict
from siked_core.run import Run
from siked_core.selection import Always, open_selector
from siked_core.stages.generate import EVALUATIONS
from siked_core.stages.verify import verdicts_of

Row = dict[str, Any]
"""A sample with its verdict."""
OWN = Wish()
"""The student's own choice, greedy: always asked for."""


@dataclass(frozen=True, slots=True)
class Question:
    """A problem, and all attempts at it."""

    problem: Problem
    rows: Mapping[Wish, Row]
    planned: tuple[Attempt, ...]
    """Those that the selector chooses among, in the order of its plan."""


def selector_of(run: Run, student: str) -> tuple[Selector, list[Wish]]:
    """What chooses a student's answers, and its plan: the recipe's selector. A student that was trained on a single
    strategy (`only-NAME`) is not asked for others: where the recipe's selector forces strategies, it is always asked
    for that one."""
    names = run.recipe.strategy_names
    selector, plan = open_selector(run.recipe.evaluation.selector, names, run.registry)
    only = student.removeprefix("only-")
    if only == student or only not in names or all(wish.strategy is None for wish in plan):
        return selector, plan
    return Always(only), [Wish(only)]


def pools_of(run: Run, student: str, dataset: str, split: str) -> dict[str, list[Wish]]:
    """Pool -> the attempts that it holds of every question: one pool for each temperature, the greedy one first."""
    recipe = run.recipe.evaluation
    names = run.recipe.strategy_names
    _, plan = selector_of(run, student)
    forced = [Wish(name) for name in names] if recipe.forced else []
    order = {name: place for place, name in enumerate((None, *names))}
    wishes = sorted({OWN, *forced, *plan}, key=lambda one: (one.temperature, one.top_p, order[one.strategy], one.draw))
    pools: dict[str, list[Wish]] = {}
    for wish in wishes:
        at = f"t{wish.temperature:g}-p{wish.top_p:g}/" if wish.temperature else ""
        pools.setdefault(f"{EVALUATIONS}/{student}/{at}{dataset}-{split}", []).append(wish)
    return pools


def sampling_of(run: Run, wishes: Sequence[Wish]) -> Sampling:
    """How the attempts of one of these pools are drawn."""
    return Sampling(wishes[0].temperature, wishes[0].top_p, run.recipe.evaluation.max_tokens)


def questions(
    run: Run, plan: Sequence[Wish], pools: Mapping[str, Sequence[Wish]], known: Sequence[Problem]
) -> list[Question]:
    """The problems with their attempts, which have all been judged."""
    rows: dict[str, dict[Wish, Row]] = {problem.id: {} for problem in known}
    for pool, wishes in pools.items():
        for row in verdicts_of(run, pool).drop("text", "rationale").iter_rows(named=True):
            wish = Wish(row["requested"], row["draw"], wishes[0].temperature, wishes[0].top_p)
            rows[row["problem_id"]][wish] = row
    with run.verifiers(scoring=True) as verifiers:
        found = []
        for problem in known:
            mine = rows[problem.id]
            verdicts = [_blind(mine[wish]) for wish in plan]
            used = [mine[wish]["strategy"] for wish in plan]
            # A single attempt is compared with nothing.
            together = groups(problem.question, list(zip(used, verdicts, strict=True)), verifiers)
            planned = tuple(
                Attempt(wish, strategy, verdict, group, mine[wish]["logprob"], mine[wish]["completion_tokens"])
                for wish, strategy, verdict, group in zip(plan, used, verdicts, together, strict=True)
            )
            found.append(Question(problem, mine, planned))
    return found


def learn(selector: Selector, asked: Sequence[Question]) -> dict[str, float]:
    """What a selector learns from validation questions."""
    return selector.fit(
        [Outcome(one.planned, tuple(is_right(one.rows[attempt.wish]) for attempt in one.planned)) for one in asked]
    )


def select(
    selector: Selector, asked: Sequence[Question], learnt: Mapping[str, float] | None
) -> list[tuple[Problem, Row]]:
    """The attempt that the selector picks for each question.

    Args:
        learnt: what it learnt elsewhere; None where these are the very questions that it learns from: then each half
            of them is answered with what the other half taught.
    """
    by_half = (
        [learnt, learnt]
        if learnt is not None
        else [learn(selector, [one for one in asked if _half(one.problem) != half]) for half in (0, 1)]
    )
    chosen = []
    for one in asked:
        place = selector.select(one.planned, by_half[_half(one.problem)])
        chosen.append((one.problem, one.rows[one.planned[place].wish]))
    return chosen


def is_right(row: Row) -> bool:
    return bool(row["status"] == Status.CORRECT.value)


def _half(problem: Problem) -> int:
    return int(digest(problem.id)[0], 16) % 2


def _blind(row: Row) -> Verdict:
    """What a selector may see of a verdict: that there is an answer and which, not whether it is right."""
    status = Status(row["status"])
    if status in (Status.CORRECT, Status.WRONG):
        status = Status.ANSWERED
    return Verdict(status, row["answer"], row["why"] if status is not Status.ANSWERED else "")
