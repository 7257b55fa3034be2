"""What a student chose, question by question, beside what would have been right: the confusion of its choice.

Of the strategies that answer a question rightly when they are forced, the cheapest is the one that took the fewest
tokens on that very question: what a perfect chooser would have named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from siked_core.results import results_of
from siked_core.run import Run
from siked_core.scorecard import Score
from siked_core.stages.answers import pools_of
from siked_core.stages.generate import samples_of
from siked_core.stages.prepare import problems


@dataclass(frozen=True, slots=True)
class Choice:
    """One question."""

    family: str
    """Of the problem; empty where the data set tells none apart."""
    chosen: str | None
    """The strategy of the answer that was given; None where the student named none."""
    right: bool
    forced: Mapping[str, bool]
    """Strategy -> whether it is right when it is forced."""
    cheapest: str | None
    """Of those that are, the one with the fewest tokens; None where none is."""


def choices(run: Run, student: str, dataset: str, split: str) -> list[Choice]:
    """What became of each question that a student was scored on; empty where strategies were not forced.

    Raises:
        RunError: it has not been scored there.
    """
    results = results_of(run, student, dataset, split)
    if not results or any(not one.forced for one in results):
        return []
    tokens: dict[tuple[str, str], int] = {}
    for pool in list(pools_of(run, student, dataset, split))[:1]:  # the greedy one
        rows = samples_of(run, pool).select("problem_id", "requested", "completion_tokens").drop_nulls("requested")
        tokens = {(problem, strategy): count for problem, strategy, count in rows.iter_rows()}
    families = {problem.id: problem.family for problem in problems(run, split, dataset)}
    return [
        Choice(
            families.get(one.problem_id, "") or "",
            one.strategy,
            one.right,
            one.forced,
            min(
                (strategy for strategy, right in one.forced.items() if right),
                key=lambda strategy, problem=one.problem_id: tokens.get((problem, strategy), 0),  # type: ignore[misc]
                default=None,
            ),
        )
        for one in results
    ]


def by(choices: Sequence[Choice], what: Callable[[Choice], str | None]) -> dict[str | None, list[Choice]]:
    """The same in groups, the larger ones first."""
    groups: dict[str | None, list[Choice]] = {}
    for one in choices:
        groups.setdefault(what(one), []).append(one)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def right(choices: Sequence[Choice]) -> Score:
    """How many of the answers that were given are right."""
    return Score(sum(one.right for one in choices), len(choices))
